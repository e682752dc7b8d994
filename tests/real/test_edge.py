"""Real KubeEdge at the edge of a real cluster: CloudCore beside its API server, EdgeCore on a host of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object, labels_of
from continuo.testbed.bed import Bed, Plan, no_containers
from continuo.testbed.edgefiles import ROLE
from continuo.testbed.edgenode import EdgeNode
from continuo.testbed.kubeedge import impossible
from continuo.testbed.registry import Registered
from continuo.testbed.simulated import node_ready
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import until
from testbed.test_real_clusters import bed_of, continuo, traces

from .conftest import asked_for

pytestmark = pytest.mark.anyio

SECONDS = 180.0
DEVICE_MODEL = Kind("devices.kubeedge.io", "v1beta1", "DeviceModel", "devicemodels")
DEVICE = Kind("devices.kubeedge.io", "v1beta1", "Device", "devices")


def _machines_own() -> list[bool]:
    return [Path(path).exists() for path in ("/etc/kubeedge", "/var/lib/kubeedge", "/var/lib/kubelet")]


BEFORE = _machines_own()
TOLERANT: Object = {"tolerations": [{"key": ROLE, "operator": "Exists"}]}
AT_THE_EDGE: Object = {"nodeSelector": {ROLE: ""}}
KNOWN_DEVICES = """
import sqlite3
database = sqlite3.connect("file:/var/lib/kubeedge/edgecore.db?mode=ro", uri=True)
print(*(key for (key,) in database.execute("select key from meta where type in ('device', 'devicemodel')")))
"""


def _tools() -> Tools:
    tools = asked_for()
    if reason := no_containers(tools) or impossible(tools):
        pytest.skip(f"edge nodes cannot run here: {reason}")
    return tools


@pytest.fixture(scope="module")
async def bed(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    folder, tools = tmp_path_factory.mktemp("edge"), _tools()
    bed = await Bed.start(folder, Plan(("a",), containers=True, edge=1), tools=tools, registry=folder / "beds")
    try:
        yield bed
    finally:
        await bed.stop()
    assert traces(bed.place) == {}, "a bed that stopped leaves nothing"


@pytest.fixture
async def api(bed: Bed) -> AsyncIterator[KubeCluster]:
    client = bed.clusters["a"].client()
    yield client
    await client.close()


@pytest.fixture
def node(bed: Bed) -> EdgeNode:
    assert bed.edge is not None
    return bed.edge.nodes["edge-1"]


def test_nothing_of_a_killed_bed_with_edge_nodes_is_left(tmp_path: Path) -> None:
    _tools()
    data = tmp_path / "data"
    bare = ("--no-liqo", "--no-cluster-api", "--no-operator")
    up = ("up", "--engine", "kubernetes", "--clusters", "1", "--edge", "1", *bare, "--detach", "--data", str(data))
    started = continuo(*up)
    assert started.returncode == 0, started.stderr
    bed = bed_of(data)
    found = traces(bed)
    assert f"{bed.namespace_prefix}edge-1" in [path.name for path in found["namespaces"]]
    assert any(group.name == "edge-1" for group in found["control groups"])
    os.kill(bed.pid, signal.SIGKILL)
    asyncio.run(_ended(bed))
    ended = continuo("down", "--data", str(data))
    assert ended.returncode == 0, ended.stderr
    assert traces(bed) == {}


async def _ended(bed: Registered) -> None:
    """A killed process is there until the system gets round to ending it."""

    async def gone() -> str | None:
        return f"process {bed.pid} is still there" if bed.alive else None

    await until(gone, "the end of the bed", SECONDS)


async def test_the_node_says_that_it_is_at_the_edge(bed: Bed, api: KubeCluster, node: EdgeNode) -> None:
    seen = await api.get(kinds.NODE, "edge-1")
    assert labels_of(seen)[ROLE] == ""
    assert {"key": ROLE, "effect": "NoSchedule"} in seen["spec"]["taints"]
    assert {"type": "InternalIP", "address": node.address} in seen["status"]["addresses"]
    assert "kubeedge" in seen["status"]["nodeInfo"]["kubeletVersion"]
    cidrs = {item["metadata"]["name"]: item["spec"]["podCIDR"] for item in (await api.list(kinds.NODE)).items}
    assert cidrs["a-node-1"] == bed.nodes["a"].facts.pods, "the edge did not take the first node's part"


async def test_pods_run_there_when_they_ask_for_it_and_answer(api: KubeCluster, node: EdgeNode) -> None:
    await api.create(_pod("own", TOLERANT | AT_THE_EDGE))
    await api.create(_pod("shared", TOLERANT | AT_THE_EDGE | {"hostNetwork": True}, port=8081))
    await api.create(_pod("ordinary", {}))
    await api.create(_pod("unwelcome", AT_THE_EDGE))
    for name in ("own", "shared"):
        pod = await _running(api, name)
        assert pod["spec"]["nodeName"] == "edge-1"
    assert (await _running(api, "ordinary"))["spec"]["nodeName"] == "a-node-1"
    own = (await api.get(kinds.POD, "own", "default"))["status"]["podIP"]
    assert json.loads(await _curl(node, f"http://{own}/hostname"))["hostname"] == "own"
    assert json.loads(await _curl(node, f"http://{node.address}:8081/status/200") or "{}") == {}
    unwelcome = (await api.get(kinds.POD, "unwelcome", "default"))["status"]
    assert "untolerated taint" in unwelcome["conditions"][0]["message"]
    for name in ("own", "shared"):
        await api.delete(kinds.POD, name, "default")
    await until(lambda: _left(api, {"own", "shared"}), "the end of the pods at the edge", SECONDS)


async def test_logs_of_pods_at_the_edge_come_through_cloudcores_tunnel(api: KubeCluster) -> None:
    command = {"containers": [{"name": "c", "image": "localhost/sleep:1", "command": ["sh", "-c", "echo at the edge"]}]}
    await api.create(_pod("speaks", TOLERANT | AT_THE_EDGE | command | {"restartPolicy": "Never"}))

    async def ended() -> str | None:
        phase = (await api.get(kinds.POD, "speaks", "default")).get("status", {}).get("phase")
        return None if phase == "Succeeded" else f"it is {phase}"

    await until(ended, "pod speaks", SECONDS)
    assert await api.raw("/api/v1/namespaces/default/pods/speaks/log") == b"at the edge\n"


async def _left(api: KubeCluster, names: set[str]) -> str | None:
    found = {pod["metadata"]["name"] for pod in (await api.list(kinds.POD, "default")).items}
    return f"{', '.join(sorted(found & names))} still there" if found & names else None


async def test_a_device_reaches_the_edge_and_leaves_it(api: KubeCluster, node: EdgeNode) -> None:
    await api.create(DEVICE_MODEL.new("thermometer", "default", spec={
        "protocol": "virtual",
        "properties": [{"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly", "unit": "Celsius"}],
    }))  # fmt: skip
    await api.create(DEVICE.new("outside", "default", spec={
        "deviceModelRef": {"name": "thermometer"}, "nodeName": "edge-1",
        "protocol": {"protocolName": "virtual", "configData": {"address": "7"}},
        "properties": [{"name": "temperature", "visitors": {"protocolName": "virtual"}, "reportToCloud": True}],
    }))  # fmt: skip
    both = {"default/device/outside", "default/devicemodel/thermometer"}
    await _knows(node, both)
    assert (await node.command("ls", "/etc/kubeedge/dmi.sock")).endswith("dmi.sock"), "mappers find their socket"
    assert _machines_own() == BEFORE, "and this machine's own directories are as they were"
    await api.delete(DEVICE, "outside", "default")
    await _knows(node, set(), among={"default/device/outside"})


async def test_edgecore_that_was_killed_comes_back_and_its_pods_have_not_noticed(
    bed: Bed, api: KubeCluster, node: EdgeNode
) -> None:
    await api.create(_pod("steady", TOLERANT | AT_THE_EDGE))
    before = await _running(api, "steady")
    began = datetime.now(UTC)
    outside = bed.crew.pids()["edgecore of edge-1"]
    os.kill(_child_of(outside), signal.SIGKILL)
    await node_ready(bed.clusters["a"], "edge-1", began, SECONDS)
    assert bed.crew.pids()["edgecore of edge-1"] != outside
    after = await _running(api, "steady")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def _child_of(pid: int) -> int:
    """EdgeCore itself, behind the command that entered the node."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


def _pod(name: str, spec: Object, port: int = 80) -> Object:
    container = {"name": "web", "image": "localhost/httpbin:1", "env": [{"name": "PORT", "value": str(port)}]}
    return kinds.POD.new(name, "default", spec={"containers": [container], **spec})


async def _running(api: KubeCluster, name: str) -> Object:
    async def ready() -> str | None:
        try:
            status = (await api.get(kinds.POD, name, "default")).get("status") or {}
        except NotFound as error:
            return str(error)
        started = all(container["ready"] for container in status.get("containerStatuses", ()))
        return None if status.get("phase") == "Running" and started else f"its status is {status}"

    await until(ready, f"pod {name}", SECONDS)
    return await api.get(kinds.POD, name, "default")


async def _curl(node: EdgeNode, url: str) -> str:
    """What a server answers to a process of the node."""
    return await node.command(str(node.host.tools.need("continuo-images")), "curl", "-sf", "-m", "10", url)


async def _knows(node: EdgeNode, wanted: set[str], among: set[str] | None = None) -> None:
    """Wait until EdgeCore has written down these devices and models, and none of the others asked about."""

    async def known() -> str | None:
        found = set((await node.command(sys.executable, "-c", KNOWN_DEVICES)).split())
        found &= among or wanted
        return None if found == wanted else f"it knows {', '.join(sorted(found)) or 'none'}"

    await until(known, f"what {node.name} knows of devices", SECONDS)
