"""The life of a cluster on real Cluster API, declared by nothing but a LowLevelOrchestration.

The machines are simulated, by Cluster API's development provider; everything else is as in production.
"""

from __future__ import annotations

import asyncio

import pytest

from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.beds import is_ready

from .lifecycle import LifecycleBed, is_control_plane

pytestmark = pytest.mark.anyio

QUIET = 5.0
"""Seconds for which an idle operator is watched."""


def declared(**more) -> dict:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    basic = {"name": "green", "provider": "dev", "kubernetes-version": "v1.34.2", "worker-machine-count": 1}
    return {"clusters": [{**basic, **fields}]}


@pytest.fixture(scope="module")
async def green(bed: LifecycleBed) -> LifecycleBed:
    """A bed with one ready cluster `green` of the orchestration `o`."""
    await bed.apply("o", declared())
    await bed.ready("o")
    return bed


def _counts(obj: Object) -> tuple[int, int, int, int]:
    entry = obj["status"]["clusters"][0]
    names = ("controlPlaneReady", "controlPlaneDesired", "workersReady", "workersDesired")
    return tuple(entry[name] for name in names)


async def test_a_ready_cluster_is_what_was_declared(green: LifecycleBed) -> None:
    obj = await green.ready("o")
    entry = obj["status"]["clusters"][0]
    assert entry["phase"] == "Ready"
    assert entry["version"] == "v1.34.2"
    assert entry["endpoint"].startswith("https://127.0.0.1:")
    assert _counts(obj) == (1, 1, 1, 1)
    assert len(await green.machines("o-green")) == 2


async def test_nothing_is_left_to_do_and_an_idle_operator_writes_nothing(green: LifecycleBed) -> None:
    await green.ready("o")
    plan = await green.plan("o")
    assert not plan.steps, [(step.id, step.detail) for step in plan.steps]
    assert not plan.refusals
    before = green.writes()
    await asyncio.sleep(QUIET)  # nothing may happen, and nobody would tell of it
    assert green.writes() == before


async def test_scaling_both_parts(green: LifecycleBed) -> None:
    await green.apply("o", declared(control_plane_count=3, worker_machine_count=3))
    obj = await green.until("o", lambda o: is_ready(o) and _counts(o) == (3, 3, 3, 3))
    assert len(await green.machines("o-green")) == 6
    assert not (await green.plan("o")).steps
    await green.apply("o", declared(worker_machine_count=1))
    obj = await green.until("o", lambda o: is_ready(o) and _counts(o) == (1, 1, 1, 1))
    assert obj["status"]["clusters"][0]["phase"] == "Ready"
    assert not (await green.plan("o")).steps


async def test_a_deleted_machine_is_replaced(green: LifecycleBed) -> None:
    victim = next(m for m in await green.machines("o-green") if not is_control_plane(m))["metadata"]
    await green.api.delete(kinds.MACHINE, victim["name"], "default")
    await green.until("o", lambda o: not is_ready(o))
    await green.ready("o")
    left = {machine["metadata"]["name"] for machine in await green.machines("o-green")}
    assert len(left) == 2
    assert victim["name"] not in left


async def test_other_machines_replace_the_old_and_their_templates_go(green: LifecycleBed) -> None:
    before = {machine["metadata"]["uid"] for machine in await green.machines("o-green")}
    old = (await green.left(kinds.DEV_MACHINE_TEMPLATE))["DevMachineTemplate"]
    await green.apply("o", declared(machine_startup=2))
    await green.ready("o")
    machines = await green.machines("o-green")
    assert not before & {machine["metadata"]["uid"] for machine in machines}
    for name in old:
        await green.gone(kinds.DEV_MACHINE_TEMPLATE, name, "default")
    assert len((await green.left(kinds.DEV_MACHINE_TEMPLATE))["DevMachineTemplate"]) == 2


async def test_an_upgrade_goes_one_minor_at_a_time_and_workers_follow(green: LifecycleBed) -> None:
    startup = (await green.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default"))["spec"]["clusters"][0]
    more = {"machine_startup": startup["machine-startup"]} if "machine-startup" in startup else {}
    await green.apply("o", declared(kubernetes_version="v1.36.0", **more))
    await green.until("o", lambda o: "skips a minor version" in str(o["status"]))
    await green.apply("o", declared(kubernetes_version="v1.35.0", **more))
    ahead: list[tuple[str, str]] = []

    def done(obj: Object) -> bool:
        entry = obj["status"]["clusters"][0]
        ahead.append((entry["phase"], entry.get("version", "")))
        return is_ready(obj) and entry.get("version") == "v1.35.0"

    await green.until("o", done)
    assert "Upgrading" in {phase for phase, _ in ahead}
    machines = await green.machines("o-green")
    assert {machine["spec"]["version"] for machine in machines} == {"v1.35.0"}
    first = {is_control_plane(m): m["metadata"]["creationTimestamp"] for m in machines}
    assert first[True] <= first[False]
    assert not (await green.plan("o")).steps


async def test_ten_clusters_at_once_come_up_and_go(bed: LifecycleBed) -> None:
    basic = declared()["clusters"][0]
    await bed.apply("ten", {"clusters": [{**basic, "name": f"c{number}"} for number in range(10)]})
    obj = await bed.ready("ten")
    assert {entry["phase"] for entry in obj["status"]["clusters"]} == {"Ready"}
    assert not (await bed.plan("ten")).steps
    await bed.remove("ten")


async def test_a_deleted_cluster_leaves_nothing(green: LifecycleBed) -> None:
    await green.remove("o")
    made = (
        kinds.CLUSTER, kinds.MACHINE, kinds.MACHINE_DEPLOYMENT, kinds.KUBEADM_CONTROL_PLANE, kinds.DEV_CLUSTER,
        kinds.DEV_MACHINE, kinds.DEV_MACHINE_TEMPLATE, kinds.KUBEADM_CONFIG_TEMPLATE,
    )  # fmt: skip
    assert not await green.left(*made)
