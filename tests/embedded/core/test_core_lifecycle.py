"""Namespaces, owners and events: what a control plane does by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from continuo.embedded.api import ClusterApi
from continuo.embedded.engine import EmbeddedEngine
from continuo.resources.errors import Forbidden
from continuo.resources.kinds import CONFIG_MAP, CORE_EVENT, EVENT, NAMESPACE, POD, SECRET, SERVICE_ACCOUNT
from continuo.resources.meta import Kind, Object, condition


@pytest.fixture
def living(engine: EmbeddedEngine, hands: Any) -> ClusterApi:
    api = engine.create_cluster("green")
    engine.start()
    hands.settle()
    return api


def owned(name: str, *owners: Object, namespace: str = "default", block: bool = False, **metadata: Any) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], **({"blockOwnerDeletion": True} if block else {}),
        }
        for owner in owners
    ]  # fmt: skip
    return SECRET.new(name, namespace, metadata={**metadata, "ownerReferences": references})


def secrets(api: ClusterApi) -> set[str]:
    return {obj["metadata"]["name"] for obj in api.list(SECRET)}


# --- namespaces -------------------------------------------------------------------------------------------------------
def test_a_namespace_has_its_basics(living: ClusterApi, hands: Any) -> None:
    made = living.create(NAMESPACE.new("shop"))
    hands.settle()
    assert made["spec"] == {"finalizers": ["kubernetes"]} and made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert living.get(CONFIG_MAP, "kube-root-ca.crt", "shop")["data"] == {"ca.crt": "PEM"}
    living.delete(SERVICE_ACCOUNT, "default", "shop")
    living.delete(CONFIG_MAP, "kube-root-ca.crt", "shop")
    hands.settle()
    assert living.find(SERVICE_ACCOUNT, "default", "shop") and living.find(CONFIG_MAP, "kube-root-ca.crt", "shop")


def test_a_deleted_namespace_is_emptied_first(living: ClusterApi, hands: Any, pod: Callable[..., Object]) -> None:
    living.create(NAMESPACE.new("shop"))
    for number in range(450):
        living.create(CONFIG_MAP.new(f"c{number}", "shop"))
    running = pod(nodeName="n1")
    living.create({**running, "metadata": {"name": "web", "namespace": "shop"}})
    living.create(SECRET.new("held", "shop", metadata={"finalizers": ["a.dev/b"]}))
    marked = living.delete(NAMESPACE, "shop")
    assert marked["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden) as caught:
        living.create(CONFIG_MAP.new("late", "shop"))
    assert str(caught.value) == (
        'configmaps "late" is forbidden: unable to create new content in namespace shop because it is being terminated'
    )
    hands.settle()
    assert living.list(CONFIG_MAP, "shop") == []
    remaining = condition(living.get(NAMESPACE, "shop"), "NamespaceContentRemaining")
    assert remaining is not None and remaining["status"] == "True"
    assert "pods has 1 resource instances" in remaining["message"]
    held = condition(living.get(NAMESPACE, "shop"), "NamespaceFinalizersRemaining")
    assert held is not None and "a.dev/b in 1 resource instances" in held["message"]
    living.delete(POD, "web", "shop", grace_seconds=0)
    living.patch(SECRET, "held", "shop", "merge", {"metadata": {"finalizers": None}})
    hands.settle()
    assert living.find(NAMESPACE, "shop") is None


def test_some_namespaces_stay(living: ClusterApi) -> None:
    with pytest.raises(Forbidden, match=r'namespaces "default" is forbidden: this namespace may not be deleted'):
        living.delete(NAMESPACE, "default")


# --- owners -----------------------------------------------------------------------------------------------------------
def test_dependents_follow_in_the_background(living: ClusterApi, hands: Any) -> None:
    top = living.create(CONFIG_MAP.new("top", "default"))
    child = living.create(owned("child", top))
    living.create(owned("grandchild", child))
    living.delete(CONFIG_MAP, "top", "default")
    assert secrets(living) == {"child", "grandchild"}
    hands.settle()
    assert secrets(living) == set()


def test_a_foreground_deletion_waits_for_blocking_dependents(living: ClusterApi, hands: Any) -> None:
    top = living.create(CONFIG_MAP.new("top", "default"))
    living.create(owned("blocking", top, block=True, finalizers=["a.dev/b"]))
    living.create(owned("loose", top))
    living.delete(CONFIG_MAP, "top", "default", propagation="Foreground")
    hands.settle()
    assert living.find(CONFIG_MAP, "top", "default") and secrets(living) == {"blocking"}
    living.patch(SECRET, "blocking", "default", "merge", {"metadata": {"finalizers": None}})
    hands.settle()
    assert living.find(CONFIG_MAP, "top", "default") is None and secrets(living) == set()


def test_foreground_without_dependents_goes(living: ClusterApi, hands: Any) -> None:
    living.create(CONFIG_MAP.new("top", "default"))
    living.delete(CONFIG_MAP, "top", "default", propagation="Foreground")
    hands.settle()
    assert living.find(CONFIG_MAP, "top", "default") is None


def test_orphans_stay_free(living: ClusterApi, hands: Any) -> None:
    top = living.create(CONFIG_MAP.new("top", "default"))
    living.create(owned("child", top))
    living.delete(CONFIG_MAP, "top", "default", propagation="Orphan")
    hands.settle()
    assert living.find(CONFIG_MAP, "top", "default") is None
    assert not living.get(SECRET, "child", "default")["metadata"].get("ownerReferences")


def test_one_lasting_owner_is_enough(living: ClusterApi, hands: Any) -> None:
    one, two = (living.create(CONFIG_MAP.new(name, "default")) for name in ("one", "two"))
    living.create(owned("child", one, two))
    living.delete(CONFIG_MAP, "one", "default")
    hands.settle()
    references = living.get(SECRET, "child", "default")["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in references] == ["two"]


def test_an_owner_must_be_the_very_one(living: ClusterApi, hands: Any) -> None:
    top = living.create(CONFIG_MAP.new("top", "default"))
    living.create(NAMESPACE.new("shop"))
    other_name = {**top, "metadata": {**top["metadata"], "name": "wrong"}}
    other_uid = {**top, "metadata": {**top["metadata"], "uid": "00000000-0000-4000-8000-000000000000"}}
    unknown = {**top, "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": other_uid["metadata"]}
    living.create(owned("right", top))
    living.create(owned("wrong-name", other_name))
    living.create(owned("wrong-uid", other_uid))
    living.create(owned("elsewhere", top, namespace="shop"))
    living.create(owned("unknown-kind", unknown))
    hands.settle()
    assert secrets(living) == {"right", "unknown-kind"}


def test_dependents_of_a_kind_that_appears_later_are_judged_then(
    living: ClusterApi, hands: Any, definition: Callable[..., Object], widget: Kind
) -> None:
    ghost = {**widget.new("w", "default"), "metadata": {"name": "w", "uid": "00000000-0000-4000-8000-000000000000"}}
    living.create(owned("child", ghost))
    hands.settle()
    assert secrets(living) == {"child"}
    living.create(definition())
    hands.settle()
    assert secrets(living) == set()


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_lose_exactly_what_nobody_owns(living: ClusterApi, hands: Any, seed: int) -> None:
    random = Random(seed)
    made: dict[str, Object] = {}
    owners: dict[str, set[str]] = {}
    for number in range(60):
        name = f"s{number:02}"
        chosen = random.sample(sorted(made), min(len(made), random.choice((0, 0, 1, 1, 2, 3))))
        owners[name] = set(chosen)
        made[name] = living.create(owned(name, *(made[owner] for owner in chosen), block=random.random() < 0.5))
    alive = set(made)
    for name in random.sample(sorted(made), 15):
        if name not in alive:
            continue
        how = random.choice(("Background", "Foreground"))
        living.delete(SECRET, name, "default", propagation=how)
        hands.settle()
        alive = _after(alive, owners, name)
        assert secrets(living) == alive
    for obj in living.list(SECRET):
        for reference in obj["metadata"].get("ownerReferences") or ():
            assert reference["name"] in alive


def _after(alive: set[str], owners: dict[str, set[str]], gone: str) -> set[str]:
    """What is left: an object that had owners lives while one of them does."""
    alive = alive - {gone}
    while True:
        lost = {name for name in alive if owners[name] and not owners[name] & alive}
        if not lost:
            for name in alive:
                owners[name] &= alive
            return alive
        alive -= lost


def test_what_was_left_undone_is_done_after_a_restart(new_engine: Any, hands: Any, tmp_path: Path) -> None:
    first = new_engine(tmp_path)
    api = first.create_cluster("green")
    top = api.create(CONFIG_MAP.new("top", "default"))
    api.create(owned("child", top))
    api.create(NAMESPACE.new("shop"))
    api.create(CONFIG_MAP.new("c", "shop"))
    api.delete(NAMESPACE, "shop")
    api.delete(CONFIG_MAP, "top", "default")
    first.store.close()
    again = new_engine(tmp_path)
    again.start()
    hands.settle()
    api = again.cluster("green")
    assert secrets(api) == set() and api.find(NAMESPACE, "shop") is None


# --- events -----------------------------------------------------------------------------------------------------------
def event(name: str) -> Object:
    about = {"kind": "Pod", "name": "web", "namespace": "default"}
    return CORE_EVENT.new(name, "default", involvedObject=about, message="hello", reason="Started", type="Normal")


def test_events_have_two_faces(living: ClusterApi) -> None:
    living.create(event("e1"))
    seen = living.get(EVENT, "e1", "default")
    assert seen["note"] == "hello" and seen["regarding"]["name"] == "web" and "message" not in seen
    living.create(EVENT.new("e2", "default", regarding={"kind": "Pod", "name": "x"}, note="bye", reason="Killed",
                            action="Kill", type="Normal", eventTime="2027-01-15T08:00:00.000000Z",
                            reportingController="c", reportingInstance="i"))  # fmt: skip
    assert living.get(CORE_EVENT, "e2", "default")["message"] == "bye"
    assert [obj["apiVersion"] for obj in living.list(EVENT)] == ["events.k8s.io/v1"] * 2


def test_events_live_for_an_hour_after_their_last_change(living: ClusterApi, hands: Any) -> None:
    for name in ("e1", "e2"):
        living.create(event(name))
    hands.settle(1800)
    living.patch(CORE_EVENT, "e2", "default", "merge", {"message": "again"})
    hands.settle(1801)
    assert [obj["metadata"]["name"] for obj in living.list(CORE_EVENT)] == ["e2"]
    hands.settle(1801)
    assert living.list(CORE_EVENT) == []


def test_removed_clusters_are_left_alone(engine: EmbeddedEngine, hands: Any) -> None:
    api = engine.create_cluster("green")
    engine.start()
    api.create(NAMESPACE.new("shop"))
    engine.remove_cluster("green")
    hands.settle(10)
    assert api.find(NAMESPACE, "shop") is None
