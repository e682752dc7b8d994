"""A pod's log. Simulated containers print nothing; the log says what is known about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from continuo.embedded.http.call import Call
from continuo.embedded.http.hub import Frame
from continuo.embedded.http.wire import TEXT, Receive, Response, Send, Stream
from continuo.embedded.port import Api
from continuo.resources.errors import BadRequest
from continuo.resources.kinds import POD
from continuo.resources.meta import Object


def default_logs(api: Api, pod: Object) -> Iterator[str]:
    """A few honest lines about each container."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    states = {entry["name"]: entry for entry in (pod.get("status") or {}).get("containerStatuses") or ()}
    place = f"node {spec['nodeName']}" if spec.get("nodeName") else "no node yet"
    yield f"pod {metadata.get('namespace')}/{metadata['name']} on {place} of cluster {api.name}"
    for container in spec.get("containers") or ():
        state = states.get(container["name"], {}).get("state") or {"waiting": {}}
        kind, detail = next(iter(state.items()))
        since = f" since {detail['startedAt']}" if detail.get("startedAt") else ""
        yield f"container {container['name']} ({container.get('image', 'no image')}) is {kind}{since}"
    yield "this container is simulated: no program runs in it, so it prints nothing of its own"


def log(call: Call) -> Response | Stream:
    """GET pods/NAME/log."""
    pod = call.api.get(call.kind, call.target.name, call.target.namespace)
    _check_container(pod, call.request.query.get("container", ""))
    text = "".join(f"{line}\n" for line in _tail(call, call.context.logs(call.api, pod)))
    if not call.request.flag("follow"):
        return Response(200, text.encode(), TEXT)
    return _Follow(call, pod, text.encode())


def _tail(call: Call, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    tail = call.request.number("tailLines")
    if tail is None:
        return found
    if tail < 0:
        raise BadRequest(f"tailLines is {tail}; it must be 0 or more")
    return found[len(found) - tail :] if tail < len(found) else found


def _check_container(pod: Object, wanted: str) -> None:
    name = pod["metadata"]["name"]
    spec = pod.get("spec") or {}
    names = [entry["name"] for key in ("containers", "initContainers") for entry in spec.get(key) or ()]
    if wanted and wanted not in names:
        raise BadRequest(f"container {wanted} is not valid for pod {name}")
    if not wanted and len(spec.get("containers") or ()) > 1:
        listed = " ".join(entry["name"] for entry in spec["containers"])
        raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{listed}]")


class _Follow:
    """A log that stays open until the pod is gone, the client leaves or the server stops."""

    def __init__(self, call: Call, pod: Object, text: bytes) -> None:
        self._call, self._pod, self._text = call, pod, text
        self._done = asyncio.Event()

    def offer(self, frame: Frame) -> None:
        """A pod of the namespace changed."""
        change = frame.change
        if change.type == "DELETED" and change.object["metadata"]["uid"] == self._pod["metadata"]["uid"]:
            self._done.set()

    def end(self) -> None:
        """Finish the stream."""
        self._done.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Send what there is, then wait."""
        leave: Callable[[], None] = self._call.context.hub.join(POD, self._call.target.namespace, self)
        listener = asyncio.ensure_future(self._await_disconnect(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", TEXT)]})
            await send({"type": "http.response.body", "body": self._text, "more_body": True})
            await self._done.wait()
            await send({"type": "http.response.body", "body": b""})
        finally:
            leave()
            listener.cancel()

    async def _await_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._done.set()
