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

    def is_in(self, index: str, value: Hashable, key: Key) -> bool:
        """Whether the object of that key is there, and the indexer named `value` for it."""
        return key in self._indexes[index].get(value, ())

    def index_values(self, index: str) -> Iterable[Hashable]:
        """Every value that at least one object has in the index."""
        return self._indexes[index].keys()

    def put(self, key: Key, obj: Object) -> Object | None:
        """Store an object; returns the one before."""
        old = self._objects.get(key)
        self._objects[key] = obj
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            new_values = dict.fromkeys(indexer(obj))
            for value in dict.fromkeys(indexer(old)) if old is not None else ():
                if value not in new_values:
                    self._unindex(index, value, key)
            for value in new_values:
                index.setdefault(value, {})[key] = None
        return old

    def drop(self, key: Key) -> Object | None:
        """Remove an object; returns it."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, indexer in self._indexers.items():
                for value in dict.fromkeys(indexer(old)):
                    self._unindex(self._indexes[name], value, key)
        return old

    @staticmethod
    def _unindex(index: dict[Hashable, dict[Key, None]], value: Hashable, key: Key) -> None:
        keys = index.get(value)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del index[value]
