"""The Grafana dashboard as data: what everything declared is doing, in the order in which somebody looks for trouble.

Panels are placed by their sizes, row by row, so none overlaps another; ids count up. Data sources and clusters are
variables, so that nothing has to be set in Grafana itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from continuo.resources.meta import Object

UID, TITLE, SCHEMA = "continuo", "Continuo", 39
WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HERE = 'orchestration=~"$orchestration"'
_CLUSTER = f'{_HERE}, cluster=~"$cluster"'
_LINK = _HERE


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `queries`: expression and legend; `width` of 24."""

    title: str
    queries: tuple[tuple[str, str], ...]
    type: Literal["stat", "timeseries", "gauge", "state-timeline", "heatmap", "table", "bargauge"] = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    about: str = ""
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)
    stacked: bool = False
    mappings: tuple[tuple[str, str, str], ...] = ()
    """Value, text and color of what is a state."""

    @property
    def instant(self) -> bool:
        """Whether only the newest value counts."""
        return self.type in ("stat", "gauge", "table", "bargauge")


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


_BAD = (("green", None), ("red", 1.0))
_GOOD = (("red", None), ("green", 1.0))
_FULL = (("green", None), ("orange", 0.75), ("red", 0.9))
_UP = (("0", "down", "red"), ("1", "up", "green"))


def _count(title: str, expr: str, steps: tuple[tuple[str, float | None], ...] = (("blue", None),)) -> Panel:
    return Panel(title, ((expr, ""),), "stat", width=3, height=4, steps=steps)


def _phases(title: str, family: str) -> Panel:
    return Panel(title, ((f"sum by (phase) ({family}) > 0", "{{phase}}"),), stacked=True)


def _p95(title: str, record: str, legend: str) -> Panel:
    return Panel(title, ((record, legend),), unit="s", about="The time within which 95 of 100 were done.")


ROWS = (
    Row("The continuum", (
        _count("Clusters", "sum(continuo_clusters)"),
        _count("Clusters ready", 'sum(continuo_clusters{phase="Ready"})', _GOOD),
        _count("Clusters lost", "sum(continuo_cluster_lost) or vector(0)", _BAD),
        _count("Links connected", 'sum(continuo_links{phase="Connected"})'),
        _count("Applications", "sum(continuo_applications)"),
        _count("Applications in trouble", 'sum(continuo_applications{phase=~"Degraded|Failed"})', _BAD),
        _count("Components", "sum(continuo_components)"),
        _count("Providers", "sum(continuo_providers)"),
    )),
    Row("Clusters", (
        _phases("Clusters by phase", "continuo_clusters"),
        Panel("CPU requested", ((f"continuo:cluster_cpu:requested_ratio{{{_CLUSTER}}}", "{{cluster}}"),), "gauge",
              "percentunit", steps=_FULL),
        Panel("Memory requested", ((f"continuo:cluster_memory:requested_ratio{{{_CLUSTER}}}", "{{cluster}}"),), "gauge",
              "percentunit", steps=_FULL),
        Panel("CPU used", ((f"continuo:cluster_cpu:used_cores{{{_CLUSTER}}}", "{{cluster}}"),),
              about="Of the clusters' own Prometheus: needs federation."),
        Panel("Memory used", ((f"continuo:cluster_memory:used_bytes{{{_CLUSTER}}}", "{{cluster}}"),), unit="bytes",
              about="Of the clusters' own Prometheus: needs federation."),
        Panel("Pods", ((f"sum by (cluster, phase) (continuo:cluster_pods:phase{{{_CLUSTER}}})", "{{cluster}} {{phase}}"),),
              stacked=True, about="Of the clusters' own Prometheus: needs federation."),
        Panel("Nodes ready", (
            (f'sum by (cluster) (continuo_cluster_nodes{{{_CLUSTER}, state="ready"}})', "{{cluster}}"),
        ), width=12),
        Panel("Ready", ((f"min by (orchestration, cluster) (continuo_cluster_ready{{{_CLUSTER}}})", "{{cluster}}"),),
              "state-timeline", width=12, mappings=_UP),
    )),
    Row("Links", (
        Panel("Tunnels", ((f"continuo_link_connected{{{_LINK}}}", "{{source}} - {{target}}"),), "state-timeline",
              mappings=_UP),
        Panel("Latency", ((f"continuo_link_latency_seconds{{{_LINK}}}", "{{source}} - {{target}}"),), unit="s"),
        Panel("Jitter", ((f"continuo_link_jitter_seconds{{{_LINK}}}", "{{source}} - {{target}}"),), unit="s"),
        Panel("Received", ((f"continuo:link_receive_bytes:rate5m{{{_LINK}}} * 8", "{{source}} from {{target}}"),),
              unit="bps", about="Of Liqo's gateways: needs federation."),
        Panel("Transmitted", ((f"continuo:link_transmit_bytes:rate5m{{{_LINK}}} * 8", "{{source}} to {{target}}"),),
              unit="bps", about="Of Liqo's gateways: needs federation."),
        Panel("Requirements of applications", (
            (f"continuo_link_requirement_met{{{_HERE}}}", "{{application}} {{requirement}} {{kind}}"),
        ), "state-timeline", mappings=(("0", "not met", "red"), ("1", "met", "green"))),
    )),
    Row("Applications", (
        _phases("Applications by phase", "continuo_applications"),
        Panel("Components by cluster", (("sum by (cluster) (continuo_components) > 0", "{{cluster}}"),), stacked=True),
        Panel("Running as declared", ((f"continuo_application_ready{{{_HERE}}}", "{{application}}"),),
              "state-timeline", mappings=(("0", "no", "red"), ("1", "yes", "green"))),
    )),
    Row("Loops and decisions", (
        Panel("Closed loops", (("sum by (stage) (continuo_policies)", "{{stage}}"),), stacked=True),
        Panel("Waiting for somebody", (("continuo_loop_paused", "{{scope}}"),), "stat", width=4, steps=_BAD),
        Panel("Escalations", (("sum by (reason) (rate(continuo_loop_escalations_total[$__rate_interval]))", "{{reason}}"),),
              width=4),
        Panel("Decisions", (
            ("sum by (source, result) (increase(continuo_decisions_total[1h]))", "{{source}} {{result}}"),
        ), stacked=True),
        Panel("Tasks", (("sum by (operation, outcome) (increase(continuo_tasks_total[1h]))", "{{operation}} {{outcome}}"),),
              width=12, stacked=True),
        _p95("Tasks take", "continuo:task_duration_seconds:p95_1h", "{{operation}}"),
        Panel("Mean time in a phase", (
            ("sum by (item, phase) (continuo_phase_duration_seconds_sum) "
             "/ sum by (item, phase) (continuo_phase_duration_seconds_count)", "{{item}} {{phase}}"),
        ), "bargauge", "s", width=4),
    )),
    Row("Events", (
        Panel("Published", (("sum by (sink) (rate(continuo_events_published_total[$__rate_interval]))", "{{sink}}"),),
              unit="cps"),
        Panel("Waiting", (("continuo_events_backlog", "{{sink}}"),)),
        Panel("Dropped", (("sum by (operation) (increase(continuo_events_dropped_total[1h]))", "{{operation}}"),)),
    )),
    Row("The control plane", (
        Panel("Looks", (("sum by (controller, result) (rate(continuo_reconciles_total[$__rate_interval]))",
                         "{{controller}} {{result}}"),), unit="cps"),
        Panel("Errors", (("continuo:reconcile_errors:ratio5m", "{{controller}}"),), unit="percentunit"),
        _p95("A look takes", "continuo:reconcile_duration_seconds:p95_5m", "{{controller}}"),
        Panel("Queue", (("continuo_workqueue_depth", "{{controller}}"),)),
        _p95("Waiting in the queue", "continuo:workqueue_queue_duration_seconds:p95_5m", "{{controller}}"),
        _p95("Stages of a look", "continuo:loop_stage_duration_seconds:p95_5m", "{{stage}}"),
        _p95("API servers answer within", "continuo:api_request_duration_seconds:p95_5m", "{{server}}"),
        Panel("Calls refused or lost", (
            ("sum by (server, reason) (rate(continuo_api_request_errors_total[$__rate_interval]))",
             "{{server}} {{reason}}"),
        ), unit="cps"),
        Panel("Not followed for", (("continuo_snapshot_age_seconds", "{{server}}"),), unit="s"),
        Panel("Objects in memory", (("sum(continuo_cached_objects)", "objects"),), width=6),
        Panel("Memory", (('process_resident_memory_bytes{job=~"continuo.*"}', "{{job}}"),), unit="bytes", width=6),
        Panel("CPU", (('rate(process_cpu_seconds_total{job=~"continuo.*"}[$__rate_interval])', "{{job}}"),), width=6),
        Panel("Versions", (("continuo_build_info", "{{part}} {{version}}"),), "table", width=6),
    )),
    Row("HTTP", (
        Panel("Requests", (("sum by (route) (rate(continuo_http_request_duration_seconds_count[$__rate_interval]))",
                            "{{route}}"),), unit="reqps"),
        _p95("They take", "continuo:http_request_duration_seconds:p95_5m", "{{route}}"),
        Panel("Answers", (("sum by (status) (rate(continuo_http_request_duration_seconds_count[$__rate_interval]))",
                           "{{status}}"),), unit="reqps", stacked=True, width=4),
        Panel("Problems of blueprints", (("sum by (code) (increase(continuo_blueprint_problems_total[1h]))", "{{code}}"),),
              width=4),
    )),
    Row("Sensors, contracts, boards", (
        Panel("Sensors on offer", (("sum by (type) (continuo_sensors)", "{{type}}"),), stacked=True),
        Panel("Contracts", (("sum by (market, state) (continuo_contracts)", "{{market}} {{state}}"),), stacked=True),
        Panel("Boards", (("sum by (status) (continuo_boards)", "{{status}}"),), stacked=True),
        Panel("Flavors on offer", (("sum by (type) (continuo_flavors)", "{{type}}"),), stacked=True),
        Panel("Readings delivered", (("continuo:relay_readings_delivered:rate5m", "{{route}}"),), unit="cps"),
        _p95("A reading takes", "continuo:relay_latency_seconds:p95_5m", "{{route}}"),
        Panel("Readings that wait", (("sum by (route) (continuo_relay_queue_readings)", "{{route}}"),)),
        Panel("Readings lost", (("continuo:relay_readings_lost:increase10m", "{{route}}"),)),
        Panel("Boards with a session", (
            ("sum(continuo_hub_boards_online)", "online"), ("sum(continuo_hub_boards)", "all"),
        )),
        Panel("Calls to boards", (("sum(rate(continuo_hub_calls_total[$__rate_interval]))", "calls"),), unit="cps"),
        Panel("Boards' networks", (
            ("sum by (network) (rate(continuo_hub_port_bytes_total[$__rate_interval])) * 8", "{{network}}"),
        ), unit="bps"),
    )),
)  # fmt: skip


def dashboard() -> Object:
    """The whole dashboard, as Grafana imports it."""
    return {
        "uid": UID, "title": TITLE, "schemaVersion": SCHEMA, "version": 1, "editable": True, "tags": ["continuo"],
        "timezone": "", "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "graphTooltip": 1,
        "annotations": {"list": []}, "links": [], "templating": {"list": _variables()}, "panels": _placed(ROWS),
    }  # fmt: skip


def _variables() -> list[Object]:
    found: list[Object] = [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
    for name, label, query in (
        ("orchestration", "Orchestration", "label_values(continuo_cluster_ready, orchestration)"),
        ("cluster", "Cluster", 'label_values(continuo_cluster_ready{orchestration=~"$orchestration"}, cluster)'),
    ):
        found.append({
            "name": name, "label": label, "type": "query", "datasource": _SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "multi": True, "includeAll": True, "allValue": ".*", "refresh": 2, "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]},
        })  # fmt: skip
    return found


def _placed(rows: Sequence[Row]) -> list[Object]:
    """From left to right, a new line where the next panel has no room."""
    found: list[Object] = []
    y = 0
    for row in rows:
        found.append({"id": len(found) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [],
                      "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})  # fmt: skip
        y, x, line = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, line = 0, y + line, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            found.append(_panel(panel, len(found) + 1, place))
            x, line = x + panel.width, max(line, panel.height)
        y += line
    return found


def _panel(panel: Panel, number: int, place: dict[str, int]) -> Object:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expr, "legendFormat": legend or "__auto",
         "instant": panel.instant, "range": not panel.instant, **({"format": "table"} if panel.type == "table" else {})}
        for index, (expr, legend) in enumerate(panel.queries)
    ]  # fmt: skip
    return {
        "id": number, "type": panel.type, "title": panel.title, "description": panel.about, "gridPos": place,
        "datasource": _SOURCE, "targets": targets, "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }  # fmt: skip


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for color, value in panel.steps]
    found: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "min": 0}
    if panel.unit == "percentunit" and panel.type == "gauge":
        found["max"] = 1
    if panel.mappings:
        options = {value: {"text": text, "color": color} for value, text, color in panel.mappings}
        found["mappings"] = [{"type": "value", "options": options}]
    if panel.type == "timeseries":
        found["custom"] = {"fillOpacity": 20 if panel.stacked else 0, "showPoints": "never",
                           "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}  # fmt: skip
    return found


def _options(panel: Panel) -> dict[str, Any]:
    if panel.instant:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.type != "table" else {"showHeader": True}
    if panel.type == "state-timeline":
        return {"mergeValues": True, "showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def expressions() -> list[tuple[str, str]]:
    """(panel, expression) of everything that the dashboard asks."""
    return [(panel.title, expr) for row in ROWS for panel in row.panels for expr, _ in panel.queries]


def provisioning() -> dict[str, Object]:
    """Grafana's provisioning files by path: a data source, and where the dashboard is."""
    return {
        "provisioning/datasources/continuo.yaml": {
            "apiVersion": 1,
            "datasources": [{
                "name": "Prometheus", "type": "prometheus", "access": "proxy", "uid": "continuo-prometheus",
                "url": "http://prometheus:9090", "isDefault": True,
                "jsonData": {"exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "tempo"}]},
            }],
        },
        "provisioning/dashboards/continuo.yaml": {
            "apiVersion": 1,
            "providers": [{
                "name": "continuo", "type": "file", "allowUiUpdates": False,
                "options": {"path": "/var/lib/grafana/dashboards"},
            }],
        },
    }  # fmt: skip
