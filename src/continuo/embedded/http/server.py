"""Brings the clusters of an engine onto one HTTPS port, inside the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, Literal

import uvicorn

from continuo.embedded.http.app import App
from continuo.embedded.http.auth import Tokens, kubeconfig
from continuo.embedded.http.call import Logs
from continuo.embedded.http.default_roles import ensure_defaults
from continuo.embedded.http.face import ClusterFace
from continuo.embedded.http.logs import default_logs
from continuo.embedded.http.openapi import Documents
from continuo.embedded.http.protocol import Protocol
from continuo.embedded.http.tls import Authority
from continuo.embedded.port import Api, Engine
from continuo.embedded.standins.workload.usage import Metering

_GRACE_SECONDS = 1


class Server:
    """The HTTPS face of an engine.

    With a `data_dir` the certificate authority and the tokens' key survive restarts, so printed kubeconfigs stay valid
    (give a fixed port too). An `authority` made before the engine can be given instead. `extra_names` are further host
    names or addresses for the certificate.
    """

    def __init__(
        self,
        engine: Engine,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        data_dir: Path | None = None,
        authority: Authority | None = None,
        extra_names: Iterable[str] = (),
        tls: bool = True,
        logs: Logs = default_logs,
        random: Random | None = None,
    ) -> None:
        self.authority = authority or Authority(data_dir)
        self.tokens = Tokens(data_dir, engine.now)
        self.port = port
        self._engine = engine
        self._host = host
        self._names = tuple(extra_names)
        self._tls = tls
        self._logs, self._metering = logs, Metering(engine)
        self._random = random or Random()
        self._documents = Documents()
        self._faces: dict[str, ClusterFace] = {}
        self._app = App(self._faces)
        self._uvicorn: uvicorn.Server | None = None
        self._sockets: list[socket.socket] = []
        self._following = False

    # --- life ---------------------------------------------------------------------------------------------------------
    def attach(self) -> App:
        """Serve the engine's clusters, present and coming, without a socket: what `start` puts behind one."""
        if not self._following:
            self._following = True
            self._engine.on_cluster(self._cluster_changed)
        return self._app

    async def start(self) -> None:
        """Listen. Afterwards `port`, `url()` and `kubeconfig()` hold, and new clusters are served as they come."""
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        self._sockets = [listener]
        self.attach()
        config = uvicorn.Config(
            self._app, loop="none", http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=120,
            timeout_graceful_shutdown=_GRACE_SECONDS, backlog=2048,
        )  # fmt: skip
        config.load()
        if self._tls:
            config.ssl = self.authority.server_context([self._host, *self._names])
        self._uvicorn = uvicorn.Server(config)
        self._uvicorn.lifespan = config.lifespan_class(config)
        # Not serve(): it would install signal handlers and wake ten times a second.
        await self._uvicorn.startup(sockets=self._sockets)

    async def stop(self) -> None:
        """End the open watches and the connections; takes about a second at most."""
        if self._uvicorn is None:
            return
        server, self._uvicorn = self._uvicorn, None
        for face in self._faces.values():
            face.hub.end_all()
        cut = asyncio.get_running_loop().call_later(_GRACE_SECONDS / 2, _cut, server)
        await server.shutdown(sockets=self._sockets)
        cut.cancel()

    def _cluster_changed(self, event: Literal["added", "removed"], api: Api) -> None:
        if event == "removed":
            face = self._faces.pop(api.name, None)
            if face is not None:
                face.close()
            return
        ensure_defaults(api)
        version = str(getattr(api, "kubernetes_version", "v1.34.0"))
        self._faces[api.name] = ClusterFace(
            api, self.tokens, self._logs, self._metering, self._engine.now, self._random, version, self._documents
        )

    # --- access -------------------------------------------------------------------------------------------------------
    @property
    def base_url(self) -> str:
        """`https://127.0.0.1:PORT`."""
        host = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def url(self, cluster: str) -> str:
        """The address of a cluster's API."""
        return f"{self.base_url}/clusters/{cluster}"

    def kubeconfig(
        self, url: str, cluster: str, user: str = "admin", groups: tuple[str, ...] = ("system:masters",)
    ) -> str:
        """A kubeconfig (YAML) with a token for the user; what the engine hands out."""
        token = self.tokens.issue(cluster, user, groups)
        return kubeconfig(cluster, url, self.authority.ca_pem, token, user=user)


def _cut(server: uvicorn.Server) -> None:
    """End the connections whose clients do not close them: a TLS close waits for the other side."""
    for connection in list(server.server_state.connections):
        transport: Any = connection.transport
        transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        with contextlib.suppress(OSError):
            listener.close()
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {host} is in use: stop what listens there or choose another"
            raise OSError(error.errno, message) from None
        raise
    listener.setblocking(False)
    return listener
