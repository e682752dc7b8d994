"""What the operator asks of backends, and what backends make of it: each end alone, with a clock that is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from continuo.events.cloudevent import Event
from continuo.events.refused import Refused
from continuo.orchestrator.backend import messages
from continuo.orchestrator.plan import Plan
from continuo.resources import kinds
from continuo.resources.errors import Unreachable
from continuo.resources.meta import Object
from orchestrator.worlds import app, cluster, component

from .ends import KEY, SPEC, Table

pytestmark = pytest.mark.anyio


@pytest.fixture
async def table(anyio_backend: str) -> AsyncIterator[Table]:
    made = Table()
    yield made
    await made.close()


def steps(events: list[Event]) -> list[str]:
    return [event.data["step"] for event in events]


# --- the operator's end ---


async def test_a_step_is_asked_for_once_and_nobody_sees_what_it_writes(table: Table) -> None:
    asked = await table.decide()
    assert steps(asked) == ["cluster/green", "package/green/cni"]
    assert await table.decide() == []
    command = asked[0].data
    assert command == {
        "operator": "op1", "number": 1, "namespace": "default", "name": "o", "uid": "u1", "generation": 1,
        "step": "cluster/green", "mark": command["mark"], "decidedAt": "1970-01-01T00:16:40.000Z",
        "expiresAt": "1970-01-01T00:17:40.000Z",
    }  # fmt: skip
    assert asked[0].partitionkey == asked[1].partitionkey == "default/o"
    assert asked[0].id != asked[1].id


async def test_a_step_that_would_write_something_else_now_is_asked_for_anew(table: Table) -> None:
    await table.decide()
    table.bench.declare({**SPEC, "clusters": [cluster("green", worker_machine_count=5)]})
    assert "cluster/green" in steps(await table.decide())


async def test_a_failure_is_tried_again_later_and_later_as_in_one_process(table: Table) -> None:
    table.failure = Unreachable("connection refused")
    asked = await table.decide()
    table.hand(*asked)
    assert ("failed", "cluster/green") in await table.work()
    await table.answered()
    assert "connection refused" in table.attempts.failures()["cluster/green"]
    assert await table.decide() == []
    table.time += 1.5
    assert steps(await table.decide()) == ["cluster/green", "package/green/cni"]


async def test_nobody_answers(table: Table) -> None:
    await table.decide()
    table.time += 61
    assert await table.decide() == []
    said = table.attempts.failures()["cluster/green"]
    assert said == "no backend answered within 60 s: is `continuo backend` running?"
    table.time += 2
    assert "cluster/green" in steps(await table.decide())


async def test_a_backend_that_is_still_at_it_gets_more_time(table: Table) -> None:
    (asked, *_) = await table.decide()
    table.time += 50
    await table.remote.take(answer(asked, messages.PROGRESS))
    table.time += 50
    await table.decide()
    assert "cluster/green" not in table.attempts.failures()


async def test_while_the_topic_is_away_that_is_what_the_status_says_and_then_it_goes_on(table: Table) -> None:
    table.topic.away = True
    await table.decide()
    assert (KEY, 0.0) in table.looks  # look again at once, and say so
    await table.decide()
    waits = "it waits to be handed to a backend: the topic takes no messages: it is away"
    assert table.attempts.failures()["cluster/green"] == waits
    table.time += 61
    await table.decide()
    away = "no backend answered within 60 s; the topic takes no messages: it is away"
    assert table.attempts.failures()["cluster/green"] == away
    table.time += 2
    await table.decide()
    assert "it cannot be handed to a backend: the topic" in table.attempts.failures()["cluster/green"]
    table.topic.away = False
    await table.told()
    assert (KEY, -1.0) in table.looks  # look again at once, and forgive
    table.attempts.forgive()
    assert "cluster/green" in steps(await table.decide())


async def test_what_was_done_is_not_asked_for_again_while_the_watches_are_behind(table: Table) -> None:
    asked = await table.decide()
    (first, *_) = asked
    done = answer(first, messages.SUCCEEDED, versions=("7",) * len(table.round().plan.steps[0].writes))
    await table.remote.take(done)
    assert "cluster/green" not in steps(await table.decide())
    table.time += 11  # they never caught up: something else took it away again
    await table.decide()
    assert "cluster/green" in steps(await table.decide())


async def test_what_is_kept_in_another_form_is_learned_and_not_written_again(table: Table) -> None:
    plan = table.round().plan
    asked = await table.decide(plan)
    table.hand(*asked)
    await table.work()  # written: the caches have it
    table.learned.clear()
    await table.answered()
    assert await table.decide(plan) == []  # though it is planned still
    assert {write.object["kind"] for write in table.learned} >= {"Cluster", "KubeadmControlPlane"}


async def test_one_refusal_is_looked_at_again_and_three_are_a_failure(table: Table) -> None:
    for number in range(3):
        (first, *_) = await table.decide()
        assert first.data["step"] == "cluster/green"
        await table.remote.take(answer(first, messages.SUPERSEDED, message="it would write something else here"))
        failed = "cluster/green" in table.attempts.failures()
        assert failed == (number == 2)
    assert "b1 does not carry it out: it would write something else here" in str(table.attempts.failures())


async def test_after_a_restart_all_that_is_open_is_asked_for_again(table: Table) -> None:
    before = await table.decide()
    table.remote = table.operator("op2")
    after = await table.decide()
    assert steps(after) == steps(before)
    assert not {e.id for e in before} & {e.id for e in after}
    await table.remote.take(answer(before[0], messages.FAILED, message="old"))
    assert table.attempts.failures() == {}  # who was asked by the other one answers to that one


async def test_nothing_is_asked_for_while_answers_are_not_read(table: Table) -> None:
    table.remote.listening = lambda: False
    assert await table.decide() == []
    assert table.looks == [(KEY, 1.0)]


# --- the backend's end ---


async def test_steps_are_carried_out_and_answered_with_versions(table: Table) -> None:
    table.hand(*await table.decide())
    answers = await table.work()
    assert [outcome for outcome, step in answers if step == "cluster/green"] == ["started", "succeeded"]
    last = next(e for e in reversed(table.topic.events) if e.data["step"] == "cluster/green")
    assert all(version.isdigit() for version in last.data["versions"]) and last.data["done"] == last.data["of"]
    assert [e.sequence for e in table.topic.events if e.taskid == last.taskid] == ["0001", "0002"]
    assert last.source == "/backends/b1" and last.causationid == "op1/000000001"
    assert len(table.bench.management.all(kinds.CLUSTER)) == 1


REASONS: list[tuple[str, Any, str, bool]] = [
    ("another generation was declared", {"generation": 0}, "it is of generation 0, and 1 is declared", True),
    ("it is not here yet", {"generation": 2}, "generation 2 of its orchestration is not seen here", False),
    ("it was made anew", {"uid": "u2"}, "generation 1 of its orchestration is not seen here", False),
    ("no such step", {"step": "cluster/rose"}, "there is nothing left to do of it", False),
    ("it has to wait", {"step": "component/shop/web"}, "it has to wait for others here", False),
    ("other options", {"mark": "00000000"}, "it would write something else here", False),
    ("too late", {"expires_at": "1970-01-01T00:16:39Z"}, "it came too late", True),
]


@pytest.mark.parametrize(("changed", "said", "at_once"), [r[1:] for r in REASONS], ids=[r[0] for r in REASONS])
async def test_what_does_not_fit_is_not_carried_out(
    table: Table, changed: dict[str, Any], said: str, at_once: bool
) -> None:
    (asked, *_) = await table.decide()
    table.hand(altered(asked, **changed))
    if not at_once:
        assert await table.work() == []  # it may fit in a moment
        table.time += 6
    assert [outcome for outcome, _ in await table.work()] == ["superseded"]
    assert said in table.topic.events[-1].data["message"]
    assert table.writes == []


async def test_what_comes_before_its_orchestration_is_carried_out_once_that_is_seen(table: Table) -> None:
    table.bench.declare({**SPEC, "clusters": [cluster("green", worker_machine_count=5)]})
    (asked, *_) = await table.decide()
    newer, table.bench.object = table.bench.object, {**table.bench.object, "spec": SPEC}
    table.bench.object["metadata"] = {**newer["metadata"], "generation": 1}
    table.hand(asked)
    assert await table.work() == []
    table.bench.object = newer
    assert await table.work() == [("started", "cluster/green"), ("succeeded", "cluster/green")]


async def test_nothing_is_carried_out_of_what_is_paused(table: Table) -> None:
    (asked, *_) = await table.decide()
    table.bench.object = {**table.bench.object, "spec": {**SPEC, "paused": True}}
    table.hand(asked)
    await table.work()
    table.time += 6
    assert [outcome for outcome, _ in await table.work()] == ["superseded"]
    assert table.topic.events[-1].data["message"] == "its orchestration is paused"


async def test_of_two_commands_for_one_step_the_newer_counts(table: Table) -> None:
    (asked, *_) = await table.decide()
    table.hand(asked, altered(asked, number=99))
    answers = [(e.data["number"], o) for e, o in await numbered(table)]
    assert answers == [(1, "superseded"), (99, "started"), (99, "succeeded")]


async def test_what_is_no_command_is_refused_and_what_is_for_others_is_passed_over(table: Table) -> None:
    (asked, *_) = await table.decide()
    with pytest.raises(Refused, match="does not fit: Object missing required field `operator`"):
        await table.carrier.take(msgspec.structs.replace(asked, data={}))
    with pytest.raises(Refused, match="'soon' is no time"):
        await table.carrier.take(altered(asked, expires_at="soon"))
    await table.carrier.take(msgspec.structs.replace(asked, type="dev.continuo.command.pause.requested.v1", data={}))
    assert not table.carrier.wanted(KEY)


# --- what can be seen on the topic ---


def secretly(value: str) -> Object:
    env = {"is-secret": True, "variables": [{"name": "PASSWORD", "value": value}]}
    return {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", "green", env=env))]}


async def test_a_mark_tells_nothing_of_a_secret_s_value() -> None:
    marks = {}
    for value in ("hunter2", "swordfish"):
        table = Table(secretly(value))
        for _ in range(4):
            table.bench.run()
            table.bench.bring_up()
        step = next(s for s in secret_steps(table))
        values = [w.object for w in step.writes if w.kind == kinds.SECRET]
        assert values, "the step writes a Secret"
        alone = replace(step, writes=tuple(w for w in step.writes if w.kind == kinds.SECRET))
        marks[value] = messages.mark(alone, table.round().snapshot)
        await table.close()
    assert marks["hunter2"] == marks["swordfish"]


def secret_steps(table: Table) -> list[Any]:
    """The steps that write Secrets, from a world in which none of them has run."""
    bench = table.bench
    for store in bench.workloads.values():
        for secret in store.all(kinds.SECRET):
            store.drop(kinds.SECRET, secret["metadata"]["name"], secret["metadata"]["namespace"])
    plan: Plan = bench.plan
    return [step for step in plan.steps if any(write.kind == kinds.SECRET for write in step.writes)]


def altered(event: Event, **fields: Any) -> Event:
    command = msgspec.structs.replace(messages.read_command(event), **fields)
    return msgspec.structs.replace(event, id=f"{event.id}-{len(fields)}", data=msgspec.to_builtins(command))


def answer(asked: Event, outcome: str, **said: Any) -> Event:
    command = messages.read_command(asked)
    made = messages.Answer(
        operator=command.operator, number=command.number, namespace=command.namespace, name=command.name,
        step=command.step, backend="b1", **said,
    )  # fmt: skip
    return messages.answer_event(made, outcome, 1, asked, "2026-01-31T09:00:00Z")


async def numbered(table: Table) -> list[tuple[Event, str]]:
    before = len(table.topic.events)
    await table.work()
    return [(event, messages.outcome_of(event) or "") for event in table.topic.events[before:]]
