"""The frame: what a policy wants, under every circumstance, as a table; and when its status is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from continuo.orchestrator.loops.enact import Made
from continuo.orchestrator.loops.frame import (
    NEVER,
    Ruling,
    Standing,
    claims,
    loop_status,
    rule,
    standing,
    subject,
    summary,
    verdict,
)
from continuo.orchestrator.loops.model import LoopOutput, Past
from continuo.resources.loop import DecidedAction, DecisionSpec, DecisionStage, Operation, Verdict
from continuo.resources.orchestration import LoopStage, Policy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MORE = DecidedAction(op=Operation.SCALE_COMPONENT, component="shop/web", replicas=4)
EVEN_MORE = msgspec.structs.replace(MORE, replicas=6)
ASKED = {"component": "shop/web", "metric": {"target": 0.7}}


def policy(name: str = "load", **more: Any) -> Policy:
    fields = {"name": name, "scale-component": ASKED, **{key.replace("_", "-"): value for key, value in more.items()}}
    return msgspec.convert(fields, Policy)


def wants(*actions: DecidedAction, **more: Any) -> LoopOutput:
    stage = LoopStage.DECIDE if actions else LoopStage.ORIENT
    return LoopOutput(stage, "cpu 0.93 of 0.70 on 2 pods", actions, "cpu is above its target", **more)


def made(name: str, stage: DecisionStage | None, *actions: DecidedAction, at: datetime = NOON, **more: Any) -> Made:
    message, effect = more.pop("message", ""), more.pop("effect", {})
    source = more.pop("source", "policy/load")
    spec = DecisionSpec(orchestration="o", source=source, reason="r", actions=actions or (MORE,), **more)
    return Made(name, spec, stage, at, {"status": {"message": message, "effect": effect}})


def past(minutes: float) -> Past:
    return Past("d", NOON - timedelta(minutes=minutes), DecisionStage.VERIFIED, (MORE,))


def ruled(given: Policy, output: LoopOutput, stood: Standing | None = None, **more: Any) -> Ruling:
    return rule(given, output, stood or Standing(), claims([given]), NOON, **more)


def test_what_nothing_speaks_against_is_done() -> None:
    found = ruled(policy(), wants(MORE))
    assert (found.stage, found.actions, found.ask) == (LoopStage.ACT, (MORE,), False)


@pytest.mark.parametrize(
    ("given", "stood", "more", "stage", "said"),
    [
        (policy(hold=True), Standing(), {}, LoopStage.HELD, "held; would scale shop/web to 4: cpu is above its target"),
        (policy(), Standing(), {"paused": True}, LoopStage.HELD, "the orchestration is paused; would scale"),
        (policy(cool_down=60), Standing((past(0.5),)), {}, LoopStage.COOLING, "until 12:00:30 UTC; would scale"),
        (policy(cool_down=0, actions_per_hour=2), Standing((past(50), past(10))), {}, LoopStage.STALLED,
         "2 decisions within an hour, and 2 are allowed; would scale"),
    ],
    ids=["hold", "paused", "cool-down", "too many"],
)  # fmt: skip
def test_what_speaks_against_it(given: Policy, stood: Standing, more: Any, stage: LoopStage, said: str) -> None:
    found = ruled(given, wants(MORE), stood, **more)
    assert found.stage is stage and said in found.message and not found.actions


def test_a_bound_says_when_it_may_act_again() -> None:
    assert ruled(policy(cool_down=60), wants(MORE), Standing((past(0.5),))).next_look == NOON + timedelta(seconds=30)
    stalled = ruled(policy(cool_down=0, actions_per_hour=1), wants(MORE), Standing((past(50),)))
    assert stalled.next_look == NOON + timedelta(minutes=10)
    assert ruled(policy(cool_down=60, actions_per_hour=2), wants(MORE), Standing((past(61), past(50)))).actions


def test_without_anything_to_do_the_policys_own_word_counts() -> None:
    found = ruled(policy(hold=True), wants(message="all is well", next_look=NOON))
    assert (found.stage, found.message, found.next_look) == (LoopStage.ORIENT, "all is well", NOON)


def test_of_two_loops_that_want_the_same_the_first_has_its_way_and_the_other_says_so() -> None:
    first, second = policy("first"), policy("second")
    say = claims([first, second])
    assert rule(first, wants(MORE), Standing(), say, NOON).actions
    other = rule(second, wants(MORE), Standing(), say, NOON)
    assert other.stage is LoopStage.STALLED and other.message.startswith("first has the say about it; would scale")


def test_what_an_earlier_loop_touches_is_left_out() -> None:
    move = DecidedAction(op=Operation.MIGRATE_COMPONENT, component="shop/db", cluster="rose", other="green")
    found = rule(policy(), wants(MORE, move), Standing(), {subject(move): "away"}, NOON)
    assert found.actions == (MORE,)


def test_approval_is_asked_for_once_and_asked_anew_when_something_else_is_wanted() -> None:
    asks = policy(approval="required")
    first = ruled(asks, wants(MORE))
    assert first.stage is LoopStage.WAITING and first.ask and first.actions == (MORE,)
    open_ = Standing(asked=made("d1", DecisionStage.WAITING))
    again = ruled(asks, wants(MORE), open_)
    assert not again.ask and not again.drop and "d1 waits for approval: scale shop/web to 4" in again.message
    other = ruled(asks, wants(EVEN_MORE), open_)
    assert other.ask and other.drop and other.actions == (EVEN_MORE,)
    assert ruled(asks, wants(), open_).drop == "what it was about is no longer so"


@pytest.mark.parametrize("stage", [DecisionStage.REFUSED, DecisionStage.EXPIRED])
def test_what_was_denied_is_not_asked_for_again_until_something_else_was_wanted(stage: DecisionStage) -> None:
    asks, denied = policy(approval="required"), made("d1", stage, message="denied")
    found = ruled(asks, wants(MORE), standing(asks, [denied]))
    assert not found.ask and found.message == "not asked for again: denied"
    assert ruled(asks, wants(EVEN_MORE), standing(asks, [denied])).ask
    assert ruled(asks, wants(MORE), standing(asks, [denied], frozenset({"d1"}))).ask


@pytest.mark.parametrize(
    ("said", "expires", "found"),
    [
        (Verdict.APPROVED, None, DecisionStage.RECEIVED),
        (Verdict.DENIED, None, DecisionStage.REFUSED),
        (None, NOON, DecisionStage.EXPIRED),
        (None, NOON + timedelta(seconds=1), None),
        (Verdict.APPROVED, NOON, DecisionStage.RECEIVED),
    ],
)
def test_what_was_said_of_a_decision(
    said: Verdict | None, expires: datetime | None, found: DecisionStage | None
) -> None:
    answer = verdict(made("d", DecisionStage.WAITING, verdict=said), NOON, expires)
    assert (answer[0] if answer is not None else None) is found


def test_only_what_was_carried_out_counts_as_done() -> None:
    decisions = [
        made("a", DecisionStage.VERIFIED), made("b", DecisionStage.SUPERSEDED, message=f"{NEVER}it is old"),
        made("c", DecisionStage.SUPERSEDED, message="declared anew"), made("d", DecisionStage.REFUSED),
        made("e", DecisionStage.APPLIED, source="policy/other"), made("f", DecisionStage.APPLIED),
    ]  # fmt: skip
    assert [one.name for one in standing(policy(), decisions).past] == ["a", "c", "f"]


def test_a_status_is_the_one_before_where_only_times_and_noise_differ() -> None:
    given, later = policy(), NOON + timedelta(seconds=15)
    before = loop_status(given, wants(), Ruling(LoopStage.ORIENT, next_look=NOON), None, NOON, None)
    assert before["observation"] == "cpu 0.93 of 0.70 on 2 pods"

    def after(observation: str, stage: LoopStage = LoopStage.ORIENT) -> Any:
        output = LoopOutput(LoopStage.ORIENT, observation)
        return loop_status(given, output, Ruling(stage, next_look=later), None, later, before)

    assert after("cpu 0.93 of 0.70 on 2 pods") is before and after("cpu 0.90 of 0.70 on 2 pods") is before
    for changed in ("cpu 0.93 of 0.70 on 3 pods", "cpu 0.60 of 0.70 on 2 pods", "nothing is known"):
        assert after(changed) is not before, changed
    assert after("cpu 0.93 of 0.70 on 2 pods", LoopStage.HELD)["stage"] == "Held"


def test_a_status_tells_of_the_last_decision_and_what_became_of_it() -> None:
    going = loop_status(policy(), wants(), Ruling(LoopStage.ORIENT), made("d", DecisionStage.APPLIED), NOON, None)
    assert (going["stage"], going["decision"], going["outcome"]) == ("Act", "d", "Applied")
    done = made("d", DecisionStage.VERIFIED, effect={"shop/web": "4/4 ready on green", "seconds": "3"})
    over = loop_status(policy(), wants(), Ruling(LoopStage.ORIENT), done, NOON, None)
    assert (over["stage"], over["outcome"]) == ("Orient", "Verified: shop/web 4/4 ready on green, after 3 s")


def test_every_operation_has_a_subject_and_words() -> None:
    for op in Operation:
        action = DecidedAction(op=op, component="shop/web", app="shop", cluster="rose", other="green", revision="r")
        assert subject(action)[1] and summary([action])
    assert summary([MORE] * 6).endswith("and 2 more")
    moved = DecidedAction(
        op=Operation.MIGRATE_COMPONENT, component="shop/web", cluster="rose"
    )  # as a scheduler may ask
    assert summary([moved]) == "move shop/web to rose"
