"""Recording and alerting rules for Prometheus, as data; `dashboards/rules/` is made of them."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.resources.meta import Object

PAGE = "docs/guides/monitoring.md"
_CLUSTER = "orchestration, cluster"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed before anybody asks."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody has to know of. `lasting`: for how long it must hold."""

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str
    way_out: str


def _ratio(family: str) -> str:
    requested = f'sum by ({_CLUSTER}) ({family}{{state="requested"}})'
    return f'{requested} / (sum by ({_CLUSTER}) ({family}{{state="allocatable"}}) > 0)'


def _quantile(family: str, by: str, window: str = "5m", quantile: str = "0.95") -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({family}_bucket[{window}])))"


def _traffic(way: str) -> str:
    """Gateways tell of a peer by its ID: the operator knows which cluster that is."""
    rate = f'label_replace(rate(liqo_peer_{way}_bytes_total[5m]), "source", "$1", "cluster", "(.+)")'
    peers = 'label_replace(continuo_cluster_info, "target", "$1", "cluster", "(.+)")'
    return (
        f"sum by (orchestration, source, target) ({rate} * on (orchestration, cluster_id) group_left (target) "
        f"max by (orchestration, cluster_id, target) ({peers}))"
    )


RECORDINGS = (
    Recording("continuo:clusters:ready_ratio",
              'sum(continuo_clusters{phase="Ready"}) / (sum(continuo_clusters) > 0)'),
    Recording("continuo:cluster_cpu:requested_ratio", _ratio("continuo_cluster_cpu_cores")),
    Recording("continuo:cluster_memory:requested_ratio", _ratio("continuo_cluster_memory_bytes")),
    Recording("continuo:cluster_cpu:used_cores",
              f'sum by ({_CLUSTER}) (rate(node_cpu_seconds_total{{mode!="idle"}}[5m]))'),
    Recording("continuo:cluster_memory:used_bytes",
              f"sum by ({_CLUSTER}) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)"),
    Recording("continuo:cluster_pods:phase", f"sum by ({_CLUSTER}, phase) (kube_pod_status_phase)"),
    Recording("continuo:link_receive_bytes:rate5m",
              _traffic("receive")),
    Recording("continuo:link_transmit_bytes:rate5m",
              _traffic("transmit")),
    Recording("continuo:link_latency_seconds:max15m", "max_over_time(continuo_link_latency_seconds[15m])"),
    Recording("continuo:reconcile_errors:ratio5m",
              "sum by (controller) (rate(continuo_reconcile_errors_total[5m])) "
              "/ (sum by (controller) (rate(continuo_reconciles_total[5m])) > 0)"),
    Recording("continuo:reconcile_duration_seconds:p95_5m",
              _quantile("continuo_reconcile_duration_seconds", "controller")),
    Recording("continuo:workqueue_queue_duration_seconds:p95_5m",
              _quantile("continuo_workqueue_queue_duration_seconds", "controller")),
    Recording("continuo:loop_stage_duration_seconds:p95_5m",
              _quantile("continuo_loop_stage_duration_seconds", "stage")),
    Recording("continuo:api_request_duration_seconds:p95_5m",
              _quantile("continuo_api_request_duration_seconds", "server")),
    Recording("continuo:http_request_duration_seconds:p95_5m",
              _quantile("continuo_http_request_duration_seconds", "route")),
    Recording("continuo:task_duration_seconds:p95_1h",
              _quantile("continuo_task_duration_seconds", "operation", "1h")),
    Recording("continuo:relay_latency_seconds:p95_5m", _quantile("continuo_relay_latency_seconds", "route")),
    Recording("continuo:relay_readings_delivered:rate5m",
              "sum by (route) (rate(continuo_relay_readings_delivered_total[5m]))"),
    Recording("continuo:relay_readings_lost:increase10m",
              "sum by (route) (increase(continuo_relay_readings_dead_total[10m])) "
              "+ sum by (route) (increase(continuo_relay_readings_dropped_total[10m]))"),
    Recording("continuo:boards:online_ratio",
              'sum(continuo_boards{status="online"}) / (sum(continuo_boards{status=~"online|offline"}) > 0)'),
)  # fmt: skip

ALERTS = (
    Alert("ContinuoOperatorDown", 'absent(continuo_build_info{part="operator"})', "5m", "critical",
          "No operator is scraped.", "Nothing is created, moved or mended until one runs: see its pods and its Lease."),
    Alert("ContinuoClusterLost", "continuo_cluster_lost == 1", "1m", "critical",
          "Cluster {{ $labels.cluster }} of {{ $labels.orchestration }} does not answer.",
          "See its machines and its API server; a failover policy moves its components meanwhile."),
    Alert("ContinuoClusterNotReady", "continuo_cluster_ready == 0", "30m", "warning",
          "Cluster {{ $labels.cluster }} of {{ $labels.orchestration }} is not ready.",
          "`continuo status` says what it waits for."),
    Alert("ContinuoClusterCreateSlow", 'continuo:task_duration_seconds:p95_1h{operation="cluster.create"} > 1200', "5m",
          "warning", "Clusters take more than 20 minutes to be created.",
          "See the provider's quota and the machines of Cluster API."),
    Alert("ContinuoClusterFull",
          "continuo:cluster_cpu:requested_ratio > 0.9 or continuo:cluster_memory:requested_ratio > 0.9", "15m",
          "warning", "Cluster {{ $labels.cluster }} of {{ $labels.orchestration }} is over 90 % full.",
          "Add workers, or a policy that does."),
    Alert("ContinuoLinkDown", "continuo_link_connected == 0", "2m", "critical",
          "The link {{ $labels.source }} - {{ $labels.target }} of {{ $labels.orchestration }} is down.",
          "`continuo status` names the step that it waits for; look at the gateways' pods of both ends."),
    Alert("ContinuoLinkRequirementNotMet", "continuo_link_requirement_met == 0", "5m", "warning",
          "{{ $labels.requirement }} of {{ $labels.application }} does not get the {{ $labels.kind }} that it asks for.",
          "Place its components nearer to each other, or ask for less."),
    Alert("ContinuoApplicationDegraded", "continuo_application_ready == 0", "5m", "warning",
          "Application {{ $labels.application }} of {{ $labels.orchestration }} does not run as declared.",
          "`continuo status` names the component and the reason."),
    Alert("ContinuoReconcileErrorRatio", "continuo:reconcile_errors:ratio5m > 0.2", "10m", "warning",
          "More than a fifth of the looks of {{ $labels.controller }} fail.", "The operator's log has the errors."),
    Alert("ContinuoSnapshotStale", "continuo_snapshot_age_seconds > 120", "1m", "warning",
          "{{ $labels.server }} has not been followed for two minutes.",
          "Decisions about it rest on an old picture: see whether its API server answers."),
    Alert("ContinuoQueueStuck", "min_over_time(continuo_workqueue_depth[10m]) > 100", "5m", "warning",
          "More than a hundred objects wait for {{ $labels.controller }}.",
          "See how long API servers take (continuo:api_request_duration_seconds:p95_5m)."),
    Alert("ContinuoLoopWaits", 'continuo_loop_paused{scope="approval"} > 0', "15m", "info",
          "A closed loop waits for somebody to approve what it decided.", "`continuo decisions` lists them."),
    Alert("ContinuoEventBacklog", "continuo_events_backlog > 1000", "5m", "warning",
          "Sink {{ $labels.sink }} has over a thousand events to take.", "See whether it can be reached."),
    Alert("ContinuoEventsDropped", "increase(continuo_events_dropped_total[10m]) > 0", "0m", "warning",
          "Events of {{ $labels.operation }} made room before every sink had them.",
          "A sink is away for long; how tasks ended is kept longest."),
    Alert("ContinuoHttpErrors",
          'sum by (route) (rate(continuo_http_request_duration_seconds_count{status=~"5.."}[5m])) '
          "/ sum by (route) (rate(continuo_http_request_duration_seconds_count[5m])) > 0.05", "5m", "warning",
          "More than 5 % of the requests to {{ $labels.route }} fail.", "The server's log says why."),
    Alert("ContinuoPartDown", 'up{job=~".*continuo.*", job!="continuo-federation"} == 0', "5m", "warning",
          "{{ $labels.instance }} of {{ $labels.job }} is not scraped.",
          "Either it does not run, or its metrics are elsewhere: see its pod, and the port that it serves /metrics on."),
    Alert("ContinuoContractNotReady", 'continuo_contracts{market="broker", state="NotReady"} > 0', "15m", "warning",
          "A contract of the broker is not fulfilled.",
          "`kubectl get contracts.continuo.dev` names it and the reason, such as a provider that cannot be entered."),
    Alert("ContinuoReadingsLost", "continuo:relay_readings_lost:increase10m > 0", "0m", "warning",
          "Readings of route {{ $labels.route }} did not reach who bought them.",
          "The buyer's endpoint refuses them or takes them too slowly: see the route at the relay's control API."),
    Alert("ContinuoBoardsOffline", "continuo:boards:online_ratio < 0.5", "10m", "warning",
          "More than half of the boards are offline.",
          "The hub or the way to it is in trouble, rather than so many boards: see its log and its certificates."),
    Alert("ContinuoFederationDown", 'up{job="continuo-federation"} == 0', "5m", "warning",
          "The Prometheus of cluster {{ $labels.cluster }} of {{ $labels.orchestration }} is not scraped.",
          "Throughput and use of the cluster are unknown: see its package `prometheus` and its address."),
)  # fmt: skip


def recording_file() -> Object:
    """The file of recording rules."""
    rules = [{"record": rule.record, "expr": rule.expr} for rule in RECORDINGS]
    return {"groups": [{"name": "continuo-recording", "interval": "30s", "rules": rules}]}


def alerts_file() -> Object:
    """The file of alerting rules; each says what to do, and where more is said."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.lasting,
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": alert.summary,
                "description": alert.way_out,
                "runbook": f"{PAGE}#{alert.name.lower()}",
            },
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "continuo-alerts", "rules": rules}]}
