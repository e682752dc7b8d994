"""The frame in which policies run: whether what one wants may be done now, and what is said of it. Pure.

A policy says only what it would do. Holds, approval, cool-down, the bound on actions in an hour, and which of two loops has
the say are the same for all of them, and are judged here.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from continuo.orchestrator import naming
from continuo.orchestrator.loops.enact import Made, told
from continuo.orchestrator.loops.model import LoopOutput, Past
from continuo.resources.loop import MAX_ACTIONS, DecidedAction, DecisionStage, Operation, Verdict
from continuo.resources.meta import Object
from continuo.resources.orchestration import LoopStage, Policy
from continuo.resources.orchestration_policies import Approval

HOUR = datetime.timedelta(hours=1)
DONE = frozenset({DecisionStage.APPLIED, DecisionStage.VERIFIED, DecisionStage.SUPERSEDED})
"""Stages of decisions that were carried out; one of a loop that was not says so in its message."""
NEVER = "was not carried out: "
"""How the message of a superseded decision begins that nobody carried out."""

Subject = tuple[str, str]
"""What an action changes: two that change the same cannot both have their way."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of what a policy wants."""

    stage: LoopStage
    message: str = ""
    actions: tuple[DecidedAction, ...] = ()
    """What is to be done now."""
    ask: bool = False
    """Somebody has to approve it first."""
    drop: str = ""
    """The open decision is void, and why."""
    next_look: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a policy's past says."""

    past: tuple[Past, ...] = ()
    """Decisions that were carried out, oldest first."""
    asked: Made | None = None
    """The one that waits for approval."""
    denied: tuple[DecidedAction, ...] = ()
    """What somebody said no to, or nothing, and that is not asked for again while nothing else is wanted."""
    last: Made | None = None


def subject(action: DecidedAction) -> Subject:
    """What an action changes."""
    if action.op in (Operation.PLACE_COMPONENT, Operation.MIGRATE_COMPONENT):
        return "place", action.component or ""
    if action.op is Operation.SCALE_COMPONENT:
        return "replicas", action.component or ""
    if action.op is Operation.SCALE_CLUSTER:
        return "workers", action.cluster or ""
    if action.op in (Operation.CREATE_CLUSTER, Operation.DELETE_CLUSTER):
        return "cluster", action.cluster or (action.template.name if action.template else "")
    if action.op in (Operation.LINK_CLUSTERS, Operation.UNLINK_CLUSTERS):
        return "link", "/".join(naming.pair(action.cluster or "", action.other or ""))
    return "application", action.app or (action.component or "").partition("/")[0]


def claims(policies: Iterable[Policy]) -> dict[Subject, str]:
    """Who has the say about what: of policies about the same figure the first."""
    found: dict[Subject, str] = {}
    for policy in policies:
        if policy.scale_component is not None:
            found.setdefault(("replicas", policy.scale_component.component), policy.name)
        if policy.scale_cluster is not None:
            found.setdefault(("workers", policy.scale_cluster.cluster), policy.name)
    return found


def standing(policy: Policy, decisions: Sequence[Made], forgiven: frozenset[str] = frozenset()) -> Standing:
    """A policy's past, from the Decisions that there are (oldest first)."""
    own = [one for one in decisions if one.policy == policy.name]
    carried = [one for one in own if one.stage in DONE and not one.message.startswith(NEVER)]
    last = own[-1] if own else None
    no = last is not None and last.stage in (DecisionStage.REFUSED, DecisionStage.EXPIRED)
    return Standing(
        past=tuple(Past(one.name, one.at, one.stage or DecisionStage.APPLIED, one.spec.actions) for one in carried),
        asked=next((one for one in reversed(own) if one.stage is DecisionStage.WAITING), None),
        denied=last.spec.actions if last is not None and no and last.name not in forgiven else (),
        last=last,
    )


def rule(
    policy: Policy,
    output: LoopOutput,
    stood: Standing,
    claimed: Mapping[Subject, str],
    now: datetime.datetime,
    *,
    paused: bool = False,
) -> Ruling:
    """Whether a policy may do now what it wants."""
    asked = stood.asked
    if not output.actions:
        drop = "what it was about is no longer so" if asked is not None and not paused else ""
        stage = LoopStage.OBSERVE if output.stage is LoopStage.DECIDE else output.stage
        return Ruling(stage, output.message, drop=drop, next_look=output.next_look)
    would = f"would {summary(output.actions)}: {output.reason}"
    if paused or policy.hold:
        why = "the orchestration is paused" if paused else "held"
        return Ruling(LoopStage.HELD, f"{why}; {would}", next_look=output.next_look)
    others = {claimed[subject(a)] for a in output.actions if claimed.get(subject(a), policy.name) != policy.name}
    mine = tuple(a for a in output.actions if claimed.get(subject(a), policy.name) == policy.name)[:MAX_ACTIONS]
    if not mine:
        return Ruling(LoopStage.STALLED, f"{' and '.join(sorted(others))} has the say about it; {would}",
                      next_look=output.next_look)  # fmt: skip
    return _bounded(policy, stood, now, would) or _approved(policy, output, mine, stood)


def _bounded(policy: Policy, stood: Standing, now: datetime.datetime, would: str) -> Ruling | None:
    """What the clock says against it."""
    last = max((past.at for past in stood.past), default=None)
    calm = last + datetime.timedelta(seconds=policy.cool_down) if last is not None else now
    if calm > now:
        return Ruling(LoopStage.COOLING, f"until {calm:%H:%M:%S} UTC; {would}", next_look=calm)
    recent = sorted(past.at for past in stood.past if now - past.at < HOUR)
    if len(recent) >= policy.actions_per_hour:
        told_ = f"{len(recent)} decisions within an hour, and {policy.actions_per_hour} are allowed; {would}"
        return Ruling(LoopStage.STALLED, told_, next_look=recent[0] + HOUR)
    return None


def _approved(policy: Policy, output: LoopOutput, actions: tuple[DecidedAction, ...], stood: Standing) -> Ruling:
    """Whether a person has to agree, and did."""
    if policy.approval is Approval.NONE:
        return Ruling(LoopStage.ACT, "", actions, next_look=output.next_look)
    asked = stood.asked
    if asked is not None and asked.spec.actions == actions:
        return Ruling(LoopStage.WAITING, waits(asked), next_look=output.next_look)
    if actions == stood.denied:
        said = stood.last.message if stood.last is not None else "denied"
        return Ruling(LoopStage.WAITING, f"not asked for again: {said}", next_look=output.next_look)
    drop = "something else is wanted since" if asked is not None else ""
    return Ruling(LoopStage.WAITING, "", actions, ask=True, drop=drop, next_look=output.next_look)


def waits(decision: Made) -> str:
    """What is said while somebody has to agree."""
    return f"{decision.name} waits for approval: {summary(decision.spec.actions)}; {decision.spec.reason}"


def verdict(
    decision: Made, now: datetime.datetime, expires: datetime.datetime | None
) -> tuple[DecisionStage, str] | None:
    """What was said of a decision that waits; None where it goes on waiting. Approved is `Received`: to be carried out."""
    if decision.spec.verdict is Verdict.APPROVED:
        return DecisionStage.RECEIVED, "approved"
    if decision.spec.verdict is Verdict.DENIED:
        return DecisionStage.REFUSED, "denied"
    if expires is not None and now >= expires:
        return DecisionStage.EXPIRED, f"nobody approved it before {expires:%Y-%m-%d %H:%M:%S} UTC"
    return None


def summary(actions: Sequence[DecidedAction]) -> str:
    """What is done, in a few words."""
    return ", ".join(_words(action) for action in actions[:4]) + (
        f" and {len(actions) - 4} more" if len(actions) > 4 else ""
    )  # fmt: skip


def _words(action: DecidedAction) -> str:
    come = f" from {action.other}" if action.other else ""
    match action.op:
        case Operation.PLACE_COMPONENT if not action.other:
            return f"place {action.component} on {action.cluster}"
        case Operation.PLACE_COMPONENT | Operation.MIGRATE_COMPONENT:
            return f"move {action.component}{come} to {action.cluster}"
        case Operation.SCALE_COMPONENT:
            return f"scale {action.component} to {action.replicas}"
        case Operation.SCALE_CLUSTER:
            return f"scale cluster {action.cluster} to {action.workers} workers"
        case Operation.CREATE_CLUSTER:
            return f"create cluster {action.cluster or (action.template.name if action.template else '')}"
        case Operation.DELETE_CLUSTER:
            return f"delete cluster {action.cluster}"
        case Operation.LINK_CLUSTERS:
            return f"link {action.cluster} and {action.other}"
        case Operation.UNLINK_CLUSTERS:
            return f"unlink {action.cluster} and {action.other}"
        case Operation.MOVE_HOME:
            return f"move the home of {action.app}{come} to {action.cluster}"
        case Operation.ROLL_BACK:
            return f"roll back {action.component or action.app} to {action.revision}"


# --- status ------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
NOISE = 0.1
"""Part by which a figure in an observation may change without being told at once."""


def loop_status(
    policy: Policy, output: LoopOutput, ruling: Ruling, last: Made | None, now: datetime.datetime, before: Object | None
) -> Object:
    """The entry of status.loops; the one before where nothing but times and noise differs."""
    stage, message = ruling.stage, ruling.message
    if last is not None and last.stage is DecisionStage.APPLIED and stage in (LoopStage.OBSERVE, LoopStage.ORIENT):
        stage, message = LoopStage.ACT, message or f"being carried out: {summary(last.spec.actions)}"
    entry = {
        "name": policy.name, "stage": str(stage), "observation": output.observation[:1024], "observedAt": told(now),
        "decision": last.name if last is not None else None, "decidedAt": told(last.at) if last is not None else None,
        "outcome": outcome(last) if last is not None else None, "message": message[:1024],
        "nextLook": told(ruling.next_look) if ruling.next_look is not None else None,
    }  # fmt: skip
    entry = {key: value for key, value in entry.items() if value}
    return before if before is not None and _same(before, entry) else entry


def outcome(decision: Made) -> str:
    """What became of a decision, in one line."""
    stage = decision.stage or DecisionStage.RECEIVED
    effect = (decision.object.get("status") or {}).get("effect") or {}
    more = decision.message or effect_told(effect)
    return f"{stage}: {more}"[:1024] if more else str(stage)


def _same(before: Object, entry: Object) -> bool:
    told_ = ("stage", "decision", "decidedAt", "outcome")
    if any(before.get(key) != entry.get(key) for key in told_):
        return False
    return all(_about(str(before.get(key) or ""), str(entry.get(key) or "")) for key in ("observation", "message"))


def _about(one: str, other: str) -> bool:
    """Whether two sentences differ only a little, and only in numbers."""
    if one == other:
        return True
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(
        a == b or ("." in a + b and abs(float(a) - float(b)) <= NOISE * max(float(a), float(b))) for a, b in pairs
    )


def effect_told(effect: Mapping[str, str]) -> str:
    """What was seen once a decision was carried out, and how long that took."""
    seen = [f"{key} {value}" for key, value in sorted(effect.items()) if key != "seconds"]
    return ", ".join([*seen, *([f"after {effect['seconds']} s"] if "seconds" in effect else [])])
