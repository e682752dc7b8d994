"""How a buyer learns how its contracts are doing: one stream for all of them, of changes only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from continuo.edge.rear import names, wire
from continuo.edge.rear.names import BUYER
from continuo.edge.rear.seller.books import Books
from continuo.resources.meta import Object, annotations_of

PACE = 0.25
"""Seconds for which changes are gathered: figures of a busy path change with every reading."""


News = tuple[str, Object | None]


@dataclass(eq=False, slots=True)
class _Listener:
    who: str
    """The identity, or `node:*/ID` where nobody proves one."""
    changed: dict[str, None] = field(default_factory=dict)
    told: dict[str, Object] = field(default_factory=dict)
    event: asyncio.Event = field(default_factory=asyncio.Event)


class Following:
    """Tells buyers of their contracts."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._listeners: dict[_Listener, None] = {}
        self._closed = False
        books.on_contract(self._contract)
        books.on_allocation(self._allocation)

    def standing(self, contract: Object) -> Object:
        """How a contract is doing now."""
        spec = contract["spec"]
        name = names.allocation_name(spec["flavor"]["metadata"]["name"], spec["transactionID"])
        return wire.standing_of(contract, self._books.allocation(name))

    def of(self, peer: str | None, node: str) -> list[Object]:
        """A buyer's contracts."""
        who = _who(peer, node)
        return [contract for contract in self._books.contracts if _is_of(contract, who)]

    async def follow(self, peer: str | None, node: str, beat: float = 15.0) -> AsyncIterator[News | None]:
        """(contract, how it is) for each of a buyer's, then for each that changes; None as how it is: it has ended.

        None instead of a pair: nothing changed for `beat` seconds. Before the first None everything was told once.
        """
        listener = _Listener(_who(peer, node))
        for contract in self.of(peer, node):
            listener.changed[contract["metadata"]["name"]] = None
        self._listeners[listener] = None
        listener.event.set()
        try:
            first = True
            while not self._closed:
                for told in self._news(listener):
                    yield told
                if first:
                    first = False
                    yield None
                if not await _woken(listener.event, beat):
                    yield None
                    continue
                await asyncio.sleep(PACE)
                listener.event.clear()
        finally:
            self._listeners.pop(listener, None)

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for listener in self._listeners:
            listener.event.set()

    def _news(self, listener: _Listener) -> list[News]:
        changed, listener.changed = list(listener.changed), {}
        news: list[News] = []
        for name in changed:
            contract = self._books.contract(name)
            if contract is None:
                listener.told.pop(name, None)
                news.append((name, None))
                continue
            standing = self.standing(contract)
            if listener.told.get(name) != standing:
                listener.told[name] = standing
                news.append((name, standing))
        return news

    def _contract(self, old: Object | None, new: Object | None) -> None:
        contract = new if new is not None else old
        if contract is not None:
            self._tell(contract)

    def _allocation(self, old: Object | None, new: Object | None) -> None:
        allocation = new if new is not None else old
        if allocation is not None:
            contract = self._books.contract((allocation["spec"].get("contract") or {}).get("name") or "")
            if contract is not None:
                self._tell(contract)

    def _tell(self, contract: Object) -> None:
        for listener in self._listeners:
            if _is_of(contract, listener.who):
                listener.changed[contract["metadata"]["name"]] = None
                listener.event.set()


def _who(peer: str | None, node: str) -> str:
    return peer if peer is not None else f"node:*/{node}"


def _is_of(contract: Object, who: str) -> bool:
    buyer = annotations_of(contract).get(BUYER, "")
    if who.startswith("node:*/"):
        return buyer.startswith("node:") and buyer.rpartition("/")[2] == who[7:]
    return buyer == who


async def _woken(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
