"""Prometheus' own configuration: our processes, and the Prometheus of each workload cluster, federated.

What a workload cluster's Prometheus knows of its own (Liqo's traffic, nodes, pods) is taken from there under the cluster's
name; what the operator measures itself is not asked for a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from continuo.resources.meta import Object

PORT = 9090
"""Where the package `prometheus` is reached at a cluster's public address."""
FEDERATION = "continuo-federation"
TARGETS_FILE = "targets/continuo-federation.json"
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


def discovered(files: str) -> Object:
    """Targets from a file (relative to the configuration) that Prometheus reads again by itself whenever it changes."""
    return {"file_sd_configs": [{"files": [files], "refresh_interval": "1m"}]}


def asked(url: str, token_file: str = "", ca_file: str = "") -> Object:
    """Targets from a server (`GET /monitoring/v1/targets`) that Prometheus asks every half a minute."""
    source: Object = {"url": url, "refresh_interval": "30s"}
    if token_file:  # without a type, Prometheus 2.42 sends no token to who tells of targets
        source["authorization"] = {"type": "Bearer", "credentials_file": token_file}
    if ca_file:
        source["tls_config"] = {"ca_file": ca_file}
    return {"http_sd_configs": [source]}


def federation(source: Object, *, job: str = FEDERATION, path: str = "/federate", **how: Any) -> Object:
    """The job that asks them all. `source`: where its targets come from; `how`: scheme, credentials.

    What a target is called here wins over what a cluster says of itself; other labels are its own.
    """
    return {
        "job_name": job,
        "metrics_path": path,
        "scrape_interval": "30s",
        "params": {"match[]": list(MATCHES)},
        **how,
        **source,
        "metric_relabel_configs": [
            {"action": "labelmap", "regex": "exported_(job|instance)"},
            {"action": "labeldrop", "regex": "exported_(job|instance|cluster|orchestration)"},
        ],
    }


def configuration(jobs: Mapping[str, Sequence[str]], federated: Sequence[Object], rules: Sequence[str]) -> Object:
    """A whole configuration: jobs by name with their targets (HOST:PORT), the federation, files of rules."""
    scraped: list[Object] = [
        {"job_name": name, "honor_labels": True, "static_configs": [{"targets": list(found)}]}
        for name, found in jobs.items()
    ]
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": list(rules),
        "scrape_configs": [*scraped, *federated],
    }
