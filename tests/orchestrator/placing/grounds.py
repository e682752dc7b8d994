"""A bench whose clusters have room: what placement is asked in a round, without any server."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from continuo.federation.model import LinkSettings
from continuo.orchestrator.assess import Assessment, assess
from continuo.orchestrator.caches import CachedCluster
from continuo.orchestrator.loops.model import Amounts, Capacity
from continuo.orchestrator.observe import Reach, Snapshot, Workload, observe
from continuo.orchestrator.orient import orient
from continuo.orchestrator.placing.choose import Choice, choose
from continuo.orchestrator.preview import ListedWorld
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Object
from orchestrator.worlds import Bench, component

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GIB = 2**30


def cpus(count: float) -> Amounts:
    return Amounts(int(count * 1000), 64 * GIB)


def asking(name: str, cpu: str, selector: str | None = None, **more: Any) -> Object:
    return component(name, selector, resources={"requests": {"cpu": cpu}}, **more)


class Ground(Bench):
    """Every cluster has 8 CPUs, unless `room` says otherwise; `busy` is what others ask for there."""

    def __init__(self, spec: Object, **more: Any) -> None:
        super().__init__(spec, **more)
        self.room: dict[str, Capacity] = {}
        self.busy: dict[str, float] = {}
        self.ours: dict[str, float] = {}

    def picture(self) -> tuple[Snapshot, Assessment]:
        workloads: dict[tuple[str, str], Workload] = {}
        for name, store in self.workloads.items():
            short = name.removeprefix("o-")
            asked = cpus(self.busy.get(short, 0) + self.ours.get(short, 0))
            full = Capacity(cpus(8), dataclasses.replace(asked, memory_bytes=0), nodes=2, usable_nodes=2)
            ours = Amounts(int(self.ours.get(short, 0) * 1000))
            workloads[("default", f"{name}-kubeconfig")] = Workload(
                self.reach.get(name, Reach.OK), "", CachedCluster(store.caches),
                capacity=self.room.get(short, full), ours=lambda _, ours=ours: ours,
            )  # fmt: skip
        world = ListedWorld(CachedCluster(self.management.caches), workloads)
        snapshot = observe(self.object, world)
        return snapshot, assess(snapshot, orient(snapshot, self.settings), LinkSettings())

    def up(self) -> None:
        """All clusters come up; applications are another matter."""
        for _ in range(6):
            self.run()
            self.bring_up()

    def lay(self, **lists: list[Object]) -> None:
        word = {"decision": "d", "since": "2026-01-01T00:00:00Z"}
        spec = {name: [{**word, **entry} for entry in entries] for name, entries in lists.items()}
        self.management.put(ADJUSTMENT, ADJUSTMENT.new("o", "default", spec=spec))

    def runs(self, app: str, name: str, home: str, cluster: str) -> None:
        labels = {"continuo.dev/orchestration": "o", "continuo.dev/orchestration-namespace": "default",
                  "continuo.dev/cluster": cluster}  # fmt: skip
        store = self.workloads[f"o-{home}"]
        store.put(kinds.DEPLOYMENT, kinds.DEPLOYMENT.new(name, app, metadata={"labels": labels}, spec={"replicas": 1}))

    def choose(self, after: float = 3600, seen: dict[str, datetime] | None = None) -> Choice:
        snapshot, assessment = self.picture()
        return choose(snapshot, assessment, self.settings, NOON + timedelta(seconds=after), seen or {})


def goes(choice: Choice) -> dict[str, str]:
    actions = choice.decision.actions if choice.decision is not None else ()
    return {str(action.component): str(action.cluster) for action in actions}
