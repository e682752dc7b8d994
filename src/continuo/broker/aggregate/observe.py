"""The broker's cluster as the aggregator sees it: caches in, one frozen picture out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from continuo.broker.aggregate.claims import rival_of, taken
from continuo.broker.aggregate.model import Amounts, Picture, Pool, Want, selected, want_of
from continuo.broker.readers.amounts import accepted, plus, total
from continuo.broker.readers.ledger import Ledger
from continuo.broker.readers.monitor import is_ready
from continuo.resources.broker import AggregateSpec, ConsumerSpec, ProviderSpec, decode_spec
from continuo.resources.errors import Invalid
from continuo.resources.meta import Object, labels_of
from continuo.runtime.cache import Cache

PROVIDER_OF_NODE = "continuo.dev/provider"
"""Label of a virtual node in the broker's cluster: which Provider stands behind it."""
LIQO_PEER = "liqo.io/remote-cluster-id"


@dataclass(frozen=True, slots=True)
class Caches:
    """What is followed in the broker's cluster."""

    aggregates: Cache
    providers: Cache
    consumers: Cache
    nodes: Cache
    books: Ledger


@dataclass(frozen=True, slots=True)
class Observed:
    """The picture, and what of the declarations cannot be put into one: by aggregate, a reason and a sentence."""

    picture: Picture
    problems: Mapping[str, tuple[str, str]]


def provider_nodes() -> Ledger:
    """Books of those nodes that stand for providers, while they are Ready. Their taints are meant for others."""
    return Ledger(lambda node: stands_for_a_cluster(node) and is_ready(node))


def stands_for_a_cluster(node: Object) -> bool:
    """Whether the node is virtual."""
    labels = labels_of(node)
    return PROVIDER_OF_NODE in labels or LIQO_PEER in labels or "continuo.dev/virtual-node" in labels


def observe(caches: Caches, told: Mapping[str, Pool] | None = None, own_node: str = "broker") -> Observed:
    """One picture. `told` has what readers said of some providers, instead of what their nodes say.

    `own_node` is what the broker's own node is called at consumers that do not say.
    """
    providers = {obj["metadata"]["name"]: obj for obj in caches.providers}
    nodes = _nodes_by_provider(caches.nodes, providers)
    pools = {name: _pool(name, nodes.get(name, ()), caches.books) for name in providers}
    for name, pool in (told or {}).items():
        if name in pools:
            pools[name] = Pool(pool.has, pools[name].used, pool.why)
    wants: list[Want] = []
    problems: dict[str, tuple[str, str]] = {}
    by_consumer: dict[str, list[Object]] = {}
    for aggregate in caches.aggregates:
        by_consumer.setdefault((aggregate.get("spec") or {}).get("consumer") or "", []).append(aggregate)
    for aggregate in caches.aggregates:
        made = _want(aggregate, caches.consumers, providers, by_consumer, own_node)
        if isinstance(made, Want):
            wants.append(made)
        else:
            problems[aggregate["metadata"]["name"]] = made
    return Observed(Picture(tuple(wants), pools), problems)


def _want(
    aggregate: Object, consumers: Cache, providers: Mapping[str, Object], others: Mapping[str, list[Object]], own: str
) -> Want | tuple[str, str]:
    try:
        spec = decode_spec(aggregate, AggregateSpec)
        consumer = consumers.get(("", spec.consumer))
        if consumer is None:
            return "ConsumerUnknown", f"Consumer {spec.consumer} does not exist: make it, or name another one"
        its = decode_spec(consumer, ConsumerSpec)
        node = spec.node or aggregate["metadata"]["name"]
        rival = rival_of(aggregate, node, spec.consumer, its.node or own, others[spec.consumer])
        if rival is not None:
            return "NodeTaken", taken(node, f"Consumer {spec.consumer}", " ".join(rival))
        identifier = its.cluster_id or spec.consumer
        chosen = tuple(sorted(name for name, obj in providers.items() if selected(spec.providers, obj)))
        return want_of(aggregate, identifier, chosen)
    except (Invalid, ValueError) as error:
        return "InvalidSpec", str(error)


def _nodes_by_provider(nodes: Iterable[Object], providers: Mapping[str, Object]) -> dict[str, list[Object]]:
    by_node, by_cluster = {}, {}
    for name, provider in providers.items():
        try:
            spec = decode_spec(provider, ProviderSpec)
        except Invalid:
            continue  # it has no node that we know of, and says so by not answering
        by_node[spec.node or name] = name
        by_cluster[spec.cluster_id or name] = name
    found: dict[str, list[Object]] = {}
    for node in nodes:
        labels = labels_of(node)
        if not stands_for_a_cluster(node):
            continue
        owner = labels.get(PROVIDER_OF_NODE) or by_node.get(node["metadata"]["name"])
        owner = owner or by_cluster.get(labels.get(LIQO_PEER, ""))
        if owner is not None:
            found.setdefault(owner, []).append(node)
    return found


def _pool(provider: str, nodes: Iterable[Object], books: Ledger) -> Pool:
    """What all nodes of a provider have together; one that is NotReady has nothing, and uses nothing either."""
    has: list[Amounts] = []
    used: dict[str, Amounts] = {}
    away = []
    for node in nodes:
        name = node["metadata"]["name"]
        if not is_ready(node):
            away.append(name)
            continue
        has.append(accepted((node.get("status") or {}).get("allocatable")))
        for consumer, amounts in books.usage(name).items():
            used[consumer] = plus(used.get(consumer, {}), amounts)
    if has:
        return Pool(total(has), used)
    if away:
        return Pool(None, used, f"provider {provider}: its node {', '.join(away)} is not Ready")
    return Pool(None, used, f"provider {provider} has no node in the broker's cluster yet: link it, and offload to it")
