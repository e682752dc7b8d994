"""The kinds of boards: what an API server takes and refuses, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.port import Api, Write
from continuo.resources.boards import (
    BOARD,
    CLUSTER_PROVIDER_CONFIG,
    EXPOSED_SERVICE,
    FLEET,
    MANAGED_KINDS,
    PLUGIN,
    PLUGIN_INJECTION,
    PORT,
    PROVIDER_CONFIG,
    SERVICE,
    VIRTUAL_NETWORK,
    WORKLOAD,
    boards_crds,
)
from continuo.resources.errors import Invalid
from continuo.resources.meta import Kind, Object

SAMPLES = Path(__file__).parents[2] / "docs" / "samples" / "boards"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    made = EmbeddedEngine().create_cluster("m")
    for definition in boards_crds():
        made.create(definition, Write(manager="test"))
    yield made


def managed(kind: Kind, said: Object, **spec: Any) -> Object:
    return kind.new("it", "default", spec={"forProvider": said, **spec})


TO = {"boardRef": {"name": "b"}}
CODE = {"code": "one = 1"}
SIGNED = {"key": "lab", "value": "zz"}
BAD: list[tuple[str, Object, str]] = [
    ("no forProvider", BOARD.new("it", "default", spec={}), "spec.forProvider: Required"),
    (
        "a longitude in words",
        managed(BOARD, {"location": {"longitude": "east", "latitude": "1"}}),
        "decimal number as text",
    ),
    ("a longitude as a number", managed(BOARD, {"location": {"longitude": 15.5, "latitude": "1"}}), "longitude"),
    ("half a place", managed(BOARD, {"location": {"longitude": "15.5"}}), "location.latitude: Required"),
    ("a policy that there is not", managed(BOARD, {}, managementPolicies=["Read"]), 'Unsupported value: "Read"'),
    ("a policy twice", managed(BOARD, {}, managementPolicies=["Observe", "Observe"]), "Duplicate value"),
    ("a config of another kind", managed(BOARD, {}, providerConfigRef={"kind": "Config"}), "providerConfigRef.kind"),
    ("a fleet's name too long", managed(FLEET, {"name": "n" * 37}), "may not be more than 36"),
    (
        "a selector's operator",
        managed(FLEET, {"memberSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        "operator In or NotIn",
    ),
    ("no code", managed(PLUGIN, {}), "give the code, or say where it is with codeFrom"),
    (
        "code twice",
        managed(PLUGIN, {**CODE, "codeFrom": {"url": "https://x", "sha256": "0" * 64}}),
        "together with codeFrom",
    ),
    (
        "an address without a digest",
        managed(PLUGIN, {"codeFrom": {"url": "https://x"}}),
        "belongs to url, and url needs it",
    ),
    (
        "a digest that is none",
        managed(PLUGIN, {"codeFrom": {"url": "https://x", "sha256": "x" * 64}}),
        "64 hexadecimal digits",
    ),
    ("code from nowhere", managed(PLUGIN, {"codeFrom": {}}), "either configMapKeyRef or url"),
    ("a signature that is none", managed(PLUGIN, {**CODE, "signature": SIGNED}), "signature.value"),
    ("an injection without a board", managed(PLUGIN_INJECTION, {"pluginRef": {"name": "p"}}), "name a board"),
    ("an injection without a plugin", managed(PLUGIN_INJECTION, TO), "name a plugin by"),
    (
        "a board and a fleet",
        managed(PLUGIN_INJECTION, {**TO, "fleetRef": {"name": "f"}, "pluginId": "p"}),
        "together with a fleet",
    ),
    (
        "a run state",
        managed(PLUGIN_INJECTION, {**TO, "pluginId": "p", "state": "Started"}),
        'Unsupported value: "Started"',
    ),
    ("a service without a port", managed(SERVICE, {}), "the TCP port on which boards listen"),
    ("a service over UDP", managed(SERVICE, {"port": 53, "protocol": "UDP"}), 'Unsupported value: "UDP"'),
    ("a port beyond all", managed(SERVICE, {"port": 70000}), "less than or equal to 65535"),
    ("nothing to expose", managed(EXPOSED_SERVICE, TO), "give the board's port, or name a service"),
    ("two things to expose", managed(EXPOSED_SERVICE, {**TO, "port": 22, "serviceId": "s"}), "together with a service"),
    ("a network without addresses", managed(VIRTUAL_NETWORK, {}), "such as 10.20.0.0/24"),
    ("a network that is none", managed(VIRTUAL_NETWORK, {"cidr": "10.300.0.0/16"}), "must be an IPv4 network"),
    ("an MTU for ants", managed(VIRTUAL_NETWORK, {"cidr": "10.1.0.0/24", "mtu": 60}), "greater than or equal to 576"),
    (
        "another encryption",
        managed(VIRTUAL_NETWORK, {"cidr": "10.1.0.0/24", "encryption": "none"}),
        'Unsupported value: "none"',
    ),
    ("a port without a network", managed(PORT, TO), "name a network by"),
    ("a multicast MAC", managed(PORT, {**TO, "networkId": "n", "mac": "01:00:5e:00:00:01"}), "unicast MAC address"),
    ("an address that is none", managed(PORT, {**TO, "networkId": "n", "ip": "10.0.0"}), "must be an IPv4 address"),
    ("a workload nowhere", managed(WORKLOAD, {"command": ["true"]}), "name a board"),
    (
        "a container without an image",
        managed(WORKLOAD, {**TO, "runtime": "container"}),
        "needed with runtime container",
    ),
    (
        "replicas of one board",
        managed(WORKLOAD, {**TO, "command": ["true"], "replicas": 3}),
        "one board is one replica",
    ),
    (
        "a job that never ends",
        managed(WORKLOAD, {**TO, "command": ["true"], "job": {}, "restart": "Always"}),
        "OnFailure or Never",
    ),
    (
        "a place off the map",
        managed(WORKLOAD, {"fleetId": "f", "placement": {"near": {"longitude": 200.0, "latitude": 1.0}}}),
        "longitude",
    ),
    (
        "an endpoint that is none",
        PROVIDER_CONFIG.new("it", "default", spec={"endpoint": "hub.example"}),
        "begins with http",
    ),
    (
        "no credentials",
        PROVIDER_CONFIG.new("it", "default", spec={"endpoint": "http://hub"}),
        "are needed unless authType is noauth",
    ),
    (
        "Keystone nowhere",
        PROVIDER_CONFIG.new(
            "it",
            "default",
            spec={
                "endpoint": "http://hub",
                "authType": "keystone",
                "credentials": {"source": "Secret", "secretRef": {"name": "s"}},
            },
        ),
        "needed with authType keystone",
    ),
    (
        "a Secret without a name",
        PROVIDER_CONFIG.new("it", "default", spec={"endpoint": "http://hub", "credentials": {"source": "Secret"}}),
        "needed with source Secret",
    ),
    (
        "the provider's environment",
        PROVIDER_CONFIG.new(
            "it",
            "default",
            spec={"endpoint": "http://hub", "credentials": {"source": "Environment", "env": {"name": "HOME"}}},
        ),
        "for ClusterProviderConfigs",
    ),
    (
        "a Secret without a namespace",
        CLUSTER_PROVIDER_CONFIG.new(
            "it", spec={"endpoint": "http://hub", "credentials": {"source": "Secret", "secretRef": {"name": "s"}}}
        ),
        "no namespace of its own",
    ),
    (
        "a timeout beyond a pass",
        PROVIDER_CONFIG.new(
            "it", "default", spec={"endpoint": "http://hub", "authType": "noauth", "requestTimeout": 90}
        ),
        "less than or equal to 55",
    ),
]


@pytest.mark.parametrize(("obj", "sentence"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_each_bad_object_gets_its_sentence(api: Api, obj: Object, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        api.create(obj, Write(dry_run=True))
    assert sentence in str(caught.value)


CHANGES: list[tuple[Kind, Object, Object, str]] = [
    (PLUGIN_INJECTION, {"boardId": "a", "pluginId": "p"}, {"boardId": "b", "pluginId": "p"}, "boardId"),
    (PLUGIN_INJECTION, {"fleetId": "a", "pluginId": "p"}, {"fleetId": "a", "pluginId": "q"}, "pluginId"),
    (VIRTUAL_NETWORK, {"cidr": "10.1.0.0/24"}, {"cidr": "10.2.0.0/24"}, "cidr"),
    (PORT, {"boardId": "a", "networkId": "n", "ip": "10.0.0.1"}, {"boardId": "a", "networkId": "n", "ip": "10.0.0.2"}, "ip"),
    (EXPOSED_SERVICE, {"boardId": "a", "port": 22}, {"boardId": "a", "port": 23}, "port"),
    (WORKLOAD, {"boardId": "a", "command": ["x"]}, {"boardId": "b", "command": ["x"]}, "boardId"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "before", "after", "field"), CHANGES)
def test_what_makes_another_object_outside_cannot_change(
    api: Api, kind: Kind, before: Object, after: Object, field: str
) -> None:
    made = api.create(kind.new(f"c-{field.lower()}", "default", spec={"forProvider": before}))
    try:
        with pytest.raises(Invalid, match=rf"{field}: Invalid value: .*cannot change once it is set"):
            api.update({**made, "spec": {**made["spec"], "forProvider": after}})
    finally:
        api.delete(kind, made["metadata"]["name"], "default")


def test_who_only_observes_says_nothing_else(api: Api) -> None:
    for of in MANAGED_KINDS:
        api.create(managed(of.kind, {}, managementPolicies=["Observe"]), Write(dry_run=True))


def test_samples_are_taken(api: Api) -> None:
    seen = 0
    for file in sorted(SAMPLES.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["apiVersion"].startswith("iot.continuo.dev"):
                namespaced = document["kind"] != "ClusterProviderConfig"
                metadata = {**document["metadata"], **({"namespace": "default"} if namespaced else {})}
                api.create({**document, "metadata": metadata}, Write(dry_run=True, field_validation="Strict"))
                seen += 1
    assert seen >= 7
