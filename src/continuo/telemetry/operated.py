"""The same for whoever runs the Prometheus operator: monitors, rules, the federation and the dashboard as its objects."""

from __future__ import annotations

import json
from typing import Any

from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.telemetry import rules
from continuo.telemetry.grafana import dashboard
from continuo.telemetry.scraping import FEDERATION

LABELS = {"app.kubernetes.io/name": "continuo"}
READER = "continuo-metrics"
"""The account that Prometheus reads the server's metrics and targets with."""
TOKEN = {"name": READER, "key": "token"}
SERVER, SERVER_TLS = "continuo-server", "continuo-server-tls"


def pod_monitor(namespace: str) -> Object:
    """All of our pods that have metrics: beside their probes, or on a port of their own."""
    endpoints = [{"port": port, "path": "/metrics", "honorLabels": True} for port in ("health", "metrics", "monitor")]
    spec = {"selector": {"matchLabels": dict(LABELS)}, "podMetricsEndpoints": endpoints}
    return kinds.POD_MONITOR.new("continuo", namespace, metadata=_meta(), spec=spec)


def service_monitor(namespace: str) -> list[Object]:
    """The server's metrics, which need a token: an account for that, its token, and who uses it."""
    annotations = {"kubernetes.io/service-account.name": READER}
    endpoint = {
        "port": "https", "scheme": "https", "path": "/metrics", "honorLabels": True,
        "authorization": {"credentials": dict(TOKEN)}, "tlsConfig": _tls(namespace),
    }  # fmt: skip
    selector = {"matchLabels": {**LABELS, "app.kubernetes.io/component": "server"}}
    return [
        kinds.SERVICE_ACCOUNT.new(READER, namespace, metadata=_meta()),
        kinds.SECRET.new(
            READER, namespace, metadata={**_meta(), "annotations": annotations},
            type="kubernetes.io/service-account-token",
        ),
        kinds.SERVICE_MONITOR.new(SERVER, namespace, metadata=_meta(), spec={"selector": selector, "endpoints": [endpoint]}),
    ]  # fmt: skip


def reader(namespace: str) -> str:
    """That account, as API servers name it."""
    return f"system:serviceaccount:{namespace}:{READER}"


def prometheus_rules(namespace: str) -> Object:
    """All recording and alerting rules."""
    groups = [*rules.recording_file()["groups"], *rules.alerts_file()["groups"]]
    return kinds.PROMETHEUS_RULE.new("continuo", namespace, metadata=_meta(), spec={"groups": groups})


def scrape_config(namespace: str, job: Object, *, targets_url: str = "") -> Object:
    """The federation: of the targets that a job (as in Prometheus' configuration) has, or that our server tells of there."""
    spec: Object = {
        "metricsPath": job["metrics_path"], "scrapeInterval": job["scrape_interval"], "params": job["params"],
        "relabelings": [{"targetLabel": "job", "replacement": FEDERATION}],
        "metricRelabelings": job["metric_relabel_configs"],
    }  # fmt: skip
    if targets_url:
        spec["httpSDConfigs"] = [
            {
                "url": targets_url,
                "refreshInterval": "30s",
                "authorization": {"credentials": dict(TOKEN)},
                "tlsConfig": _tls(namespace),
            }
        ]
    else:
        spec["staticConfigs"] = job["static_configs"]
    return kinds.SCRAPE_CONFIG.new(FEDERATION, namespace, metadata=_meta(), spec=spec)


def dashboard_map(namespace: str) -> Object:
    """The dashboard where Grafana's sidecar looks for dashboards."""
    meta = {"labels": {**LABELS, "grafana_dashboard": "1"}}
    text = json.dumps(dashboard(), separators=(",", ":"))
    return kinds.CONFIG_MAP.new("continuo-dashboard", namespace, metadata=meta, data={"continuo.json": text})


def _tls(namespace: str) -> dict[str, Any]:
    ca = {"secret": {"name": SERVER_TLS, "key": "ca.crt"}}
    return {"ca": ca, "serverName": f"{SERVER}.{namespace}.svc"}


def _meta() -> Object:
    return {"labels": dict(LABELS)}
