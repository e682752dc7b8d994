"""What a Device is told about its sensors: conditions in its status, or annotations where the API server drops those."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from continuo.edge.sensors import units
from continuo.edge.sensors.model import Problem
from continuo.resources.meta import Object, annotations_of, condition

DECODED, WITHIN_BUDGET = "SensorsDecoded", "RateWithinBudget"
_NOTES: Mapping[str, str] = {DECODED: "continuo.dev/sensors-decoded", WITHIN_BUDGET: "continuo.dev/rate-within-budget"}
"""The annotations that stand for conditions."""
LONGEST = 1000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Report:
    """One condition. A good one is told only where a bad one was before."""

    type: str
    good: bool
    reason: str
    message: str

    @property
    def status(self) -> str:
        return "True" if self.good else "False"


def decoded_report(problems: list[Problem], sensors: int) -> Report:
    """Whether everything in the annotation could be read."""
    if not problems:
        return Report(DECODED, True, "Decoded", "every entry can be read")
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    found = f"{sensors} sensor{'' if sensors == 1 else 's'} can be sold"
    text = f"{found}, but {'; '.join(map(str, problems[:_SHOWN]))}{more}"
    return Report(DECODED, False, "BadAnnotation", text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


def budget_report(node: str, sold: Decimal, budget: float) -> Report:
    """Whether a node can send what was sold of it."""
    if float(sold) <= budget:
        return Report(WITHIN_BUDGET, True, "WithinBudget", "the edge node can send all that was sold")
    text = (
        f"{units.plain(sold)} readings a second were sold of sensors behind node {node}, which sends {budget:g} messages a "
        "second at most; raise modules.edgeHub.messageQPS there, or sell less"
    )
    return Report(WITHIN_BUDGET, False, "RateBeyondBudget", text)


def news(device: Object, reports: Iterable[Report]) -> list[Report]:
    """Those that the Device does not say yet."""
    return [report for report in reports if not _known(device, report)]


def conditions_patch(device: Object, reports: Iterable[Report], now: str) -> Object:
    """The write that tells them as conditions."""
    kept = [entry for entry in (device.get("status") or {}).get("conditions") or ()]
    for report in reports:
        before = condition(device, report.type)
        same = before is not None and before.get("status") == report.status
        changed = before["lastTransitionTime"] if same and before and "lastTransitionTime" in before else now
        kept = [entry for entry in kept if entry.get("type") != report.type]
        kept.append({
            "type": report.type, "status": report.status, "reason": report.reason, "message": report.message,
            "lastTransitionTime": changed,
        })  # fmt: skip
    return {"status": {"conditions": kept}}


def took(device: Object, reports: Iterable[Report]) -> bool:
    """Whether the API server kept the conditions."""
    return all((found := condition(device, one.type)) and found.get("message") == one.message for one in reports)


def annotations_patch(reports: Iterable[Report]) -> Object:
    """The write that tells them as annotations: none where all is well."""
    notes = {_NOTES[one.type]: None if one.good else _note(one) for one in reports}
    return {"metadata": {"annotations": notes}}


def _known(device: Object, report: Report) -> bool:
    found, note = condition(device, report.type), annotations_of(device).get(_NOTES[report.type])
    if report.good:
        return note is None and (found is None or found.get("status") == "True")
    if note == _note(report):
        return True
    return found is not None and (found.get("status"), found.get("message")) == ("False", report.message)


def _note(report: Report) -> str:
    return json.dumps({"status": report.status, "reason": report.reason, "message": report.message})
