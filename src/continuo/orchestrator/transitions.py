"""Which Events a change of status is worth: items that became ready, degraded or failed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from continuo.orchestrator.measuring.breaches import MISSED
from continuo.orchestrator.naming import pair
from continuo.resources.meta import Object

_GOOD = frozenset({"Ready", "Connected", "Running"})
_BAD = frozenset({"Failed", "Degraded"})


@dataclass(frozen=True, slots=True)
class Transition:
    """One Event to be recorded about an orchestration."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def _items(status: Object) -> dict[tuple[str, str], Object]:
    found: dict[tuple[str, str], Object] = {}
    for cluster in status.get("clusters") or ():
        found[("Cluster", cluster["name"])] = cluster
    for link in status.get("links") or ():
        found[("Link", "/".join(pair(*link["clusters"])))] = link
    for app in status.get("apps") or ():
        found[("Application", app["name"])] = app
        for component in app.get("components") or ():
            found[("Component", f"{app['name']}/{component['name']}")] = component
    return found


def transitions(old: Object, new: Object) -> Iterator[Transition]:
    """The Events for the step from one status to the next."""
    before, after = _items(old), _items(new)
    for (kind, name), item in after.items():
        known = before.get((kind, name))
        phase, was = item["phase"], known["phase"] if known is not None else None
        if phase == was:
            yield from _requirement(kind, name, known or {}, item)
            continue
        message = item.get("message") or ""
        if phase in _BAD:
            yield Transition("Warning", f"{kind}{phase}", f"{kind.lower()} {name}: {message}")
        elif phase in _GOOD:
            yield Transition("Normal", f"{kind}{phase}", f"{kind.lower()} {name} is {phase.lower()}")
    for kind, name in before.keys() - after.keys():
        yield Transition("Normal", f"{kind}Removed", f"{kind.lower()} {name} is gone")
    yield from _loops(old, new)


def _requirement(kind: str, name: str, before: Object, item: Object) -> Iterator[Transition]:
    """What the network between components no longer gives, or gives again."""
    missed, was = (entry.get("reason") == MISSED for entry in (item, before))
    if missed and not was:
        yield Transition("Warning", MISSED, f"{kind.lower()} {name}: {item.get('message', '')}")
    elif was and not missed:
        yield Transition(
            "Normal", "RequirementMet", f"{kind.lower()} {name}: the network gives what is asked for again"
        )


_WORTH_TELLING = frozenset({"Held", "WaitingForApproval", "Stalled"})


def _loops(old: Object, new: Object) -> Iterator[Transition]:
    """What closed loops decided, and what holds them up."""
    before = {entry["name"]: entry for entry in old.get("loops") or ()}
    for loop in new.get("loops") or ():
        known, name = before.get(loop["name"], {}), loop["name"]
        if loop.get("decision") and loop.get("decision") != known.get("decision"):
            yield Transition("Normal", "LoopDecided", f"loop {name}: {loop.get('observation', '')}; {loop['decision']}")
        if loop.get("outcome") and loop.get("outcome") != known.get("outcome"):
            yield Transition("Normal", "LoopOutcome", f"loop {name}: {loop['decision']} {loop['outcome']}")
        if loop["stage"] != known.get("stage") and loop["stage"] in _WORTH_TELLING:
            kind: Literal["Normal", "Warning"] = "Warning" if loop["stage"] == "Stalled" else "Normal"
            yield Transition(kind, f"Loop{loop['stage']}", f"loop {name}: {loop.get('message', '')}")
