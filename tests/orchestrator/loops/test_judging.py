"""In which turn decisions are carried out, and what a beaten one is told."""

from __future__ import annotations

import datetime

from continuo.federation.model import LinkSettings
from continuo.orchestrator.assess import assess
from continuo.orchestrator.loops.enact import Made
from continuo.orchestrator.loops.judging import in_turn, judged
from continuo.placement.guards import Limits
from continuo.resources.loop import DecidedAction, DecisionSpec, DecisionStage, Operation
from orchestrator.worlds import Bench, app, cluster, component

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def decision(name: str, replicas: int, minute: int, priority: object = 0, stage: DecisionStage | None = None) -> Made:
    action = DecidedAction(op=Operation.SCALE_COMPONENT, component="shop/web", replicas=replicas)
    spec = DecisionSpec(
        orchestration="o", source="external/ai", reason="it said so", actions=(action,),
        explanation={"external": {"priority": priority}},
    )  # fmt: skip
    return Made(name, spec, stage, NOW - datetime.timedelta(minutes=minute), {"metadata": {"name": name}})


def said(about: Made, *others: Made, limits: Limits | None = None) -> list[str]:
    bench = Bench(
        {"clusters": [cluster("green", worker_machine_count=2)], "apps": [app("shop", "green", component("web"))]}
    )
    bench.settle()
    snapshot, wanted, _ = bench.look()
    assessment = assess(snapshot, wanted, LinkSettings())
    return judged(snapshot, assessment, about, [about, *others], NOW, limits or Limits())


def test_a_higher_priority_goes_first_then_the_older_one() -> None:
    made = [decision("new", 2, 1), decision("old", 3, 9), decision("high", 4, 0, 5), decision("odd", 5, 20, "x")]
    assert [one.name for one in in_turn(made)] == ["high", "odd", "old", "new"]


def test_what_beats_an_open_decision_does_not_wait_for_it() -> None:
    low, high = decision("low", 2, 9), decision("high", 3, 1, 5)
    assert said(high, low) == []
    (why,) = said(low, high)
    assert "wait until it is carried out" in why


def test_what_was_beaten_does_not_undo_what_beat_it() -> None:
    low = decision("low", 2, 9)
    assert said(low, decision("high", 3, 1, 5, DecisionStage.APPLIED)) == [
        "decision high, about the same and of a higher priority, was carried out meanwhile"
    ]
    assert said(low, decision("high", 3, 10, 5, DecisionStage.VERIFIED)) == [], "that was before"
    assert said(low, decision("high", 3, 1, 5, DecisionStage.REFUSED)) == [], "that was not done"


def test_the_limits_are_the_operators() -> None:
    grown = DecidedAction(op=Operation.SCALE_CLUSTER, cluster="green", workers=4)
    spec = DecisionSpec(orchestration="o", source="external/ai", reason="it said so", actions=(grown,))
    one = Made("grow", spec, None, NOW, {"metadata": {"name": "grow"}})
    assert said(one) == []
    (why,) = said(one, limits=Limits(workers=3))
    assert "3 is the most" in why
