"""Which nodes a pod may run on, apart from their load: selectors, required affinity, taints. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from continuo.embedded.standins.objects import requirement_met
from continuo.resources.meta import Object

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
AFFINITY_REASON = "node(s) didn't match Pod's node affinity/selector"


def tolerated(taint: Mapping[str, str], tolerations: Iterable[Mapping[str, str]]) -> bool:
    """Whether one of the tolerations tolerates the taint."""
    for entry in tolerations:
        if entry.get("effect") and entry["effect"] != taint.get("effect"):
            continue
        if entry.get("key"):
            if entry["key"] != taint["key"]:
                continue
        elif entry.get("operator") != "Exists":
            continue
        if entry.get("operator") == "Exists" or entry.get("value", "") == taint.get("value", ""):
            return True
    return False


def term_matches(term: Object, name: str, labels: dict[str, str]) -> bool:
    """One node selector term; an empty one matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    own = {"metadata.name": name}
    return all(requirement_met(entry, labels) for entry in expressions) and all(
        requirement_met(entry, own) for entry in fields
    )


def affinity_matches(spec: Object, name: str, labels: dict[str, str]) -> bool:
    """The nodeSelector and required node affinity."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(term_matches(term, name, labels) for term in required.get("nodeSelectorTerms") or ())


def preference(spec: Object, name: str, labels: dict[str, str]) -> int:
    """The summed weights of the preferred node affinity terms that the node matches."""
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    preferred = node_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(entry["weight"] for entry in preferred if term_matches(entry["preference"], name, labels))


def refusal(spec: Object, name: str, labels: dict[str, str], taints: Iterable[Object], cordoned: bool) -> str | None:
    """Why the node is out for this pod whatever its load, in the scheduler's words; None when it is not."""
    tolerations = spec.get("tolerations") or ()
    if cordoned and not tolerated({"key": UNSCHEDULABLE, "effect": "NoSchedule"}, tolerations):
        return "node(s) were unschedulable"
    for taint in taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not affinity_matches(spec, name, labels):
        return AFFINITY_REASON
    return None
