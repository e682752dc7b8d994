"""Edge nodes as far as they are files, addresses and refusals; tests/real has them running."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from continuo.cli.beds import MOST_CLUSTERS, MOST_EDGE
from continuo.kube.port import Listing
from continuo.resources import kinds
from continuo.resources.meta import Kind
from continuo.testbed import loadbalancers
from continuo.testbed.edge import FIRST_LEG, MOST, Edge, forget_nodes
from continuo.testbed.edgefiles import ROLE, CloudFiles, cloudcore, edgecore, redirection
from continuo.testbed.edgenode import PODS, pod_network
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.flags import Addresses
from continuo.testbed.kubeedge import definitions, impossible
from continuo.testbed.network import FIRST_HOST
from continuo.testbed.nodefiles import NodeFacts, host_files
from continuo.testbed.tools import Tools

FACTS = NodeFacts(
    name="edge-1", address="10.77.0.50", pods="10.201.1.0/24", cluster_pods="10.201.1.0/24", dns="10.77.0.11",
    cgroup="/continuo-1234/edge-1", folder=Path("/scratch/edge-1"), plugins=Path("/cni"), runc=Path("/bin/runc"),
    private=("/etc",),
)  # fmt: skip
FILES = CloudFiles(*(Path("/pki") / name for name in ("config", "ca", "ca-key", "crt", "key", "callers", "sock")))


def modules(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["modules"]
    return found


def test_edge_and_cloud_agree_on_where_they_meet() -> None:
    edge, cloud = modules(edgecore(FACTS, "10.77.0.11", "secret")), modules(cloudcore("10.77.0.11", FILES))
    hub, ports = edge["edgeHub"], cloud["cloudHub"]
    assert hub["token"] == "secret"
    assert hub["httpServer"] == f"https://10.77.0.11:{ports['https']['port']}"
    assert hub["websocket"]["server"] == f"10.77.0.11:{ports['websocket']['port']}"
    assert edge["edgeStream"]["server"] == f"10.77.0.11:{cloud['cloudStream']['tunnelPort']}"
    assert ports["advertiseAddress"] == ["10.77.0.11"]


def test_an_edge_node_serves_devices_and_runs_containers_in_what_is_its_own() -> None:
    edge = modules(edgecore(FACTS, "10.77.0.11", "secret"))
    assert edge["deviceTwin"] == {"enable": True, "dmiSockPath": "/etc/kubeedge/"}
    assert edge["eventBus"]["mqttMode"] == 0, "the broker is EdgeCore's own"
    kubelet = edge["edged"]["tailoredKubeletConfig"]
    assert kubelet["cgroupRoot"] == FACTS.cgroup
    assert kubelet["registerWithTaints"] == [{"key": ROLE, "effect": "NoSchedule"}]
    assert kubelet["containerRuntimeEndpoint"].removeprefix("unix://") in host_files(FACTS)["containerd.toml"]


def test_cloudcore_changes_nothing_outside_of_its_cluster() -> None:
    cloud = modules(cloudcore("10.77.0.11", FILES))
    assert not cloud["iptablesManager"]["enable"]
    assert not cloud["cloudHub"]["unixsocket"]["enable"]
    assert {cloud["cloudHub"][name]["address"] for name in ("websocket", "https")} == {"10.77.0.11"}
    assert "/etc/kubeedge" not in cloudcore("10.77.0.11", FILES)


def test_what_the_api_server_asks_of_edge_nodes_comes_to_cloudcore() -> None:
    rules = redirection(["10.77.0.50", "10.77.0.51"], "10.77.0.11")
    assert "ip daddr { 10.77.0.50, 10.77.0.51 } tcp dport 10351-10450 dnat to 10.77.0.11:10003" in rules


def test_edge_nodes_have_addresses_of_their_own() -> None:
    networks = [ipaddress.ip_network(pod_network(number)) for number in range(1, MOST + 1)]
    assert len(set(networks)) == MOST
    assert all(network.subnet_of(PODS) for network in networks)  # type: ignore[arg-type]
    assert not PODS.overlaps(ipaddress.IPv4Network(Addresses(1).pods))
    assert MOST_CLUSTERS < FIRST_LEG, "legs of clusters end before those of edge nodes begin"
    assert FIRST_HOST + FIRST_LEG + MOST <= loadbalancers.FIRST
    assert MOST_EDGE == MOST


class Nodes:
    """A client of a cluster with edge nodes."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    async def list(self, kind: Kind, *, labels: str) -> Listing:
        assert (kind, labels) == (kinds.NODE, ROLE), "other nodes are none of its business"
        return Listing([kinds.NODE.new(name) for name in self.names], "1")

    async def delete(self, kind: Kind, name: str) -> None:
        assert kind == kinds.NODE
        self.names.remove(name)


def test_edge_nodes_of_an_earlier_run_that_had_more_are_forgotten() -> None:
    nodes = Nodes("edge-1", "edge-2", "edge-10")
    assert asyncio.run(forget_nodes(cast(Any, nodes), 2)) == ["edge-10"]
    assert nodes.names == ["edge-1", "edge-2"]
    assert asyncio.run(forget_nodes(cast(Any, nodes), 0)) == ["edge-1", "edge-2"]
    assert nodes.names == []


def test_a_host_may_have_more_directories_for_itself() -> None:
    script = host_files(FACTS)["node.sh"]
    assert 'for path in /run /var/lib /var/log "$@"; do' in script
    assert host_files(replace(FACTS, private=()))["node.sh"] == script, "they are its arguments"


def programs(folder: Path, *names: str) -> Tools:
    (folder / "bin").mkdir()
    for name in names:
        (folder / "bin" / name).write_text("#!/bin/sh\n")
        (folder / "bin" / name).chmod(0o755)
    return Tools((folder / "bin",))


def test_what_a_bed_lacks_for_edge_nodes_is_named(tmp_path: Path) -> None:
    half = programs(tmp_path, "edgecore")
    said = "cloudcore is missing on this machine; get them with: continuo testbed build kubeedge"
    assert impossible(half) == said
    with pytest.raises(Missing, match=f"edge nodes cannot run here: {said}"):
        Edge.check(("a",), True, half)
    with pytest.raises(TestbedError, match="join a workload cluster, and there is none"):
        Edge.check((), True, half)
    with pytest.raises(TestbedError, match="edge nodes need real containers"):
        Edge.check(("a",), False, half)


def test_kubeedges_kinds_come_from_its_release(tmp_path: Path) -> None:
    tools = programs(tmp_path, "cloudcore", "edgecore")
    assert impossible(tools) is None
    with pytest.raises(Missing, match="has no definitions of KubeEdge; get them with: continuo testbed build kubeedge"):
        definitions(tools)
    crds = tmp_path / "share" / "crds" / "devices"
    crds.mkdir(parents=True)
    (crds / "device.yaml").write_text("---\nkind: CustomResourceDefinition\nmetadata: {name: devices}\n---\n")
    assert [obj["metadata"]["name"] for obj in definitions(tools)] == ["devices"]
