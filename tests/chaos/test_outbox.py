"""Events under SIGKILL: the operator dies at random moments, and so does whoever collects what it tells.

Nothing that is told contradicts the state, nothing is lost, nothing begins untold. The engine runs here and is the witness:
it sees every version of the orchestration and every object that is made. CONTINUO_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from continuo.cli.host import Host
from continuo.embedded.port import Api, StoredChange
from continuo.embedded.standins.settings import Settings
from continuo.events.cloudevent import Event, decode
from continuo.events.log import EventLog
from continuo.events.outbox import events_of
from continuo.events.types import GAP, Outcome, parts_of
from continuo.kube.config import connect
from continuo.orchestrator import naming
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Informer, Watch
from continuo.server.event_feed import EventFeed
from scenarios.beds import Bed, is_ready

from .test_kill import app, cluster
from .victims import Nursery, Victim, Witness

pytestmark = [pytest.mark.anyio, pytest.mark.long]

KILLS = int(os.environ.get("CONTINUO_KILLS", "21"))
GREEN, ROSE, LINK = cluster("green"), cluster("rose"), ["green", "rose"]


def shop(image: str = "", **places: str) -> Object:
    """An application that has a second to run; with another image for `web`."""
    found = {**app("green", **places), "deploy-within": 2}
    if image:
        found["components"][0]["image"] = image
    return found


BROKEN = shop("registry.example.org/does-not-exist:1", web="green")
STORY: list[tuple[Object, str]] = [
    ({"clusters": [GREEN, ROSE], "apps": [shop(web="green")]}, ""),
    ({"clusters": [GREEN, ROSE], "apps": [BROKEN]}, "app.update.failed"),
    ({"clusters": [GREEN, ROSE], "links": [LINK], "apps": [shop(web="green", db="rose")]}, ""),
    ({"clusters": [{**GREEN, "worker-machine-count": 2}, ROSE], "links": [LINK], "apps": [shop(web="rose", db="rose")]}, ""),
    ({"clusters": [GREEN, ROSE]}, ""),
    ({"clusters": [GREEN]}, ""),
]  # fmt: skip


@dataclass
class History:
    """Every version of the orchestration, and what was told with it."""

    versions: list[Object] = field(default_factory=list)
    told: dict[str, tuple[Event, Object]] = field(default_factory=dict)
    """By id: each event, and the version that first told it."""
    untold: list[str] = field(default_factory=list)
    """Objects that were made while no task of their item had begun."""
    left: list[str] = field(default_factory=list)
    """What was told to be gone, and was not."""
    _host: Host | None = None

    def follow(self, host: Host) -> None:
        self._host = host
        host.engine.management.listen(LOW_LEVEL_ORCHESTRATION, self._version)
        host.engine.on_cluster(self._cluster)

    def _version(self, change: StoredChange) -> None:
        if change.type == "DELETED":
            return
        self.versions.append(change.object)
        for event in events_of(change.object):
            if event.id not in self.told:
                self.told[event.id] = event, change.object
                self._gone(event)
            assert self.told[event.id][0] == event, "an event is told the same way every time"

    def _gone(self, event: Event) -> None:
        """What an event says to be gone is gone in the engine, too, whatever the status says."""
        assert self._host is not None
        operation, outcome = parts_of(event.type) or ("", "")
        name = (event.subject or "").partition("/")[2]
        if outcome != Outcome.SUCCEEDED:
            return
        engine = self._host.engine
        if operation == "cluster.delete":
            there = engine.management.find(kinds.CLUSTER, f"o-{name}", "default") is not None
        elif operation == "app.undeploy":
            there = any(api.find(kinds.NAMESPACE, name) for api in engine.clusters())
        elif operation == "link.remove":
            there = any(api.list(kinds.FOREIGN_CLUSTER) for api in engine.clusters() if api is not engine.management)
        else:
            return
        if there:
            self.left.append(f"{event.id} {operation} {name}")

    def _cluster(self, happened: str, api: Api) -> None:
        if happened == "added":
            api.listen(None, self._made)

    def _made(self, change: StoredChange) -> None:
        if change.type != "ADDED" or (target := _target(change.object)) is None:
            return
        tasks = {task["target"] for task in (self.versions[-1].get("status") or {}).get("tasks") or ()}
        if not tasks & target:
            self.untold.append(f"{change.object['kind']} {change.object['metadata']['name']}")


def _target(obj: Object) -> set[str] | None:
    """The tasks of which one has to have begun before the object is made; None for what is no item's own."""
    labels = labels_of(obj)
    if naming.owner(obj) is None:
        return None
    if obj["kind"] == kinds.CLUSTER.kind:
        return {f"cluster/{labels[naming.CLUSTER]}"}
    if obj["kind"] == kinds.HELM_CHART_PROXY.kind:
        return {f"package/{labels[naming.CLUSTER]}/{labels[naming.PACKAGE]}"}
    if obj["kind"] == kinds.DEPLOYMENT.kind:
        name, component = labels[naming.APPLICATION], labels.get(naming.COMPONENT)
        return {f"app/{name}", f"component/{name}/{component}"}
    return None


class Collector:
    """Follows the orchestrations over HTTP into a log on disk, at least once; it is cut off now and then."""

    def __init__(self, kubeconfig: str, path: Path) -> None:
        self._kubeconfig, self._path = kubeconfig, path
        self.lives = 0

    async def live(self, seconds: float | None, rest: asyncio.Event | None = None) -> EventLog:
        """Collect for a while, or until all that is known then has been taken; the log as it is afterwards."""
        self.lives += 1
        api = connect(self._kubeconfig, name="management")
        informer = Informer(api, Watch(LOW_LEVEL_ORCHESTRATION, "default"))
        feed = EventFeed(informer, "default", EventLog(str(self._path)))
        await feed.start()
        informer.start()
        try:
            if seconds is not None:
                await asyncio.sleep(seconds)
            elif rest is not None:
                await rest.wait()
                await feed.publisher.settled()
        finally:
            await informer.stop()
            await feed.stop()
            await api.close()
        return feed.log


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Bed, Victim, random.Random]]:
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}, {KILLS} kills")
    host = Host(None, standins=Settings(speed=10.0), seed=seed)
    await host.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(host.engine.kubeconfig("management"), encoding="utf-8")
    bed, witness, nursery = Bed(host), Witness(host), await Nursery.open()
    victim = Victim(nursery, kubeconfig, witness, random.Random(seed))
    await bed.credentials()
    try:
        yield bed, victim, random.Random(seed)
    finally:
        await victim.end()
        await nursery.close()
        await bed.close()
        await host.stop()


async def test_what_is_told_is_true_and_all_of_it_is_told(
    world: tuple[Bed, Victim, random.Random], tmp_path: Path
) -> None:
    bed, victim, rng = world
    history = History()
    history.follow(bed.host)
    collector, rest = Collector(bed.kubeconfig, tmp_path / "events.sqlite"), asyncio.Event()
    collecting = asyncio.create_task(_collect(collector, rng, rest))
    for spec, event in STORY:
        await bed.apply("o", spec)
        done = _done(bed, history, event)
        await victim.torture(KILLS // (len(STORY) + 1), done)
        await bed.until("o", lambda _obj, done=done: done())
        await victim.end()
    await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "o", "default")
    await victim.torture(KILLS // (len(STORY) + 1), lambda: _declared(bed) is None)
    await bed.gone(LOW_LEVEL_ORCHESTRATION, "o", "default")
    await victim.end()
    rest.set()
    log = await collecting
    print(f"{victim.kills} kills, {collector.lives} collectors, {len(history.told)} events")
    assert history.untold == [] and history.left == []
    _check_tasks([event for event, _ in history.told.values()])
    for event, version in history.told.values():
        _check_true(event, version)
    _check_collected(log, history)


def _declared(bed: Bed) -> Object | None:
    return bed.host.engine.management.find(LOW_LEVEL_ORCHESTRATION, "o", "default")


def _done(bed: Bed, history: History, event: str) -> object:
    """Whether an act is over: ready, or that event was told since."""
    before = len(history.told)

    def done() -> bool:
        new = [found for found, _ in list(history.told.values())[before:]]
        return any(".".join(parts_of(e.type) or ()) == event for e in new) if event else is_ready(_declared(bed))

    return done


async def _collect(collector: Collector, rng: random.Random, rest: asyncio.Event) -> EventLog:
    """One collector after the other; the last one stays to the end."""
    for _ in range(6):
        await collector.live(rng.uniform(0.0, 0.6))
    return await collector.live(None, rest)


def _check_tasks(events: list[Event]) -> None:
    """Each task: started first, no number missing, one end and that last, percent never less."""
    by_task: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: e.data["position"]):
        by_task.setdefault(str(event.taskid), []).append(event)
    assert [event.data["position"] for event in events] == list(range(1, len(events) + 1))
    for task, told in by_task.items():
        outcomes = [Outcome(parts_of(event.type)[1]) for event in told]  # type: ignore[index]
        assert [event.sequence for event in told] == [f"{n:06d}" for n in range(1, len(told) + 1)], task
        assert outcomes[0] is Outcome.STARTED and outcomes.count(Outcome.STARTED) == 1, task
        assert outcomes[-1].terminal and sum(outcome.terminal for outcome in outcomes) == 1, (task, outcomes)
        percents = [event.data["percent"] for event in told]
        assert percents == sorted(percents), task
    assert any(parts_of(e.type) == ("app.update", "failed") for e in events)
    assert {"cluster.create", "cluster.delete", "link.establish", "link.remove", "app.deploy", "app.undeploy"} <= {
        parts_of(event.type)[0]
        for event in events  # type: ignore[index]
    }


GOOD = {"cluster": ("Ready", "InstallingPackages", "Degraded"), "package": ("Ready",), "link": ("Connected",),
        "app": ("Running",), "component": ("Running",)}  # fmt: skip
REMOVALS = ("delete", "uninstall", "remove", "undeploy", "leave")


def _check_true(event: Event, version: Object) -> None:
    """The version that first tells of an end is one in which that is how it is."""
    operation, outcome = parts_of(event.type) or ("", "")
    kind, _, name = (event.subject or "").partition("/")
    phase = _phase(version, kind, name)
    if outcome == Outcome.SUCCEEDED:
        if operation.endswith(REMOVALS):
            assert phase is None, (event.id, operation, name, phase)
        else:
            assert phase in GOOD[kind], (event.id, operation, name, phase)
    elif outcome == Outcome.FAILED:
        assert phase not in ("Running", "Connected"), (event.id, operation, name, phase)
    elif outcome == Outcome.STARTED:
        ended = any(e.taskid == event.taskid and e.sequence != "000001" for e in events_of(version))
        assert ended or any(task["id"] == event.taskid for task in version["status"]["tasks"]), event.id


def _phase(version: Object, kind: str, name: str) -> str | None:
    status = version["status"]
    if kind == "link":
        found = [e for e in status["links"] if "/".join(sorted(e["clusters"])) == name]
    elif kind in ("package", "component"):
        outer, _, name = name.partition("/")
        lists = {"package": ("clusters", "packages"), "component": ("apps", "components")}[kind]
        owners = [e for e in status[lists[0]] if e["name"] == outer]
        found = [e for owner in owners for e in owner.get(lists[1]) or () if e["name"] == name]
    else:
        found = [e for e in status[f"{kind}s"] if e["name"] == name]
    return str(found[0]["phase"]) if found else None


def _check_collected(log: EventLog, history: History) -> None:
    """Whoever collects has each event once, in order, and not one that nobody told."""
    collected = [decode(entry.body) for entry in log.after(0, 100_000)]
    assert [event.type for event in collected if event.type == GAP] == []
    assert [event.data["position"] for event in collected] == list(range(1, len(history.told) + 1))
    assert {event.id: event for event in collected} == {id_: event for id_, (event, _) in history.told.items()}
