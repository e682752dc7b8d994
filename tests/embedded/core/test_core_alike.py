"""Specs that were created before: the API does with a second object of the same words exactly what it did with the first."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.embedded.api import ClusterApi
from continuo.embedded.apicore.alike import KEPT, LARGE, Alike
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.port import Write
from continuo.resources.errors import ApiError, BadRequest, Invalid
from continuo.resources.kinds import CONFIG_MAP, POD
from continuo.resources.meta import Kind, Object

_OWN = ("name", "uid", "resourceVersion", "creationTimestamp")


def pod(name: str, metadata: Object | None = None, **spec: Any) -> Object:
    body = {"containers": [{"name": "main", "image": "nginx:1"}], **spec}
    return POD.new(name, "default", metadata=metadata or {}, spec=body)


def write(**how: Any) -> Write:
    return Write(manager=how.pop("manager", "kubectl"), field_validation=how.pop("field_validation", "Warn"), **how)


def bare(obj: Object) -> Object:
    """Without what every object has of its own."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _OWN}
    metadata["managedFields"] = [{**entry, "time": ""} for entry in metadata["managedFields"]]
    return {**obj, "metadata": metadata}


def outcome(api: ClusterApi, obj: Object, how: Write) -> tuple[Object | str, list[str]]:
    try:
        return bare(api.create(copy.deepcopy(obj), how)), how.warnings
    except ApiError as error:
        return str(error).replace(obj["metadata"]["name"], "NAME"), how.warnings


def kept(api: ClusterApi) -> Alike:
    return api.state.by_kind["v1", "Pod"].alike


_LABELS = st.dictionaries(st.sampled_from(["app", "tier", "bad key!"]), st.sampled_from(["a", "b", ""]), max_size=2)
_SPECS = st.fixed_dictionaries({}, optional={
    "containers": st.sampled_from([
        [{"name": "main", "image": "a"}], [{"name": "main", "image": "b:1", "resources": {"limits": {"cpu": "1"}}}],
        [{"name": "main", "image": "a", "unknown": 1}], [], [{"image": "a"}],
    ]),
    "hostNetwork": st.sampled_from([True, 1, False, None]),
    "terminationGracePeriodSeconds": st.sampled_from([1, True, 30]),
    "tolerations": st.sampled_from([[], None, [{"operator": "Exists"}]]),
    "madeUp": st.just("x"),
})  # fmt: skip
_POD = st.tuples(_LABELS, _SPECS, st.sampled_from(["Warn", "Ignore", "Strict"]), st.sampled_from(["one", "two"]))


@given(st.lists(_POD, min_size=2, max_size=6))
@settings(max_examples=150, deadline=None)
def test_it_never_matters_what_was_created_before(written: list[Any]) -> None:
    engine = EmbeddedEngine()
    shared = engine.create_cluster("shared")
    for number, (labels, spec, validation, manager) in enumerate(written * 2):
        obj = pod(f"p{number}", {"labels": labels} if labels else {}, **spec)
        fresh = engine.create_cluster(f"fresh-{number}")
        how = {"field_validation": validation, "manager": manager}
        assert outcome(shared, obj, write(**how)) == outcome(fresh, obj, write(**how))


def test_the_second_shares_what_the_first_became(api: ClusterApi) -> None:
    first, second = (api.create(pod(name), write()) for name in ("a", "b"))
    assert second["spec"] is first["spec"] and second["status"] is first["status"]
    owned = [made["metadata"]["managedFields"][0]["fieldsV1"] for made in (first, second)]
    assert owned[0] is owned[1] and first["metadata"]["uid"] != second["metadata"]["uid"]
    other = api.create(pod("c", {"labels": {"app": "web"}}), write(manager="somebody"))
    assert other["metadata"]["managedFields"][0]["manager"] == "somebody"
    assert "f:labels" in other["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]


def test_changing_one_leaves_the_other(api: ClusterApi) -> None:
    first, second = (api.create(pod(name), write()) for name in ("a", "b"))
    before = copy.deepcopy(second)
    containers = [{**first["spec"]["containers"][0], "image": "nginx:2"}]
    api.update({**first, "spec": {**first["spec"], "containers": containers}}, write())
    api.patch(POD, "a", "default", "merge", {"status": {"phase": "Running"}}, write(), subresource="status")
    assert api.get(POD, "b", "default") == before


def test_what_was_refused_or_warned_of_is_so_again(api: ClusterApi) -> None:
    for name in ("a", "b"):
        how = write()
        api.create(pod(name, madeUp=1), how)
        assert how.warnings == ['unknown field "spec.madeUp"']
        with pytest.raises(BadRequest, match="strict decoding error"):
            api.create(pod(f"{name}-strict", madeUp=1), write(field_validation="Strict"))
        with pytest.raises(Invalid, match="containers"):
            api.create(pod(f"{name}-none", containers=[]), write())
    assert len(kept(api)) == 0


def test_admission_has_its_say_every_time(api: ClusterApi) -> None:
    def hook(operation: str, _kind: Kind, new: Object, _old: Object | None) -> Object | None:
        if operation != "CREATE" or new["metadata"]["name"] != "b":
            return None
        return {**new, "spec": {**new["spec"], "nodeSelector": {"zone": "x"}}}

    api.create(pod("a"), write())
    api.admission.append(hook)
    told = [api.create(pod(name), write()) for name in ("b", "c")]
    assert told[0]["spec"]["nodeSelector"] == {"zone": "x"} and "nodeSelector" not in told[1]["spec"]
    assert "f:nodeSelector" in told[0]["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]


def test_no_more_is_kept_than_is_worth_it(api: ClusterApi) -> None:
    for number in range(KEPT + 10):
        api.create(pod(f"p{number}", activeDeadlineSeconds=number + 1), write())
    assert len(kept(api)) == KEPT
    alike, large = Alike(), pod("large", containers=[{"name": "main", "image": "i", "args": ["x" * LARGE]}])
    assert alike.likeness(large, write()) is None
    assert alike.likeness(pod("a", {"finalizers": ["x/y"]}), write()) is None
    assert alike.likeness(pod("a"), Write(trusted=True)) is None
    assert alike.likeness(CONFIG_MAP.new("a", "default", data={}), write()) is None


def test_true_is_not_one(new_engine: Callable[..., EmbeddedEngine]) -> None:
    api = new_engine().create_cluster("blue")
    api.create(pod("a", hostNetwork=True), write())
    with pytest.raises(BadRequest, match="hostNetwork"):
        api.create(pod("b", hostNetwork=1), write())
