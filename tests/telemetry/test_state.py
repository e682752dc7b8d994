"""What is declared, as samples; and what a change of it counts."""

from __future__ import annotations

import pytest

from continuo.resources.meta import Object
from continuo.resources.orchestration_status import AppPhase, ClusterPhase, LinkPhase
from continuo.telemetry.changes import decided, escalated, parts_of, phases_left, tasks_ended
from continuo.telemetry.latency import Jitter, seconds
from continuo.telemetry.metrics import Family, Metrics
from continuo.telemetry.orchestrations import Measured, tally

PLACE = ("default/shop", "green", "rose")


def shop(status: Object, spec: Object | None = None) -> Object:
    return {"metadata": {"namespace": "default", "name": "shop", "uid": "u"}, "spec": spec or {}, "status": status}


def told(*objects: Object, measured: dict[tuple[str, str, str], Measured] | None = None) -> dict[str, float]:
    """Every sample by its line."""
    metrics = Metrics()
    metrics.collect("test", lambda: tally(objects, measured or {}).metrics())
    lines = [line for line in metrics.exposition()[0].decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_known_phases_are_there_where_there_is_nothing() -> None:
    said = told()
    for phase in ClusterPhase:
        assert said[f'continuo_clusters{{kubernetes_type="",phase="{phase.value}",provider="",tier=""}}'] == 0
    for link in LinkPhase:
        assert said[f'continuo_links{{phase="{link.value}"}}'] == 0
    for app in AppPhase:
        assert said[f'continuo_applications{{phase="{app.value}"}}'] == 0
    assert (said["clusters_num"], said["apps_num"]) == (0, 0)


def test_everything_declared_is_counted() -> None:
    spec = {
        "clusters": [
            {"name": "green", "tier": "edge"},
            {"name": "rose", "kubernetes-type": "k3s", "cloud": {"secret": "other"}},
            {"name": "mine", "provider": "existing"},
        ],
        "apps": [{"name": "shop", "link-requirements": [
            {"name": "fast", "members": ["web", "db"], "latencyMs": 3, "jitterMs": 1},
            {"name": "far", "members": ["web", "cam"], "latencyMs": 3},
        ]}],
    }  # fmt: skip
    status = {
        "phase": "Degraded",
        "clusters": [
            {"name": "green", "phase": "Ready", "workersReady": 1, "workersDesired": 2,
             "allocatable": {"cpu": "3500m", "memory": "8Gi", "nvidia.com/gpu": "2"}, "requested": {"cpu": "500m"}},
            {"name": "rose", "phase": "Degraded", "lostSince": "2026-01-01T00:00:00Z", "allocatable": {"cpu": "four"}},
        ],
        "links": [{"clusters": ["green", "rose"], "phase": "Connected", "latency": "2ms"},
                  {"clusters": ["green", "mine"], "phase": "Peering", "latency": "9ms"}],
        "apps": [{"name": "shop", "phase": "Running", "components": [
            {"name": "web", "phase": "Running", "cluster": "green"}, {"name": "db", "phase": "Failed", "cluster": "rose"},
            {"name": "cam", "phase": "Pending", "cluster": "mine"},
        ]}],
        "loops": [{"name": "grow", "stage": "WaitingForApproval"}],
    }  # fmt: skip
    said = told(shop(status, spec), measured={PLACE: Measured(0.0025, 0.002)})
    assert said['continuo_clusters{kubernetes_type="",phase="Ready",provider="openstack",tier="edge"}'] == 1
    assert said['continuo_clusters{kubernetes_type="",phase="Pending",provider="existing",tier=""}'] == 1
    assert said['continuo_providers{type="openstack"}'] == 2, "two sets of credentials"
    assert said["clusters_num"] == said["providers_num"] == said["components_num"] == 3
    assert said['continuo_cluster_lost{cluster="rose",orchestration="default/shop"}'] == 1
    assert said['continuo_cluster_cpu_cores{cluster="green",orchestration="default/shop",state="allocatable"}'] == 3.5
    assert said['continuo_cluster_gpus{cluster="green",orchestration="default/shop",state="allocatable"}'] == 2
    assert 'continuo_cluster_cpu_cores{cluster="rose",orchestration="default/shop",state="allocatable"}' not in said
    workers = 'continuo_cluster_nodes{cluster="green",orchestration="default/shop",role="worker",state='
    assert (said[f'{workers}"ready"}}'], said[f'{workers}"desired"}}']) == (1, 2)
    ends = 'orchestration="default/shop",source="green",target="rose"'
    assert said[f"continuo_link_connected{{{ends}}}"] == 1
    assert said[f"continuo_link_latency_seconds{{{ends}}}"] == 0.0025, "what was measured is newer than the status"
    assert said[f"continuo_link_jitter_seconds{{{ends}}}"] == 0.002
    met = 'continuo_link_requirement_met{application="shop",kind="%s",orchestration="default/shop",requirement="%s"}'
    assert (said[met % ("latency", "fast")], said[met % ("jitter", "fast")]) == (1, 0)
    assert met % ("latency", "far") not in said, "nobody measured that link"
    assert said['continuo_loop_paused{scope="approval"}'] == 1
    assert said['continuo_components{cluster="rose",phase="Failed"}'] == 1


def test_what_is_meant_to_go_alarms_nobody() -> None:
    status = {
        "clusters": [{"name": "green", "phase": "Deleting"}],
        "links": [{"clusters": ["green", "rose"], "phase": "Unpeering"}],
        "apps": [{"name": "shop", "phase": "Undeploying"}],
    }
    said = told(shop(status))
    for name in ("continuo_cluster_ready", "continuo_link_connected", "continuo_application_ready"):
        assert not any(line.startswith(name) for line in said), name
    assert said['continuo_links{phase="Unpeering"}'] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.9ms", 0.0019), ("850µs", 0.00085), ("1m2.5s", 62.5), ("2s", 2.0), ("", None), ("fast", None), ("1ms!", None)],
)
def test_durations_as_go_writes_them(text: str, value: float | None) -> None:
    assert seconds(text) == (pytest.approx(value) if value is not None else None)


def test_jitter_is_that_of_rfc_3550() -> None:
    jitter = Jitter()
    assert [jitter.take(latency) for latency in (0.010, 0.026, 0.026)] == pytest.approx([0, 0.001, 0.0009375])


def test_phases_that_were_left_are_timed() -> None:
    def state(phase: str, at: str) -> Object:
        return shop({"clusters": [{"name": "green", "phase": phase, "lastTransitionTime": f"2026-01-01T00:00:{at}Z"}]})

    assert list(phases_left(state("Pending", "00"), state("Ready", "07"))) == [("cluster", "Pending", 7.0)]
    assert list(phases_left(state("Ready", "00"), state("Ready", "07"))) == []
    assert list(phases_left(shop({}), state("Ready", "07"))) == [], "where it came from nobody saw"


def test_a_task_that_ended_counts_once() -> None:
    def state(*entries: tuple[str, str]) -> Object:
        return shop(
            {"outbox": [{"id": id_, "type": f"dev.continuo.{type_}.v1", "seconds": 4} for id_, type_ in entries]}
        )

    before = state(("a/1", "cluster.create.started"))
    after = state(
        ("a/1", "cluster.create.started"), ("a/2", "cluster.create.succeeded"), ("b/1", "app.deploy.progress")
    )
    assert list(tasks_ended(before, after)) == [("cluster.create", "succeeded", 4.0)]
    assert list(tasks_ended(after, after)) == []
    assert parts_of("com.example.other.v1") == ("", "")


def test_loops_that_stop_escalate_once() -> None:
    def state(stage: str) -> Object:
        return shop({"loops": [{"name": "grow", "stage": stage}]})

    assert list(escalated(state("Act"), state("WaitingForApproval"))) == ["approval"]
    assert list(escalated(state("WaitingForApproval"), state("WaitingForApproval"))) == []


def test_decisions_count_when_they_are_over() -> None:
    def decision(stage: str) -> Object:
        actions = [{"op": "placeComponent"}, {"op": "scaleComponent"}]
        return {"spec": {"source": "policy/grow", "actions": actions}, "status": {"stage": stage}}

    assert list(decided(None, decision("Received"))) == []
    assert list(decided(decision("Applied"), decision("Verified"))) == [
        ("policy", "placeComponent", "Verified"), ("policy", "scaleComponent", "Verified"),
    ]  # fmt: skip
    assert list(decided(decision("Verified"), decision("Verified"))) == []


def test_a_source_that_fails_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.gauge(Family("continuo_fine", "gauge", "Fine.")).set(1)

    def broken() -> list[object]:
        raise RuntimeError("no")

    metrics.collect("what is broken", broken)  # type: ignore[arg-type]
    assert b"continuo_fine 1.0" in metrics.exposition()[0]
    assert "the metrics of what is broken cannot be collected" in caplog.text


def test_one_name_is_of_one_type() -> None:
    metrics, family = Metrics(), Family("continuo_things", "gauge", "Things.")
    assert metrics.gauge(family) is metrics.gauge(family)
    with pytest.raises(TypeError, match="is a Gauge already"):
        metrics.counter(family)
