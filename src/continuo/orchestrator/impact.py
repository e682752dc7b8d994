"""Who depends on a cluster, a link or a provider: the blast radius of losing it. Pure: objects in, plain data out.

Only what the objects say is told, so nothing is guessed: components are where the declaration with its Adjustment puts them,
a broker's Provider is the cluster whose kubeconfig Secret (or ID) it names, a board depends on the address that its endpoint
has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from continuo.orchestrator import naming
from continuo.orchestrator.effective import default_place, effective
from continuo.resources.boards_config import CLUSTER_PROVIDER_CONFIG, PROVIDER_CONFIG
from continuo.resources.loop import AdjustmentSpec
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, ClusterSpec, ComponentSpec, LowLevelOrchestration, Spec

_DEFAULT = {"kind": CLUSTER_PROVIDER_CONFIG.kind, "name": "default"}
"""The endpoint of boards that name none."""
_WITHIN = ".svc.cluster.local"
"""Addresses that only the clusters themselves know."""
What = Literal["cluster", "link", "provider", "datacenter"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is lost."""

    what: What
    name: str
    """Of a link `a/b`."""

    def __str__(self) -> str:
        return f"{self.what} {self.name}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that may depend on it; kinds that the management cluster does not serve are empty."""

    orchestrations: Sequence[tuple[LowLevelOrchestration, AdjustmentSpec]]
    providers: Sequence[Object] = ()
    consumers: Sequence[Object] = ()
    contracts: Sequence[Object] = ()
    """Of brokers."""
    flavors: Sequence[Object] = ()
    purchases: Sequence[Object] = ()
    """Contracts of FLUIDOS."""
    allocations: Sequence[Object] = ()
    boards: Sequence[Object] = ()
    endpoints: Sequence[Object] = ()
    """ProviderConfigs of boards, of either scope."""


@dataclass(slots=True)
class _Found:
    """What depends on it, in the order in which it is told."""

    clusters: dict[tuple[str, str], ClusterSpec] = field(default_factory=dict)
    components: dict[str, Object] = field(default_factory=dict)
    apps: dict[str, Object] = field(default_factory=dict)
    links: dict[str, Object] = field(default_factory=dict)
    urls: dict[str, Object] = field(default_factory=dict)
    identities: set[str] = field(default_factory=set)
    """By which brokers and markets know those clusters."""
    secrets: set[str] = field(default_factory=set)


def subjects(inventory: Inventory, name: str) -> list[Subject]:
    """What a name means here: the word before its first slash may say (`cluster/green`), else whatever has that name."""
    word, _, rest = name.partition("/")
    if word in get_args(What) and rest:
        told = [Subject(cast(What, word), _link(rest) if word == "link" else rest)]
    elif name.count("/") == 1:
        told = [Subject("link", _link(name))]
    else:
        told = [Subject("cluster", name), Subject("datacenter", name), Subject("provider", name)]
    return [subject for subject in told if _exists(inventory, subject)]


def _link(ends: str) -> str:
    return "/".join(sorted(ends.split("/")))


def _exists(inventory: Inventory, subject: Subject) -> bool:
    if subject.what == "link":
        return any(subject.name in _links(o, a) for o, a in inventory.orchestrations)
    if subject.what == "provider" and any(p["metadata"]["name"] == subject.name for p in inventory.providers):
        return True
    return any(_hit(subject, spec) for o, a in inventory.orchestrations for spec in effective(o.spec, a).clusters)


def _hit(subject: Subject, spec: ClusterSpec) -> bool:
    said = {"cluster": spec.name, "datacenter": spec.datacenter, "provider": spec.provider.value}
    return said.get(subject.what) == subject.name


def _links(orchestration: LowLevelOrchestration, adjustment: AdjustmentSpec) -> dict[str, tuple[str, str]]:
    pairs = [*effective(orchestration.spec, adjustment).links, *(s.clusters for s in orchestration.status.links)]
    return {"/".join(naming.pair(*ends)): naming.pair(*ends) for ends in pairs}


def impact(inventory: Inventory, subject: Subject) -> Object:
    """All that depends on it, as plain data."""
    found = _Found()
    for orchestration, adjustment in inventory.orchestrations:
        carried = effective(orchestration.spec, adjustment)
        if subject.what == "link":
            _by_link(found, orchestration, carried, subject.name)
        else:
            lost = {spec.name: spec for spec in carried.clusters if _hit(subject, spec) or _sold(inventory, subject, spec,
                                                                                             orchestration)}  # fmt: skip
            _by_clusters(found, orchestration, adjustment, carried, lost)
    if subject.what == "provider":
        found.identities.add(subject.name)
    owners = sorted({str(entry["owner"]) for entry in (*found.components.values(), *found.apps.values())})
    return {
        "subject": str(subject),
        "clusters": [f"{orchestration}/{name}" for orchestration, name in found.clusters],
        "components": list(found.components.values()),
        "applications": list(found.apps.values()),
        "owners": owners,
        "links": list(found.links.values()),
        "urls": list(found.urls.values()),
        "contracts": _contracts(inventory, found),
        "sensors": _sensors(inventory, found),
        "boards": _boards(inventory, found),
    }


# --- clusters ---------------------------------------------------------------------------------------------------------
def _sold(inventory: Inventory, subject: Subject, spec: ClusterSpec, orchestration: LowLevelOrchestration) -> bool:
    """Whether a broker's Provider of that name is this cluster."""
    if subject.what != "provider":
        return False
    named = [provider for provider in inventory.providers if provider["metadata"]["name"] == subject.name]
    return any(_is(provider, *_known_as(orchestration, spec)) for provider in named)


def _known_as(orchestration: LowLevelOrchestration, spec: ClusterSpec) -> tuple[str, set[str]]:
    """The kubeconfig Secret of a cluster, and the names by which others may know it."""
    full = naming.cluster_name(orchestration.name, spec.name)
    return spec.kubeconfig or f"{full}-kubeconfig", {full} if not spec.existing else {full, spec.name}


def _is(party: Object, secret: str, names: set[str]) -> bool:
    said = party.get("spec") or {}
    return (said.get("kubeconfig") or {}).get("name") == secret or (
        said.get("clusterID") or party["metadata"]["name"]
    ) in names


def _by_clusters(
    found: _Found, orchestration: LowLevelOrchestration, adjustment: AdjustmentSpec, carried: Spec,
    lost: Mapping[str, ClusterSpec],
) -> None:  # fmt: skip
    name = orchestration.name
    for cluster, spec in lost.items():
        secret, names = _known_as(orchestration, spec)
        found.clusters[name, cluster] = spec
        found.secrets.add(secret)
        found.identities |= names
    for link, ends in _links(orchestration, adjustment).items():
        if set(ends) & set(lost):
            found.links[f"{name}/{link}"] = {"orchestration": name, "clusters": list(ends)}
    clusters = {spec.name: spec for spec in carried.clusters}
    for app in carried.apps:
        gone = [c for c in app.components if default_place(app, c, clusters) in lost]
        for component in gone:
            where = default_place(app, component, clusters)
            _component(found, name, app, component, where, f"runs on {where}")
        if app.cluster in lost or gone:
            why = (
                f"its home is {app.cluster}"
                if app.cluster in lost
                else f"{len(gone)} of {len(app.components)} components"
            )
            _app(found, orchestration, app, why, None if app.cluster in lost else {c.name for c in gone})


def _component(found: _Found, name: str, app: AppSpec, component: ComponentSpec, where: str | None, why: str) -> None:
    path = f"{name}/{app.name}/{component.name}"
    found.components[path] = {
        "orchestration": name, "component": f"{app.name}/{component.name}", "owner": app.owner, "cluster": where,
        "replicas": component.replicas, "why": why,
    }  # fmt: skip


def _app(found: _Found, orchestration: LowLevelOrchestration, app: AppSpec, why: str, only: set[str] | None) -> None:
    """An application, and its public addresses: all of them where its home is lost, for that is where they are served."""
    name = orchestration.name
    found.apps[f"{name}/{app.name}"] = {"orchestration": name, "application": app.name, "owner": app.owner, "why": why}
    told = next((status for status in orchestration.status.apps if status.name == app.name), None)
    for component in told.components if told is not None else ():
        for url in component.urls if only is None or component.name in only else ():
            if not (urlsplit(url.url).hostname or "").endswith(_WITHIN):
                found.urls[url.url] = {"url": url.url, "component": f"{app.name}/{component.name}", "owner": app.owner}


# --- links ------------------------------------------------------------------------------------------------------------
def _by_link(found: _Found, orchestration: LowLevelOrchestration, carried: Spec, link: str) -> None:
    ends = set(link.split("/"))
    if link not in _links(orchestration, AdjustmentSpec()) and link not in {
        "/".join(naming.pair(*x)) for x in carried.links
    }:
        return
    found.links[f"{orchestration.name}/{link}"] = {"orchestration": orchestration.name, "clusters": sorted(ends)}
    clusters = {spec.name: spec for spec in carried.clusters}
    for app in carried.apps:
        where = {c.name: default_place(app, c, clusters) for c in app.components}
        far = [c for c in app.components if app.cluster in ends and where[c.name] in ends - {app.cluster}]
        for component in far:
            why = f"is reached from {app.cluster}, its application's home, over the link"
            _component(found, orchestration.name, app, component, where[component.name], why)
        for talk in app.link_requirements:
            for one in app.components if ends <= {where.get(member) for member in talk.members} else ():
                if one.name in talk.members and where[one.name] in ends:
                    _component(
                        found, orchestration.name, app, one, where[one.name], f"talks over the link ({talk.name})"
                    )
        if far:
            _app(found, orchestration, app, f"{len(far)} of {len(app.components)} components", {c.name for c in far})


# --- brokers, sensors, boards -----------------------------------------------------------------------------------------
def _contracts(inventory: Inventory, found: _Found) -> list[Object]:
    def parties(objects: Iterable[Object]) -> set[str]:
        return {
            party["metadata"]["name"]
            for party in objects
            if (party["spec"].get("kubeconfig") or {}).get("name") in found.secrets
            or (party["spec"].get("clusterID") or party["metadata"]["name"]) in found.identities
        }

    sellers, buyers = parties(inventory.providers), parties(inventory.consumers)
    return [
        {"contract": contract["metadata"]["name"], "provider": said["provider"], "consumer": said["consumer"],
         "offer": said.get("offer"), "plan": said.get("plan"),
         "why": f"{said['provider']} sells it" if said["provider"] in sellers else f"{said['consumer']} bought it"}
        for contract in inventory.contracts
        if (said := contract["spec"])["provider"] in sellers or said["consumer"] in buyers
    ]  # fmt: skip


def _sensors(inventory: Inventory, found: _Found) -> list[Object]:
    told: list[Object] = []
    for flavor in inventory.flavors:
        said = flavor["spec"]
        if _party(said.get("owner")) & found.identities or said.get("providerID") in found.identities:
            kind = (said.get("flavorType") or {}).get("typeIdentifier", "")
            told.append({"kind": f"Flavor ({kind})", "name": flavor["metadata"]["name"], "why": "is offered there"})
    broken: dict[str, str] = {}
    for purchase in inventory.purchases:
        said = purchase["spec"]
        ends = {"sold": _party(said.get("seller")), "bought": _party(said.get("buyer"))}
        how = next((word for word, names in ends.items() if names & found.identities), None)
        if how is not None:
            broken[purchase["metadata"]["name"]] = how
            told.append({"kind": "Contract", "name": purchase["metadata"]["name"], "why": f"was {how} there"})
    for allocation in inventory.allocations:
        contract = (allocation["spec"].get("contract") or {}).get("name", "")
        if contract in broken:
            told.append({"kind": "Allocation", "name": allocation["metadata"]["name"], "why": f"rests on {contract}"})
    return told


def _party(identity: Object | None) -> set[str]:
    return {str(value) for key, value in (identity or {}).items() if key in ("nodeID", "domain") and value}


def _boards(inventory: Inventory, found: _Found) -> list[Object]:
    """Boards whose endpoint is at a public address that would not be served."""
    hosts = {urlsplit(url).netloc: url for url in found.urls}
    lost: dict[tuple[str, str, str], str] = {}
    for config in inventory.endpoints:
        metadata = config["metadata"]
        url = hosts.get(urlsplit(str(config["spec"].get("endpoint") or "")).netloc)
        if url is not None:
            lost[config["kind"], metadata.get("namespace") or "", metadata["name"]] = url
    told = []
    for board in inventory.boards:
        metadata, reference = board["metadata"], board["spec"].get("providerConfigRef") or _DEFAULT
        namespace = metadata.get("namespace") or "" if reference.get("kind") == PROVIDER_CONFIG.kind else ""
        url = lost.get((str(reference.get("kind")), namespace, str(reference.get("name"))))
        if url is not None:
            told.append(
                {"board": metadata["name"], "namespace": metadata.get("namespace") or "", "why": f"its hub is at {url}"}
            )
    return told
