"""An issuer that serves: the Workload API's socket, the bundle endpoint, federations, and a bell for the command line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from continuo.trust import wire
from continuo.trust.issuer.attest import Attesting
from continuo.trust.issuer.devices import Delegations
from continuo.trust.issuer.endpoint import BundleEndpoint, spiffe_context
from continuo.trust.issuer.entries import Entries
from continuo.trust.issuer.federation import Federation
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity
from continuo.trust.issuer.service import DelegationService, WorkloadService
from continuo.trust.issuer.store import BadStore, Store

log = logging.getLogger(__name__)

_LONGEST_PATH = 100
"""Bytes of a unix socket's path, a little less than the kernel's limit."""


class CannotServe(Exception):
    """`str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Face:
    """The bundle endpoint: where, and with what certificate; None: the issuer's own SVID (https_spiffe)."""

    host: str
    port: int
    tls: Any = None


class Serving:
    """`async with Serving(...)`: workloads get their identities at `socket` until it is left."""

    def __init__(
        self,
        issuer: Issuer,
        store: Store,
        socket: Path,
        *,
        mode: int = 0o666,
        face: Face | None = None,
        federation: Callable[[Issuer, Store], Federation] = Federation,
    ) -> None:
        self.issuer = issuer
        self.socket = socket
        self.endpoint: BundleEndpoint | None = None
        self._store = store
        self._mode = mode
        self._face = face
        self._entries = Entries()
        self.federation = federation(issuer, store)
        self._own: LocalIdentity = issuer.identity(endpoint_id(issuer))
        self._server: grpc.aio.Server | None = None
        self._attesting: Attesting | None = None
        self._bell: asyncio.Server | None = None
        self._folder: Path | None = None
        self._rotation: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Serving:
        try:
            self.reload()
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _start(self) -> None:
        for path in (self.socket, bell_path(self._store)):
            if len(str(path)) > _LONGEST_PATH:
                raise CannotServe(f"{path} is too long for a unix socket; at most {_LONGEST_PATH} bytes fit")
            if await _answers(path):
                raise CannotServe(f"somebody serves {path} already")
        self._folder = Path(tempfile.mkdtemp(prefix="identity-"))  # mode 0700
        inner = self._folder / "inner"
        self._attesting = Attesting(self.socket, self._folder, inner, mode=self._mode)
        workloads = WorkloadService(self.issuer, lambda: self._entries, self._attesting.caller)
        devices = DelegationService(workloads, Delegations(self.issuer, lambda: self._entries))
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers([wire.handlers(workloads), devices.handlers()])
        self._server.add_insecure_port(f"unix:{inner}")
        await self._server.start()
        await self._attesting.start()
        bell = bell_path(self._store)
        bell.unlink(missing_ok=True)
        self._bell = await asyncio.start_unix_server(self._ring, bell)
        await self._own.__aenter__()
        if self._face is not None:
            tls = self._face.tls or spiffe_context(self._own)
            self.endpoint = BundleEndpoint(self.issuer, self._face.host, self._face.port, tls)
            await self.endpoint.start()
        self._rotation = asyncio.create_task(self.issuer.run(), name="rotation of keys")

    async def __aexit__(self, *_: object) -> None:
        if self._rotation is not None:
            self._rotation.cancel()
            await asyncio.gather(self._rotation, return_exceptions=True)
        await self.federation.stop()
        if self.endpoint is not None:
            await self.endpoint.stop()
        await self._own.__aexit__()
        if self._bell is not None:
            self._bell.close()
            bell_path(self._store).unlink(missing_ok=True)
        if self._attesting is not None:
            await self._attesting.stop()
        if self._server is not None:
            await self._server.stop(0)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def reload(self) -> None:
        """Read entries and federations again; BadStore when one is broken, and what was there stays."""
        entries, relations = self._store.entries(), self._store.relations()
        self._entries = entries
        self.federation.follow(relations)
        self.issuer.changes.tell()

    async def _ring(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The command line has changed a file: read it, and tell how federations are."""
        try:
            async with asyncio.timeout(5):
                await reader.readline()
                answer: dict[str, Any] = {"pid": os.getpid()}
                try:
                    self.reload()
                except BadStore as error:
                    answer["trouble"] = str(error)
                    log.error("%s", error)
                answer["federations"] = {
                    name: {"fetched": state.at.isoformat() if state.at else None, "trouble": state.trouble}
                    for name, state in self.federation.status.items()
                }
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError) as error:
            log.debug("the bell broke: %s", error)
        finally:
            writer.close()


def endpoint_id(issuer: Issuer) -> str:
    """The issuer's own identity, which its bundle endpoint proves."""
    return f"spiffe://{issuer.domain.name}/cp/identity"


def bell_path(store: Store) -> Path:
    """Where a running issuer hears that its files have changed. Only the owner reaches it."""
    return store.folder / "bell"


async def ring(store: Store) -> dict[str, Any] | None:
    """Let a running issuer read its files again; its answer, or None when none runs."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(bell_path(store))
            writer.write(b"reload\n")
            found: dict[str, Any] = json.loads(await reader.readline() or b"null")
            writer.close()
            return found
    except (OSError, TimeoutError, ValueError):
        return None


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
