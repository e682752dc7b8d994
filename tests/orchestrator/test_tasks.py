"""Rounds as they are written down: whose task a step is, whatever things are called, and what a pause does to deadlines."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from continuo.events import outbox
from continuo.federation.model import LinkSettings
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.assess import assess
from continuo.orchestrator.tasks import Booked, book, paused
from continuo.resources.meta import Object
from continuo.resources.orchestration_tasks import TaskStage, TaskStatus

from .worlds import Bench, app, cluster, component

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return BEGIN + datetime.timedelta(seconds=seconds)


@dataclass
class Rounds:
    """A bench whose rounds are booked."""

    bench: Bench

    def book(self, seconds: float) -> Booked:
        status = self.bench.object.get("status") or {}
        snapshot, wanted, plan = self.bench.look()
        fresh = self.bench.object["status"]
        booked = book(
            snapshot, wanted, assess(snapshot, wanted, LinkSettings()), plan, Attempts(),
            {**fresh, **{key: status[key] for key in ("tasks", "outbox") if key in status}}, self.bench.settings,
            at(seconds),
        )  # fmt: skip
        self._keep(booked.status)
        return booked

    def stand_still(self, seconds: float) -> None:
        snapshot, _, _ = self.bench.look()
        self._keep(paused(snapshot, self.bench.object["status"], at(seconds)))

    def _keep(self, status: Object) -> None:
        self.bench.object = {**self.bench.object, "status": status}

    def tasks(self) -> dict[tuple[str, str], TaskStatus]:
        return {(task.operation, task.target): task for task in outbox.read(self.bench.object)[0].tasks}


class Keeping(Bench):
    """A bench whose looks leave the ledger in the status."""

    def look(self):  # type: ignore[no-untyped-def]
        before = self.object.get("status") or {}
        found = super().look()
        kept = {key: before[key] for key in ("tasks", "outbox", "taskCounter", "eventCounter") if key in before}
        self.object = {**self.object, "status": {**self.object["status"], **kept}}
        return found


def spec(home: str, name: str, *components: Object, **more: object) -> Object:
    return {"clusters": [cluster("green"), cluster("rose")], "apps": [app(name, home, *components)], **more}


def test_an_application_may_be_called_leave() -> None:
    bench = Keeping(spec("green", "leave", component("leave"), component("offload")))
    rounds = Rounds(bench)
    rounds.book(0)
    for cluster_name in ("green", "rose"):
        assert ("cluster.create", f"cluster/{cluster_name}") in rounds.tasks()
    bench.run()
    bench.bring_up()
    rounds.book(1)
    kept = set(rounds.tasks())
    assert ("app.deploy", "app/leave") in kept
    assert not [target for operation, target in kept if operation == "app.leave"], "it leaves nothing"


def test_an_application_called_leave_leaves_its_home() -> None:
    bench = Keeping(spec("green", "leave", component("leave")))
    bench.settle()
    rounds = Rounds(bench)
    rounds.book(0)
    assert not rounds.tasks()
    bench.declare(spec("rose", "leave", component("leave")))
    seen = set()
    for second in range(1, 6):
        rounds.book(second)
        seen |= set(rounds.tasks())
        bench.run()
        bench.bring_up()
        bench.pods_run()
    assert seen == {("app.deploy", "app/leave"), ("app.leave", "app/leave")}
    assert not rounds.tasks(), "all of it is done"


def test_links_wait_for_no_application_that_is_only_called_leave() -> None:
    linked = {**spec("green", "leave", component("web")), "links": [["green", "rose"]]}
    bench = Bench({**linked})
    for _ in range(3):
        bench.run()
        bench.bring_up()
    bench.declare({**linked, "links": []})
    unlinking = [step for step in bench.plan.steps if step.target.kind == "link"]
    assert not [need for step in unlinking for need in step.needs if need.startswith("component/leave/")]


def test_deadlines_stand_still_while_an_orchestration_is_paused() -> None:
    bench = Keeping(spec("green", "shop", component("web")))
    rounds, key = Rounds(bench), ("cluster.create", "cluster/green")
    within = bench.settings.cluster_within
    rounds.book(0)
    bench.run()
    rounds.stand_still(100)
    first = rounds.tasks()[key]
    rounds.stand_still(within)
    assert rounds.tasks()[key] == first, "said once"
    left = rounds.book(100 + 10 * within).next_look
    assert left is not None and abs(left - (within - 100)) < 1e-6, "what was left is left"
    task = rounds.tasks()[key]
    assert (task.stage, task.paused) == (TaskStage.OPEN, "")
    rounds.book(10 * within + within + 1)
    assert rounds.tasks()[key].stage is TaskStage.FAILED


def test_what_nobody_worked_at_is_not_touched_by_a_pause() -> None:
    bench = Keeping(spec("green", "shop", component("web")))
    bench.settle()
    rounds = Rounds(bench)
    rounds.stand_still(5)
    assert "tasks" not in bench.object["status"]


# --- secret values ---------------------------------------------------------------------------------------------------


def secretive(value: str) -> Object:
    return component("web", env={"is-secret": True, "variables": [{"name": "PIN", "value": value}]})


def wish(bench: Keeping) -> str:
    """What the deployment's task says that it is for."""
    bench.run()
    bench.bring_up()
    rounds = Rounds(bench)
    rounds.book(0)
    return rounds.tasks()[("app.deploy", "app/shop")].wish


def test_the_digest_in_the_status_says_nothing_of_secret_values() -> None:
    one, other = (Keeping(spec("green", "shop", secretive(value))) for value in ("1234", "9876"))
    assert wish(one) == wish(other) != "", "so nobody can try what it could be"
