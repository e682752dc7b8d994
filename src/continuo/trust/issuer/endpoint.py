"""The bundle endpoint: where other trust domains fetch this one's bundle. Anybody may; there is nothing secret in it."""

from __future__ import annotations

import ssl

from aiohttp import web

from continuo.trust.contexts import FollowingContext, make_context
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity


def spiffe_context(identity: LocalIdentity) -> ssl.SSLContext:
    """For profile https_spiffe: shows the identity's SVID of the moment, and asks nobody for theirs."""
    context = FollowingContext.of(
        lambda: make_context(
            identity, server=True, own=identity.svid, roots={}, authorize=lambda _: False, verify=False
        ),
        server=True,
    )
    context.verify_mode = ssl.CERT_NONE
    return context


class BundleEndpoint:
    """Serves the bundle at `/`."""

    def __init__(self, issuer: Issuer, host: str, port: int, tls: ssl.SSLContext) -> None:
        self._issuer = issuer
        self._where = (host, port)
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.port = port

    async def start(self) -> None:
        """Listen; OSError when the port is taken. `port` is the one that it got."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._where, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._issuer.document(), content_type="application/json")
