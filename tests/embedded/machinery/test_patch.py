"""JSON patch, merge patch and strategic merge patch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.embedded.machinery.builtin import schema_for
from continuo.embedded.machinery.patch import json_patch, merge_patch, strategic_patch
from continuo.resources.errors import BadRequest, Invalid, TooLarge

DEPLOYMENT = schema_for("apps", "v1", "Deployment")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def reference_merge(target: Any, patch: Any) -> Any:
    """The pseudo code of RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = reference_merge(out.get(name), value)
    return out


@given(objects, objects)
def test_merge_patch_is_the_rfc(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy(obj)
    assert merge_patch(obj, patch) == reference_merge(obj, patch)
    assert obj == before


def test_merge_patch_shares_what_stays() -> None:
    obj = {"spec": {"a": {"b": 1}}, "status": {"x": 1}}
    assert merge_patch(obj, {"status": {"x": 2}})["spec"] is obj["spec"]
    assert merge_patch(obj, {"spec": {}}) is obj


def test_json_patch_leaves_its_input_alone() -> None:
    obj = {"a": {"list": [{"n": 1}, {"n": 2}]}, "b": {"c": 1}}
    before = copy.deepcopy(obj)
    ops = [
        {"op": "remove", "path": "/a/list/0"},
        {"op": "replace", "path": "/a/list/0/n", "value": 3},
        {"op": "add", "path": "/a/new", "value": {}},
        {"op": "add", "path": "/a/new/x", "value": 1},
    ]
    kept = copy.deepcopy(ops)
    patched = json_patch(obj, ops)
    assert patched == {"a": {"list": [{"n": 3}], "new": {"x": 1}}, "b": {"c": 1}}
    assert patched["b"] is obj["b"]
    assert (obj, ops) == (before, kept)


@pytest.mark.parametrize(
    "ops",
    [
        [{"op": "copy", "from": "/data/a", "path": "/data/n"}, {"op": "test", "path": "/data/n", "value": "1"}],
        [{"op": "replace", "path": "/data/n", "value": "1"}],
        [{"op": "test", "path": "/data/zz", "value": None}, {"op": "add", "path": "/data/n", "value": "1"}],
    ],
)
def test_json_patches_that_a_server_takes(ops: list[Any]) -> None:
    assert json_patch({"data": {"a": "1"}}, ops) == {"data": {"a": "1", "n": "1"}}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "remove", "path": "/data/zz"},
        {"op": "add", "path": "/nope/zz", "value": "x"},
        {"op": "foo", "path": "/data/a"},
        {"path": "/data/a"},
        {"op": "add", "path": "data", "value": 1},
        {"op": "move", "from": "/data/x", "path": "/data/y"},
        {"op": "add", "path": "", "value": 5},
        {"op": "remove", "path": "/list/7"},
    ],
)
def test_json_patches_that_do_not_fit_are_invalid(op: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"^the server rejected our request due to an error in our request$"):
        json_patch({"data": {"a": "1"}, "list": []}, [op])


def test_patches_of_the_wrong_form_are_bad_requests() -> None:
    for patch in ({"op": "add"}, "x", [1]):
        with pytest.raises(BadRequest, match="error decoding patch: json: cannot unmarshal"):
            json_patch({}, patch)
    for patch in ([1], "x", None):
        with pytest.raises(BadRequest, match="error decoding patch: json: cannot unmarshal"):
            merge_patch({}, patch)
        with pytest.raises(BadRequest, match="error decoding patch: json: cannot unmarshal"):
            strategic_patch({}, patch, DEPLOYMENT)
    with pytest.raises(TooLarge):
        json_patch({}, [{"op": "remove", "path": "/x"}] * 10_001)


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


C = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]}
STRATEGIC = [
    (
        "merged by name",
        pod(containers=[C]),
        pod(containers=[{"name": "c", "image": "j"}]),
        pod(containers=[{**C, "image": "j"}]),
    ),
    ("new items come first", pod(containers=[C]), pod(containers=[{"name": "d"}]), pod(containers=[{"name": "d"}, C])),
    (
        "the order asked for",
        pod(containers=[{"name": "c"}, {"name": "x"}]),
        pod(**{"containers": [{"name": "d"}], "$setElementOrder/containers": [{"name": "c"}, {"name": "d"}]}),
        pod(containers=[{"name": "c"}, {"name": "d"}, {"name": "x"}]),
    ),
    (
        "deleted",
        pod(containers=[C, {"name": "d"}]),
        pod(containers=[{"name": "c", "$patch": "delete"}]),
        pod(containers=[{"name": "d"}]),
    ),
    (
        "replaced list",
        pod(containers=[C]),
        pod(containers=[{"$patch": "replace"}, {"name": "q"}]),
        pod(containers=[{"name": "q"}]),
    ),
    (
        "replaced map",
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "replace", "b": "1"}}},
        {"metadata": {"labels": {"b": "1"}}},
    ),
    ("deleted map", pod(securityContext={"a": 1}), pod(securityContext={"$patch": "delete"}), pod(securityContext={})),
    (
        "only these keys",
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
    (
        "null removes",
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"a": None}}},
        {"metadata": {"labels": {}}},
    ),
    (
        "finalizers merge",
        {"metadata": {"finalizers": ["a"]}},
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["a", "b"]}},
    ),
    (
        "one finalizer goes",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    (
        "lists without a key are replaced",
        pod(containers=[{"name": "c", "args": ["a"]}]),
        pod(containers=[{"name": "c", "args": ["b"]}]),
        pod(containers=[{"name": "c", "args": ["b"]}]),
    ),
    (
        "ports by number",
        pod(containers=[C]),
        pod(containers=[{"name": "c", "ports": [{"containerPort": 80, "name": "h"}]}]),
        pod(containers=[{**C, "ports": [{"containerPort": 80, "protocol": "TCP", "name": "h"}]}]),
    ),
]


@pytest.mark.parametrize(
    ("obj", "patch", "wanted"), [case[1:] for case in STRATEGIC], ids=[case[0] for case in STRATEGIC]
)
def test_strategic_merge(obj: dict[str, Any], patch: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, patch))
    assert strategic_patch(obj, patch, DEPLOYMENT) == wanted
    assert (obj, patch) == before


def test_strategic_patches_that_make_no_sense() -> None:
    with pytest.raises(BadRequest, match="does not contain declared merge key: name"):
        strategic_patch(pod(containers=[C]), pod(containers=[{"image": "x"}]), DEPLOYMENT)
    with pytest.raises(BadRequest, match="use merge, replace or delete"):
        strategic_patch({}, {"$patch": "foo"}, DEPLOYMENT)
