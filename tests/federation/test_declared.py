"""The file of `continuo reflect --file`: what it means, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.federation.reflection.declared import read
from continuo.resources.errors import BadRequest

CLUSTERS = {"rome": {"kubeconfig": "rome.yaml"}, "hub": {"kubeconfig": "all.yaml", "context": "hub", "id": "hub-1"}}
NODE = {"home": "rome", "remote": "hub", "node": "far", "namespaces": ["shop"]}


def node(**fields: Any) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return {"clusters": CLUSTERS, "nodes": [{**NODE, **named}]}


def test_what_a_file_means() -> None:
    found = read(node(names="suffixed", offer={"cpu": 4}, remote_pods_as="10.1.0.0/16", detached=True))
    (peer,) = found.peers
    assert peer.key == ("rome", "far") and peer.detached
    settings = peer.settings
    assert settings.namespaces == {"shop"} and settings.offer == {"cpu": "4"} and settings.naming == "suffixed"
    assert settings.remote_pods == "10.1.0.0/16" and settings.remote_id == "hub-1" and settings.home_id is None
    assert [each.context for each in found.clusters] == [None, "hub"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (None, "the file is no mapping"),
        ({"nodes": []}, "clusters is missing"),
        ({"clusters": CLUSTERS}, "nodes is missing or no list"),
        ({"clusters": CLUSTERS, "nodes": [], "peers": []}, "a field 'peers' that nobody knows"),
        ({"clusters": {"rome": {}}, "nodes": []}, "clusters.rome has no kubeconfig"),
        ({"clusters": {"rome": {"kubeconfig": "x", "context": 3}}, "nodes": []}, "clusters.rome.context is 3"),
        ({"clusters": CLUSTERS, "nodes": ["x"]}, "nodes[0] is 'x': it must be a mapping"),
        (node(home="milan"), "nodes[0].home is 'milan': it must be one of the clusters (rome, hub)"),
        (node(remote="rome"), "a cluster cannot be a node of itself"),
        (node(node="Far!"), "nodes[0].node is 'Far!'"),
        (node(names="other"), "it must be same or suffixed"),
        (node(consumers="yes"), "nodes[0].consumers is 'yes': it must be true or false"),
        (node(namespaces=[]), "nodes[0] reflects nothing"),
        (node(namespaces="shop"), "nodes[0].namespaces is 'shop': it must be a list of names"),
        (node(offer={"cpu": "four"}), "nodes[0].offer.cpu: quantity 'four'"),
        (node(labels={"a": 1}), "nodes[0].labels is {'a': 1}"),
        (node(taints=[{"key": "x", "effect": "Never"}]), "it must be a list of taints"),
        (node(remote_pods_as="10.1.2.3/16"), "nodes[0].remote-pods-as is '10.1.2.3/16'"),
        (node(scheduler=3), "nodes[0].scheduler is 3"),
        (node(cpu=3), "a field 'cpu' that nobody knows"),
        ({"clusters": CLUSTERS, "nodes": [NODE, NODE]}, "node far of cluster rome is there twice"),
    ],
)
def test_what_is_wrong_is_said(document: Any, sentence: str) -> None:
    with pytest.raises(BadRequest) as failed:
        read(document)
    assert sentence in str(failed.value)


def test_all_problems_at_once() -> None:
    with pytest.raises(BadRequest, match=r"home is 'a'.*names is 'x'"):
        read(node(home="a", names="x"))
