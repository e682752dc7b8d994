"""What a file says about a fleet: clusters by name, and the nodes that stand for them. Pure; every problem at once.

clusters:
  rome: {kubeconfig: rome.yaml}
  hub: {kubeconfig: all.yaml, context: hub}
nodes:
- {home: rome, remote: hub, node: hub, namespaces: [shop], names: suffixed}
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from continuo.federation.quantities import quantity
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Peer
from continuo.resources.errors import BadRequest

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_CLUSTER = ("kubeconfig", "context", "id")
_NODE = ("home", "remote", "node", "namespaces", "consumers", "names", "scheduler", "offer", "labels", "taints",
         "remote-pods-as", "home-pods-as", "detached")  # fmt: skip
_NAMES = ("same", "suffixed")


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """Where a cluster's credentials are."""

    name: str
    kubeconfig: str
    context: str | None
    id: str | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A whole file."""

    clusters: tuple[ClusterFile, ...]
    peers: tuple[Peer, ...]


def read(document: Any) -> Declared:
    """The file's meaning. Raises BadRequest with a sentence for each problem."""
    problems: list[str] = []
    if not isinstance(document, Mapping):
        raise BadRequest("the file is no mapping: it must have the fields clusters and nodes")
    _unknown(problems, "the file", document, ("clusters", "nodes"))
    given = document.get("clusters")
    if not isinstance(given, Mapping) or not given:
        problems.append("clusters is missing or no mapping: it must name each cluster and its kubeconfig")
        given = {}
    clusters = {str(name): _cluster(problems, str(name), value) for name, value in given.items()}
    listed = document.get("nodes")
    if not isinstance(listed, list):
        problems.append("nodes is missing or no list: it must say which node of which cluster stands for which other")
        listed = []
    peers = [_peer(problems, f"nodes[{number}]", value, clusters) for number, value in enumerate(listed)]
    made = [peer for peer in peers if peer is not None]
    for key in sorted({peer.key for peer in made if sum(other.key == peer.key for other in made) > 1}):
        problems.append(f"node {key[1]} of cluster {key[0]} is there twice: each node stands for one cluster")
    if problems:
        raise BadRequest("; ".join(problems))
    return Declared(tuple(clusters.values()), tuple(made))


def _unknown(problems: list[str], where: str, given: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            problems.append(f"{where} has a field {name!r} that nobody knows: the fields are {', '.join(known)}")


def _cluster(problems: list[str], name: str, given: Any) -> ClusterFile:
    where = f"clusters.{name}"
    if not isinstance(given, Mapping) or not isinstance(given.get("kubeconfig"), str):
        problems.append(f"{where} has no kubeconfig: it must be {{kubeconfig: FILE}}, with a context if need be")
        return ClusterFile(name, "", None, None)
    _unknown(problems, where, given, _CLUSTER)
    texts = {field: given.get(field) for field in ("context", "id")}
    for field, value in texts.items():
        if value is not None and not isinstance(value, str):
            problems.append(f"{where}.{field} is {value!r}: it must be a text")
    return ClusterFile(name, given["kubeconfig"], texts["context"], texts["id"])


def _peer(problems: list[str], where: str, given: Any, clusters: Mapping[str, ClusterFile]) -> Peer | None:
    before = len(problems)
    if not isinstance(given, Mapping):
        problems.append(f"{where} is {given!r}: it must be a mapping with the fields home, remote and node")
        return None
    _unknown(problems, where, given, _NODE)
    for field in ("home", "remote"):
        if given.get(field) not in clusters:
            known = ", ".join(clusters) or "none"
            problems.append(f"{where}.{field} is {given.get(field)!r}: it must be one of the clusters ({known})")
    if given.get("home") == given.get("remote"):
        problems.append(f"{where} has the same home and remote: a cluster cannot be a node of itself")
    node, naming = given.get("node"), given.get("names", "same")
    if not isinstance(node, str) or not _NAME.fullmatch(node):
        problems.append(f"{where}.node is {node!r}: it must be a name of small letters, digits, hyphens and dots")
    if naming not in _NAMES:
        problems.append(f"{where}.names is {naming!r}: it must be same or suffixed")
    for field in ("consumers", "detached"):
        if not isinstance(given.get(field, False), bool):
            problems.append(f"{where}.{field} is {given[field]!r}: it must be true or false")
    spaces = _texts(problems, f"{where}.namespaces", given.get("namespaces", []))
    if not spaces and not given.get("consumers"):
        problems.append(f"{where} reflects nothing: name namespaces, or say consumers: true")
    offer = _offer(problems, f"{where}.offer", given.get("offer", {}))
    labels = _mapping(problems, f"{where}.labels", given.get("labels", {}))
    taints = _taints(problems, f"{where}.taints", given.get("taints", []))
    networks = [
        _network(problems, f"{where}.{field}", given.get(field)) for field in ("remote-pods-as", "home-pods-as")
    ]
    scheduler = given.get("scheduler")
    if scheduler is not None and not isinstance(scheduler, str):
        problems.append(f"{where}.scheduler is {scheduler!r}: it must be the name of the remote's scheduler")
    if len(problems) > before:
        return None
    settings = Settings(
        str(node), frozenset(spaces), offer, networks[0], networks[1], clusters[given["home"]].id,
        clusters[given["remote"]].id, naming, scheduler, given.get("consumers", False), labels, taints,
    )  # fmt: skip
    return Peer(given["home"], given["remote"], settings, given.get("detached", False))


def _texts(problems: list[str], where: str, given: Any) -> list[str]:
    if isinstance(given, list) and all(isinstance(each, str) and each for each in given):
        return given
    problems.append(f"{where} is {given!r}: it must be a list of names")
    return []


def _mapping(problems: list[str], where: str, given: Any) -> dict[str, str]:
    if isinstance(given, Mapping) and all(isinstance(each, str) for pair in given.items() for each in pair):
        return dict(given)
    problems.append(f"{where} is {given!r}: it must be a mapping of texts to texts")
    return {}


def _offer(problems: list[str], where: str, given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        problems.append(f"{where} is {given!r}: it must be quantities by resource, like {{cpu: 4, memory: 8Gi}}")
        return {}
    for name, amount in given.items():
        try:
            quantity(amount)
        except ValueError as error:
            problems.append(f"{where}.{name}: {error}")
    return {str(name): str(amount) for name, amount in given.items()}


def _taints(problems: list[str], where: str, given: Any) -> tuple[Mapping[str, str], ...]:
    effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
    if isinstance(given, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("key"), str) and each.get("effect") in effects
        for each in given
    ):
        return tuple({str(name): str(value) for name, value in each.items()} for each in given)
    problems.append(
        f"{where} is {given!r}: it must be a list of taints with key, effect ({', '.join(effects)}) and value"
    )
    return ()


def _network(problems: list[str], where: str, given: Any) -> str | None:
    try:
        return None if given is None else str(ipaddress.IPv4Network(given))
    except ValueError as error:
        problems.append(f"{where} is {given!r}: it must be an IPv4 network like 10.1.0.0/16 ({error})")
        return None
