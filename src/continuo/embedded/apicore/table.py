"""The objects of one resource in one cluster: by key, by namespace, in key order."""

from __future__ import annotations

from collections.abc import Iterator

from continuo.resources.meta import Object


class Table:
    """All objects of one group and plural, whatever version they are read in."""

    __slots__ = ("_count", "_order", "group", "namespaced", "plural", "spaces")

    def __init__(self, group: str, plural: str, namespaced: bool) -> None:
        self.group = group
        self.plural = plural
        self.namespaced = namespaced
        self.spaces: dict[str, dict[str, Object]] = {}
        # Sorting waits until someone lists: a burst of writes between two lists then costs one sort, not one each.
        self._order: dict[str, list[str]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def resource(self) -> str:
        """`deployments.apps`: how messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def get(self, namespace: str, name: str) -> Object | None:
        space = self.spaces.get(namespace)
        return None if space is None else space.get(name)

    def put(self, namespace: str, name: str, obj: Object) -> None:
        """Add or replace."""
        space = self.spaces.get(namespace)
        if space is None:
            space = self.spaces[namespace] = {}
        if name not in space:
            self._count += 1
            self._order.pop(namespace, None)
        space[name] = obj

    def drop(self, namespace: str, name: str) -> None:
        """Remove what is there."""
        space = self.spaces[namespace]
        del space[name]
        self._count -= 1
        if space:
            self._order.pop(namespace, None)
        else:
            del self.spaces[namespace]
            self._order.pop(namespace, None)

    def within(self, namespace: str) -> Iterator[Object]:
        """The objects of one namespace in order of their names."""
        space = self.spaces.get(namespace)
        if not space:
            return
        order = self._order.get(namespace)
        if order is None:
            order = self._order[namespace] = sorted(space)
        for name in order:
            yield space[name]

    def all(self) -> Iterator[Object]:
        """All objects in key order."""
        for namespace in sorted(self.spaces):
            yield from self.within(namespace)
