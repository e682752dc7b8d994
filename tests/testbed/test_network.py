from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
import yaml

from continuo.testbed.containers import node_network
from continuo.testbed.errors import TestbedError
from continuo.testbed.network import CANDIDATES, free_subnet
from continuo.testbed.nodefiles import NodeFacts, node_files, pod_range
from continuo.testbed.ports import Ports


def test_the_subnet_of_last_time_is_taken_again_unless_somebody_has_it() -> None:
    wanted = ipaddress.IPv4Network("10.77.9.0/24")
    assert free_subnet(["default", "192.168.0.0/16"], [wanted]) == wanted
    assert free_subnet(["10.77.9.7", "10.77.0.0/24"], [wanted]) == ipaddress.IPv4Network("10.77.1.0/24")
    with pytest.raises(TestbedError, match=str(CANDIDATES)):
        free_subnet(["10.0.0.0/8"])


def test_ports_stay_the_same_over_restarts(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").take(["a", "b"])
    assert len(set(first.values())) == 2
    assert Ports(tmp_path / "ports.json").take(["a", "b"], usual={"a": 1}) == first
    assert Ports(tmp_path / "ports.json").take(["a"], {"a": first["b"]}) == {"a": first["b"]}


def test_a_nodes_files_agree_with_each_other(tmp_path: Path) -> None:
    node = NodeFacts(
        name="a-node-1", address="10.77.0.11", pods=node_network("10.200.0.0/16"), cluster_pods="10.200.0.0/16",
        dns="10.96.0.10", cgroup="/continuo-1234/a", folder=tmp_path, plugins=Path("/cni"), runc=Path("/bin/runc"),
    )  # fmt: skip
    files = node_files(node)
    kubelet = yaml.safe_load(files["kubelet.yaml"])
    assert kubelet["containerRuntimeEndpoint"].removeprefix("unix://") in files["containerd.toml"]
    assert kubelet["clusterDNS"] == ["10.96.0.10"]
    assert kubelet["cgroupRoot"] == "/continuo-1234/a"
    [pods] = json.loads(files["net.d/10-pods.conflist"])["plugins"]
    first, last = pod_range("10.200.0.0/20", "10.77.0.11")
    assert pods["ipam"]["ranges"] == [[{"subnet": "10.200.0.0/20", "rangeStart": first, "rangeEnd": last}]]
    assert yaml.safe_load(files["kube-proxy.yaml"])["clusterCIDR"] == "10.200.0.0/16"


def test_nodes_of_a_bed_give_their_pods_different_addresses_of_the_same_network() -> None:
    ranges = [pod_range("10.200.0.0/20", f"10.77.0.{number}") for number in range(11, 26)]
    assert ranges[0] == ("10.200.11.2", "10.200.11.254")
    assert len(set(ranges)) == len(ranges)
    assert pod_range("10.200.0.0/24", "10.77.0.12") == ("10.200.0.2", "10.200.0.254"), "the whole of a small one"
