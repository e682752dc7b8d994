"""Three trust domains that federate, in this process; and for each of the demo's processes a Workload API of its own.

All of them run as one user and one program, so that the kernel's word does not tell them apart. Whose socket it is does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from continuo.cli.sensors_demo import scene
from continuo.trust import wire
from continuo.trust.ids import SpiffeId
from continuo.trust.issuer.attest import Attesting
from continuo.trust.issuer.devices import Delegations
from continuo.trust.issuer.entries import Entries, Entry
from continuo.trust.issuer.generations import Policy
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity
from continuo.trust.issuer.service import DelegationService, WorkloadService
from continuo.trust.workload_api import VARIABLE

PREFIX = "continuo-demo-"
"""Of the folder with the sockets."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The issuers by party, and where processes get their identities."""

    issuers: dict[str, Issuer]
    folder: Path
    _stack: AsyncExitStack
    _gone: set[str] = field(default_factory=set)

    def deregister(self, device: SpiffeId) -> None:
        """From now on nobody is given a delegation for it."""
        self._gone.add(str(device))

    async def door(self, spiffe_id: str, devices: Iterable[SpiffeId] = ()) -> dict[str, str]:
        """A new Workload API that gives this identity to processes of ours; what tells a process of it.

        `devices`: those that this identity is the gateway of.
        """
        party = spiffe_id.removeprefix("spiffe://").partition(".")[0]
        place = Path(tempfile.mkdtemp(dir=self.folder))
        inside = place / "in"
        inside.mkdir(mode=0o700)
        own = Entry(spiffe_id=spiffe_id, uid=os.getuid())
        boards = [Entry(spiffe_id=str(device), gateway=spiffe_id) for device in devices]

        def entries() -> Entries:
            return Entries([own, *(board for board in boards if board.spiffe_id not in self._gone)])

        attesting = Attesting(place / "api.sock", inside, inside / "grpc", mode=0o600)
        server = grpc.aio.server()
        service = WorkloadService(self.issuers[party], entries, attesting.caller)
        delegating = DelegationService(service, Delegations(self.issuers[party], entries))
        server.add_generic_rpc_handlers([wire.handlers(service), delegating.handlers()])
        server.add_insecure_port(f"unix:{inside / 'grpc'}")
        await server.start()
        self._stack.push_async_callback(server.stop, 0)
        await attesting.start()
        self._stack.push_async_callback(attesting.stop)
        return {VARIABLE: f"unix://{place / 'api.sock'}"}

    async def identity(self, spiffe_id: str) -> LocalIdentity:
        """An identity for this process."""
        party = spiffe_id.removeprefix("spiffe://").partition(".")[0]
        return await self._stack.enter_async_context(self.issuers[party].identity(spiffe_id))


@asynccontextmanager
async def trusting(policy: Policy | None = None) -> AsyncIterator[Trust]:
    """The consumers believe the provider's certificates, it believes theirs, and they do not believe each other's."""
    issuers = {
        party: Issuer(scene.domain(party), policy=policy) for party in (scene.PROVIDER, scene.FIRST, scene.SECOND)
    }
    provider = issuers[scene.PROVIDER]
    for party in (scene.FIRST, scene.SECOND):
        provider.federate(issuers[party].domain, issuers[party].bundle())
        issuers[party].federate(provider.domain, provider.bundle())
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:  # a socket's path must be short
        async with AsyncExitStack() as stack:
            yield Trust(issuers, Path(folder), stack)
