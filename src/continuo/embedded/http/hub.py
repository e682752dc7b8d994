"""Fans the changes of one cluster out to its open watches: one listener per kind, each change encoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from continuo.embedded.http.shapes import Shape, shape_object
from continuo.embedded.http.wire import Encoded
from continuo.embedded.port import Api, ResourceType, StoredChange
from continuo.resources.meta import Kind, Object


class Frame:
    """One change, with the bytes that watches send for it, made when the first of them needs them."""

    __slots__ = ("_bytes", "change")

    def __init__(self, change: StoredChange) -> None:
        self.change = change
        self._bytes: dict[tuple[str, str, Shape, bool, bool], bytes] = {}

    def line(
        self, type_: str, old: bool, resource: ResourceType, shape: Shape, headers: bool, now: Callable[[], float],
        encoded: Encoded,
    ) -> bytes:  # fmt: skip
        """The event as one line. `old`: the object left the selection, so show its last matching state."""
        key = (type_, resource.kind.api_version, shape, headers, old)
        found = self._bytes.get(key)
        if found is None:
            shown = shape_object(self._object(old, type_), resource, shape, now(), headers=headers)
            found = b'{"type":"' + type_.encode() + b'","object":' + encoded.of(shown) + b"}\n"
            self._bytes[key] = found
        return found

    def _object(self, old: bool, type_: str) -> Object:
        """The object with the version of this change: where a client that saw it resumes."""
        change = self.change
        obj = change.previous if old and change.previous is not None else change.object
        version = str(change.version)
        if type_ == "DELETED" and obj["metadata"].get("resourceVersion") != version:
            return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
        return obj


class Watcher(Protocol):
    """One open watch."""

    def offer(self, frame: Frame) -> None:
        """Take a change into the queue; must not block."""
        ...

    def end(self) -> None:
        """Finish the stream after what is queued."""
        ...


class _Feed:
    """The watches of one kind, by namespace, so that a change reaches only those that may want it."""

    def __init__(self) -> None:
        self.watchers: dict[str, dict[int, Watcher]] = {}
        self.count = 0

    def changed(self, change: StoredChange) -> None:
        everywhere = self.watchers.get("")
        namespace = change.object["metadata"].get("namespace") or ""
        here = self.watchers.get(namespace) if namespace else None
        if not everywhere and not here:
            return
        frame = Frame(change)
        for group in (everywhere, here):
            if group:
                for watcher in group.values():
                    watcher.offer(frame)

    def end(self) -> None:
        for group in list(self.watchers.values()):
            for watcher in list(group.values()):
                watcher.end()


class Hub:
    """All open watches of one cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._feeds: dict[tuple[str, str], tuple[_Feed, Callable[[], None]]] = {}
        self.encoded = Encoded()

    def __len__(self) -> int:
        return sum(feed.count for feed, _ in self._feeds.values())

    def join(self, kind: Kind, namespace: str, watcher: Watcher) -> Callable[[], None]:
        """Offer every later change of the kind to the watcher; returns the function that ends it."""
        key = (kind.group, kind.plural)
        if key not in self._feeds:
            feed = _Feed()
            self._feeds[key] = (feed, self._api.listen(kind, feed.changed))
        feed = self._feeds[key][0]
        feed.watchers.setdefault(namespace, {})[id(watcher)] = watcher
        feed.count += 1
        return lambda: self._leave(key, namespace, watcher)

    def end_all(self) -> None:
        """Finish every watch: the cluster goes away, or its API does."""
        for feed, _ in list(self._feeds.values()):
            feed.end()

    def end(self, group: str, plural: str) -> None:
        """Finish the watches of one resource: it is no longer served."""
        feed, _ = self._feeds.get((group, plural), (None, None))
        if feed is not None:
            feed.end()

    def _leave(self, key: tuple[str, str], namespace: str, watcher: Watcher) -> None:
        feed, unlisten = self._feeds[key]
        group = feed.watchers[namespace]
        del group[id(watcher)]
        feed.count -= 1
        if not group:
            del feed.watchers[namespace]
        if not feed.count:
            unlisten()
            del self._feeds[key]
