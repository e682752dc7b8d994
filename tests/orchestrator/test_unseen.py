"""After a restart nothing is seen on a cluster until it was looked at: that must never count as nothing being there."""

from __future__ import annotations

from continuo.orchestrator.observe import Reach
from continuo.orchestrator.plan import Action
from continuo.resources import kinds

from .worlds import Bench, app, cluster, component


def test_no_cluster_is_deleted_before_all_were_looked_at() -> None:
    bench = Bench({"clusters": [cluster("green"), cluster("rose")]})
    bench.settle()
    bench.delete()
    bench.reach["o-rose"] = Reach.CONNECTING
    steps = bench.steps()
    assert all(steps[f"cluster/{name}"].action is Action.DELETE for name in ("green", "rose"))
    assert not any(step.writes for step in steps.values())
    assert "a look at rose" in steps["cluster/green"].waits_for
    bench.reach["o-rose"] = Reach.OK
    assert all(step.writes for step in bench.steps().values())


def test_a_lost_cluster_does_not_hold_up_its_own_deletion() -> None:
    bench = Bench({"clusters": [cluster("green"), cluster("rose")]})
    bench.settle()
    bench.delete()
    bench.reach["o-rose"] = Reach.LOST
    assert all(step.writes for step in bench.steps().values())


def test_an_application_begins_nowhere_while_its_old_home_is_unseen() -> None:
    clusters = [cluster("green"), cluster("rose")]
    bench = Bench({"clusters": clusters, "apps": [app("shop", "green", component("web"))]})
    bench.settle()
    bench.declare({"clusters": clusters, "apps": [app("shop", "rose", component("web"))]})
    bench.reach["o-green"] = Reach.CONNECTING
    assert [step.id for step in bench.plan.runnable()] == []
    assert "a look at green" in bench.steps()["application/shop"].waits_for
    bench.reach["o-green"] = Reach.OK
    bench.settle()
    assert bench.workloads["o-green"].all(kinds.DEPLOYMENT) == []
    assert [d["metadata"]["name"] for d in bench.workloads["o-rose"].all(kinds.DEPLOYMENT)] == ["web"]


def test_an_edited_label_deletes_nothing() -> None:
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web"))]})
    bench.settle()

    def other(key: str):
        def change(obj: dict) -> None:
            obj["metadata"]["labels"][key] = "other"

        return change

    bench.management.edit(kinds.CLUSTER, "o-green", "default", other("continuo.dev/cluster"))
    bench.workloads["o-green"].edit(kinds.NAMESPACE, "shop", "", other("continuo.dev/application"))
    bench.workloads["o-green"].edit(kinds.DEPLOYMENT, "web", "shop", other("continuo.dev/component"))
    assert {write.op for step in bench.plan.steps for write in step.writes} == {"apply"}
    bench.settle()
    assert (
        bench.management.get(kinds.CLUSTER, "o-green", "default")["metadata"]["labels"]["continuo.dev/cluster"]
        == "green"
    )
