"""Decisions about applications and components: no server, no clock."""

from __future__ import annotations

import base64

import pytest

from continuo.orchestrator.caches import workload_watches
from continuo.orchestrator.observe import Reach
from continuo.orchestrator.plan import Action
from continuo.resources import kinds
from continuo.resources.meta import labels_of

from .worlds import Bench, app, cluster, component

WEB = component("web", expose=[{"containerPort": 80, "clusterPort": 8080}])


def running(*components, **more) -> Bench:
    bench = Bench({"clusters": [cluster("green", **more)], "apps": [app("shop", "green", *components)]})
    bench.settle()
    return bench


def test_an_application_waits_for_its_cluster_and_then_runs() -> None:
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", WEB)]})
    assert bench.steps()["component/shop/web"].needs == ("application/shop", "cluster/green")
    bench.settle()
    store = bench.workloads["o-green"]
    assert store.get(kinds.SERVICE, "web", "shop")["spec"]["ports"][0]["port"] == 8080
    assert bench.object["status"]["apps"][0]["components"][0]["phase"] == "Running"
    assert bench.object["status"]["summary"] == {"clusters": "1/1", "links": "0/0", "apps": "1/1"}


def test_a_deleted_deployment_comes_back() -> None:
    bench = running(WEB)
    bench.workloads["o-green"].drop(kinds.DEPLOYMENT, "web", "shop")
    (step,) = bench.plan.steps
    assert step.action is Action.DEPLOY
    assert [write.kind for write in step.writes] == [kinds.DEPLOYMENT]


def test_one_component_is_deleted_with_all_that_is_its_own() -> None:
    bench = running(
        WEB, component("db", storage=[{"name": "d", "kind": "persistent", "size": "1Gi", "mountPath": "/d"}])
    )
    bench.declare({"clusters": [cluster("green")], "apps": [app("shop", "green", WEB)]})
    (step,) = bench.plan.steps
    assert step.action is Action.DELETE
    assert {write.kind for write in step.writes} == {kinds.DEPLOYMENT, kinds.PERSISTENT_VOLUME_CLAIM}
    bench.settle()
    assert [labels_of(d)["continuo.dev/component"] for d in bench.workloads["o-green"].all(kinds.DEPLOYMENT)] == ["web"]


def test_a_withdrawn_exposure_takes_its_service_along() -> None:
    bench = running(WEB)
    bench.declare({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web"))]})
    bench.settle()
    assert bench.workloads["o-green"].all(kinds.SERVICE) == []


def test_secret_variables_never_stand_in_the_deployment() -> None:
    env = {"is-secret": True, "variables": [{"name": "PASSWORD", "value": "hunter2"}]}
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("db", env=env))]})
    bench.settle()
    store = bench.workloads["o-green"]
    assert "hunter2" not in str(store.get(kinds.DEPLOYMENT, "db", "shop"))
    secret = store.get(kinds.SECRET, "db-env", "shop")
    assert base64.b64decode(secret["data"]["PASSWORD"]) == b"hunter2"
    encoded = base64.b64encode(b"hunter2").decode()
    fresh = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("db", env=env))]})
    fresh.run()
    fresh.bring_up()
    for _ in range(4):
        shown = str(fresh.plan.to_json()) + str(fresh.object["status"])
        assert "hunter2" not in shown and encoded not in shown
        assert secret["metadata"]["annotations"]["continuo.dev/applied"] not in shown
        fresh.run()


def template(bench: Bench, name: str) -> dict:
    return bench.workloads["o-green"].get(kinds.DEPLOYMENT, name, "shop")["spec"]["template"]


def put_secret(bench: Bench, **data: str) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    bench.management.put(kinds.SECRET, kinds.SECRET.new("s", "default", type="Opaque", data=encoded))


def test_a_rotated_secret_means_new_pods_for_those_who_read_it_and_for_nobody_else() -> None:
    reads = {"variables": [{"name": "P", "secret": {"name": "s", "key": "used"}}]}
    components = [component("db", env=reads), component("web")]
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", *components)]})
    put_secret(bench, used="1", other="1")
    bench.settle()
    before = {name: template(bench, name) for name in ("db", "web")}
    put_secret(bench, used="1", other="2")
    bench.settle()
    assert {name: template(bench, name) for name in ("db", "web")} == before
    put_secret(bench, used="2", other="2")
    bench.settle()
    assert template(bench, "db") != before["db"]
    assert template(bench, "web") == before["web"]
    assert "annotations" not in before["web"]["metadata"]


def test_another_secret_value_in_the_declaration_means_new_pods() -> None:
    def spec(value: str) -> dict:
        env = {"is-secret": True, "variables": [{"name": "P", "value": value}]}
        return {"clusters": [cluster("green")], "apps": [app("shop", "green", component("db", env=env))]}

    bench = Bench(spec("one"))
    bench.settle()
    before = template(bench, "db")
    bench.declare(spec("two"))
    bench.settle()
    assert template(bench, "db") != before


def test_a_missing_secret_stops_only_its_component() -> None:
    wants = component("web", registry={"secret": "pull"})
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", wants, component("db"))]})
    for _ in range(4):
        bench.run()
        bench.bring_up()
        bench.pods_run()
    (refusal,) = bench.plan.refusals
    assert refusal.reason == "SecretMissing"
    assert "Secret default/pull" in refusal.message and "create it" in refusal.message
    phases = {c["name"]: c["phase"] for c in bench.object["status"]["apps"][0]["components"]}
    assert phases == {"web": "Failed", "db": "Running"}
    bench.management.put(
        kinds.SECRET,
        kinds.SECRET.new("pull", "default", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30="}),
    )
    bench.settle()
    assert bench.workloads["o-green"].get(kinds.SECRET, "pull", "shop")["type"] == "kubernetes.io/dockerconfigjson"


@pytest.mark.parametrize(
    ("port", "says"), [(6443, "belongs to the Kubernetes API server"), (5000, "belongs to component shop/a")]
)
def test_two_holders_of_one_public_port_are_refused(port: int, says: str) -> None:
    expose = [{"containerPort": 1, "clusterPort": port, "is-public": True}]
    bench = Bench(
        {
            "clusters": [cluster("green")],
            "apps": [app("shop", "green", component("a", expose=expose), component("b", expose=expose))],
        }
    )
    messages = [refusal.message for refusal in bench.plan.refusals]
    assert any(says in message for message in messages), messages


def test_placement_hints_choose_by_tier_and_the_home_cluster_otherwise() -> None:
    bench = Bench(
        {
            "clusters": [cluster("green", tier="edge"), cluster("rose", tier="cloud")],
            "apps": [app("shop", "green", component("a", placement_hint="CLOUD"), component("b"),
                         component("c", placement_hint="EDGE"), component("d", placement_hint="DEVICE"))],
        }
    )  # fmt: skip
    wanted = bench.look()[1]
    places = {name: c.cluster for name, c in wanted.apps["shop"].components.items()}
    assert places == {"a": "rose", "b": "green", "c": "green", "d": "green"}
    assert set(wanted.links) == {("green", "rose")}, "an application that spans clusters implies their link"


def test_an_application_is_deleted_with_its_namespace_only() -> None:
    bench = running(WEB)
    bench.workloads["o-green"].put(kinds.NAMESPACE, kinds.NAMESPACE.new("other"))
    bench.declare({"clusters": [cluster("green")]})
    bench.settle()
    assert [ns["metadata"]["name"] for ns in bench.workloads["o-green"].all(kinds.NAMESPACE)] == ["other"]


def test_a_namespace_of_somebody_else_is_not_taken() -> None:
    bench = Bench(
        {"clusters": [cluster("green")], "apps": [app("shop", "green", WEB), app("desk", "green", component("x"))]}
    )
    bench.run()
    bench.bring_up()
    bench.workloads["o-green"].put(kinds.NAMESPACE, kinds.NAMESPACE.new("shop"))
    for _ in range(4):
        bench.run()
        bench.pods_run()
    (refusal,) = bench.plan.refusals
    assert refusal.reason == "NamespaceTaken"
    assert bench.workloads["o-green"].all(kinds.DEPLOYMENT)[0]["metadata"]["namespace"] == "desk"


def test_namespaces_of_others_are_followed_too() -> None:
    (watch,) = (watch for watch in workload_watches() if watch.kind is kinds.NAMESPACE)
    assert watch.labels is None  # or kube-system would be free to take, and to delete with the application


def test_a_namespace_that_lost_its_labels_is_mended() -> None:
    bench = running(WEB)
    bench.workloads["o-green"].edit(kinds.NAMESPACE, "shop", "", lambda obj: obj["metadata"].pop("labels"))
    assert bench.plan.refusals == ()
    bench.settle()
    assert labels_of(bench.workloads["o-green"].get(kinds.NAMESPACE, "shop"))["continuo.dev/orchestration"] == "o"


def test_the_twin_of_an_application_that_moves_home_is_no_stranger() -> None:
    clusters = [cluster("green"), cluster("rose")]
    bench = Bench({"clusters": clusters, "apps": [app("shop", "green", WEB)]})
    bench.settle()
    bench.workloads["o-rose"].put(kinds.NAMESPACE, kinds.NAMESPACE.new("shop"))
    bench.declare({"clusters": clusters, "apps": [app("shop", "rose", WEB)]})
    assert bench.plan.refusals == ()
    bench.run()
    (refusal,) = bench.plan.refusals  # Liqo would have removed its twin by now
    assert refusal.reason == "NamespaceTaken"


def test_a_lost_cluster_degrades_and_stops_nothing_else() -> None:
    bench = Bench(
        {
            "clusters": [cluster("green"), cluster("rose")],
            "apps": [app("a", "green", component("x")), app("b", "rose", component("y"))],
        }
    )
    bench.settle()
    bench.reach["o-rose"] = Reach.LOST
    bench.workloads["o-green"].drop(kinds.DEPLOYMENT, "x", "a")
    assert bench.run() == ["component/a/x"]
    phases = {entry["name"]: entry["phase"] for entry in bench.object["status"]["clusters"]}
    assert phases == {"green": "Ready", "rose": "Degraded"}


def test_a_copied_secret_whose_type_changed_is_deleted_and_made_anew() -> None:
    env = {"variables": [{"name": "S", "secret": {"name": "s", "key": "k"}}]}
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", env=env))]})
    bench.management.put(kinds.SECRET, kinds.SECRET.new("s", "default", type="Opaque", data={"k": "eA=="}))
    bench.settle()
    bench.management.put(kinds.SECRET, kinds.SECRET.new("s", "default", type="example.org/s", data={"k": "eA=="}))
    step = bench.steps()["application/shop"]
    assert [str(write) for write in step.writes] == ["delete Secret shop/s", "apply Secret shop/s"]
    assert step.writes[1].object["type"] == "example.org/s"
    # Killed in between: what is missing is applied.
    bench.workloads["o-green"].drop(kinds.SECRET, "s", "shop")
    assert [str(write) for write in bench.steps()["application/shop"].writes] == ["apply Secret shop/s"]
    bench.settle()
    bench.management.put(kinds.SECRET, kinds.SECRET.new("s", "default", type="example.org/s", data={"k": "eQ=="}))
    assert [str(write) for write in bench.steps()["application/shop"].writes] == ["apply Secret shop/s"]


def test_an_application_runs_in_its_new_home_before_it_leaves_the_old_one() -> None:
    clusters = [cluster("green"), cluster("rose")]
    bench = Bench({"clusters": clusters, "apps": [app("shop", "green", WEB)]})
    bench.settle()
    bench.declare({"clusters": clusters, "apps": [app("shop", "rose", WEB)]})
    leaving = next(step for step in bench.plan.steps if "leave" in step.id)
    assert (leaving.writes, leaving.waits_for) == ((), "it to run on rose before it leaves green")
    assert any(step.id == "application/shop" and step.writes for step in bench.plan.steps)
    bench.settle()
    assert not any(kept.get(("", "shop")) for kept in bench.workloads["o-green"].caches[kinds.NAMESPACE])
    assert bench.workloads["o-rose"].get(kinds.DEPLOYMENT, "web", "shop") is not None
