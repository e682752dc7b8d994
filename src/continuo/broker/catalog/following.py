"""What has become of the links that were bought: who takes one away by hand ends its contract, and the meter with it.

Nothing is remembered but until when the links were known to be there, which bounds what is metered: an hour in which
nobody could say so is billed when somebody can again, or never.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from continuo.broker.catalog.peering import PeeringRefused
from continuo.runtime.controller import DONE, Controller, Result

if TYPE_CHECKING:
    from continuo.broker.catalog.contracts import Contract, Contracts
    from continuo.storage.database import Database

log = logging.getLogger(__name__)
SEEN = "links-seen"
"""The number of the storage that says until when (milliseconds since 1970)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the link of an active contract."""

    what: Literal["gone", "changed"]
    why: str
    """Of what is gone: who ended it, and how. Of what was changed: what."""
    at: float | None = None
    """Since when it is gone, in seconds since 1970; None: nobody knows."""


class Following(Protocol):
    """All links of a catalog, followed."""

    async def run(self) -> None:
        """Follow until cancelled."""
        ...

    def current(self) -> bool:
        """Whether every change until now is known."""
        ...

    async def find(self, contract: Contract) -> Finding | None:
        """What is wrong with the link of an active contract, now; None: nothing. Raises when it cannot be told."""
        ...

    async def mend(self, contract: Contract) -> None:
        """Make the link again what was bought; raises PeeringRefused."""
        ...


@runtime_checkable
class Followable(Protocol):
    """A Peering whose links others can change."""

    def follow(self, look: Callable[[str | None], None]) -> Following:
        """`look` is called with the ID of each contract whose link may have changed; None: any may have."""
        ...


class Follower:
    """Keeps contracts as their links are."""

    def __init__(
        self, database: Database, contracts: Contracts, peering: Followable, clock: Callable[[], float]
    ) -> None:
        self._database, self._contracts, self._clock = database, contracts, clock
        self._following = peering.follow(self._look)
        self._seen = 0
        self._known = True
        self._controller: Controller[str] = Controller("links of contracts", self._reconcile, workers=8)

    async def load(self) -> None:
        """Begin where the last one ended."""
        self._seen = await self._database.do(lambda session: session.number(SEEN))
        self._contracts.known_until = lambda: self._seen

    async def run(self) -> None:
        """Follow until cancelled."""
        self._controller.start()
        try:
            await self._following.run()
        finally:
            await self._controller.stop(0.0)

    async def beat(self) -> None:
        """Note that every link is known now, if that is so: what is active was there until now."""
        current = self._following.current()
        if current != self._known:
            self._known = current
            log.info("links of contracts are %s", "followed again" if current else "not known now; the meter waits")
        if not current or not self._controller.queue.idle:
            return
        self._seen = max(self._seen, round(self._clock() * 1000))
        seen = self._seen
        await self._database.do(lambda session: session.set_number(SEEN, seen))

    def _look(self, id: str | None) -> None:
        """Active contracts only: what is under way is driven, and what has ended is nobody's any more."""
        for each in self._contracts.active() if id is None else [id]:
            if self._contracts.is_active(each):
                self._controller.add(each)

    async def _reconcile(self, id: str) -> Result:
        contract = self._contracts.get(id, None)
        if contract.state != "active" or (finding := await self._following.find(contract)) is None:
            return DONE
        if finding.what == "changed":
            log.warning("contract %s: %s; what was bought is put back", id, finding.why)
            try:
                await self._following.mend(contract)
                return DONE
            except PeeringRefused as refusal:
                finding = Finding("gone", f"{finding.why}, and cannot be put back: {refusal}")
        await self._end(contract, finding)
        return DONE

    async def _end(self, contract: Contract, finding: Finding) -> None:
        """Whatever is not known to have been there is not billed."""
        now = round(self._clock() * 1000)
        at = self._seen if finding.at is None else round(finding.at * 1000)
        stopped = max(contract.metered, min(at, now))
        log.warning("contract %s of %s with %s ends: %s", contract.id, contract.buyer, contract.provider, finding.why)
        await self._contracts.lose(contract.id, finding.why, stopped)
