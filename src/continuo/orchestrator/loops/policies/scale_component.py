"""Keep a figure of a component at its target by the number of its pods."""

from __future__ import annotations

from datetime import timedelta

from continuo.orchestrator.loops.model import ComponentView, LoopInput, LoopOutput
from continuo.orchestrator.loops.policies.measured import Reading, read
from continuo.orchestrator.loops.policies.scaling import Bounds, Verdict, judge
from continuo.resources.loop import DecidedAction, DecisionStage, Operation
from continuo.resources.orchestration import LoopStage
from continuo.resources.orchestration_policies import MetricSource, ScaleComponent


def scale_component(given: LoopInput, loop: ScaleComponent) -> LoopOutput:
    """More pods at once, fewer when fewer were enough for `down-after`; a component of 0 replicas is left alone."""
    component = given.components.get(loop.component)
    if component is None:
        told = (
            f"there is no component {loop.component}; correct `scale-component.component` of policy {given.policy.name}"
        )
        return LoopOutput(LoopStage.STALLED, "", message=told)
    if not component.declared.replicas:
        return LoopOutput(LoopStage.ORIENT, "0 pods are declared", message="it is switched off: declare 1 or more")
    if problem := _unmeasurable(component, loop):
        return LoopOutput(LoopStage.STALLED, "", message=problem)
    reading = read(
        loop.metric, given.figure, given.now, given.policy.every, component.replicas,
        min(component.ready, component.replicas), "pods",
    )  # fmt: skip
    window = timedelta(seconds=loop.down_after)
    bounds = Bounds(loop.min, max(loop.min, loop.max), loop.step, window, given.policy.every, "pods")
    return _output(given, component, reading, judge(reading, component.replicas, bounds, given.memory, given.now))


def _unmeasurable(component: ComponentView, loop: ScaleComponent) -> str:
    """Use is divided by requests: a component that asks for nothing has no such figure."""
    if loop.metric.source is not MetricSource.RESOURCE:
        return ""
    resources = component.spec.resources
    if resources is not None and loop.metric.resource in resources.requests:
        return ""
    return f"component {component.path} requests no {loop.metric.resource}: its use cannot be told as a part of that"


def _output(given: LoopInput, component: ComponentView, reading: Reading, verdict: Verdict) -> LoopOutput:
    explanation = {**reading.numbers, "pods": component.replicas, "wanted": reading.want, "chosen": verdict.count}
    if verdict.count == component.replicas:
        return LoopOutput(
            _idle(given, reading), reading.text, next_look=verdict.next_look, message=verdict.message,
            explanation=explanation, memory=verdict.memory,
        )  # fmt: skip
    action = DecidedAction(op=Operation.SCALE_COMPONENT, component=component.path, replicas=verdict.count)
    return LoopOutput(
        LoopStage.DECIDE, reading.text, (action,), verdict.reason, verdict.next_look, verdict.message, explanation,
        verdict.memory,
    )  # fmt: skip


def _idle(given: LoopInput, reading: Reading) -> LoopStage:
    if reading.want is None:
        return LoopStage.OBSERVE
    carrying_out = bool(given.history) and given.history[-1].stage is DecisionStage.APPLIED
    return LoopStage.ACT if carrying_out else LoopStage.ORIENT
