"""Create, read, update, patch and delete: results, versions, and every refusal with its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from continuo.embedded.api import ClusterApi
from continuo.embedded.port import StoredChange, Write
from continuo.resources.errors import AlreadyExists, ApiError, BadRequest, Conflict, Forbidden, Invalid, NotFound
from continuo.resources.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SECRET
from continuo.resources.meta import Kind, Object

MakePod = Callable[..., Object]


def config(name: str = "c", **data: str) -> Object:
    return CONFIG_MAP.new(name, "default", data=data)


def test_a_new_object_gets_its_identity(api: ClusterApi) -> None:
    made = api.create(config(a="1"), Write(manager="me"))
    metadata = made["metadata"]
    assert metadata["creationTimestamp"] == "2027-01-15T08:00:00Z"
    assert len(metadata["uid"]) == 36 and metadata["uid"][14] == "4"
    assert metadata["resourceVersion"] == str(api.version)
    assert [entry["manager"] for entry in metadata["managedFields"]] == ["me"]
    assert api.get(CONFIG_MAP, "c", "default") is made


def test_generate_name_ends_in_five_random_characters(api: ClusterApi) -> None:
    obj = {**config(), "metadata": {"generateName": "job-", "namespace": "default"}}
    names = {api.create(obj)["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


REFUSED: list[tuple[str, Object, type[ApiError], str]] = [
    ("no namespace", CONFIG_MAP.new("x"), BadRequest, "an empty namespace may not be set during creation"),
    ("unknown namespace", CONFIG_MAP.new("x", "nope"), NotFound, 'namespaces "nope" not found'),
    ("no name", CONFIG_MAP.new("", "default"), Invalid,
     "metadata.name: Required value: name or generateName is required"),
    ("bad name", config("Bad_Name"), Invalid, 'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain'),
    ("long name", config("x" * 254), Invalid, "must be no more than 253 characters"),
    ("dotted namespace", NAMESPACE.new("a.b"), Invalid, 'metadata.name: Invalid value: "a.b": must not contain dots'),
    ("unknown kind", {"apiVersion": "v9", "kind": "Foo"}, BadRequest, 'no matches for kind "Foo" in version "v9"'),
    ("version set", CONFIG_MAP.new("x", "default", metadata={"resourceVersion": "1"}), BadRequest,
     "resourceVersion should not be set on objects to be created"),
    ("label value", CONFIG_MAP.new("x", "default", metadata={"labels": {"a": "b c"}}), Invalid,
     'metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of'),
    ("label key", CONFIG_MAP.new("x", "default", metadata={"labels": {"/a": "b"}}), Invalid, "prefix part must be non-empty"),
    ("finalizer", CONFIG_MAP.new("x", "default", metadata={"finalizers": ["mine"]}), Invalid,
     "name is neither a standard finalizer name nor is it fully qualified"),
    ("owner", CONFIG_MAP.new("x", "default", metadata={"ownerReferences": [{"kind": "A", "name": "b", "apiVersion": "v1"}]}),
     Invalid, 'metadata.ownerReferences[0].uid: Invalid value: "": must not be empty'),
    ("config key", config("x", **{"a b": "c"}), Invalid, "data[a b]: Invalid value"),
    ("secret base64", SECRET.new("x", "default", data={"a": "$"}), BadRequest, "cannot be handled as a Secret: data.a"),
    ("tls secret", SECRET.new("x", "default", type="kubernetes.io/tls", data={}), Invalid, "data[tls.crt]: Required value"),
    ("spec of wrong type", POD.new("x", "default", spec="a"), BadRequest, "spec in body must be of type object"),
    ("no containers", POD.new("x", "default", spec={"containers": []}), Invalid, "spec.containers: Required value"),
    ("metadata of wrong type", {"apiVersion": "v1", "kind": "Pod", "metadata": 3}, BadRequest, "metadata must be an object"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "error", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_creations(api: ClusterApi, obj: Object, error: type[ApiError], words: str) -> None:
    before = api.version
    with pytest.raises(error) as caught:
        api.create(obj)
    assert words in str(caught.value)
    assert api.version == before


def test_a_second_one_already_exists(api: ClusterApi) -> None:
    api.create(DEPLOYMENT.new("web", "default", spec=deployment_spec()))
    with pytest.raises(AlreadyExists, match=r'deployments.apps "web" already exists') as caught:
        api.create(DEPLOYMENT.new("web", "default", spec=deployment_spec()))
    assert caught.value.details == {"name": "web", "kind": "deployments", "group": "apps"}


def deployment_spec(**more: Any) -> Object:
    return {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "nginx"}]},
        },
        **more,
    }


def test_missing_objects_are_named(api: ClusterApi) -> None:
    for call in (
        lambda: api.get(DEPLOYMENT, "x", "default"),
        lambda: api.delete(DEPLOYMENT, "x", "default"),
        lambda: api.patch(DEPLOYMENT, "x", "default", "merge", {}),
        lambda: api.update(DEPLOYMENT.new("x", "default")),
    ):
        with pytest.raises(NotFound, match=r'deployments.apps "x" not found'):
            call()
    assert api.find(DEPLOYMENT, "x", "default") is None


def test_lists_are_in_key_order_and_filtered(api: ClusterApi) -> None:
    api.create(NAMESPACE.new("b"))
    for namespace, name, labels in (
        ("default", "z", {"a": "1"}),
        ("b", "y", {"a": "1", "b": "2"}),
        ("default", "a", {}),
    ):
        api.create(CONFIG_MAP.new(name, namespace, metadata={"labels": labels}))
    names = lambda found: [obj["metadata"]["name"] for obj in found]  # noqa: E731
    assert names(api.list(CONFIG_MAP)) == ["y", "a", "z"]
    assert names(api.list(CONFIG_MAP, "default")) == ["a", "z"]
    assert names(api.list(CONFIG_MAP, labels={"a": "1"})) == ["y", "z"]
    assert names(api.list(CONFIG_MAP, labels={"a": "1", "b": "2"})) == ["y"]
    api.delete(CONFIG_MAP, "a", "default")
    assert names(api.list(CONFIG_MAP, "default")) == ["z"]


# --- update -----------------------------------------------------------------------------------------------------------
def test_an_update_without_change_keeps_the_version(api: ClusterApi) -> None:
    made = api.create(config(a="1"), Write(manager="me"))
    assert api.update(config(a="1"), Write(manager="you")) is made
    assert api.patch(CONFIG_MAP, "c", "default", "merge", {"data": {"a": "1"}}) is made


def test_an_update_with_a_stale_version_conflicts(api: ClusterApi) -> None:
    made = api.create(config(a="1"))
    api.update({**made, "data": {"a": "2"}})
    with pytest.raises(Conflict) as caught:
        api.update({**made, "data": {"a": "3"}})
    assert str(caught.value) == (
        'Operation cannot be fulfilled on configmaps "c": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    with pytest.raises(Conflict, match=r"Precondition failed: UID in precondition: x"):
        api.update(CONFIG_MAP.new("c", "default", metadata={"uid": "x"}))


def test_identity_survives_an_update(api: ClusterApi) -> None:
    made = api.create(config(a="1"))
    foreign = {
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "generation": 9,
        "deletionTimestamp": "2001-01-01T00:00:00Z",
    }
    new = api.update(CONFIG_MAP.new("c", "default", data={"a": "2"}, metadata=foreign))
    for name in ("uid", "creationTimestamp"):
        assert new["metadata"][name] == made["metadata"][name]
    assert "deletionTimestamp" not in new["metadata"] and "generation" not in new["metadata"]


def test_generation_counts_changes_of_the_specification(api: ClusterApi) -> None:
    made = api.create(DEPLOYMENT.new("web", "default", spec=deployment_spec()))
    assert made["metadata"]["generation"] == 1
    made = api.patch(DEPLOYMENT, "web", "default", "merge", {"metadata": {"labels": {"a": "b"}}})
    made = api.patch(DEPLOYMENT, "web", "default", "merge", {"status": {"replicas": 3}}, subresource="status")
    assert made["metadata"]["generation"] == 1
    made = api.patch(DEPLOYMENT, "web", "default", "merge", {"spec": {"replicas": 3}})
    assert made["metadata"]["generation"] == 2


def test_status_and_specification_have_their_own_endpoints(api: ClusterApi) -> None:
    made = api.create(DEPLOYMENT.new("web", "default", spec=deployment_spec(), status={"replicas": 9}))
    assert made["status"] == {}
    made = api.update({**made, "status": {"replicas": 9}})
    assert made["status"] == {}
    made = api.update({**made, "status": {"replicas": 2}, "spec": {}}, subresource="status")
    assert made["status"] == {"replicas": 2} and made["spec"]["replicas"] == 1
    same = api.set_status(made, {"replicas": 2}, "controller")
    assert same is made
    assert api.set_status(made, {"replicas": 3}, "controller")["status"] == {"replicas": 3}


def test_dry_runs_change_nothing(api: ClusterApi, pod: MakePod) -> None:
    api.create(pod("kept"))
    before, dry = api.version, Write(dry_run=True)
    assert api.create(pod(), dry)["spec"]["restartPolicy"] == "Always"
    assert api.patch(POD, "kept", "default", "merge", {"metadata": {"labels": {"a": "b"}}}, dry)["metadata"]["labels"]
    assert api.delete(POD, "kept", "default", dry_run=True)["metadata"]["name"] == "kept"
    assert api.version == before
    assert [obj["metadata"]["name"] for obj in api.list(POD)] == ["kept"]
    assert "labels" not in api.get(POD, "kept", "default")["metadata"]


def test_unknown_fields(api: ClusterApi, pod: MakePod) -> None:
    wrong = pod(nodeNam="x")
    with pytest.raises(BadRequest, match=r'strict decoding error: unknown field "spec.nodeNam"'):
        api.create(wrong, Write(field_validation="Strict"))
    write = Write(field_validation="Warn")
    assert "nodeNam" not in api.create(wrong, write)["spec"]
    assert write.warnings == ['unknown field "spec.nodeNam"']
    quiet = Write()
    api.update(wrong, quiet)
    assert quiet.warnings == []


# --- patches ----------------------------------------------------------------------------------------------------------
def test_patches_of_every_kind(api: ClusterApi) -> None:
    api.create(DEPLOYMENT.new("web", "default", spec=deployment_spec()))
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "envoy"}]}}}}
    made = api.patch(DEPLOYMENT, "web", "default", "strategic", strategic)
    assert sorted(c["name"] for c in made["spec"]["template"]["spec"]["containers"]) == ["main", "side"]
    made = api.patch(DEPLOYMENT, "web", "default", "json", [{"op": "replace", "path": "/spec/replicas", "value": 5}])
    assert made["spec"]["replicas"] == 5
    with pytest.raises(BadRequest, match=r"does not match"):
        api.patch(DEPLOYMENT, "web", "default", "merge", {"metadata": {"name": "other"}})
    with pytest.raises(Conflict, match=r"the object has been modified"):
        api.patch(DEPLOYMENT, "web", "default", "merge", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})


def test_apply_creates_then_owns(api: ClusterApi) -> None:
    mine, yours = Write(manager="mine"), Write(manager="yours")
    made = api.patch(CONFIG_MAP, "c", "default", "apply", CONFIG_MAP.new("c", data={"a": "1"}), mine)
    assert made["metadata"]["managedFields"][0]["operation"] == "Apply"
    again = api.patch(CONFIG_MAP, "c", "default", "apply", CONFIG_MAP.new("c", data={"a": "1"}), mine)
    assert again is made
    with pytest.raises(Conflict, match=r"Apply failed with 1 conflict") as caught:
        api.patch(CONFIG_MAP, "c", "default", "apply", CONFIG_MAP.new("c", data={"a": "2"}), yours)
    assert [cause["reason"] for cause in caught.value.details["causes"]] == ["FieldManagerConflict"]
    forced = Write(manager="yours", force=True)
    taken = api.patch(CONFIG_MAP, "c", "default", "apply", CONFIG_MAP.new("c", data={"a": "2"}), forced)
    assert taken["data"] == {"a": "2"}
    removed = api.patch(CONFIG_MAP, "c", "default", "apply", CONFIG_MAP.new("c"), yours)
    assert not removed.get("data")


def test_managed_fields_can_be_reset(api: ClusterApi) -> None:
    api.create(config(a="1"), Write(manager="old"))
    operation = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    made = api.patch(CONFIG_MAP, "c", "default", "json", operation, Write(manager="new"))
    assert "managedFields" not in made["metadata"]


# --- deletion ---------------------------------------------------------------------------------------------------------
def test_finalizers_hold_an_object(api: ClusterApi) -> None:
    api.create(CONFIG_MAP.new("c", "default", metadata={"finalizers": ["a.dev/b"]}))
    held = api.delete(CONFIG_MAP, "c", "default")
    assert held["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:00Z"
    assert api.delete(CONFIG_MAP, "c", "default") is held
    with pytest.raises(Invalid, match=r"no new finalizers can be added if the object is being deleted"):
        api.update({**held, "metadata": {**held["metadata"], "finalizers": ["a.dev/b", "c.dev/d"]}})
    gone = api.update({**held, "metadata": {**held["metadata"], "finalizers": []}})
    assert gone["metadata"]["resourceVersion"] == str(api.version)
    assert api.find(CONFIG_MAP, "c", "default") is None


def test_deletion_has_preconditions(api: ClusterApi) -> None:
    made = api.create(config())
    with pytest.raises(Conflict, match=r"the UID in the precondition"):
        api.delete(CONFIG_MAP, "c", "default", uid="other")
    with pytest.raises(Conflict, match=r"the ResourceVersion in the precondition"):
        api.delete(CONFIG_MAP, "c", "default", resource_version="1")
    with pytest.raises(BadRequest, match=r"invalid propagation policy"):
        api.delete(CONFIG_MAP, "c", "default", propagation="Sometimes")
    metadata = made["metadata"]
    api.delete(CONFIG_MAP, "c", "default", uid=metadata["uid"], resource_version=metadata["resourceVersion"])


def test_bound_pods_go_gracefully(api: ClusterApi, pod: MakePod) -> None:
    api.create(pod("free"))
    api.create(pod("bound", nodeName="n1"))
    api.delete(POD, "free", "default")
    held = api.delete(POD, "bound", "default")
    assert [obj["metadata"]["name"] for obj in api.list(POD)] == ["bound"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 30
    assert held["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:30Z"
    api.delete(POD, "bound", "default", grace_seconds=0)
    assert api.list(POD) == []


def test_finished_pods_go_at_once(api: ClusterApi, pod: MakePod) -> None:
    made = api.create(pod(nodeName="n1"))
    api.set_status(made, {"phase": "Succeeded"}, "kubelet")
    api.delete(POD, "web", "default")
    assert api.list(POD) == []


@pytest.mark.parametrize(("how", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
def test_propagation_is_recorded(api: ClusterApi, how: str, finalizer: str) -> None:
    api.create(config())
    assert api.delete(CONFIG_MAP, "c", "default", propagation=how)["metadata"]["finalizers"] == [finalizer]


# --- admission and listeners ------------------------------------------------------------------------------------------
def test_admission_changes_and_refuses(api: ClusterApi, pod: MakePod) -> None:
    def hook(operation: str, kind: Kind, obj: Object, old: Object | None) -> Object | None:
        if kind.kind != "Pod" or operation != "CREATE":
            return None
        if obj["metadata"]["name"] == "bad":
            raise Forbidden('pods "bad" is forbidden: not here')
        return {**obj, "spec": {**obj["spec"], "nodeName": "virtual"}}

    api.admission.append(hook)
    assert api.create(pod())["spec"]["nodeName"] == "virtual"
    with pytest.raises(Forbidden):
        api.create(pod("bad"))
    assert api.create(config())["metadata"]["name"] == "c"


def test_listeners_see_one_order_even_when_they_write(api: ClusterApi) -> None:
    first: list[tuple[str, int]] = []
    second: list[tuple[str, int]] = []

    def answer(change: StoredChange) -> None:
        first.append((change.type, change.version))
        if change.type == "ADDED":
            api.update({**change.object, "data": {"seen": "yes"}})

    api.listen(CONFIG_MAP, answer)
    stop = api.listen(None, lambda change: second.append((change.type, change.version)))
    api.create(config())
    assert first == second and [type_ for type_, _ in first] == ["ADDED", "MODIFIED"]
    stop()
    api.delete(CONFIG_MAP, "c", "default")
    assert len(second) == 2 and first[-1][0] == "DELETED"


def test_a_failing_listener_harms_nobody(api: ClusterApi, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[StoredChange] = []

    def fail(change: StoredChange) -> None:
        raise RuntimeError("broken")

    api.listen(CONFIG_MAP, fail)
    api.listen(CONFIG_MAP, seen.append)
    api.create(config())
    assert len(seen) == 1 and "a listener failed" in caplog.text
