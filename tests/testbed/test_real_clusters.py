"""Real clusters as `make test-real` runs them: started, used, killed, started again, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Invalid
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.testbed import capi, cleanup
from continuo.testbed.bed import MANAGEMENT, Bed, Plan, no_containers
from continuo.testbed.cluster import RealCluster, Setup
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.registry import Registered, registered
from continuo.testbed.tools import CONTROL_PLANE, Tools, find_tools
from continuo.testbed.waiting import until

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
JOB = Kind("batch", "v1", "Job", "jobs")
SECONDS = 180.0


def needs(*programs: str) -> None:
    if os.environ.get("CONTINUO_TEST_REAL") != "1":
        pytest.skip("real clusters take a while: make test-real runs them")
    if lacking := find_tools().missing(programs):
        pytest.skip(f"{', '.join(lacking)} missing: make testbed")


def needs_containers() -> None:
    needs()
    if reason := no_containers(find_tools()):
        pytest.skip(f"real containers cannot run here: {reason}")


def deployment(name: str, image: str, replicas: int = 1) -> Object:
    container: Object = {"name": name, "image": f"localhost/{image}:1"}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


def service(name: str, port: int, target: int) -> Object:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]},
    }  # fmt: skip


def job(name: str, *command: str) -> Object:
    container: Object = {"name": "c", "image": "localhost/sleep:1", "command": list(command)}
    spec = {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}, "backoffLimit": 6}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    }  # fmt: skip


async def available(client: KubeCluster, name: str, replicas: int = 1) -> None:
    async def ready() -> str | None:
        status = (await client.get(DEPLOYMENT, name, "default")).get("status") or {}
        return None if status.get("availableReplicas", 0) >= replicas else f"its status is {status}"

    await until(ready, f"Deployment {name}", SECONDS)


async def succeeded(client: KubeCluster, name: str) -> str:
    """What the pod of a Job printed, once it has ended well."""

    async def done() -> str | None:
        status = (await client.get(JOB, name, "default")).get("status") or {}
        return None if status.get("succeeded") else f"its status is {status}"

    await until(done, f"Job {name}", SECONDS)
    pods = (await client.list(kinds.POD, "default", labels=f"job-name={name}")).items
    [pod] = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Succeeded"]
    return (await client.raw(f"/api/v1/namespaces/default/pods/{pod}/log")).decode()


@asynccontextmanager
async def running(data: Path, plan: Plan, registry: Path) -> AsyncIterator[Bed]:
    bed = await Bed.start(data, plan, registry=registry)
    try:
        yield bed
    finally:
        await bed.stop()


def traces(bed: Registered) -> dict[str, list[Any]]:
    """Whatever of a bed is still on this machine, by sort."""
    found = {
        "processes": list(cleanup.processes_of(bed)),
        "namespaces": cleanup.namespaces_of(bed),
        "links": cleanup.links_of(bed),
        "control groups": cleanup.cgroups_of(bed),
        "mounts": cleanup.mounts_under(bed.folder, bed.scratch),
        "folders": [folder for folder in (bed.folder, bed.scratch) if folder.exists()],
    }
    return {sort: items for sort, items in found.items() if items}


def continuo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "continuo.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * SECONDS)


def bed_of(data: Path) -> Registered:
    from continuo.testbed.registry import default_root

    [bed] = [bed for bed in registered(default_root()) if bed.data == data]
    return bed


def test_one_cluster_alone(tmp_path: Path) -> None:
    needs(*CONTROL_PLANE[:3])

    async def main() -> list[int]:
        cluster = await RealCluster.start("alone", tmp_path, setup=Setup(nodes=0, scheduler=False))
        client = cluster.client()
        try:
            assert (await client.get(kinds.NAMESPACE, "kube-system"))["status"]["phase"] == "Active"
        finally:
            await client.close()
            pids = list(cluster.crew.pids().values())
            await cluster.stop()
        return pids

    pids = asyncio.run(main())
    assert len(pids) == 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_bed_keeps_its_state_and_leaves_nothing_else(tmp_path: Path) -> None:
    needs(*CONTROL_PLANE, "kwok")

    async def first() -> tuple[Registered, str]:
        async with running(tmp_path / "data", Plan(("a",)), tmp_path / "beds") as bed:
            client, management = bed.clusters["a"].client(), bed.management.client()
            try:
                secret = await management.get(kinds.SECRET, "a-kubeconfig", "default")
                assert set(secret["data"]) == {"value"}
                await management.list(LOW_LEVEL_ORCHESTRATION)
                await client.create(deployment("web", "httpbin", 3))
                await available(client, "web", 3)
            finally:
                await client.close()
                await management.close()
            return bed.place, bed.clusters["a"].addresses.url

    async def second(url: str) -> None:
        async with running(tmp_path / "data", Plan(("a",)), tmp_path / "beds") as bed:
            assert bed.clusters["a"].addresses.url == url
            client = bed.clusters["a"].client()
            try:
                await available(client, "web", 3)
            finally:
                await client.close()

    place, url = asyncio.run(first())
    assert traces(place) == {}
    asyncio.run(second(url))
    assert traces(place) == {}


def test_cluster_api_in_a_bed_is_there_again_after_a_restart(tmp_path: Path) -> None:
    needs(*CONTROL_PLANE, *capi.PROGRAMS)
    if reason := capi.port_taken():
        pytest.skip(reason)
    data, registry, plan = tmp_path / "data", tmp_path / "beds", Plan((), cluster_api=True)

    async def used() -> Registered:
        async with running(data, plan, registry) as bed:
            client = bed.management.client()
            try:
                installed = (await client.list(kinds.CAPI_PROVIDER)).items
                assert len(installed) == len(capi.MANAGERS)
                dev = {"topology": {"classRef": {"name": "none"}, "version": "v1.34.2"}}
                with pytest.raises(Invalid, match=r"validation\.cluster\.cluster\.x-k8s\.io"):  # its webhooks answer
                    await client.apply(kinds.CLUSTER.new("c", "default", spec=dev), manager="test")
            finally:
                await client.close()
            return bed.place

    for _ in range(2):
        assert traces(asyncio.run(used())) == {}
    with pytest.raises(TestbedError, match="was made with Cluster API"):
        asyncio.run(Bed.start(data, Plan(()), registry=registry))


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"etcd, kube-apiserver, .* are missing on this machine; get them with: continuo"):
        asyncio.run(Bed.start(tmp_path, tools=Tools((tmp_path,)), registry=tmp_path / "beds"))
    assert list(tmp_path.iterdir()) == []


def test_up_adopts_survives_a_kill_and_goes_down(tmp_path: Path) -> None:
    needs(*CONTROL_PLANE, "kwok")
    data = tmp_path / "data"
    small = ("--clusters", "1", "--no-containers", "--no-cluster-api")
    up = ("up", "--engine", "kubernetes", *small, "--detach", "--data", str(data))
    started = continuo(*up)
    assert started.returncode == 0, started.stderr
    try:
        contexts = [entry["name"] for entry in yaml.safe_load((data / "kubeconfig").read_text())["contexts"]]
        assert contexts == [MANAGEMENT, "a"]
        asyncio.run(_adopts(data))
        bed = bed_of(data)
        os.kill(bed.pid, signal.SIGKILL)
        asyncio.run(_ended(bed))
        again = continuo(*up)
        assert again.returncode == 0, again.stderr
        assert bed_of(data).pid != bed.pid
        asyncio.run(_adopts(data))
    finally:
        ended = continuo("down", "--data", str(data))
    assert ended.returncode == 0, ended.stderr
    assert traces(bed) == {}


async def _adopts(data: Path) -> None:
    client = connect(data / "kubeconfig")
    entry = {"name": "a", "provider": "existing", "kubeconfig": "a-kubeconfig"}
    lab: Object = {
        "apiVersion": LOW_LEVEL_ORCHESTRATION.api_version, "kind": "LowLevelOrchestration",
        "metadata": {"name": "lab", "namespace": "default"}, "spec": {"clusters": [entry]},
    }  # fmt: skip
    try:
        await client.apply(lab, manager="test")

        async def ready() -> str | None:
            try:
                status = (await client.get(LOW_LEVEL_ORCHESTRATION, "lab", "default")).get("status") or {}
            except ApiError as error:
                return str(error)
            clusters = status.get("clusters") or [{}]
            return None if clusters[0].get("phase") == "Ready" else f"its status is {status}"

        await until(ready, "the orchestration", SECONDS)
    finally:
        await client.close()


def test_containers_talk_by_name_and_overlap_with_other_clusters(tmp_path: Path) -> None:
    needs_containers()

    async def main() -> Registered:
        async with running(tmp_path / "data", Plan(("a", "b"), containers=True), tmp_path / "beds") as bed:
            clients = {name: bed.clusters[name].client() for name in ("a", "b")}
            try:
                origins = await asyncio.gather(*(_talks(name, client) for name, client in clients.items()))
            finally:
                for client in clients.values():
                    await client.close()
            assert all(origin.startswith("10.200.") for origin in origins), "both have the same network, on purpose"
            return bed.place

    assert traces(asyncio.run(main())) == {}


async def _talks(name: str, client: KubeCluster) -> str:
    """Runs a Service and a client in one cluster; returns the address that the server saw."""
    await client.create(deployment("httpbin", "httpbin", 2))
    await client.create(service("httpbin", 8000, 80))
    await available(client, "httpbin", 2)
    url = "http://httpbin.default.svc.cluster.local:8000/ip"
    await client.create(job("curl", "curl", "-sf", url))
    answer: dict[str, str] = yaml.safe_load(await succeeded(client, "curl"))
    proxied = await client.raw("/api/v1/namespaces/default/services/httpbin:8000/proxy/hostname")
    assert yaml.safe_load(proxied)["hostname"].startswith("httpbin-"), name
    return answer["origin"]


def test_nothing_of_a_killed_bed_with_containers_is_left(tmp_path: Path) -> None:
    needs_containers()
    data = tmp_path / "data"
    up = (
        "up",
        "--engine",
        "kubernetes",
        "--clusters",
        "1",
        "--containers",
        "--no-liqo",
        "--no-cluster-api",
        "--detach",
        "--data",
        str(data),
    )
    started = continuo(*up)
    assert started.returncode == 0, started.stderr
    try:
        bed = bed_of(data)
        asyncio.run(_runs_something(data))
        left = traces(bed)
        assert set(left) >= {"processes", "namespaces", "links", "control groups", "folders"}
        os.kill(bed.pid, signal.SIGKILL)
        asyncio.run(_ended(bed))
        asyncio.run(cleanup.sweep(bed.folder.parent))
        assert traces(bed) == {}
        again = continuo(*up)
        assert again.returncode == 0, again.stderr
        asyncio.run(_runs_something(data))
    finally:
        ended = continuo("down", "--data", str(data))
    assert ended.returncode == 0, ended.stderr
    assert traces(bed) == {}


UNLEASHED = """
import asyncio, sys
from pathlib import Path
from continuo.testbed import processes
from continuo.testbed.bed import Bed, Plan

processes._leash = lambda: ()  # as where the kernel does not end children with their parent

async def main():
    data, registry = map(Path, sys.argv[1:])
    bed = await Bed.start(data, Plan(("a",), containers=True), registry=registry, progress=lambda _: None)
    (data / "kubeconfig").write_text(bed.kubeconfig("a"))
    print(bed.place.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_bed_is_found_whole_by_the_next_start(tmp_path: Path) -> None:
    needs_containers()
    data, registry = tmp_path / "data", tmp_path / "beds"
    command = [sys.executable, "-c", UNLEASHED, str(data), str(registry)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        identity = victim.stdout.readline().strip()
        [bed] = registered(registry)
        assert bed.id == identity
        asyncio.run(_runs_something(data))
        victim.send_signal(signal.SIGKILL)
    assert len(set(cleanup.processes_of(bed))) > 10, "everything but its own process runs on"
    assert asyncio.run(cleanup.sweep(registry)) == [identity]
    assert traces(bed) == {}


async def _ended(bed: Registered) -> None:
    """A killed process is there until the system gets round to ending it."""

    async def gone() -> str | None:
        return f"process {bed.pid} is still there" if bed.alive else None

    await until(gone, "the end of the bed", SECONDS)


async def _runs_something(data: Path) -> None:
    client = connect(data / "kubeconfig", context="a")
    try:
        await client.apply(deployment("sleep", "sleep"), manager="test")
        await available(client, "sleep")
    finally:
        await client.close()
