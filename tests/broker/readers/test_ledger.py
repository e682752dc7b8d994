"""What a cluster has left, kept by single changes: by hand, and against books made anew from the same objects."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.readers.doubles import namespace, node, pod
from continuo.broker.readers.amounts import parse, spell
from continuo.broker.readers.demand import demand
from continuo.broker.readers.ledger import Ledger
from continuo.broker.readers.monitor import real_and_usable
from continuo.resources.meta import Object, key_of

MIXED: dict[str, Any] = {
    "containers": [{"resources": {"requests": {"cpu": "500m"}}}, {"resources": {"requests": {"cpu": "1"}}}],
}


def ledger(*objects: Object) -> Ledger:
    books = Ledger(real_and_usable())
    for obj in objects:
        tell(books, None, obj)
    return books


def tell(books: Ledger, old: Object | None, new: Object | None) -> bool:
    kind = (new or old or {})["kind"]
    return {"Node": books.node, "Pod": books.pod, "Namespace": books.namespace}[kind](old, new)


def test_a_consumer_has_what_is_free_and_what_it_uses() -> None:
    books = ledger(
        node("n", cpu="4", memory="8Gi", pods="10"),
        namespace("of-rome", "rome"),
        pod("a", "of-rome", "n", cpu="1"),
        pod("b", "default", "n", cpu="500m", memory="1Gi"),
    )
    assert spell(books.available("rome")) == {"cpu": "3500m", "memory": "7Gi", "pods": "9"}
    assert spell(books.available("oslo")) == {"cpu": "2500m", "memory": "7Gi", "pods": "8"}


def test_liqos_namespaces_are_consumers_too() -> None:
    space = namespace("there")
    space["metadata"]["labels"] = {"liqo.io/remote-cluster-id": "rome"}
    books = ledger(node("n", cpu="4"), space, pod("a", "there", "n", cpu="3"))
    assert spell(books.available("rome")) == {"cpu": "4"}


def test_each_node_counts_by_itself() -> None:
    books = ledger(node("full", cpu="1"), node("idle", cpu="4"), pod("a", "x", "full", cpu="3"))
    assert spell(books.available("")) == {"cpu": "4"}, "what the full node lacks is not taken from the idle one"


def test_nothing_left_is_zero_and_not_unknown() -> None:
    books = ledger(node("n", cpu="1"), pod("a", "x", "n", cpu="1"))
    assert spell(books.available("")) == {"cpu": "0"}


@pytest.mark.parametrize(
    "unusable",
    [
        {"status": {"allocatable": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "False"}]}},
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}},
        {"metadata": {"name": "n", "labels": {"liqo.io/type": "virtual-node"}}},
        {"metadata": {"name": "n", "labels": {"continuo.dev/virtual-node": "x"}}},
    ],
)
def test_what_takes_no_pods_does_not_count(unusable: dict[str, Any]) -> None:
    usable = node("n", cpu="4")
    books = ledger(usable)
    assert tell(books, usable, usable | unusable)
    assert books.available("") == {}
    assert tell(books, usable | unusable, usable)
    assert spell(books.available("")) == {"cpu": "4"}


def test_a_taint_that_is_tolerated_keeps_nothing_out() -> None:
    books = Ledger(real_and_usable(("gpu",)))
    books.node(None, node("n", cpu="4") | {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}})
    assert spell(books.available("")) == {"cpu": "4"}


def test_ended_and_waiting_pods_take_nothing() -> None:
    books = ledger(node("n", cpu="4"), pod("done", "x", "n", "Succeeded", cpu="1"), pod("waits", "x", None, cpu="1"))
    assert spell(books.available("")) == {"cpu": "4"}


def test_a_change_that_changes_nothing_is_told_as_such() -> None:
    running = pod("a", "x", "n", cpu="1")
    books = ledger(node("n", cpu="4"), running)
    assert not tell(books, running, running | {"status": {"phase": "Running", "podIP": "10.0.0.1"}})
    assert not tell(books, node("n", cpu="4"), node("n", cpu="4", labels={"a": "b"}))


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        (MIXED, "1500m"),
        ({**MIXED, "initContainers": [{"resources": {"requests": {"cpu": "2"}}}]}, "2"),
        ({**MIXED, "initContainers": [{"resources": {"requests": {"cpu": "200m"}}}]}, "1500m"),
        ({**MIXED, "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}]}, "2500m"),
        (
            {**MIXED, "initContainers": [
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                {"resources": {"requests": {"cpu": "3"}}},
            ]},
            "4",
        ),
        ({**MIXED, "overhead": {"cpu": "250m"}}, "1750m"),
        ({**MIXED, "resources": {"requests": {"cpu": "5"}}}, "5"),
        ({**MIXED, "resources": {"requests": {"cpu": "5"}}, "overhead": {"cpu": "1"}}, "6"),
    ],
)  # fmt: skip
def test_a_pod_asks_what_the_scheduler_counts(spec: Object, cpu: str) -> None:
    assert spell(demand(spec)) == {"cpu": cpu, "pods": "1"}


def test_amounts_are_rounded_down_to_what_kubernetes_counts() -> None:
    third = Fraction(1, 3)
    amounts = {"cpu": third, "memory": 2**30 * third, "nvidia.com/gpu": 5 * third, "ephemeral-storage": Fraction(2**20)}
    assert spell(amounts) == {
        "cpu": "333m", "ephemeral-storage": "1Mi", "memory": "357913941", "nvidia.com/gpu": "1",
    }  # fmt: skip
    assert spell({"cpu": Fraction(-1)}) == {"cpu": "0"}


SPACES, NODES = ("a", "b", "c"), ("n1", "n2", "n3")
_AMOUNT = st.sampled_from(["0", "1", "2", "300m", "7", "1500m"])
_CHANGES = st.one_of(
    st.builds(
        lambda name, cpu, ready: node(name, ready, cpu=cpu, memory="1Gi"), st.sampled_from(NODES), _AMOUNT, st.booleans()
    ),
    st.builds(
        pod, st.sampled_from(["p", "q", "r", "s"]), st.sampled_from(SPACES), st.sampled_from((*NODES, None)),
        st.sampled_from(["Running", "Failed"]), cpu=_AMOUNT,
    ),
    st.builds(namespace, st.sampled_from(SPACES), st.sampled_from(["", "rome", "oslo"])),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(_CHANGES, st.booleans()), max_size=40))
def test_books_kept_are_books_made_anew(story: list[tuple[Object, bool]]) -> None:
    books, objects = ledger(), dict[tuple[str, tuple[str, str]], Object]()
    for obj, stays in story:
        key = obj["kind"], key_of(obj)
        old = objects.pop(key, None)
        if stays:
            objects[key] = obj
        if old is not None or stays:
            tell(books, old, obj if stays else None)
    anew = ledger(*objects.values())
    for consumer in ("", "rome", "oslo", "nobody"):
        assert books.available(consumer) == anew.available(consumer)
        assert all(value >= 0 for value in books.available(consumer).values())
    for name in NODES:
        assert books.usage(name) == anew.usage(name)


def test_quantities_of_others_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="resource cpu must be a Kubernetes quantity"):
        parse({"cpu": "-1"})
