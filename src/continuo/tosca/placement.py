"""Which cluster each component goes to, and which of them is the application's home."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from continuo.tosca.blueprint import Blueprint, Component, Host
from continuo.tosca.checks import by_component
from continuo.tosca.problems import Problems, did_you_mean


class Target(NamedTuple):
    """A cluster that components may go to."""

    name: str
    tier: str | None = None
    datacenter: str | None = None


class Placer:
    """Places the components of one blueprint on known clusters."""

    def __init__(self, targets: Sequence[Target], default: str | None, problems: Problems, *, prefix: str = "") -> None:
        self._targets = {target.name: target for target in targets}
        self._default = default
        self._problems = problems
        self._prefix = prefix

    def place(self, blueprint: Blueprint) -> dict[str, str]:
        """Component key to cluster name; components that have no place are left out, and reported."""
        found = {}
        for component, _ in by_component(blueprint):
            cluster = self._cluster(component, blueprint.host_of(component))
            if cluster:
                found[component.key] = cluster
        return found

    def _cluster(self, component: Component, host: Host | None) -> str:
        if host is not None and host.cluster:
            return self._pinned(host)
        candidates = list(self._targets.values())
        if host is not None and host.datacenter:
            candidates = [target for target in candidates if target.datacenter == host.datacenter]
            if not candidates:
                self._unknown(
                    "datacenter-unknown", host, "data centre", host.datacenter,
                    [target.datacenter for target in self._targets.values() if target.datacenter],
                )  # fmt: skip
                return ""
        if component.hint:
            for target in candidates:
                if target.tier and target.tier.upper() == component.hint:
                    return target.name
        return self._fallback(component, candidates)

    def _fallback(self, component: Component, candidates: Sequence[Target]) -> str:
        names = [target.name for target in candidates]
        chosen = self._default if self._default in names else next(iter(names), None)
        if chosen is None:
            self._problems.add(
                "infeasible", f"{component.key}: there is no cluster to run it on.", component.at,
                node=component.key, hint="pin a cluster, or declare one",
            )  # fmt: skip
            return ""
        if component.hint:
            self._problems.add(
                "placement-default",
                f"{component.key}: no cluster of the tier {component.hint} is known; it goes to {chosen}.",
                component.at, node=component.key, severity="info",
            )  # fmt: skip
        return chosen

    def _pinned(self, host: Host) -> str:
        short = host.cluster.removeprefix(self._prefix) if self._prefix else host.cluster
        for name in (host.cluster, short):
            if name in self._targets:
                return name
        self._unknown("cluster-unknown", host, "cluster", host.cluster, list(self._targets))
        return ""

    def _unknown(self, code: str, host: Host, what: str, name: str, known: Sequence[str]) -> None:
        words = ", ".join(sorted(set(known)))
        rest = f"known are {words}" if words else f"no {what} is known"
        near = did_you_mean(name, known)
        self._problems.add(
            code, f"{host.key}: the {what} {name} is not known; {rest}.", host.pin_at or host.at,
            node=host.key, path=f"topology_template.node_templates.{host.key}.node_filter",
            hint=near if near.startswith("did") else "",
        )  # fmt: skip


def home(placed: Mapping[str, str], public: Sequence[str]) -> str:
    """The cluster with most components; a tie goes to the first public component's, then to the first by name."""
    counts = Counter(placed.values())
    most = max(counts.values())
    tied = sorted(name for name, count in counts.items() if count == most)
    return next((placed[key] for key in public if placed.get(key) in tied), tied[0])


def needed_links(placed: Mapping[str, str], home_cluster: str) -> list[list[str]]:
    """The pairs of clusters that have to be linked, each sorted: from home to every other cluster in use."""
    return [sorted((home_cluster, other)) for other in sorted(set(placed.values()) - {home_cluster})]
