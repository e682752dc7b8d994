"""Whether what a board reports is what a request wanted of it. Pure."""

from __future__ import annotations

from typing import Any

from continuo.iot.hub.model import Json
from continuo.iot.wire import Outcome

Settled = tuple[Outcome, str]


def expectation(section: str, object: str, want: str, say: str, **more: Any) -> Json:
    """What a report has to say: `want` of an object in a section, and the sentence for then."""
    return {"section": section, "object": object, "want": want, "say": say, **more}


def same_thing(one: Json, other: Json) -> bool:
    """Whether two expectations are about the same object: then only the later one counts."""
    return (one["section"], one["object"]) == (other["section"], other["object"])


def settle(expect: Json, report: Json, fresh: bool) -> Settled | None:
    """How it went; None: not known yet. `fresh`: the report was made after the board had been told.

    That it went well may be seen in any report, that it failed only in a fresh one.
    """
    entry = report.get(expect["section"], {}).get(expect["object"])
    if expect["want"] == "absent":
        return (Outcome.SUCCESS, expect["say"]) if entry is None and (fresh or report) else None
    if entry is None:
        return None
    if expect["section"] == "plugins":
        return _plugin(expect, entry, fresh)
    if expect["section"] == "workloads":
        return _workload(expect, entry, fresh)
    return (Outcome.SUCCESS, expect["say"]) if entry.get("up") is True else None


_GOOD = {"present": ("injected", "running", "dead"), "running": ("running",), "stopped": ("injected", "dead")}


def _plugin(expect: Json, entry: Json, fresh: bool) -> Settled | None:
    state = entry.get("state")
    if expect.get("hash") not in (None, entry.get("hash")):
        return None
    if state in _GOOD[expect["want"]]:
        return Outcome.SUCCESS, expect["say"]
    if fresh and state in ("refused", "failed", "dead"):
        return Outcome.ERROR, str(entry.get("message") or f"the plugin is {state}")
    return None


def _workload(expect: Json, entry: Json, fresh: bool) -> Settled | None:
    if entry.get("generation") != expect.get("generation"):
        return None
    phase = entry.get("phase")
    if phase == "Refused" and fresh:
        return Outcome.ERROR, str(entry.get("message") or "the board refuses the workload")
    return (Outcome.SUCCESS, expect["say"]) if phase in ("Running", "Succeeded", "Failed") else None


def why_not(expect: Json, report: Json) -> str:
    """What the board says meanwhile, for who will not wait any longer."""
    entry = report.get(expect["section"], {}).get(expect["object"]) or {}
    return str(entry.get("message") or "")
