"""What follows from a contract, by tables."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.broker.contracts import terms
from continuo.resources.broker import ContractSpec


@pytest.mark.parametrize(("resources", "offer"), [
    ({}, {"pods": "110"}),
    ({"cpu": "1500m", "memory": "4Gi", "pods": "7"}, {"cpu": "1500m", "memory": "4Gi", "pods": "7"}),
    ({"storage": "10G"}, {"pods": "110", "ephemeral-storage": "10G"}),
    ({"storage": "10G", "ephemeral-storage": "1G"}, {"pods": "110", "ephemeral-storage": "1G"}),
    ({"nvidia.com/gpu": 2, "example.com/half": "1500m"}, {"pods": "110", "nvidia.com/gpu": "2", "example.com/half": "1"}),
    ({"hugepages-2Mi": "4Mi", "licences": "3"}, {"pods": "110", "hugepages-2Mi": "4Mi"}),
])  # fmt: skip
def test_what_a_node_offers(resources: dict[str, Any], offer: dict[str, str]) -> None:
    assert terms.node_offer(resources) == offer


@pytest.mark.parametrize(("resources", "hard"), [
    ({}, {"pods": "110"}),
    ({"cpu": "1", "memory": "2G", "storage": "5G", "ephemeral-storage": "1G", "pods": "3"},
     {"requests.cpu": "1", "requests.memory": "2G", "requests.storage": "5G", "requests.ephemeral-storage": "1G",
      "pods": "3"}),
    ({"nvidia.com/gpu": "1", "licences": "3"}, {"requests.nvidia.com/gpu": "1", "pods": "110"}),
])  # fmt: skip
def test_what_a_namespace_may_use(resources: dict[str, Any], hard: dict[str, str]) -> None:
    assert terms.quota(resources) == hard


def test_containers_that_ask_for_nothing_fit_into_the_smallest_plan() -> None:
    (bounds,) = terms.limits({"cpu": "50m", "memory": "1Gi", "nvidia.com/gpu": "1"})
    assert bounds["defaultRequest"] == {"cpu": "50m", "memory": "128Mi"}
    assert bounds["default"] == bounds["max"] == {"cpu": "50m", "memory": "1Gi"}
    assert terms.limits({"nvidia.com/gpu": "1"}) == []


@pytest.mark.parametrize(("contract", "provider", "node", "named"), [
    ("c0ffee0012345678", "green", None, "green-c0ffee00"),
    ("c0ffee0012345678", "green", "gpu", "gpu"),
    ("c0ffee0012345678", "green.example.com", None, "green-example-com-c0ffee00"),
    ("a", "green", None, "green-a"),
])  # fmt: skip
def test_nodes_names(contract: str, provider: str, node: str | None, named: str) -> None:
    assert terms.node_of(contract, provider, node) == named


def test_long_names_stay_apart_and_fit_into_labels() -> None:
    one, other = (terms.node_of("c0ffee00", f"{'p' * 200}{end}", None) for end in "ab")
    assert one != other and max(len(one), len(other)) <= 63
    assert len(terms.namespace_of("c" * 200)) <= 63 and terms.namespace_of("c" * 200) != terms.namespace_of("c" * 201)
    assert terms.word("lab") == "lab" and len(terms.word("a consumer, spelled")) == 8


def test_quantities_that_only_catalogs_know_are_spelled_as_api_servers_take_them() -> None:
    given = {"cpu": "1000m", "memory": "16Gi", "example.com/x": "2e3", "y": "5000000n"}
    assert terms.amounts(given) == {"cpu": "1000m", "memory": "16Gi", "example.com/x": "2000", "y": "5m"}


def test_who_may_enter_is_said_last_and_everything_is_marked() -> None:
    spec = ContractSpec(consumer="far", provider="green", offer="o", plan="p", resources={"cpu": "1"})
    found = terms.handed_over("beef", spec, "far")
    assert [obj["kind"] for obj in found] == [
        "Namespace", "ResourceQuota", "LimitRange", "Role", "RoleBinding", "ServiceAccount",
    ]  # fmt: skip
    assert all(terms.is_of(obj, "beef") for obj in found)
    assert {obj["metadata"].get("namespace") for obj in found[1:]} == {"contract-beef"}
    assert not any(resource.startswith(("roles", "*", "serviceaccounts", "resourcequotas/"))
                   for rule in terms.rules() for resource in rule["resources"])  # fmt: skip
