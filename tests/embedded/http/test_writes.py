from __future__ import annotations

import pytest
from http_client import SECRETS, WIDGETS, Client, secret, widget

from continuo.embedded.http import bodies

pytestmark = pytest.mark.anyio
PODS = "/api/v1/namespaces/default/pods"


def _pod(name: str, *containers: str) -> dict:
    specs = [{"name": container, "image": "app:1"} for container in containers or ("main",)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": specs}}


async def test_create_fills_in_the_address(admin: Client) -> None:
    reply = await admin.post(f"{SECRETS}?fieldManager=me", {"metadata": {"name": "a"}})
    assert reply.status == 201
    created = reply.json
    assert (created["apiVersion"], created["kind"], created["metadata"]["namespace"]) == ("v1", "Secret", "default")
    assert created["metadata"]["managedFields"][0]["manager"] == "me"
    again = await admin.post(SECRETS, secret("a"))
    assert (again.status, again.json["reason"]) == (409, "AlreadyExists")


async def test_the_manager_falls_back_to_the_user_agent(admin: Client) -> None:
    reply = await admin.post(SECRETS, secret("a", x="1"), **{"user-agent": "robot/v1.2 (linux)"})
    assert reply.json["metadata"]["managedFields"][0]["manager"] == "robot"


@pytest.mark.parametrize(
    ("body", "media", "code", "part"),
    [
        (b"{", "application/json", 400, "JSON body cannot be read"),
        (b"[]", "application/json", 400, "must be one object"),
        (b'{"metadata": 3}', "application/json", 400, "metadata is a int"),
        (b'{"apiVersion":"v2","metadata":{"name":"a"}}', "application/json", 400, "expected API version (v1)"),
        (b'{"kind":"Pod","metadata":{"name":"a"}}', "application/json", 400, "expected kind (Secret)"),
        (b'{"metadata":{"name":"a","namespace":"x"}}', "application/json", 400, "namespace of the provided object"),
        (b"a: [", "application/yaml", 400, "YAML body cannot be read"),
        (b"a: &x 1\nb: *x", "application/yaml", 400, "alias"),
        (b"{}", "application/cbor", 415, "unknown format"),
        (b"k8s", "application/vnd.kubernetes.protobuf", 400, "prefix"),
        (b"[" * 100_000, "application/json", 400, "JSON body cannot be read"),
    ],
)
async def test_unreadable_bodies_are_named(admin: Client, body: bytes, media: str, code: int, part: str) -> None:
    reply = await admin.post(SECRETS, body, **{"content-type": media})
    assert reply.status == code
    assert part in reply.message


async def test_yaml_bodies_keep_dates_as_strings(admin: Client) -> None:
    body = b"metadata:\n  name: a\n  annotations:\n    day: 2026-01-02\nstringData:\n  when: 2026-01-02T03:04:05Z\n"
    reply = await admin.post(SECRETS, body, **{"content-type": "application/yaml"})
    assert reply.status == 201
    assert reply.json["metadata"]["annotations"] == {"day": "2026-01-02"}


async def test_too_large_bodies_and_objects(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuo.embedded.http.app.BODY_LIMIT", 20_000)
    reply = await admin.post(SECRETS, secret("a", x="y" * 30_000))
    assert (reply.status, reply.json["reason"]) == (413, "RequestEntityTooLarge")
    for name in ("bodies", "writes"):
        monkeypatch.setattr(f"continuo.embedded.http.{name}.OBJECT_LIMIT", 10_000)
    reply = await admin.post(SECRETS, secret("a", x="y" * 12_000))
    assert reply.status == 500
    assert reply.message.startswith("etcdserver: request is too large")
    await admin.post(SECRETS, secret("a", x="y" * 3_000))
    before = (await admin.get(f"{SECRETS}/a")).json
    reply = await admin.patch(f"{SECRETS}/a", {"stringData": {"z": "y" * 8_000}})
    assert reply.status == 500
    assert (await admin.get(f"{SECRETS}/a")).json == before
    assert bodies.BODY_LIMIT == 3 * 1024 * 1024


async def test_update_with_a_stale_version_conflicts(admin: Client) -> None:
    created = (await admin.post(SECRETS, secret("a"))).json
    created["metadata"]["labels"] = {"x": "1"}
    updated = await admin.put(f"{SECRETS}/a", created)
    assert updated.status == 200
    created["metadata"]["labels"] = {"x": "2"}
    assert (await admin.put(f"{SECRETS}/a", created)).json["reason"] == "Conflict"
    created["metadata"]["name"] = "b"
    wrong = await admin.put(f"{SECRETS}/a", created)
    assert wrong.message == "the name of the object (b) does not match the name on the URL (a)"


async def test_every_patch_dialect(widgets: Client) -> None:
    await widgets.post(WIDGETS, widget("a", replicas=1))
    path = f"{WIDGETS}/a"
    assert (await widgets.patch(path, {"spec": {"replicas": 2}})).json["spec"]["replicas"] == 2
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]
    assert (await widgets.patch(path, operations, "json-patch+json")).json["spec"]["replicas"] == 3
    assert (await widgets.patch(path, operations, "json-patch+json")).status == 422
    assert (await widgets.patch(path, {}, "strategic-merge-patch+json")).status == 415
    assert (await widgets.patch(path, {}, "json")).status == 415
    assert (await widgets.patch(path, [], "merge-patch+json")).status == 400
    assert (await widgets.patch(path, {}, "json-patch+json")).status == 400


async def test_apply_creates_then_conflicts_then_is_forced(widgets: Client) -> None:
    path = f"{WIDGETS}/a?fieldManager="
    body = widget("a", replicas=1)
    assert (await widgets.patch(f"{WIDGETS}/a", body, "apply-patch+yaml")).status == 422
    assert (await widgets.patch(path + "one", body, "apply-patch+yaml")).status == 201
    assert (await widgets.patch(path + "one", body, "apply-patch+yaml")).status == 200
    other = widget("a", replicas=2)
    conflict = await widgets.patch(path + "two", other, "apply-patch+yaml")
    assert conflict.status == 409
    assert [cause["field"] for cause in conflict.json["details"]["causes"]] == [".spec.replicas"]
    assert (await widgets.patch(path + "two&force=true", other, "apply-patch+yaml")).status == 200
    refused = await widgets.patch(f"{WIDGETS}/a?force=true", {})
    assert refused.status == 422
    assert refused.message == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )


async def test_dry_run_stores_nothing(admin: Client) -> None:
    assert (await admin.post(f"{SECRETS}?dryRun=All", secret("a"))).status == 201
    assert (await admin.get(f"{SECRETS}/a")).status == 404
    assert (await admin.post(f"{SECRETS}?dryRun=Some", secret("a"))).status == 422
    await admin.post(SECRETS, secret("a"))
    assert (await admin.delete(f"{SECRETS}/a?dryRun=All")).json["status"] == "Success"
    assert (await admin.get(f"{SECRETS}/a")).status == 200


async def test_unknown_fields_warn_by_default_and_fail_when_strict(widgets: Client) -> None:
    body = widget("a", replicas=1, color="red")
    warned = await widgets.post(WIDGETS, body)
    assert warned.status == 201
    assert warned.headers["warning"] == '299 - "unknown field \\"spec.color\\""'
    assert "color" not in warned.json["spec"]
    strict = await widgets.post(f"{WIDGETS}?fieldValidation=Strict", widget("b", color="red"))
    assert strict.status == 400
    assert strict.message == (
        'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.color"'
    )
    patched = await widgets.patch(f"{WIDGETS}/a?fieldValidation=Strict", {"spec": {"color": "red"}})
    assert patched.status == 422
    assert patched.message.endswith('strict decoding error: unknown field "spec.color"')
    assert "warning" not in (await widgets.post(f"{WIDGETS}?fieldValidation=Ignore", widget("c", color="red"))).headers
    assert (await widgets.post(f"{WIDGETS}?fieldValidation=Loud", widget("d"))).status == 422


# --- delete -----------------------------------------------------------------------------------------------------------
async def test_delete_with_options_in_the_body(admin: Client) -> None:
    created = (await admin.post(SECRETS, secret("a"))).json
    wrong = await admin.delete(f"{SECRETS}/a", {"preconditions": {"uid": "other"}})
    assert (wrong.status, wrong.json["reason"]) == (409, "Conflict")
    assert (await admin.delete(f"{SECRETS}/a", {"propagationPolicy": "Sideways"})).status == 422
    assert (await admin.delete(f"{SECRETS}/a", {"gracePeriodSeconds": "soon"})).status == 400
    gone = (await admin.delete(f"{SECRETS}/a", {"preconditions": {"uid": created["metadata"]["uid"]}})).json
    assert gone["details"] == {"name": "a", "kind": "secrets", "uid": created["metadata"]["uid"]}
    assert (await admin.delete(f"{SECRETS}/a")).status == 404


async def test_an_object_with_finalizers_is_returned_and_stays(admin: Client) -> None:
    body = secret("a")
    body["metadata"]["finalizers"] = ["example.org/hold"]
    await admin.post(SECRETS, body)
    marked = (await admin.delete(f"{SECRETS}/a")).json
    assert marked["metadata"]["deletionTimestamp"]
    await admin.patch(f"{SECRETS}/a", {"metadata": {"finalizers": None}})
    assert (await admin.get(f"{SECRETS}/a")).status == 404


async def test_deletecollection_takes_what_matches(admin: Client) -> None:
    for index in range(4):
        await admin.post(SECRETS, secret(f"m{index}", {"half": str(index % 2)}))
    deleted = (await admin.delete(f"{SECRETS}?labelSelector=half%3D1")).json
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["m1", "m3"]
    left = (await admin.get(SECRETS)).json["items"]
    assert [item["metadata"]["name"] for item in left] == ["m0", "m2"]
    assert (await admin.delete("/api/v1/secrets")).status == 405


@pytest.mark.parametrize(("method", "path"), [("POST", "/a"), ("PUT", ""), ("PATCH", ""), ("TRACE", "/a")])
async def test_methods_that_make_no_sense_are_405(admin: Client, method: str, path: str) -> None:
    reply = await admin(method, SECRETS + path, {}, **{"content-type": "application/json"})
    assert (reply.status, reply.json["reason"]) == (405, "MethodNotAllowed")


# --- subresources -----------------------------------------------------------------------------------------------------
async def test_status_is_written_through_its_own_path_only(widgets: Client) -> None:
    await widgets.post(WIDGETS, widget("a", replicas=1))
    await widgets.patch(f"{WIDGETS}/a", {"status": {"phase": "ignored"}})
    assert "status" not in (await widgets.get(f"{WIDGETS}/a")).json
    reply = await widgets.patch(f"{WIDGETS}/a/status", {"status": {"phase": "up"}, "spec": {"replicas": 9}})
    assert reply.json["status"] == {"phase": "up"}
    assert reply.json["spec"]["replicas"] == 1
    assert (await widgets.get(f"{WIDGETS}/a/status")).json["status"] == {"phase": "up"}
    assert (await widgets.get(f"{SECRETS}/a/status")).status == 404


async def test_scale_reads_and_writes_replicas(widgets: Client) -> None:
    await widgets.post(WIDGETS, widget("a", replicas=1))
    scale = (await widgets.get(f"{WIDGETS}/a/scale")).json
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 1})
    patched = await widgets.patch(f"{WIDGETS}/a/scale", {"spec": {"replicas": 5}})
    assert patched.json["spec"] == {"replicas": 5}
    assert (await widgets.get(f"{WIDGETS}/a")).json["spec"]["replicas"] == 5
    assert (await widgets.put(f"{WIDGETS}/a/scale", scale)).json["reason"] == "Conflict"
    assert (await widgets.patch(f"{WIDGETS}/a/scale", {"spec": {"replicas": -1}})).status == 422
    assert (await widgets.delete(f"{WIDGETS}/a/scale")).status == 405


async def test_a_pod_is_bound_once_and_evicted(admin: Client) -> None:
    await admin.post("/api/v1/nodes", {"metadata": {"name": "n1"}})
    await admin.post(PODS, _pod("p"))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n1"},
    }
    assert (await admin.post(f"{PODS}/p/binding", binding)).status == 201
    assert (await admin.get(f"{PODS}/p")).json["spec"]["nodeName"] == "n1"
    assert (await admin.post(f"{PODS}/p/binding", binding)).status == 409
    eviction = {"kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 0}}
    assert (await admin.post(f"{PODS}/p/eviction", eviction)).status == 201
    assert (await admin.get(f"{PODS}/p")).status == 404


async def test_logs_are_honest(admin: Client) -> None:
    await admin.post(PODS, _pod("p", "one", "two"))
    assert "choose one of: [one two]" in (await admin.get(f"{PODS}/p/log")).message
    assert (await admin.get(f"{PODS}/p/log?container=three")).status == 400
    reply = await admin.get(f"{PODS}/p/log?container=one")
    assert reply.headers["content-type"].startswith("text/plain")
    assert b"simulated" in reply.body
    assert len((await admin.get(f"{PODS}/p/log?container=one&tailLines=1")).body.splitlines()) == 1
    assert (await admin.get(f"{PODS}/p/log?container=one&tailLines=0")).body == b""


async def test_a_followed_log_ends_with_its_pod(admin: Client) -> None:
    await admin.post(PODS, _pod("p"))
    async with admin.watch(f"{PODS}/p/log?follow=true"):
        await admin.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})


@pytest.mark.parametrize("what", ["exec", "attach", "portforward"])
async def test_what_needs_real_containers_says_so(admin: Client, what: str) -> None:
    await admin.post(PODS, _pod("p"))
    for reply in (await admin.get(f"{PODS}/p/{what}"), await admin.post(f"{PODS}/p/{what}", b"")):
        assert reply.status == 501
        assert "containers are simulated" in reply.message


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"metadata":{"name":"a"},"data":{"k":"MQ==","k":"MQ=="}}', "data.k"),
        (b'{"metadata":{"name":"a","finalizers":[{"x":1,"x":2}]}}', "metadata.finalizers[0].x"),
        (b'{"kind":"Secret","kind":"Secret","metadata":{"name":"a"}}', "kind"),
    ],
)
async def test_fields_given_twice_are_named_when_strict(admin: Client, body: bytes, path: str) -> None:
    reply = await admin.post(f"{SECRETS}?fieldValidation=Strict", body)
    assert reply.status == 400
    assert reply.message.endswith(f'strict decoding error: duplicate field "{path}"')


async def test_a_custom_resource_is_replaced_with_its_version_only(widgets: Client) -> None:
    assert (await widgets.put(f"{WIDGETS}/a", widget("a"))).status == 404
    await widgets.post(WIDGETS, widget("a"))
    reply = await widgets.put(f"{WIDGETS}/a", widget("a", replicas=2))
    assert reply.status == 422
    assert reply.message == (
        'Widget.example.org "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'
    )
