"""The composition function: a request of Crossplane in, its response out. Pure; the protocol's rules live here.

Whatever earlier steps of the pipeline wanted stays wanted; what this step leaves out of its own is deleted from the
cluster. A claim that cannot be fulfilled is a fatal result, which leaves everything as it is.
"""

from __future__ import annotations

from typing import Any

from continuo.iot.compose import claim, wire
from continuo.iot.compose.objects import Slice
from continuo.iot.compose.plan import plan
from continuo.iot.compose.world import Plan, World
from continuo.resources.boards_things import BOARD
from continuo.resources.errors import Invalid
from continuo.resources.meta import Object

TTL_SECONDS = 60
"""After that Crossplane asks again, where it is too old to watch the boards."""
BOARDS = "boards"
LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes that Crossplane takes."""


def run(request: Any) -> Any:
    """Answer one request."""
    response = wire.Response()
    response.meta.tag = request.meta.tag
    response.meta.ttl.seconds = TTL_SECONDS
    response.desired.CopyFrom(request.desired)
    if request.HasField("context"):
        response.context.CopyFrom(request.context)
    try:
        _answer(request, response)
    except Invalid as error:
        response.results.add(severity=wire.FATAL, message=str(error), reason="Invalid", target=wire.TARGET_COMPOSITE)
    return response


def _answer(request: Any, response: Any) -> None:
    composite = wire.plain(request.observed.composite.resource)
    slice_ = _slice(composite)
    if slice_.spec.boards is not None:
        _require(request, response, slice_)
    observed = {name: wire.plain(found.resource) for name, found in request.observed.resources.items()}
    world = World(slice_, _boards(request), observed, composite.get("status") or {})
    _write(response, plan(world))
    if (size := response.ByteSize()) > LONGEST_ANSWER:
        raise Invalid(
            f"the slice's objects are {size} bytes, and Crossplane takes {LONGEST_ANSWER} at once: "
            "make `code` and `files` shorter (codeFrom names a ConfigMap or an address), or select fewer boards"
        )


def _slice(composite: Object) -> Slice:
    metadata, spec = composite["metadata"], composite.get("spec") or {}
    if not metadata.get("namespace"):
        raise Invalid("metadata.namespace: required; a slice is made in a namespace, with the boards of it")
    return Slice(metadata["name"], metadata["namespace"], claim.decode(spec), spec.get("orchestration"))


def _require(request: Any, response: Any, slice_: Slice) -> None:
    """Ask for the boards: in the field of today, and in that of before where Crossplane does not say that it knows it."""
    assert slice_.spec.boards is not None
    fields = [response.requirements.resources]
    if wire.REQUIRED_RESOURCES not in request.meta.capabilities:
        fields.append(response.requirements.extra_resources)
    for field in fields:
        asked = field[BOARDS]
        asked.api_version, asked.kind, asked.namespace = BOARD.api_version, BOARD.kind, slice_.namespace
        for label, value in slice_.spec.boards.match_labels.items():
            asked.match_labels.labels[label] = value


def _boards(request: Any) -> tuple[Object, ...] | None:
    """The boards that were asked for; None where this is the first round. None found is something else."""
    for told in (request.required_resources, request.extra_resources):
        if BOARDS in told:
            return tuple(wire.plain(item.resource) for item in told[BOARDS].items)
    return None


def _write(response: Any, decided: Plan) -> None:
    for name, composed in decided.resources.items():
        target = response.desired.resources[name]
        wire.fill(target.resource, composed.object)
        target.ready = wire.READY_TRUE if composed.ready else wire.READY_FALSE
    composite = response.desired.composite
    composite.resource.SetInParent()
    if decided.status:
        wire.fill(composite.resource, {"status": decided.status})
    if decided.ready is not None:
        composite.ready = wire.READY_TRUE if decided.ready else wire.READY_FALSE
    for verdict in decided.conditions:
        response.conditions.add(
            type=verdict.type, status=wire.STATUS[verdict.status], reason=verdict.reason,
            message=verdict.message or None, target=wire.TARGET_COMPOSITE,
        )  # fmt: skip
