"""The objects of one informer, by key and by whatever indexes its user declares.

Objects are shared with everyone who asks and are never changed; a new state is a new object.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from continuo.resources.meta import Key, Object

Indexer = Callable[[Object], Iterable[Hashable]]
"""Pure: the index keys under which an object is to be found."""


class _Index:
    """The objects by one indexer's values."""

    __slots__ = ("_indexer", "_values", "found")

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self.found: dict[Hashable, dict[Key, None]] = {}
        self._values: dict[Key, tuple[Hashable, ...]] = {}
        """By object: where it is found. Most changes of an object leave that as it is."""

    def put(self, key: Key, obj: Object) -> None:
        after = tuple(self._indexer(obj))
        before = self._values.get(key, ())
        if after == before:
            return
        self._values[key] = after
        for value in before:
            if value not in after:
                self._remove(value, key)
        for value in after:
            self.found.setdefault(value, {})[key] = None

    def drop(self, key: Key) -> None:
        for value in self._values.pop(key, ()):
            self._remove(value, key)

    def _remove(self, value: Hashable, key: Key) -> None:
        keys = self.found.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self.found[value]


class Cache:
    """Objects with indexes that are kept at every write, so that reading never scans."""

    def __init__(self, indexers: Mapping[str, Indexer] | None = None) -> None:
        self._objects: dict[Key, Object] = {}
        self._indexes = {name: _Index(indexer) for name, indexer in (indexers or {}).items()}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects.values())

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def get(self, key: Key) -> Object | None:
        """The object, or None."""
        return self._objects.get(key)

    def keys(self) -> Iterable[Key]:
        """All keys."""
        return self._objects.keys()

    def by_index(self, index: str, value: Hashable) -> list[Object]:
        """The objects for which the indexer named `value`, in the order in which they got it."""
        return [self._objects[key] for key in self._indexes[index].found.get(value, ())]

    def get_in(self, index: str, value: Hashable, key: Key) -> Object | None:
        """The object, if the indexer named `value` for it; or None."""
        keys = self._indexes[index].found.get(value)
        return self._objects[key] if keys is not None and key in keys else None

    def index_values(self, index: str) -> Iterable[Hashable]:
        """Every value that at least one object has in the index."""
        return self._indexes[index].found.keys()

    def put(self, key: Key, obj: Object) -> Object | None:
        """Store an object; returns the one before."""
        old = self._objects.get(key)
        self._objects[key] = obj
        for index in self._indexes.values():
            index.put(key, obj)
        return old

    def drop(self, key: Key) -> Object | None:
        """Remove an object; returns it."""
        old = self._objects.pop(key, None)
        if old is not None:
            for index in self._indexes.values():
                index.drop(key)
        return old
