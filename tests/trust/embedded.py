"""A trust domain with the embedded issuer, for the scenarios."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from continuo.trust.ids import parse_id
from continuo.trust.issuer.entries import Entry
from continuo.trust.issuer.federation import Federation
from continuo.trust.issuer.generations import Policy
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.relations import Relation
from continuo.trust.issuer.serving import Face, Serving, endpoint_id
from continuo.trust.issuer.store import Store
from continuo.trust.svid import Svid


class Embedded:
    """Serves in this process, over real sockets."""

    def __init__(self, name: str, folder: Path, policy: Policy | None = None) -> None:
        self._folder = folder / name
        self.store = Store(self._folder)
        self._policy = policy or Policy()
        self._socket = self._folder / "api.sock"
        self.address = f"unix://{self._socket}"
        self.issuer = self._issuer(name)
        self.domain = self.issuer.domain
        self.serving: Serving | None = None

    def _issuer(self, name: Any) -> Issuer:
        return Issuer(name, policy=self._policy, keeping=self.store)

    @property
    def id(self) -> str:
        return f"spiffe://{self.domain.name}/cp/it"

    async def start(self, port: int = 0) -> None:
        self.serving = Serving(
            self.issuer, self.store, self._socket, mode=0o600, face=Face("127.0.0.1", port),
            federation=lambda issuer, store: Federation(issuer, store, shortest=0.05),
        )  # fmt: skip
        await self.serving.__aenter__()

    async def stop(self) -> None:
        if self.serving is not None:
            await self.serving.__aexit__()
            self.serving = None

    @property
    def port(self) -> int:
        assert self.serving is not None and self.serving.endpoint is not None
        return self.serving.endpoint.port

    def reload(self) -> None:
        if self.serving is not None:
            self.serving.reload()

    async def grant(self) -> None:
        self.store.save_entries([Entry(spiffe_id=self.id, uid=os.getuid())])
        self.reload()

    async def withdraw(self) -> None:
        self.store.save_entries([])
        self.reload()

    async def federate(self, other: Any) -> None:
        self.store.save_bundle(other.domain, other.issuer.document())
        relation = Relation(
            trust_domain=other.domain.name,
            url=f"https://127.0.0.1:{other.port}/",
            endpoint_id=endpoint_id(other.issuer),
        )
        self.store.save_relations([relation])
        self.reload()

    async def end_federation(self, other: Any) -> None:
        left = [one for one in self.store.relations() if one.trust_domain != other.domain.name]
        self.store.save_relations(left)
        self.reload()

    async def restart(self) -> None:
        port = self.port
        await self.stop()
        self.issuer = self._issuer(self.domain)
        await self.start(port)

    async def rotate(self) -> None:
        self.issuer.reissue()

    def forge(self, spiffe_id: str) -> Svid:
        return self.issuer.authorities[0].svid(parse_id(spiffe_id), self.issuer.clock(), self._policy.svid)


@asynccontextmanager
async def two_domains(folder: Path, policy: Policy | None = None) -> AsyncIterator[tuple[Embedded, Embedded]]:
    """Two that believe each other, and this process is a workload of both."""
    a, b = Embedded("a.example", folder, policy), Embedded("b.example", folder, policy)
    try:
        for place in (a, b):
            await place.start()
            await place.grant()
        await a.federate(b)
        await b.federate(a)
        yield a, b
    finally:
        await a.stop()
        await b.stop()
