"""The objects of one informer, by key and by whatever indexes its user declares.

Objects are shared with everyone who asks and are never changed; a new state is a new object.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from continuo.resources.meta import Key, Object

Indexer = Callable[[Object], Iterable[Hashable]]
"""Pure: the index keys under which an object is to be found."""


class Cache:
    """Objects with indexes that are kept at every write, so that reading never scans."""

    def __init__(self, indexers: Mapping[str, Indexer] | None = None) -> None:
        self._objects: dict[Key, Object] = {}
        self._indexers = dict(indexers or {})
        self._indexes: dict[str, dict[Hashable, dict[Key, None]]] = {name: {} for name in self._indexers}
        self._values: dict[str, dict[Key, tuple[Hashable, ...]]] = {name: {} for name in self._indexers}
        """By index and object: where it is found. Most changes of an object leave that as it is."""

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
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def get_in(self, index: str, value: Hashable, key: Key) -> Object | None:
        """The object, if the indexer named `value` for it; or None."""
        keys = self._indexes[index].get(value)
        return self._objects[key] if keys is not None and key in keys else None

    def index_values(self, index: str) -> Iterable[Hashable]:
        """Every value that at least one object has in the index."""
        return self._indexes[index].keys()

    def put(self, key: Key, obj: Object) -> Object | None:
        """Store an object; returns the one before."""
        old = self._objects.get(key)
        self._objects[key] = obj
        for name, indexer in self._indexers.items():
            index, values = self._indexes[name], self._values[name]
            after, before = tuple(dict.fromkeys(indexer(obj))), values.get(key, ())
            if after == before:
                continue
            values[key] = after
            for value in before:
                if value not in after:
                    self._unindex(index, value, key)
            for value in after:
                index.setdefault(value, {})[key] = None
        return old

    def drop(self, key: Key) -> Object | None:
        """Remove an object; returns it."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, values in self._values.items():
                for value in values.pop(key, ()):
                    self._unindex(self._indexes[name], value, key)
        return old

    @staticmethod
    def _unindex(index: dict[Hashable, dict[Key, None]], value: Hashable, key: Key) -> None:
        keys = index.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del index[value]
