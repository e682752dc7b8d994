"""What decisions make of an Adjustment: every operation, twice, undone, and of what is no longer declared."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from continuo.orchestrator.effective import declaration_digest, effective
from continuo.orchestrator.loops.laying import Carried, counting, in_effect, lay, names, pruned
from continuo.resources.loop import AdjustmentSpec, DecidedAction, Operation
from continuo.resources.orchestration import decode_spec
from orchestrator.worlds import app, cluster, component

SPEC = decode_spec({
    "clusters": [cluster("green"), cluster("rose", worker_machine_count=2)],
    "links": [["green", "rose"]],
    "apps": [app("shop", "green", component("web", placement={}), component("db", "rose"), component("log"))],
})  # fmt: skip
CARRIED = Carried(SPEC, "d1", "2026-01-01T00:00:00Z", "load")
BURST = decode_spec({"clusters": [cluster("burst-1", worker_machine_count=1)]}).clusters[0]


def does(op: Operation, **fields: Any) -> DecidedAction:
    return DecidedAction(op=op, **fields)


DONE = [
    does(Operation.PLACE_COMPONENT, component="shop/web", cluster="rose"),
    does(Operation.MIGRATE_COMPONENT, component="shop/db", cluster="green", other="rose", home="rose"),
    does(Operation.SCALE_COMPONENT, component="shop/web", replicas=3),
    does(Operation.CREATE_CLUSTER, cluster="burst-1", template=BURST),
    does(Operation.SCALE_CLUSTER, cluster="rose", workers=5),
    does(Operation.LINK_CLUSTERS, cluster="burst-1", other="green"),
    does(Operation.UNLINK_CLUSTERS, cluster="rose", other="green"),
    does(Operation.MOVE_HOME, app="shop", cluster="rose", other="green"),
    does(Operation.ROLL_BACK, component="shop/web", revision="shop-1"),
]
ALL = lay(AdjustmentSpec(), DONE, CARRIED)
UNDONE = [
    does(Operation.MIGRATE_COMPONENT, component="shop/db", cluster="rose", other="green"),
    does(Operation.SCALE_COMPONENT, component="shop/web", replicas=1),
    does(Operation.SCALE_CLUSTER, cluster="rose", workers=2),
    does(Operation.UNLINK_CLUSTERS, cluster="green", other="burst-1"),
    does(Operation.LINK_CLUSTERS, cluster="green", other="rose"),
    does(Operation.MOVE_HOME, app="shop", cluster="green", other="rose"),
    does(Operation.DELETE_CLUSTER, cluster="burst-1"),
]


def test_everything_is_carried_out() -> None:
    found = effective(SPEC, ALL)
    assert [c.cluster_selector for c in found.apps[0].components] == ["rose", "green", None]
    assert found.apps[0].components[0].replicas == 3 and found.apps[0].cluster == "rose"
    assert {c.name: c.worker_machine_count for c in found.clusters} == {"green": 0, "rose": 5, "burst-1": 1}
    assert found.links == (("burst-1", "green"),)
    assert ALL.rollbacks[0].failed == declaration_digest(SPEC.apps[0].components[0], 0)
    assert names(ALL) == {"d1"} and ALL.clusters[0].policy == "load"


@pytest.mark.parametrize("action", DONE, ids=lambda action: str(action.op))
def test_laying_the_same_twice_is_laying_it_once(action: DecidedAction) -> None:
    start = lay(AdjustmentSpec(), [DONE[3]], CARRIED)
    once = lay(start, [action], CARRIED)
    assert lay(once, [action], CARRIED) == once
    other = Carried(SPEC, "d2", "2026-02-02T00:00:00Z")
    assert in_effect(once, [action], other) and (action is DONE[3] or not in_effect(start, [action], other))


def test_what_returns_to_the_declaration_leaves_nothing() -> None:
    left = lay(ALL, UNDONE, CARRIED)
    assert [entry.component for entry in left.places] == ["shop/web"]
    empty = msgspec.structs.replace(left, places=(), rollbacks=())
    assert empty == AdjustmentSpec()


def test_what_is_no_longer_declared_goes_with_the_next_word() -> None:
    smaller = decode_spec({"clusters": [cluster("green")], "apps": [app("shop", "green", component("log"))]})
    left = pruned(ALL, smaller)
    assert not left.places and not left.replicas and not left.workers and not left.homes
    assert [entry.cluster.name for entry in left.clusters] == ["burst-1"] and [e.clusters for e in left.links] == [
        ("burst-1", "green")
    ]


@pytest.mark.parametrize(
    "action",
    [
        does(Operation.PLACE_COMPONENT), does(Operation.SCALE_COMPONENT, component="shop/none", replicas=2),
        does(Operation.CREATE_CLUSTER), does(Operation.SCALE_CLUSTER, cluster="none", workers=1),
        does(Operation.LINK_CLUSTERS, cluster="green"), does(Operation.MOVE_HOME, app="none", cluster="rose"),
        does(Operation.ROLL_BACK, app="shop"), does(Operation.DELETE_CLUSTER, cluster="green"),
    ],
    ids=lambda action: str(action.op),
)  # fmt: skip
def test_half_an_action_does_nothing(action: DecidedAction) -> None:
    assert lay(AdjustmentSpec(), [action], CARRIED) == AdjustmentSpec()


def test_what_was_declared_anew_goes_so_that_it_never_counts_again() -> None:
    anew = decode_spec({
        "clusters": [cluster("green"), cluster("rose", worker_machine_count=3)],
        "apps": [app("shop", "rose", component("web", replicas=2), component("db", "green"), component("log"))],
    })  # fmt: skip
    left = counting(ALL, anew)
    assert (left.places, left.replicas, left.workers, left.homes) == ((), (), (), ())
    assert counting(ALL, SPEC) == ALL


def test_what_is_laid_over_what_was_rolled_back_is_measured_by_that() -> None:
    base = decode_spec({
        "clusters": [cluster("green"), cluster("rose", worker_machine_count=2)],
        "apps": [app("shop", "green", component("web", "rose", replicas=2), component("db", "green"), component("log"))],
    })  # fmt: skip
    word = Carried(SPEC, "d1", "2026-01-01T00:00:00Z", base=base)
    moved = does(Operation.MIGRATE_COMPONENT, component="shop/db", cluster="rose", home="green")
    laid = lay(AdjustmentSpec(), [does(Operation.SCALE_COMPONENT, component="shop/web", replicas=3), moved], word)
    assert laid.replicas[0].declared == 2 and laid.places[0].home == "green", "rose is where the failed one is declared"
    found = effective(base, laid).apps[0].components
    assert found[0].replicas == 3 and found[1].cluster_selector == "rose" and counting(laid, SPEC, base) == laid
