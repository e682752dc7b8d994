"""Prometheus' own configuration: our processes, and the Prometheus of each workload cluster, federated.

What a workload cluster's Prometheus knows of its own (Liqo's traffic, nodes, pods) is taken from there under the cluster's
name; what the operator measures itself is not asked for a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from continuo.resources.meta import Object

PORT = 9090
"""Where the package `prometheus` is reached at a cluster's public address."""
FEDERATION = "continuo-federation"
MATCHES = (
    '{__name__=~"liqo_peer_(receive|transmit)_bytes_total"}',
    '{__name__=~"node_cpu_seconds_total|node_memory_(MemTotal|MemAvailable)_bytes"}',
    '{__name__="kube_pod_status_phase"}',
)


@dataclass(frozen=True, slots=True)
class Place:
    """One workload cluster's Prometheus."""

    orchestration: str
    """NAMESPACE/NAME."""
    cluster: str
    address: str
    """HOST:PORT."""


def places(orchestrations: Iterable[Object], addresses: Mapping[str, str]) -> list[Place]:
    """Those of all clusters that have the package `prometheus`, by what the orchestrations' statuses say.

    `addresses`: HOST:PORT of a cluster (by its name, or ORCHESTRATION/NAME) where it is not the usual one.
    """
    found: list[Place] = []
    for obj in orchestrations:
        name = obj["metadata"]["name"]
        where = f"{obj['metadata'].get('namespace') or 'default'}/{name}"
        for entry in (obj.get("status") or {}).get("clusters") or ():
            said = addresses.get(f"{name}/{entry['name']}") or addresses.get(entry["name"])
            packages = {package["name"]: package.get("phase") for package in entry.get("packages") or ()}
            host = urlsplit(entry.get("endpoint") or "").hostname
            if said is None and (host is None or packages.get("prometheus") != "Ready"):
                continue
            shown = f"[{host}]" if host is not None and ":" in host else host
            found.append(Place(where, entry["name"], said or f"{shown}:{PORT}"))
    return sorted(found, key=lambda place: (place.orchestration, place.cluster))


def targets(found: Sequence[Place]) -> list[Object]:
    """The federation's targets, with the labels that all they tell gets."""
    return [
        {"targets": [place.address], "labels": {"orchestration": place.orchestration, "cluster": place.cluster}}
        for place in found
    ]


def federation(found: Sequence[Place]) -> Object:
    """The job that asks them all."""
    return {
        "job_name": FEDERATION,
        "honor_labels": True,
        "metrics_path": "/federate",
        "scrape_interval": "30s",
        "params": {"match[]": list(MATCHES)},
        "static_configs": targets(found),
        "metric_relabel_configs": _relabeling({place.orchestration for place in found}),
    }


def _relabeling(orchestrations: set[str]) -> list[Object]:
    """Clusters say ORCHESTRATION-CLUSTER of themselves, and Liqo of its peers; labels are to say which cluster that is."""

    def shortened(source: str, target: str) -> list[Object]:
        return [
            {
                "source_labels": ["orchestration", source],
                "regex": f"{re.escape(name)};{re.escape(name.rpartition('/')[2])}-(.+)",
                "target_label": target,
            }
            for name in sorted(orchestrations)
        ]

    return [
        *shortened("cluster", "cluster"),
        {"source_labels": ["cluster_id"], "regex": "(.+)", "target_label": "target"},
        *shortened("cluster_id", "target"),
        {"source_labels": ["cluster_id", "cluster"], "regex": ".+;(.+)", "target_label": "source"},
    ]


def configuration(jobs: Mapping[str, Sequence[str]], federated: Object | None, rules: Sequence[str]) -> Object:
    """A whole configuration: jobs by name with their targets (HOST:PORT), the federation, files of rules."""
    scraped: list[Object] = [
        {"job_name": name, "honor_labels": True, "static_configs": [{"targets": list(found)}]}
        for name, found in jobs.items()
    ]
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": list(rules),
        "scrape_configs": [*scraped, *([federated] if federated is not None else [])],
    }
