"""What loops that are no longer declared have left: it returns to the declaration, at once or when it can."""

from __future__ import annotations

from typing import Any

from continuo.orchestrator.loops.laying import Carried, lay
from continuo.orchestrator.loops.remains import Remains, remains
from continuo.resources.loop import AdjustmentSpec, DecidedAction, Operation
from continuo.resources.orchestration import Spec, decode_spec
from orchestrator import worlds

from .given import at, cluster, component

BURST = decode_spec({"clusters": [worlds.cluster("burst-1")]}).clusters[0]
DONE = [
    DecidedAction(op=Operation.CREATE_CLUSTER, cluster="burst-1", template=BURST),
    DecidedAction(op=Operation.SCALE_COMPONENT, component="shop/web", replicas=7),
    DecidedAction(op=Operation.SCALE_CLUSTER, cluster="green", workers=9),
    DecidedAction(op=Operation.MIGRATE_COMPONENT, component="shop/web", cluster="rose", home="green"),
    DecidedAction(op=Operation.MOVE_HOME, app="shop", cluster="rose", home="green"),
]
LOOPS: list[Any] = [
    {"name": "load", "scale-component": {"component": "shop/web", "metric": {"target": 0.7}}},
    {"name": "size", "scale-cluster": {"cluster": "green", "min": 1, "max": 9}},
    {"name": "away", "failover": {}},
    {"name": "grow", "provision-cluster": {"template": {"name": "burst"}}},
]


def declared(*policies: Any) -> Spec:
    clusters = [worlds.cluster("green", worker_machine_count=1), worlds.cluster("rose")]
    apps = [worlds.app("shop", "green", worlds.component("web", "green"))]
    return decode_spec({"clusters": clusters, "apps": apps, "policies": list(policies)})


LAID = lay(AdjustmentSpec(), DONE, Carried(declared(), "d", "2026-01-01T00:00:00Z", "grow"))


def found(spec: Spec, laid: AdjustmentSpec = LAID, where: str = "rose", **green: Any) -> Remains:
    clusters = {
        "green": cluster("green", **green),
        "rose": cluster("rose"),
        "burst-1": cluster("burst-1", policy="grow"),
    }
    web = component("shop/web", where, home="green")
    return remains(spec, spec, laid, clusters, {"shop/web": web})


def test_nothing_returns_while_somebody_has_the_say() -> None:
    assert found(declared(*LOOPS)) == Remains()


def test_everything_returns_and_nothing_is_left() -> None:
    back = found(declared())
    assert back.reason == "grow has no say any more: what is declared holds" and not back.waits
    assert lay(LAID, back.actions, Carried(declared(), "d2", "2026-01-01T00:00:00Z")) == AdjustmentSpec()


def test_whoever_has_the_say_now_takes_over_under_another_name() -> None:
    renamed = [{**loop, "name": f"new-{loop['name']}"} for loop in LOOPS]
    assert found(declared(*renamed)) == Remains()
    other = {"name": "grow-too", "provision-cluster": {"template": {"name": "other"}}}
    assert [action.op for action in found(declared(*LOOPS[:3], other)).actions] == [Operation.DELETE_CLUSTER]


def test_what_cannot_return_yet_says_why() -> None:
    back = found(declared(*LOOPS[:2]), where="burst-1", lost_since=at(0))
    assert not back.actions
    assert back.waits["grow"] == (
        "policy grow has no say any more: application shop returns to green once that is well; shop/web returns to green "
        "once that is well; cluster burst-1 stays until nothing is placed on it any more: shop/web"
    )


def test_what_others_decided_stays() -> None:
    theirs = lay(AdjustmentSpec(), DONE, Carried(declared(), "d", "2026-01-01T00:00:00Z"))
    assert found(declared(), theirs) == Remains()
