"""One watch stream: initial state, changes, bookmarks, and how it ends.

The queue between the change log and a slow client is bounded; a client that falls behind is told to list again. An
idle watch is two parked tasks and, when it asked for bookmarks, one timer a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from continuo.embedded.http.hub import Frame, Hub
from continuo.embedded.http.selectors import EVERYTHING, Selection
from continuo.embedded.http.shapes import PLAIN, Shape, shape_object, table
from continuo.embedded.http.wire import JSON, Receive, Send, encode
from continuo.embedded.port import Api, ResourceType, StoredChange
from continuo.resources.errors import ApiError, Expired
from continuo.resources.meta import Object

QUEUE_LIMIT = 20_000
BOOKMARK_SECONDS = 60.0
_BATCH = 200
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the request asked for."""

    since: int | None
    """Changes after this version; None: begin with the present state."""
    namespace: str = ""
    selection: Selection = EVERYTHING
    shape: Shape = PLAIN
    bookmarks: bool = False
    initial_bookmark: bool = False
    seconds: float = 1800.0


class Watch:
    """Serves one watch request."""

    def __init__(
        self,
        api: Api,
        hub: Hub,
        resource: ResourceType,
        options: WatchOptions,
        now: Callable[[], float],
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._api, self._hub, self._resource, self._options, self._now = api, hub, resource, options, now
        self._limit = queue_limit
        self._queue: deque[tuple[str, bool, Frame] | bytes] = deque()
        self._wake = asyncio.Event()
        self._ending = False
        self._gone = False
        self._headers = True
        self._bookmark_timer: asyncio.TimerHandle | None = None

    # --- called by the hub and by timers, in the loop's thread --------------------------------------------------------
    def offer(self, frame: Frame) -> None:
        """Queue a change if the selection sees it."""
        event = self._seen(frame.change)
        if event is None or self._ending:
            return
        if len(self._queue) >= self._limit:
            self._queue.clear()
            self._fail(Expired("the watch fell too far behind its events; list again and watch from there"))
            return
        self._queue.append((*event, frame))
        self._wake.set()

    def end(self) -> None:
        """Finish after what is queued."""
        self._ending = True
        self._wake.set()

    def _disconnect(self) -> None:
        self._gone = True
        self.end()

    def _fail(self, error: ApiError) -> None:
        self._queue.append(b'{"type":"ERROR","object":' + encode(error.to_status()) + b"}\n")
        self.end()

    def _bookmark(self, initial: bool = False) -> None:
        if not self._ending:
            self._queue.append(self._bookmark_line(initial))
            self._wake.set()

    def _seen(self, change: StoredChange) -> tuple[str, bool] | None:
        """The event as this selection sees it, and whether the old state is what to show; None: not at all."""
        selection = self._options.selection
        if not selection:
            return change.type, False
        before = change.previous is not None and selection.matches(change.previous)
        after = change.type != "DELETED" and selection.matches(change.object)
        if change.type == "DELETED":
            return ("DELETED", False) if before or selection.matches(change.object) else None
        if after:
            return ("MODIFIED" if before else "ADDED"), False
        return ("DELETED", True) if before else None

    # --- the stream ---------------------------------------------------------------------------------------------------
    async def run(self, receive: Receive, send: Send) -> None:
        """Send until the client, the time or the cluster ends it."""
        leave = self._hub.join(self._resource.kind, self._options.namespace, self)
        loop = asyncio.get_running_loop()
        timeout = loop.call_later(self._options.seconds, self.end)
        listener = asyncio.ensure_future(self._await_disconnect(receive))
        if self._options.bookmarks:
            self._bookmark_later(loop)
        try:
            self._begin()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", JSON)]})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await self._pump(send)
            if not self._gone:
                await send({"type": "http.response.body", "body": b""})
        finally:
            leave()
            timeout.cancel()
            listener.cancel()
            if self._bookmark_timer is not None:
                self._bookmark_timer.cancel()

    def _begin(self) -> None:
        """Queue what the client must see before new changes. Nothing is awaited, so nothing is missed or repeated."""
        options = self._options
        if options.since is None:
            self._queue.extend(self._initial())
            if options.initial_bookmark:
                self._bookmark(initial=True)
            return
        try:
            for change in self._api.changes(options.since, self._resource.kind, options.namespace):
                event = self._seen(change)
                if event is not None:
                    self._queue.append((*event, Frame(change)))
        except Expired as error:
            self._fail(error)

    def _initial(self) -> Iterable[tuple[str, bool, Frame]]:
        options, kind = self._options, self._resource.kind
        for obj in self._api.list(kind, options.namespace, options.selection.equal_labels or None):
            if options.selection.matches(obj):
                yield "ADDED", False, Frame(StoredChange(self._api.version, "ADDED", kind, obj, None))

    async def _pump(self, send: Send) -> None:
        while not self._gone:
            if self._queue:
                count = min(_BATCH, len(self._queue))
                body = b"".join([self._line(self._queue.popleft()) for _ in range(count)])
                await send({"type": "http.response.body", "body": body, "more_body": True})
                if self._queue:
                    await asyncio.sleep(0)  # sending waits only for slow clients: let others have their turn
            elif self._ending:
                return
            else:
                await self._wake.wait()
                self._wake.clear()

    def _line(self, entry: tuple[str, bool, Frame] | bytes) -> bytes:
        if isinstance(entry, bytes):
            return entry
        type_, old, frame = entry
        shape = self._options.shape
        headers, self._headers = self._headers and shape.form == "table", False
        return frame.line(type_, old, self._resource, shape, headers, self._now, self._hub.encoded)

    def _bookmark_line(self, initial: bool) -> bytes:
        metadata: Object = {"resourceVersion": str(self._api.version), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {_INITIAL_EVENTS_END: "true"}
        kind, shape = self._resource.kind, self._options.shape
        if shape.form == "table":
            obj = table((), (), shape, metadata, self._now(), headers=False)
        else:
            bare = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
            obj = shape_object(bare, self._resource, shape, self._now())
        return b'{"type":"BOOKMARK","object":' + encode(obj) + b"}\n"

    def _bookmark_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bookmark_timer = loop.call_later(BOOKMARK_SECONDS, self._bookmark_due, loop)

    def _bookmark_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bookmark()
        if not self._ending:
            self._bookmark_later(loop)

    async def _await_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._disconnect()
