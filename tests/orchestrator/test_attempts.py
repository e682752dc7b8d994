"""Failed steps: how long they wait, and what they do not hold up."""

from __future__ import annotations

from continuo.orchestrator.act import Attempts
from continuo.orchestrator.plan import Action, Plan, Step, Target, Write
from continuo.resources import kinds


def step(name: str, *needs: str, image: str = "a") -> Step:
    write = Write("green", "apply", kinds.DEPLOYMENT, kinds.DEPLOYMENT.new(name, "shop", spec={"image": image}))
    return Step(name, Action.DEPLOY, Target("component", f"shop/{name}"), (write,), needs)


def test_each_failure_waits_longer_up_to_the_limit() -> None:
    attempts, plan, now = Attempts(first=1.0, limit=8.0), Plan((step("web"),)), 100.0
    waits = []
    for _ in range(6):
        attempts.failed(plan.steps[0], "no", now)
        waits.append(attempts.next_retry(plan, now))
        assert not attempts.may_run(plan.steps[0], now)
        now += waits[-1]
        assert attempts.may_run(plan.steps[0], now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_another_declaration_is_tried_at_once() -> None:
    attempts = Attempts()
    attempts.failed(step("web"), "no", 0.0)
    assert not attempts.may_run(step("web"), 0.0)
    assert attempts.may_run(step("web", image="b"), 0.0)


def test_a_failed_step_that_waits_for_another_asks_for_no_retry() -> None:
    attempts = Attempts()
    attempts.failed(step("web"), "no", 0.0)
    blocked = Plan((Step("first", Action.WAIT, Target("cluster", "green")), step("web", "first")))
    assert attempts.next_retry(blocked, 1000.0) is None
    assert attempts.next_retry(Plan((step("web"),)), 1000.0) is not None


def test_what_is_no_longer_planned_is_forgotten() -> None:
    attempts = Attempts()
    attempts.failed(step("web"), "no", 0.0)
    attempts.keep_only(Plan())
    assert attempts.failures() == {}
