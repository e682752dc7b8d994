"""The endpoint's lists, shared by all objects that are reconciled against it.

Where the endpoint tells of changes by itself, a list is fetched once and afterwards only what events named, one by one or, if
they are many, all anew. Where it does not, a list is fetched once per poll, however many objects look into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from continuo.iot.provider.external import Absent
from continuo.iot.provider.rest import Rest

Row = dict[str, Any]
MANY = 64
"""So many changed rows are fetched with one list rather than each for itself."""


class Collection:
    """One list: rows by uuid."""

    def __init__(
        self, rest: Rest, path: str, key: str, *, detail: bool, now: Callable[[], float], age: Callable[[], float],
        fields: str = "",
    ) -> None:  # fmt: skip
        """`fields`: asked for by name, where the details cannot be."""
        self._rest, self.path, self._key, self._now, self._age = rest, path, key, now, age
        self._listing = f"{path}/detail" if detail else path
        self._params = {"fields": fields} if fields else {}
        self._rows: dict[str, Row] = {}
        self._listed_at: float | None = None
        self._step = 0
        self._touched: dict[str, int] = {}
        """When each row was learned or dropped, so that a list that began before does not undo it."""
        self._dirty: dict[str, int] = {}
        self._merged: dict[str, Row] = {}
        """What events told of each row, since it was last asked for."""
        self._turn = asyncio.Lock()
        self._began = -1
        self._turns: dict[str, asyncio.Lock] = {}
        self.lists = 0

    async def find(self, uuid: str) -> Row | None:
        """The row, or None where the endpoint surely has none."""
        await self._current()
        if not self._known(uuid):
            async with self._turns.setdefault(uuid, asyncio.Lock()):
                if not self._known(uuid):  # else somebody who waited with us has asked meanwhile
                    try:
                        await self._one(uuid)
                    finally:
                        self._turns.pop(uuid, None)
        return self._rows.get(uuid)

    def _known(self, uuid: str) -> bool:
        return uuid in self._rows and uuid not in self._dirty

    async def all(self) -> Iterable[Row]:
        """Every row, as fresh as `find` has them."""
        await self._current()
        for uuid in list(self._dirty):
            await self.find(uuid)
        return self._rows.values()

    async def search(self, test: Callable[[Row], bool]) -> Row | None:
        """A row that fulfils the test, in a list that was asked for after this was called."""
        self._step += 1
        asked = self._step
        async with self._turn:
            if self._began < asked:  # else somebody who waited with us has asked meanwhile
                await self._fetch()
        return next((row for row in self._rows.values() if test(row)), None)

    def learn(self, row: Row) -> None:
        """What the endpoint answered to a write of ours. An event may have told of something newer: that has to be asked."""
        uuid = str(row["uuid"])
        if any(row.get(name) != value for name, value in self._merged.pop(uuid, {}).items()):
            self.changed(uuid)
        self._rows[uuid] = row
        self._touch(uuid)

    def drop(self, uuid: str) -> None:
        """It was deleted."""
        self._rows.pop(uuid, None)
        self._merged.pop(uuid, None)
        self._touch(uuid)
        self._dirty.pop(uuid, None)

    def changed(self, uuid: str) -> None:
        """An event told that it did: the next look fetches it."""
        self._step += 1
        self._dirty[uuid] = self._step

    def told(self, uuid: str, now: Row) -> None:
        """An event told how these fields are now: nobody has to ask, if the others are known."""
        if self._known(uuid):
            self._merged[uuid] = {**self._merged.get(uuid, {}), **now}
            self._rows[uuid] = {**self._rows[uuid], **now}
            self._touch(uuid)
        else:
            self.changed(uuid)

    def forget(self) -> None:
        """Events may have been missed: the next look lists anew."""
        self._listed_at = None

    def _touch(self, uuid: str) -> None:
        self._step += 1
        self._touched[uuid] = self._step

    def _stale(self) -> bool:
        old = self._listed_at is None or self._now() - self._listed_at >= self._age()
        return old or len(self._dirty) > MANY

    async def _current(self) -> None:
        if self._stale():
            async with self._turn:
                if self._stale():
                    await self._fetch()

    async def _fetch(self) -> None:
        began, at = self._step, self._now()
        rows = await self._rest.pages(self._listing, self._key, **self._params)
        self.lists += 1
        self._take(rows, began)
        self._began, self._listed_at = began, at

    def _take(self, rows: list[Row], began: int) -> None:
        fresh = {str(row["uuid"]): row for row in rows if "uuid" in row}
        kept = {uuid for uuid, step in self._touched.items() if step > began}
        for uuid in kept:
            fresh.pop(uuid, None)
            if uuid in self._rows:
                fresh[uuid] = self._rows[uuid]
        self._rows = fresh
        self._touched = {uuid: step for uuid, step in self._touched.items() if step > began}
        self._dirty = {uuid: step for uuid, step in self._dirty.items() if step > began}

    async def _one(self, uuid: str) -> None:
        step = self._dirty.get(uuid)
        try:
            row = await self._rest.get(f"{self.path}/{quote(uuid, safe='')}")
        except Absent:
            self.drop(uuid)
            return
        if self._dirty.get(uuid) == step:
            self._dirty.pop(uuid, None)
        if isinstance(row, dict) and row.get("uuid") == uuid:
            self._merged.pop(uuid, None)
            self._rows[uuid] = row
            self._touch(uuid)


class Lists:
    """The lists of one endpoint."""

    def __init__(
        self, rest: Rest, now: Callable[[], float], poll: Callable[[], float], told: Callable[[], bool]
    ) -> None:
        """`poll`: seconds for which a list is good; `told`: whether the endpoint tells of changes now."""
        self._collections: dict[str, Collection] = {}

        def make(path: str, key: str, *, detail: bool = True, events: bool = False, fields: str = "") -> Collection:
            def age() -> float:
                return RESYNC if events and told() else poll() * 0.9

            made = self._collections[path] = Collection(
                rest, path, key, detail=detail and not fields, now=now, age=age, fields=fields
            )  # fmt: skip
            return made

        self.boards = make("boards", "boards", events=True)
        # /v1/fleets/detail fails in OpenStack's IoTronic 0.4.17, whatever is asked.
        self.fleets = make("fleets", "fleets", fields="uuid,name,project,description,extra")
        self.plugins = make("plugins", "plugins")
        self.services = make("services", "services")
        self.networks = make("networks", "networks", detail=False, events=True)
        self.ports = make("ports", "ports", detail=False, events=True)

    def forget(self) -> None:
        """Events may have been missed."""
        for collection in self._collections.values():
            collection.forget()


RESYNC = 600.0
"""Seconds after which lists are fetched anew though events tell everything: no stream is trusted for ever."""
