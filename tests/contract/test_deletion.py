"""Deleting: preconditions, finalizers, garbage, namespaces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .objects import Path, config_map, deployment, owned_by
from .rest import JSON_PATCH, Api, Object

OPTIONS = {"kind": "DeleteOptions", "apiVersion": "v1"}


def test_deleting_answers_a_status(api: Api, maps: str, a_map: Object) -> None:
    reply = api.delete(f"{maps}/a")
    found = reply.ok()
    assert (found["kind"], found["status"]) == ("Status", "Success")
    assert found["details"] == {"name": "a", "kind": "configmaps", "uid": a_map["metadata"]["uid"]}
    assert api.get(f"{maps}/a").status == 404


def test_preconditions(api: Api, maps: str, a_map: Object) -> None:
    wrong = {**OPTIONS, "preconditions": {"uid": "11111111-2222-3333-4444-555555555555"}}
    message = api.delete(f"{maps}/a", wrong).fails(409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition '
        f"(11111111-2222-3333-4444-555555555555) does not match the UID in record ({a_map['metadata']['uid']}). "
        "The object might have been deleted and then recreated"
    )
    old = {**OPTIONS, "preconditions": {"resourceVersion": "1"}}
    message = api.delete(f"{maps}/a", old).fails(409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match '
        f"the ResourceVersion in record ({a_map['metadata']['resourceVersion']}). The object might have been modified"
    )
    right = {**OPTIONS, "preconditions": {"uid": a_map["metadata"]["uid"]}}
    assert api.delete(f"{maps}/a", right).status == 200


def test_finalizers_keep_an_object_until_they_are_gone(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", {"k": "1"}, finalizers=["example.org/a", "example.org/b"])).ok()
    marked = api.delete(f"{maps}/a").ok()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    again = api.delete(f"{maps}/a").ok()
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    assert api.patch(f"{maps}/a", {"data": {"k": "2"}}).ok()["data"] == {"k": "2"}
    api.patch(f"{maps}/a", {"metadata": {"finalizers": ["example.org/b"]}}).ok()
    assert api.get(f"{maps}/a").status == 200
    last = api.patch(f"{maps}/a", [{"op": "remove", "path": "/metadata/finalizers/0"}], JSON_PATCH)
    assert last.ok()["metadata"]["uid"] == marked["metadata"]["uid"]
    assert api.get(f"{maps}/a").status == 404


def test_no_finalizer_can_be_added_to_what_is_going(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", finalizers=["example.org/a"])).ok()
    api.delete(f"{maps}/a").ok()
    more = {"metadata": {"finalizers": ["example.org/a", "example.org/b"]}}
    message = api.patch(f"{maps}/a", more).fails(422, "Invalid")
    assert "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted" in message
    api.patch(f"{maps}/a", {"metadata": {"finalizers": None}}).ok()


@pytest.mark.parametrize("bare", ["word", "in-use.crossplane.io"])
def test_finalizers_of_built_in_kinds_need_a_domain_and_a_path(api: Api, maps: str, bare: str) -> None:
    message = api.post(maps, config_map("a", finalizers=[bare])).fails(422, "Invalid")
    rule = "name is neither a standard finalizer name nor is it fully qualified"
    assert f'metadata.finalizers[0]: Invalid value: "{bare}": {rule}' in message
    secrets = maps.removesuffix("configmaps") + "secrets"
    api.post(secrets, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}).ok()
    message = api.patch(f"{secrets}/s", {"metadata": {"finalizers": [bare]}}).fails(422, "Invalid")
    assert f'metadata.finalizers[0]: Invalid value: "{bare}": {rule}' in message
    api.patch(f"{secrets}/s", {"metadata": {"finalizers": ["iot.continuo.dev/in-use"]}}).ok()
    api.patch(f"{secrets}/s", {"metadata": {"finalizers": None}}).ok()


def test_the_timestamp_of_deletion_cannot_be_set_or_unset(api: Api, maps: str) -> None:
    api.post(maps, config_map("a", finalizers=["example.org/a"], deletionTimestamp="2020-01-01T00:00:00Z")).ok()
    assert "deletionTimestamp" not in api.get(f"{maps}/a").ok()["metadata"]
    marked = api.delete(f"{maps}/a").ok()
    kept = api.patch(f"{maps}/a", {"metadata": {"deletionTimestamp": None}}).ok()
    assert kept["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    api.patch(f"{maps}/a", {"metadata": {"finalizers": None}}).ok()


def test_a_watch_sees_the_mark_and_the_end(api: Api, secrets: str, maps: str) -> None:
    body = {"metadata": {"name": "a", "finalizers": ["example.org/a"]}}
    version = api.post(secrets, body).version
    with api.watch(secrets, resourceVersion=version) as stream:
        api.delete(f"{secrets}/a").ok()
        api.patch(f"{secrets}/a", {"metadata": {"finalizers": None}}).ok()
        assert stream.some(2) == [("MODIFIED", "a"), ("DELETED", "a")]


@pytest.mark.parametrize("policy", ["Sometimes"])
def test_an_unknown_policy(api: Api, maps: str, a_map: Object, policy: str) -> None:
    message = api.delete(f"{maps}/a", {**OPTIONS, "propagationPolicy": policy}).fails(422, "Invalid")
    assert "propagationPolicy: " in message


# --- garbage ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def family(api: Api, maps: str, controllers: None) -> str:
    """An owner with two dependents, one of which has a dependent of its own."""
    owner = api.post(maps, config_map("owner")).ok()
    child = api.post(maps, config_map("child", ownerReferences=owned_by(owner, blockOwnerDeletion=True))).ok()
    api.post(maps, config_map("other", ownerReferences=owned_by(owner))).ok()
    api.post(maps, config_map("grandchild", ownerReferences=owned_by(child))).ok()
    return maps


def test_dependents_go_after_their_owner(api: Api, family: str) -> None:
    assert api.delete(f"{family}/owner", propagationPolicy="Background").ok()["kind"] == "Status"
    assert api.get(f"{family}/owner").status == 404
    for name in ("child", "other", "grandchild"):
        api.gone(family, name)


def test_dependents_go_before_their_owner(api: Api, family: str) -> None:
    version = api.get(family).version
    with api.watch(family, resourceVersion=version) as stream:
        marked = api.delete(f"{family}/owner", {**OPTIONS, "propagationPolicy": "Foreground"}).ok()
        assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
        order = []
        while "owner" not in order:
            event = stream.next()
            assert event is not None
            if event["type"] == "DELETED":
                order.append(event["object"]["metadata"]["name"])
    assert order.index("child") < order.index("owner")
    api.gone(family, "grandchild")


def test_dependents_can_be_left(api: Api, family: str) -> None:
    api.delete(f"{family}/owner", propagationPolicy="Orphan").ok()
    api.gone(family, "owner")
    for name in ("child", "other"):
        assert "ownerReferences" not in api.get(f"{family}/{name}").ok()["metadata"]
    assert "ownerReferences" in api.get(f"{family}/grandchild").ok()["metadata"]


def test_an_object_with_two_owners_outlives_one(api: Api, maps: str, controllers: None) -> None:
    first, second = (api.post(maps, config_map(name)).ok() for name in ("first", "second"))
    both = owned_by(first) + owned_by(second)
    api.post(maps, config_map("child", ownerReferences=both)).ok()
    api.post(maps, config_map("marker", ownerReferences=owned_by(first))).ok()
    api.delete(f"{maps}/first").ok()
    api.gone(maps, "marker")
    left = api.until(maps, "child", lambda found: found is None or len(found["metadata"]["ownerReferences"]) == 1)
    assert left is not None
    assert left["metadata"]["ownerReferences"][0]["name"] == "second"
    api.delete(f"{maps}/second").ok()
    api.gone(maps, "child")


def test_an_object_whose_owner_never_was_goes(api: Api, maps: str, controllers: None) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "11111111-2222-3333-4444-555555555555"}}
    api.post(maps, config_map("child", ownerReferences=owned_by(ghost))).ok()
    api.gone(maps, "child")


def test_owner_references_are_checked(api: Api, maps: str) -> None:
    owner = {"metadata": {"name": "x", "uid": "u"}}
    references = owned_by(owner, controller=True) + owned_by({"metadata": {"name": "y", "uid": "v"}}, controller=True)
    message = api.post(maps, config_map("a", ownerReferences=references)).fails(422, "Invalid")
    assert "Only one reference can have Controller set to true" in message
    message = api.post(maps, config_map("a", ownerReferences=[{"kind": "ConfigMap"}])).fails(422, "Invalid")
    assert "metadata.ownerReferences[0].name: Invalid value" in message or "metadata.ownerReferences.name" in message


# --- namespaces -------------------------------------------------------------------------------------------------------
def test_a_new_namespace_is_active_and_has_what_pods_need(api: Api, ns: str, controllers: None) -> None:
    found = api.get(f"/api/v1/namespaces/{ns}").ok()
    assert found["status"] == {"phase": "Active"}
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": ns}
    api.until(f"/api/v1/namespaces/{ns}/serviceaccounts", "default", bool)
    root = api.until(f"/api/v1/namespaces/{ns}/configmaps", "kube-root-ca.crt", bool)
    assert root is not None
    assert "BEGIN CERTIFICATE" in root["data"]["ca.crt"]


def test_a_namespace_ends_with_everything_in_it(api: Api, new_namespace: Callable[..., str], controllers: None) -> None:
    ns = new_namespace()
    maps = f"/api/v1/namespaces/{ns}/configmaps"
    api.post(maps, config_map("a", finalizers=["example.org/a"])).ok()
    api.post(f"/apis/apps/v1/namespaces/{ns}/deployments", deployment("a")).ok()
    marked = api.delete(f"/api/v1/namespaces/{ns}").ok()
    assert marked["status"]["phase"] == "Terminating"
    api.until(maps, "a", lambda found: found is None or found["metadata"].get("deletionTimestamp"))
    message = api.post(maps, config_map("late")).fails(403, "Forbidden")
    assert message == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {ns} because it is being terminated'
    )
    causes = api.post(maps, config_map("late")).json["details"]["causes"]
    assert causes[0]["reason"] == "NamespaceTerminating"
    assert api.get(f"/api/v1/namespaces/{ns}").status == 200
    api.patch(f"{maps}/a", {"metadata": {"finalizers": None}}).ok()
    api.gone("/api/v1/namespaces", ns)
    assert api.get(f"/apis/apps/v1/namespaces/{ns}/deployments").names == []


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_some_namespaces_stay(api: Api, name: str) -> None:
    message = api.delete(f"/api/v1/namespaces/{name}").fails(403, "Forbidden")
    assert message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


BARE = "is neither a standard finalizer name nor is it fully qualified"


@pytest.mark.parametrize("name", ["mine", "machine.example.org"])
def test_bare_finalizers_are_for_custom_resources(api: Api, ns: str, maps: str, widgets: Path, name: str) -> None:
    path = " including a path (/)" if "." in name else ""
    body = {**widgets.new("bare", spec={"size": 1}), "metadata": {"name": "bare", "finalizers": [name]}}
    reply = api.post(widgets(ns), body)
    assert reply.ok()["metadata"]["finalizers"] == [name]
    assert reply.warnings == [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name{path} to avoid accidental conflicts '
        "with other finalizer writers"
    ]
    reply = api.patch(widgets(ns, "bare"), {"spec": {"size": 2}})
    assert (reply.ok()["spec"]["size"], reply.warnings) == (2, [])
    api.patch(widgets(ns, "bare"), {"metadata": {"finalizers": None}}).ok()
    api.delete(widgets(ns, "bare"))
    message = api.post(maps, config_map("bare", finalizers=[name])).fails(422, "Invalid")
    assert message.endswith(f'metadata.finalizers[0]: Invalid value: "{name}": name {BARE}')


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("-x", ["name part must consist of"]),
        ("a/b/c", ["a valid label key must consist of"]),
        ("x/", ["name part must be non-empty", "name part must consist of"]),
        ("/x", ["prefix part must be non-empty"]),
        ("UPPER/x", ["prefix part a lowercase RFC 1123 subdomain must consist of"]),
        ("x" * 64, ["name part must be no more than 63 bytes"]),
    ],
)
def test_misspelled_finalizers(api: Api, ns: str, widgets: Path, name: str, says: list[str]) -> None:
    body = {**widgets.new("bad", spec={"size": 1}), "metadata": {"name": "bad", "finalizers": [name]}}
    reply = api.post(widgets(ns), body)
    reply.fails(422, "Invalid")
    causes = [cause["message"] for cause in reply.json["details"]["causes"]]
    assert len(causes) == len(says)
    for cause, words in zip(causes, says, strict=True):
        assert cause.startswith(f'Invalid value: "{name}": {words}')
