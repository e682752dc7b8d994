"""Server-side apply and ownership: what must hold whatever is written, and what single writes do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.embedded.machinery.apply import record_update, server_side_apply
from continuo.embedded.machinery.builtin import schema_for
from continuo.embedded.machinery.fieldsets import SELF, FieldSet
from continuo.embedded.machinery.typed import MergeType, item_key, merge_type
from continuo.resources.errors import BadRequest, Conflict, InternalError
from continuo.resources.meta import Object

ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "port": {"type": "integer", "default": 1}, "image": {"type": "string"}},
}
SPEC = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "part": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "atomic": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "items": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
            "items": ITEM,
        },
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
SCHEMA = {"type": "object", "properties": {"spec": SPEC, "status": {"type": "object"}}}


def an_object(**spec: Any) -> Object:
    return {"apiVersion": "t.dev/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec}


def apply(live: Object | None, spec: Object, manager: str, *, force: bool = False, time: str = "T1") -> Object:
    return server_side_apply(
        live, an_object(**spec), manager=manager, schema=SCHEMA, force=force, time=time, api_version="t.dev/v1"
    )


def update(old: Object | None, new: Object, manager: str, time: str = "T1") -> Object:
    owners = record_update(old, new, manager=manager, schema=SCHEMA, time=time, api_version="t.dev/v1")
    return {**new, "metadata": {**new["metadata"], "managedFields": owners}}


def owned(obj: Object, manager: str) -> FieldSet:
    for entry in obj["metadata"]["managedFields"]:
        if entry["manager"] == manager:
            found: FieldSet = entry["fieldsV1"]
            return found
    return {}


names = st.sampled_from("abc")
items = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"image": st.sampled_from("xy"), "port": st.integers(1, 2)}),
    max_size=3,
    unique_by=lambda item: (item["name"], item.get("port", 1)),
)
small = st.integers(0, 2)
specs = st.fixed_dictionaries(
    {},
    optional={
        "replicas": small,
        "part": st.dictionaries(st.sampled_from("ab"), small),
        "labels": st.dictionaries(names, st.sampled_from("xy")),
        "atomic": st.lists(names, max_size=2),
        "set": st.lists(names, unique=True),
        "items": items,
        "open": st.dictionaries(names, st.one_of(small, st.dictionaries(names, small), st.lists(small, max_size=2))),
    },
)


@given(specs, specs)
def test_applying_again_changes_nothing(first: Object, second: Object) -> None:
    live = apply(apply(None, first, "one"), second, "two", force=True)
    assert apply(live, second, "two", time="T9") is live


@given(specs, specs)
def test_applying_never_changes_its_input(first: Object, second: Object) -> None:
    live = apply(None, first, "one")
    before = copy.deepcopy(live)
    apply(live, second, "two", force=True)
    assert live == before


@given(st.dictionaries(names, st.sampled_from("xy")), st.dictionaries(st.sampled_from("def"), st.sampled_from("xy")))
def test_applying_and_giving_up_restores(mine: dict[str, str], theirs: dict[str, str]) -> None:
    base = apply(None, {"replicas": 1, "labels": {"z": "1", **mine}}, "one")
    with_both = apply(base, {"labels": theirs}, "two")
    assert apply(with_both, {}, "two")["spec"] == base["spec"]


@given(items, items)
def test_managers_with_disjoint_fields_commute(left: list[Object], right: list[Object]) -> None:
    one = {"replicas": 1, "items": [{**item, "name": "l" + item["name"]} for item in left]}
    two = {"part": {"a": 1}, "items": [{**item, "name": "r" + item["name"]} for item in right]}
    a = apply(apply(None, one, "one"), two, "two")
    b = apply(apply(None, two, "two"), one, "one")
    assert a["metadata"] == b["metadata"]
    for spec in (a["spec"], b["spec"]):
        spec["items"].sort(key=lambda item: (item["name"], item.get("port", 1)))
    assert a["spec"] == b["spec"]


def absent(kind: MergeType, value: Any, fields: FieldSet, path: str = "") -> list[str]:
    """The owned paths that the value does not have."""
    out: list[str] = []
    for step, below in fields.items():
        if step == SELF:
            continue
        if step.startswith("f:"):
            name = step[2:]
            if not isinstance(value, dict) or name not in value:
                out.append(path + step)
            else:
                out += absent(kind.child(name), value[name], below, path + step)
        else:
            found = [item for item in value if item_key(kind, item) == step]
            out += absent(kind.element, found[0], below, path + step) if found else [path + step]
    return out


@given(st.lists(st.tuples(st.sampled_from(["apply", "update"]), st.sampled_from(["one", "two"]), specs), max_size=5))
def test_nobody_owns_what_is_not_there(steps: list[tuple[str, str, Object]]) -> None:
    live = apply(None, {"replicas": 1}, "first")
    for how, manager, spec in steps:
        if how == "apply":
            live = apply(live, spec, manager, force=True)
        else:
            known = live["metadata"]["managedFields"]
            new = an_object(**spec)
            live = update(live, {**new, "metadata": {**new["metadata"], "managedFields": known}}, manager)
        for entry in live["metadata"]["managedFields"]:
            assert absent(merge_type(SCHEMA), live, entry["fieldsV1"]) == []


def test_a_conflict_names_the_other_manager_and_the_field() -> None:
    live = update(None, an_object(replicas=1, labels={"a": "1"}), "kubectl-edit")
    with pytest.raises(Conflict) as caught:
        apply(live, {"replicas": 2}, "me")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using t.dev/v1: .spec.replicas'
    )
    assert caught.value.details["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" using t.dev/v1',
            "field": ".spec.replicas",
        }
    ]


def test_force_takes_the_field_over() -> None:
    live = apply(apply(None, {"replicas": 1}, "one"), {"replicas": 2}, "two", force=True, time="T2")
    assert live["spec"] == {"replicas": 2}
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["two"]


def test_equal_values_are_owned_together_and_the_object_is_the_same() -> None:
    first = apply(None, {"replicas": 1}, "one")
    both = apply(first, {"replicas": 1}, "two", time="T2")
    assert owned(both, "one") == owned(both, "two") == {"f:spec": {"f:replicas": {}}}
    assert [entry.get("time") for entry in both["metadata"]["managedFields"]] == [None, "T1"]
    assert apply(both, {}, "one", time="T3")["spec"] == {"replicas": 1}


def test_the_time_tells_when_the_object_was_changed_last() -> None:
    first = apply(None, {"replicas": 1, "part": {"a": 1}}, "one", time="T1")
    second = apply(first, {"replicas": 1}, "one", time="T2")
    assert second["metadata"]["managedFields"][0]["time"] == "T2"
    other = update(second, {**second, "spec": {**second["spec"], "part": {"b": 1}}}, "two", time="T3")
    assert [entry["time"] for entry in other["metadata"]["managedFields"]] == ["T2", "T3"]


def test_list_keys_may_be_left_to_their_defaults() -> None:
    live = apply(None, {"items": [{"name": "a"}]}, "one")
    assert owned(live, "one") == {"f:spec": {"f:items": {'k:{"name":"a","port":1}': {".": {}, "f:name": {}}}}}
    assert apply(live, {"items": [{"name": "a", "port": 1}]}, "two")["spec"]["items"] == [{"name": "a", "port": 1}]


def test_what_existed_before_the_first_apply_conflicts() -> None:
    live = an_object(replicas=1)
    with pytest.raises(Conflict, match=r'"before-first-apply" using t.dev/v1: .spec.replicas'):
        apply(live, {"replicas": 2}, "me")
    assert apply(live, {"replicas": 2}, "me", force=True)["spec"] == {"replicas": 2}


def test_an_update_that_changes_nothing_returns_the_known_owners() -> None:
    live = apply(None, {"replicas": 1}, "one")
    assert (
        record_update(live, copy.deepcopy(live), manager="two", schema=SCHEMA, time="T2", api_version="t.dev/v1")
        == (live["metadata"]["managedFields"])
    )


def test_owners_can_be_forgotten_and_stay_so_until_the_next_apply() -> None:
    live = apply(None, {"replicas": 1}, "one")
    forgotten = update(live, {**live, "metadata": {"name": "x", "managedFields": [{}]}}, "two")
    assert forgotten["metadata"]["managedFields"] == []
    changed = update(forgotten, {**forgotten, "spec": {"replicas": 2}}, "two")
    assert changed["metadata"]["managedFields"] == []


def test_only_ten_updaters_are_kept_apart() -> None:
    live = update(None, an_object(labels={"0": "x"}), "m0", time="T00")
    for index in range(1, 15):
        labels = {**live["spec"]["labels"], str(index): "x"}
        live = update(live, {**live, "spec": {"labels": labels}}, f"m{index}", time=f"T{index:02}")
    managers = [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert managers == ["ancient-changes", *(f"m{index}" for index in range(6, 15))]


def test_true_is_not_one() -> None:
    live = update(None, an_object(open={"a": 1}), "one")
    changed = update(live, {**live, "spec": {"open": {"a": True}}}, "two", time="T2")
    assert owned(changed, "two") == {"f:spec": {"f:open": {"f:a": {}}}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"nope": 1}, ".spec.nope: field not declared in schema"),
        ({"replicas": "x"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        ({"items": "x"}, ".spec.items: expected list, got &{x}"),
    ],
)
def test_what_does_not_fit_is_refused(spec: Object, said: str) -> None:
    with pytest.raises(InternalError) as caught:
        apply(None, spec, "me")
    assert caught.value.message == f"failed to create typed patch object (/x; t.dev/v1, Kind=Thing): {said}"


def test_managed_fields_cannot_be_applied() -> None:
    body = {**an_object(), "metadata": {"name": "x", "managedFields": []}}
    with pytest.raises(BadRequest, match=r"metadata.managedFields must be nil"):
        server_side_apply(None, body, manager="m", schema=SCHEMA, force=False, time="T", api_version="t.dev/v1")


def test_through_status_only_the_status_is_applied() -> None:
    live = apply(None, {"replicas": 1}, "one")
    schema = {
        **SCHEMA,
        "properties": {**SCHEMA["properties"], "status": {"x-kubernetes-preserve-unknown-fields": True}},
    }
    body = {**an_object(replicas=5), "status": {"ready": True}}
    new = server_side_apply(
        live, body, manager="one", schema=schema, force=False, time="T2", api_version="t.dev/v1", subresource="status"
    )
    assert (new["spec"], new["status"]) == ({"replicas": 1}, {"ready": True})
    assert [entry.get("subresource") for entry in new["metadata"]["managedFields"]] == [None, "status"]


def test_services_find_ports_by_number_and_protocol() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"ports": [{"name": "x", "port": 80}]},
    }
    new = server_side_apply(
        None, service, manager="m", schema=schema_for("", "v1", "Service"), force=False, time="T", api_version="v1"
    )
    assert 'k:{"port":80,"protocol":"TCP"}' in owned(new, "m")["f:spec"]["f:ports"]


def test_creating_a_pod_owns_its_parts_as_a_server_says_it() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]},
    }
    owners = record_update(
        None, pod, manager="m", schema=schema_for("", "v1", "Pod"), time="T", api_version="v1", status_apart=True
    )
    limits = {".": {}, "f:limits": {".": {}, "f:cpu": {}}}
    container = {".": {}, "f:name": {}, "f:image": {}, "f:resources": limits}
    assert owners[0]["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': container}},
    }
