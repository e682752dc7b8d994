"""For each alert: series under which it fires, and series under which it does not. Values are promtool's, 30 s apart."""

from __future__ import annotations

from dataclasses import dataclass, field

_SHOP = 'orchestration="default/shop"'
SHOP = {"orchestration": "default/shop"}
GREEN = {**SHOP, "cluster": "green"}


@dataclass(frozen=True)
class Case:
    bad: dict[str, str]
    good: dict[str, str]
    minutes: int
    """When it is looked at."""
    labels: dict[str, str] = field(default_factory=dict)
    early: int = 0
    """When it does not fire yet, though it will."""


def _gauge(name: str, labels: str, bad: float, good: float, minutes: int, told: dict[str, str], early: int = 0) -> Case:
    series = f"{name}{{{labels}}}"
    return Case({series: f"{bad}x200"}, {series: f"{good}x200"}, minutes, told, early)


def _buckets(fast: int, slow: int) -> dict[str, str]:
    name = 'continuo_task_duration_seconds_bucket{operation="cluster.create",le='
    return {
        f'{name}"60"}}': f"0+{fast}x200",
        f'{name}"1800"}}': f"0+{fast + slow}x200",
        f'{name}"+Inf"}}': f"0+{fast + slow}x200",
    }


def _requests(bad: int, good: int) -> dict[str, str]:
    name = 'continuo_http_request_duration_seconds_count{route="/amf/v1/applications",method="POST",status='
    return {f'{name}"500"}}': f"0+{bad}x200", f'{name}"202"}}': f"0+{good}x200"}


def _looks(failed: int, done: int) -> dict[str, str]:
    return {
        'continuo_reconcile_errors_total{controller="orchestrator"}': f"0+{failed}x200",
        'continuo_reconciles_total{controller="orchestrator",result="done"}': f"0+{done}x200",
        'continuo_reconciles_total{controller="orchestrator",result="failed"}': f"0+{failed}x200",
    }


def _room(requested: float) -> dict[str, str]:
    name = f'continuo_cluster_cpu_cores{{{_SHOP},cluster="green",state='
    return {f'{name}"requested"}}': f"{requested}x200", f'{name}"allocatable"}}': "10x200"}


_LINK = f'{_SHOP},source="green",target="rose"'
_WAY = 'route="c1",target="https://b.example/in",number="0"'
_NEED = f'{_SHOP},application="shop",requirement="fast",kind="latency"'

CASES: dict[str, Case] = {
    "ContinuoOperatorDown": Case(
        {"up": "1x200"}, {'continuo_build_info{part="operator",version="1"}': "1x200"}, 8, {"part": "operator"}, early=3
    ),
    "ContinuoClusterLost": _gauge("continuo_cluster_lost", f'{_SHOP},cluster="green"', 1, 0, 3, GREEN),
    "ContinuoClusterNotReady": _gauge("continuo_cluster_ready", f'{_SHOP},cluster="green"', 0, 1, 35, GREEN, 20),
    "ContinuoClusterCreateSlow": Case(_buckets(0, 1), _buckets(1, 0), 15, {"operation": "cluster.create"}),
    "ContinuoClusterFull": Case(_room(9.5), _room(5), 20, GREEN, early=10),
    "ContinuoLinkDown": _gauge(
        "continuo_link_connected", _LINK, 0, 1, 3, {**SHOP, "source": "green", "target": "rose"}, 1
    ),
    "ContinuoLinkRequirementNotMet": _gauge(
        "continuo_link_requirement_met", _NEED, 0, 1, 6,
        {**SHOP, "application": "shop", "requirement": "fast", "kind": "latency"}, 3,
    ),
    "ContinuoApplicationDegraded": _gauge(
        "continuo_application_ready", f'{_SHOP},application="shop"', 0, 1, 6, {**SHOP, "application": "shop"}, 3
    ),
    "ContinuoReconcileErrorRatio": Case(_looks(3, 1), _looks(1, 9), 20, {"controller": "orchestrator"}, early=5),
    "ContinuoSnapshotStale": _gauge(
        "continuo_snapshot_age_seconds", 'server="default/shop-green"', 200, 10, 3, {"server": "default/shop-green"}
    ),
    "ContinuoQueueStuck": _gauge(
        "continuo_workqueue_depth", 'controller="orchestrator"', 500, 3, 20, {"controller": "orchestrator"}
    ),
    "ContinuoLoopWaits": _gauge("continuo_loop_paused", 'scope="approval"', 1, 0, 16, {"scope": "approval"}, 10),
    "ContinuoEventBacklog": _gauge("continuo_events_backlog", 'sink="kafka"', 2000, 10, 6, {"sink": "kafka"}, 3),
    "ContinuoEventsDropped": Case(
        {'continuo_events_dropped_total{operation="app.deploy"}': "0x4 0+1x200"},
        {'continuo_events_dropped_total{operation="app.deploy"}': "7x200"},
        6, {"operation": "app.deploy"},
    ),
    "ContinuoHttpErrors": Case(_requests(1, 9), _requests(0, 10), 12, {"route": "/amf/v1/applications"}, early=4),
    "ContinuoPartDown": _gauge(
        "up", 'job="continuo-edge",instance="edge:8081"', 0, 1, 6, {"job": "continuo-edge", "instance": "edge:8081"}, 3
    ),
    "ContinuoContractNotReady": _gauge(
        "continuo_contracts", 'market="broker",state="NotReady"', 2, 0, 16, {"market": "broker", "state": "NotReady"}, 10
    ),
    "ContinuoReadingsLost": Case(
        {f'continuo_relay_readings_dead_total{{{_WAY}}}': "0x4 0+1x200",
         f'continuo_relay_readings_dropped_total{{{_WAY}}}': "0x200"},
        {f'continuo_relay_readings_dead_total{{{_WAY}}}': "7x200",
         f'continuo_relay_readings_dropped_total{{{_WAY}}}': "0x200"},
        6, {"route": "c1"},
    ),
    "ContinuoBoardsOffline": Case(
        {'continuo_boards{status="online"}': "4x200", 'continuo_boards{status="offline"}': "6x200"},
        {'continuo_boards{status="online"}': "6x200", 'continuo_boards{status="offline"}': "4x200",
         'continuo_boards{status="registered"}': "900x200"},
        12, early=5,
    ),
    "ContinuoFederationDown": _gauge(
        "up", f'job="continuo-federation",{_SHOP},cluster="green"', 0, 1, 6,
        {**GREEN, "job": "continuo-federation"}, 3,
    ),
}  # fmt: skip
