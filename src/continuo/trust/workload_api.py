"""The identity of a process from a SPIFFE Workload API: SPIRE's agent, or `continuo identity serve`.

Two streams are followed, SVIDs with their bundles and the keys of tokens. Each message replaces all that was known; what a
message leaves out is withdrawn, and so is the SVID when the API says that there is none for this process. While the API is
merely unreachable, what is known stays in use until it ends.

The `spiffe` package's own watcher is not used: it keeps an identity that was denied, and stops for good at a message that it
cannot read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
import jwt as pyjwt

from continuo.trust import der, wire
from continuo.trust.backoff import Backoff
from continuo.trust.bundle_docs import BadBundle, parse_bundle, require_authority
from continuo.trust.bundles import Bundles
from continuo.trust.holder import Holder, utc_now
from continuo.trust.identity import NoIdentity
from continuo.trust.ids import BadId, SpiffeId, TrustDomain, parse_domain
from continuo.trust.leaf import BadSvid
from continuo.trust.svid import Svid

log = logging.getLogger(__name__)

VARIABLE = "SPIFFE_ENDPOINT_SOCKET"
_DEADLINE = 10.0
_DENIED = grpc.StatusCode.PERMISSION_DENIED
_HOPELESS = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT)
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 2000))  # fmt: skip


def endpoint(address: str) -> str:
    """What gRPC takes for `unix:///path` or `tcp://ip:port`; NoIdentity for anything else."""
    parts = urlsplit(address)
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return f"unix:{parts.path}"
    if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path:
        return f"{'ipv6' if ':' in parts.hostname else 'ipv4'}:{parts.netloc}"
    raise NoIdentity(f"{address!r} is no SPIFFE Workload API; one looks like unix:///run/spire/agent.sock")


class WorkloadApi(Holder):
    """Entered (`async with`), it waits for the first SVID, then follows the API until it is left."""

    def __init__(
        self,
        address: str,
        *,
        patience: float = _DEADLINE,
        slowest: float = 5.0,
        prefer: SpiffeId | None = None,
        clock: Callable[[], datetime] = utc_now,
        rng: random.Random | None = None,
    ) -> None:
        """`patience`: seconds to wait for the first SVID; `slowest`: between two attempts to reach the API, at most.

        `prefer`: which SVID to take when there are several; else the first.
        """
        super().__init__(f"the SPIFFE Workload API at {address} has not answered yet", clock=clock)
        self.address = address
        self._target = endpoint(address)
        self._patience = patience
        self._slowest = slowest
        self._prefer = prefer
        self._rng = rng or random.Random()
        self._channel: grpc.aio.Channel | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._jwt: Mapping[TrustDomain, Mapping[str, Any]] = MappingProxyType({})
        self._said: dict[str, str] = {}
        self._settled: set[str] = set()
        self._tokens: dict[str, tuple[str, datetime]] = {}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **options: Any) -> WorkloadApi:
        """From SPIFFE_ENDPOINT_SOCKET; NoIdentity says what to do when it is not set."""
        address = (os.environ if environment is None else environment).get(VARIABLE, "")
        if not address:
            raise NoIdentity(
                f"{VARIABLE} is not set; it names the SPIFFE Workload API, such as unix:///run/spire/agent.sock "
                "(`continuo identity serve` is one, where there is no SPIRE)"
            )
        return cls(address, **options)

    async def __aenter__(self) -> WorkloadApi:
        self._require_socket()
        self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        seen = self.changes.count
        self._tasks = [
            asyncio.create_task(self._follow("FetchX509SVID", self._take_x509), name="svids"),
            asyncio.create_task(self._follow("FetchJWTBundles", self._take_jwt), name="keys of tokens"),
        ]
        try:
            async with asyncio.timeout(self._patience):
                while self._svid is None or len(self._settled) < len(self._tasks):
                    await self.changes.wait(seen)
                    seen = self.changes.count
        except TimeoutError:
            if self._svid is None:
                await self.__aexit__()
                raise NoIdentity(self._why) from None
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    def _require_socket(self) -> None:
        path = self._target.removeprefix("unix:")
        if self._target.startswith("unix:") and not Path(path).is_socket():
            raise NoIdentity(
                f"there is no SPIFFE Workload API at {self.address}: {path} is no socket; "
                f"start SPIRE's agent or `continuo identity serve`, or let {VARIABLE} name another"
            )

    async def _follow(self, name: str, take: Callable[[Any], None]) -> None:
        """One stream, opened again whenever it ends."""
        request = wire.MESSAGES[wire.METHODS[name][0]]()
        backoff = Backoff(cap=self._slowest, rng=self._rng)
        while True:
            try:
                async for message in wire.method(self._channel, name)(request, metadata=(wire.HEADER,)):
                    self._settled.add(name)
                    take(message)
                    backoff.reset()
                    self._said.pop(name, None)
            except grpc.aio.AioRpcError as error:
                if self._ends(name, error):
                    return
            except (BadSvid, BadBundle, BadId, ValueError) as error:
                log.error("a message of %s is not used, what was known stays: %s", self.address, error)
            await asyncio.sleep(backoff.next())

    def _ends(self, name: str, error: grpc.aio.AioRpcError) -> bool:
        """Whether asking again is no use."""
        said = f"{error.details() or 'nothing'} ({error.code().name})"
        if name == "FetchX509SVID":
            why = f"the SPIFFE Workload API at {self.address} gives this process no SVID: {said}"
            if error.code() is _DENIED and self._svid is not None:
                log.warning("%s; the one that was there is no longer used", why)
                self.take(None, self._bundles, why)
            self._why = why
        if error.code() in _HOPELESS:
            log.error("%s of %s is not followed: %s", name, self.address, said)
            self._settled.add(name)
            self.changes.tell()
            return True
        if self._said.get(name) != said:  # once, however often it is tried
            log.info("%s of %s ended and is opened again: %s", name, self.address, said)
            self._said[name] = said
        return False

    def _take_x509(self, message: Any) -> None:
        entries = list(message.svids)
        if not entries:
            raise BadSvid("it has no SVID")
        parsed = [Svid.parse(entry.x509_svid, entry.x509_svid_key) for entry in entries]
        place = next((place for place, one in enumerate(parsed) if one.spiffe_id == self._prefer), 0)
        bundles = {parse_domain(name): _authorities(data) for name, data in message.federated_bundles.items()}
        for svid, entry in zip(parsed, entries, strict=True):
            bundles[svid.spiffe_id.trust_domain] = _authorities(entry.bundle)
        self._tokens.clear()
        self.take(parsed[place], Bundles(MappingProxyType(bundles), self._jwt))

    def _take_jwt(self, message: Any) -> None:
        self._jwt = MappingProxyType(
            {parse_domain(name): MappingProxyType(dict(_keys(data))) for name, data in message.bundles.items()}
        )
        self.take(self._svid, Bundles(self._bundles.x509, self._jwt))

    async def jwt(self, audience: str) -> str:
        """A JWT-SVID for that audience, kept for half its life. A secret. NoIdentity when there is none."""
        found = self._tokens.get(audience)
        if found is not None and found[1] > self._clock():
            return found[0]
        request = wire.MESSAGES["JWTSVIDRequest"](audience=[audience], spiffe_id=str(self.spiffe_id))
        call = wire.method(self._channel, "FetchJWTSVID")
        try:
            answer = await call(request, metadata=(wire.HEADER,), timeout=_DEADLINE)
            token = str(answer.svids[0].svid)
            until = pyjwt.decode(token, options={"verify_signature": False})["exp"]
        except (grpc.aio.AioRpcError, pyjwt.PyJWTError, LookupError) as error:
            said = error.details() if isinstance(error, grpc.aio.AioRpcError) else "its answer cannot be read"
            raise NoIdentity(f"{self.address} gives no JWT-SVID for {audience}: {said}") from None
        now = self._clock()
        self._tokens[audience] = (token, now + timedelta(seconds=(until - now.timestamp()) / 2))
        return token


def _authorities(data: bytes) -> frozenset[bytes]:
    found = frozenset(der.split(data))
    for place, one in enumerate(found):
        require_authority(one, f"certificate {place}")
    return found


def _keys(data: bytes) -> Mapping[str, Any]:
    return parse_bundle(data, tokens_only=True).jwt if data else {}
