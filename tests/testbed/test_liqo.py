"""What real Liqo is given on one machine, as far as it shows without running it."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from continuo.resources import kinds
from continuo.testbed import liqo, liqo_images
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.images import write_archive
from continuo.testbed.liqo_chart import order, render
from continuo.testbed.liqo_quick import hurry
from continuo.testbed.liqo_wires import Wire, wires
from continuo.testbed.loadbalancers import FIRST, LoadBalancers, Pool
from continuo.testbed.network import Leg
from continuo.testbed.nodefiles import PROGRAMS
from continuo.testbed.pki import Authority
from continuo.testbed.tools import Tools, find_tools

SUBNET = ipaddress.IPv4Network("10.77.3.0/24")


def _fabric(pod: str = "10.200.0.7", node: str = "liqo.node", gateway: str = "10.80.0.2") -> dict[str, Any]:
    ends = {"node": {"name": node}, "gateway": {"ip": gateway}}
    return {"spec": {"mtu": 1450, "gatewayIP": pod, "interface": ends}}


def _node(gateway: str = "liqo.gate", node: str = "10.80.0.1") -> dict[str, Any]:
    return {"spec": {"interface": {"gateway": {"name": gateway}, "node": {"ip": node}}}}


def test_a_wire_joins_what_liqo_publishes_of_both_ends() -> None:
    assert wires({"b": _fabric()}, _node()) == {
        Wire("10.200.0.7", "liqo.node", "10.80.0.1", "liqo.gate", "10.80.0.2", 1450)
    }


def test_there_is_a_wire_for_each_gateway_and_none_while_an_end_is_not_known() -> None:
    fabrics = {"b": _fabric(), "c": _fabric("10.200.0.9", "liqo.other", "10.80.0.3"), "d": _fabric(pod="")}
    assert len(wires(fabrics, _node())) == 2
    assert wires(fabrics, _node(node="")) == set()
    assert wires(fabrics, None) == set()


def test_a_pool_gives_every_address_once_and_again_after_it_came_back() -> None:
    pool = Pool(SUBNET)
    taken = [pool.take() for _ in range(255 - FIRST)]
    assert taken[0] == "10.77.3.100" and taken[-1] == "10.77.3.254" and len(set(taken)) == len(taken)
    with pytest.raises(TestbedError, match="all addresses for load balancers"):
        pool.take()
    pool.give_back("10.77.3.120")
    assert pool.take("10.77.3.120") == "10.77.3.120"


def test_a_pool_gives_the_wanted_address_only_where_it_is_free() -> None:
    pool = Pool(SUBNET)
    assert pool.take("10.77.3.200") == "10.77.3.200"
    assert pool.take("10.77.3.200") == "10.77.3.100"
    assert pool.take("192.0.2.1") == "10.77.3.101", "one of somebody else's network is none of ours"


class Service:
    """A client that holds one Service and notes what is written to it."""

    name = "a"

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states, self.patches = states, list[Any]()

    async def patch(self, kind: object, name: str, patch: Any, namespace: str, **_: object) -> None:
        self.patches.append(patch["status"]["loadBalancer"]["ingress"])


async def _addresses(tmp_path: Path, *states: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """The commands run and the patches sent while a Service goes through these states."""
    log = tmp_path / "log"
    ip = tmp_path / "ip"
    ip.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    ip.chmod(0o755)
    client = Service(*states)
    balancers = LoadBalancers(client, Leg("ns", "10.77.3.11", ()), Pool(SUBNET), str(ip))  # type: ignore[arg-type]
    for state in states:
        await balancers.see(state)
    return log.read_text().splitlines() if log.exists() else [], client.patches


def _service(kind: str, ingress: str | None = None) -> dict[str, Any]:
    balancer = {"ingress": [{"ip": ingress}]} if ingress else {}
    where = {"name": "gw", "namespace": "t", "uid": "u"}
    return {"metadata": where, "spec": {"type": kind}, "status": {"loadBalancer": balancer}}


@pytest.mark.anyio
async def test_a_service_gets_an_address_once_and_loses_it_when_it_is_none_any_more(tmp_path: Path) -> None:
    ran, said = await _addresses(
        tmp_path, _service("ClusterIP"), _service("LoadBalancer"), _service("LoadBalancer", "10.77.3.100"),
        _service("ClusterIP", "10.77.3.100"),
    )  # fmt: skip
    assert ran == ["address replace 10.77.3.100/32 dev eth0", "address delete 10.77.3.100/32 dev eth0"]
    assert said == [[{"ip": "10.77.3.100"}]]


@pytest.mark.anyio
async def test_a_service_keeps_the_address_that_it_had_before_a_restart(tmp_path: Path) -> None:
    ran, said = await _addresses(tmp_path, _service("LoadBalancer", "10.77.3.140"))
    assert ran == ["address replace 10.77.3.140/32 dev eth0"] and said == []


def _programs(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        folder.joinpath(name).write_text("#!/bin/sh\n")
        folder.joinpath(name).chmod(0o755)
    return folder


def test_a_node_mounts_one_folder_with_all_programs(tmp_path: Path) -> None:
    both = _programs(tmp_path / "bin", *liqo_images.NEEDED)
    assert liqo_images.programs(Tools((both,))) == both
    with pytest.raises(Missing, match="liqo-webhook"):
        liqo_images.programs(Tools((_programs(tmp_path / "some", *set(liqo_images.NEEDED) - {"liqo-webhook"}),)))
    split = Tools((_programs(tmp_path / "first", "liqo-ipam"), both))
    with pytest.raises(TestbedError, match="in several folders"):
        liqo_images.programs(split)


def test_every_image_starts_a_program_of_the_mounted_folder(tmp_path: Path) -> None:
    for image in liqo_images.IMAGES:
        (command,) = image.entrypoint
        assert liqo_images.LINKS[command].removeprefix(f"{PROGRAMS}/") in liqo_images.NEEDED
    program = _programs(tmp_path, "own") / "own"
    write_archive(tmp_path / "images.tar", program, None, liqo_images.IMAGES, liqo_images.LINKS)
    assert "ghcr.io/liqotech/gateway/wireguard:v1.2.0" in {image.reference for image in liqo_images.IMAGES}


def test_what_refuses_others_is_applied_last() -> None:
    mixed = [{"kind": kind} for kind in ("ValidatingWebhookConfiguration", "Deployment", "Role", "Network")]
    groups = [[obj["kind"] for obj in group] for group in order(mixed)]
    assert groups == [["Role", "Network"], ["Deployment"], ["ValidatingWebhookConfiguration"]]


def test_a_release_that_is_hurried_has_certificates_and_short_pauses(tmp_path: Path) -> None:
    webhooks = [{"name": "one", "clientConfig": {"service": {"name": "hook"}}}]
    secret = {"kind": "Secret", "metadata": {"name": "certs", "annotations": {"liqo.io/webhook-service-name": "hook"}}}
    configuration = {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "hook"}, "webhooks": webhooks}
    asked, silent = {"name": "a", "readinessProbe": {"httpGet": {"path": "/readyz"}}}, {"name": "b"}
    deployment = {"kind": "Deployment", "metadata": {"name": "d"},
                  "spec": {"template": {"spec": {"containers": [asked, silent]}}}}  # fmt: skip
    authority = Authority(tmp_path, "rome", datetime.now(UTC))
    hurry([deployment, configuration, secret], authority, "liqo")
    kept = {key: base64.b64decode(value) for key, value in secret["data"].items()}  # type: ignore[attr-defined]
    assert kept["ca"].decode() == authority.certificate and b"PRIVATE KEY" in kept["tls.key"]
    names = x509.load_pem_x509_certificate(kept["tls.crt"]).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "hook.liqo.svc" in names.value.get_values_for_type(x509.DNSName)
    assert base64.b64decode(webhooks[0]["clientConfig"]["caBundle"]) == kept["ca"]  # type: ignore[index]
    assert asked["readinessProbe"]["periodSeconds"] == 2 and silent == {"name": "b"}  # type: ignore[index]


@pytest.mark.anyio
async def test_the_chart_puts_in_what_links_look_for() -> None:
    tools = find_tools()
    if lacking := liqo.missing_programs(tools):
        pytest.skip(f"{', '.join(lacking)} missing on this machine: make testbed")
    values = liqo.values("rome", "https://192.0.2.9:6443", "10.200.0.0/16", "10.96.0.0/16")
    objects = await asyncio.wait_for(render(tools, json.loads(json.dumps(values))), 60)
    found = {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}
    identifier = found["ConfigMap", "liqo-clusterid-configmap"]
    assert identifier["data"] == {"CLUSTER_ID": "rome"} and identifier["metadata"]["namespace"] == "liqo"
    assert identifier["metadata"]["labels"]["app.kubernetes.io/name"] == "clusterid-configmap", "it is watched by it"
    networks = {
        obj["metadata"]["labels"]["ipam.liqo.io/network-type"]: obj for obj in objects if obj["kind"] == "Network"
    }
    assert networks["pod-cidr"]["spec"]["cidr"] == "10.200.0.0/16"
    assert {"WgGatewayServerTemplate", "WgGatewayClientTemplate", "VkOptionsTemplate"} <= {kind for kind, _ in found}
    assert sum(kind == kinds.CUSTOM_RESOURCE_DEFINITION.kind for kind, _ in found) == 28
    assert not [obj for obj in objects if "helm.sh/hook" in obj["metadata"].get("annotations", {})]
    images = {
        container["image"]
        for obj in objects
        if obj["kind"] in ("Deployment", "DaemonSet")
        for container in obj["spec"]["template"]["spec"]["containers"]
    }
    assert images <= {image.reference for image in liqo_images.IMAGES}, "an image that nobody has is never pulled"
