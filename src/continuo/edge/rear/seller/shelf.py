"""What is for sale, as it is answered: every flavor encoded once, found by index, told as it changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from continuo.edge.rear import wire
from continuo.edge.rear.names import K8SLICE, SENSOR, type_of
from continuo.edge.rear.refusals import bad
from continuo.edge.rear.seller.books import Books
from continuo.edge.sensors.index import Index
from continuo.edge.sensors.model import BadFilter
from continuo.edge.sensors.query import from_query
from continuo.resources.meta import Key, Object, deleting, key_of

log = logging.getLogger(__name__)


class Shelf:
    """The available flavors of a seller."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._encoded: dict[Key, bytes] = {}
        self._types: dict[str, dict[Key, None]] = {}
        self._index = Index()
        books.on_flavor(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._drop(old)
        if new is not None and new["spec"].get("availability", True) and not deleting(new):
            self._put(new)

    def _drop(self, flavor: Object) -> None:
        key = key_of(flavor)
        if self._encoded.pop(key, None) is not None:
            self._types[flavor["spec"]["flavorType"]["typeIdentifier"]].pop(key, None)
            self._index.drop(key)

    def _put(self, flavor: Object) -> None:
        key, kind = key_of(flavor), flavor["spec"]["flavorType"]["typeIdentifier"]
        self._encoded[key] = msgspec.json.encode(wire.flavor_to(flavor))
        self._types.setdefault(kind, {})[key] = None
        if kind in (SENSOR, K8SLICE):
            self._index.put(flavor)

    def everything(self) -> bytes | None:
        """All flavors as one JSON array; None: there are none."""
        return _array(list(self._encoded.values())) if self._encoded else None

    def one(self, name: str) -> bytes | None:
        """One of them, by its ID."""
        found = self._books.flavor(name)
        return self._encoded.get(key_of(found)) if found is not None else None

    def of_type(self, spelled: str, pairs: Sequence[tuple[str, str]]) -> bytes:
        """Those of one type that fit a query string; raises Refusal (400) for a bad filter."""
        kind = type_of(spelled)
        if kind is None:
            raise bad(f"there is no type of flavors {spelled!r:.40}")
        if not pairs:
            return _array([self._encoded[key] for key in self._types.get(kind, ())])
        if kind not in (SENSOR, K8SLICE):
            raise bad(f"flavors of the type {kind} cannot be filtered here: leave {pairs[0][0]!r:.60} out")
        try:
            criteria = from_query(kind, pairs)
        except BadFilter as error:
            raise bad(str(error)) from error
        return _array([self._encoded[key_of(found)] for found in self._index.find(criteria)])

    def __len__(self) -> int:
        return len(self._encoded)


def _array(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"
