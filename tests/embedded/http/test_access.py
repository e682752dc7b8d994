"""Authentication, RBAC, reviews, impersonation."""

from __future__ import annotations

from pathlib import Path

import pytest
from http_client import SECRETS, Client, Clock, secret

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.auth import Tokens
from continuo.embedded.http.server import Server
from continuo.resources.meta import Object

pytestmark = pytest.mark.anyio
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"


def _role(name: str, kind: str = "Role", **rule: list[str]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": [rule],
    }


def _binding(role: str, subject: Object, kind: str = "RoleBinding", role_kind: str = "Role") -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [subject],
    }


# --- who --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "e30.e30.", "\xff.\xff"])
async def test_without_a_valid_token_there_is_401(admin: Client, token: str) -> None:
    stranger = Client(admin.server, token=token)
    if "\xff" in token:
        stranger.token = token
    for path in ("/api", SECRETS, "/apis", "/openapi/v3"):
        reply = await stranger.get(path)
        assert (reply.status, reply.json["reason"]) == (401, "Unauthorized")


async def test_health_and_version_need_no_token(admin: Client) -> None:
    stranger = Client(admin.server, token="")
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await stranger.get(path)).body == b"ok"
    assert (await stranger.get("/version")).json["gitVersion"] == "v1.34.0+continuo"
    assert (await stranger.get("/version/")).status == 200


async def test_a_token_counts_on_its_own_cluster_only(engine: EmbeddedEngine, admin: Client) -> None:
    engine.create_cluster("rose")
    assert (await Client(admin.server, "rose", admin.token).get("/api")).status == 401
    assert (await Client(admin.server, "rose").get("/api")).status == 200


async def test_tokens_expire_and_a_tampered_one_is_refused(admin: Client, clock: Clock) -> None:
    token = admin.server.tokens.issue("management", "jane", ("system:masters",), seconds=60)
    jane = Client(admin.server, token=token)
    assert (await jane.get("/api")).status == 200
    clock.now += 61
    assert (await jane.get("/api")).status == 401
    head, payload, signature = admin.token.split(".")
    swapped = token.split(".")[1]
    assert (await Client(admin.server, token=f"{head}.{swapped}.{signature}").get("/api")).status == 401
    assert payload != swapped


async def test_tokens_survive_a_restart_and_the_key_is_private(tmp_path: Path, engine: EmbeddedEngine) -> None:
    first = Server(engine, data_dir=tmp_path)
    token = first.tokens.issue("management", "jane")
    again = Server(engine, data_dir=tmp_path)
    user = again.tokens.authenticate(token, engine.management)
    assert user is not None
    assert user.name == "jane"
    assert again.authority.ca_pem == first.authority.ca_pem
    for name in ("tokens.key", "ca.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert Tokens().authenticate(token, engine.management) is None


async def test_a_service_account_token_ends_with_its_account(admin: Client) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await admin.post(accounts, {"metadata": {"name": "bot"}})
    reply = await admin.post(f"{accounts}/bot/token", {"spec": {"expirationSeconds": 900}})
    assert reply.status == 201
    assert reply.json["status"]["expirationTimestamp"] == "2023-11-14T22:28:20Z"
    bot = Client(admin.server, token=reply.json["status"]["token"])
    review = await bot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {"kind": "SelfSubjectReview"})
    assert review.json["status"]["userInfo"]["username"] == "system:serviceaccount:default:bot"
    assert review.json["status"]["userInfo"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]
    subject = {"kind": "ServiceAccount", "name": "bot", "namespace": "default"}
    views = _binding("view", subject, "ClusterRoleBinding", "ClusterRole") | {"metadata": {"name": "bot-views"}}
    await admin.post(f"{RBAC}/clusterrolebindings", views)
    assert (await bot.get(PODS)).status == 200
    assert (await bot.get(SECRETS)).status == 403
    await admin.delete(f"{accounts}/bot")
    assert (await bot.get(PODS)).status == 401
    await admin.post(accounts, {"metadata": {"name": "bot"}})
    assert (await bot.get(PODS)).status == 401


async def test_a_token_request_shorter_than_ten_minutes_is_refused(admin: Client) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    reply = await admin.post(path, {"spec": {"expirationSeconds": 5}})
    assert reply.status == 422
    assert "10 minutes" in reply.message


# --- may --------------------------------------------------------------------------------------------------------------
async def test_refusals_use_kubernetes_words(admin: Client) -> None:
    jane = admin.as_user("jane")
    listed = await jane.get(PODS)
    assert listed.status == 403
    assert listed.message == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    got = await jane.get("/apis/apps/v1/namespaces/default/deployments/web")
    assert got.message == (
        'deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments" in API group "apps" '
        'in the namespace "default"'
    )
    assert got.json["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    cluster = await jane.get("/api/v1/nodes")
    assert cluster.message.endswith('cannot list resource "nodes" in API group "" at the cluster scope')
    logs = await jane.get(f"{PODS}/a/log")
    assert 'cannot get resource "pods/log"' in logs.message
    assert (await jane.get("/api")).status == 200
    raw = await jane.get("/metrics")
    assert raw.message == 'forbidden: User "jane" cannot get path "/metrics"'


async def test_roles_grant_in_their_namespace_and_changes_count_at_once(admin: Client) -> None:
    jane = admin.as_user("jane")
    reader = _role("reader", apiGroups=[""], resources=["pods"], verbs=["get", "list"])
    await admin.post(f"{RBAC}/namespaces/default/roles", reader)
    await admin.post(f"{RBAC}/namespaces/default/rolebindings", _binding("reader", {"kind": "User", "name": "jane"}))
    assert (await jane.get(PODS)).status == 200
    assert (await jane.get("/api/v1/namespaces/kube-system/pods")).status == 403
    assert (await jane.get("/api/v1/pods")).status == 403
    assert (await jane.get(f"{PODS}?watch=1")).status == 403
    assert (await jane.post(PODS, {})).status == 403
    path = f"{RBAC}/namespaces/default/roles/reader"
    await admin.patch(path, {"rules": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]})
    assert (await jane.get(PODS)).status == 403
    assert (await jane.get(f"{PODS}/a/log")).status == 404
    await admin.delete(f"{RBAC}/namespaces/default/rolebindings/reader")
    assert (await jane.get(f"{PODS}/a/log")).status == 403


async def test_resource_names_and_wildcards(admin: Client) -> None:
    jane = admin.as_user("jane", "team")
    rule = _role(
        "one", "ClusterRole", apiGroups=["*"], resources=["secrets", "*/scale"], resourceNames=["a"], verbs=["*"]
    )
    await admin.post(f"{RBAC}/clusterroles", rule)
    subject = {"kind": "Group", "name": "team"}
    await admin.post(f"{RBAC}/clusterrolebindings", _binding("one", subject, "ClusterRoleBinding", "ClusterRole"))
    await admin.post(SECRETS, secret("a"))
    assert (await jane.get(f"{SECRETS}/a")).status == 200
    assert (await jane.get(f"{SECRETS}/b")).status == 403
    assert (await jane.get(SECRETS)).status == 403
    assert (await jane.get("/apis/apps/v1/namespaces/default/deployments/a/scale")).status == 404
    assert (await jane.get("/apis/apps/v1/namespaces/default/deployments/a")).status == 403


async def test_aggregated_roles_gather_by_label(admin: Client) -> None:
    jane = admin.as_user("jane")
    views = _binding("view", {"kind": "User", "name": "jane"}, role_kind="ClusterRole")
    await admin.post(f"{RBAC}/namespaces/default/rolebindings", views)
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    assert (await jane.get(leases)).status == 403
    extra = _role("more", "ClusterRole", apiGroups=["coordination.k8s.io"], resources=["leases"], verbs=["list"])
    extra["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await admin.post(f"{RBAC}/clusterroles", extra)
    assert (await jane.get(leases)).status == 200


async def test_the_default_roles(admin: Client) -> None:
    names = {item["metadata"]["name"] for item in (await admin.get(f"{RBAC}/clusterroles")).json["items"]}
    assert {"cluster-admin", "admin", "edit", "view", "system:discovery", "system:public-info-viewer"} <= names
    for role, secrets, deploy, roles in (("view", 403, 403, 403), ("edit", 200, 201, 403), ("admin", 200, 201, 200)):
        user = admin.as_user(f"user-{role}")
        name = {"name": f"bind-{role}"}
        subject = {"kind": "User", "name": f"user-{role}"}
        binding = _binding(role, subject, role_kind="ClusterRole") | {"metadata": name}
        await admin.post(f"{RBAC}/namespaces/default/rolebindings", binding)
        assert (await user.get(PODS)).status == 200
        assert (await user.get(SECRETS)).status == secrets
        created = await user.post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": role}})
        assert created.status == deploy
        assert (await user.get(f"{RBAC}/namespaces/default/roles")).status == roles


async def test_nobody_grants_more_than_they_have(admin: Client) -> None:
    jane = admin.as_user("jane")
    subject = {"kind": "User", "name": "jane"}
    roles, bindings = (f"{RBAC}/namespaces/default/{plural}" for plural in ("roles", "rolebindings"))
    await admin.post(bindings, _binding("admin", subject, role_kind="ClusterRole"))
    covered = _role("covered", apiGroups=[""], resources=["pods", "pods/log"], verbs=["get", "list"])
    assert (await jane.post(roles, covered)).status == 201
    for rule in (
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
        {"apiGroups": ["example.org"], "resources": ["widgets"], "verbs": ["get"]},
    ):
        refused = await jane.post(roles, _role("more", **rule))
        assert refused.status == 403, rule
        assert "is attempting to grant RBAC permissions not currently held" in refused.message
        patched = await jane.patch(f"{roles}/covered", {"rules": [rule]})
        assert patched.status == 403, rule
    owner = _binding("cluster-admin", subject, role_kind="ClusterRole")
    assert (await jane.post(bindings, owner)).status == 403
    assert (await jane.post(bindings, _binding("covered", {"kind": "User", "name": "bob"}))).status == 201
    bind = _role("binder", apiGroups=["rbac.authorization.k8s.io"], resources=["clusterroles"], verbs=["bind"])
    await admin.post(roles, bind)
    await admin.post(bindings, _binding("binder", subject))
    assert (await jane.post(bindings, owner)).status == 201


# --- questions --------------------------------------------------------------------------------------------------------
async def _may(client: Client, kind: str = "SelfSubjectAccessReview", **spec: Object) -> Object:
    reply = await client.post(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", {"kind": kind, "spec": spec})
    assert reply.status == 201, reply.body
    return dict(reply.json["status"])


async def test_access_reviews_say_what_authorization_would(admin: Client) -> None:
    jane = admin.as_user("jane")
    pods = {"verb": "list", "resource": "pods", "namespace": "default"}
    assert not (await _may(jane, resourceAttributes=pods))["allowed"]
    assert (await _may(admin, resourceAttributes=pods))["allowed"]
    assert (await _may(jane, nonResourceAttributes={"verb": "get", "path": "/api"}))["allowed"]
    about = await _may(admin, "SubjectAccessReview", user="jane", groups=["system:masters"], resourceAttributes=pods)
    assert about["allowed"]
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await jane.post(path, {"spec": {"user": "x", "resourceAttributes": pods}})).status == 403
    both = await admin.post(path, {"spec": {"user": "x", "resourceAttributes": pods, "nonResourceAttributes": pods}})
    assert both.status == 422


async def test_rules_reviews_list_what_one_may(admin: Client) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status = (await admin.post(path, {"spec": {"namespace": "default"}})).json["status"]
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in status["resourceRules"]
    jane = (await admin.as_user("jane").post(path, {"spec": {"namespace": "default"}})).json["status"]
    assert all(rule["verbs"] == ["create"] for rule in jane["resourceRules"])
    assert any("/version" in rule["nonResourceURLs"] for rule in jane["nonResourceRules"])
    assert (await admin.post(path, {"spec": {}})).status == 400


async def test_token_reviews_do_not_repeat_the_token(admin: Client) -> None:
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    reply = await admin.post(path, {"spec": {"token": admin.token}})
    assert reply.json["status"]["user"]["username"] == "admin"
    assert admin.token.encode() not in reply.body
    wrong = (await admin.post(path, {"spec": {"token": "x"}})).json["status"]
    assert wrong["authenticated"] is False


async def test_impersonation_needs_its_own_permission(admin: Client) -> None:
    assert (await admin.get(PODS, **{"impersonate-user": "jane"})).status == 403
    assert (await admin.get(PODS, **{"impersonate-user": "jane", "impersonate-group": "system:masters"})).status == 200
    jane = admin.as_user("jane")
    refused = await jane.get(PODS, **{"impersonate-user": "admin"})
    assert refused.message.startswith('users "admin" is forbidden: User "jane" cannot impersonate resource "users"')
    rule = _role("act", "ClusterRole", apiGroups=[""], resources=["users", "serviceaccounts"], verbs=["impersonate"])
    await admin.post(f"{RBAC}/clusterroles", rule)
    subject = {"kind": "User", "name": "jane"}
    await admin.post(f"{RBAC}/clusterrolebindings", _binding("act", subject, "ClusterRoleBinding", "ClusterRole"))
    for user in ("bob", "system:serviceaccount:default:x"):
        grouped = await jane.get(PODS, **{"impersonate-user": user, "impersonate-group": "system:masters"})
        assert 'cannot impersonate resource "groups"' in grouped.message
    assert (await jane.get(PODS, **{"impersonate-group": "system:masters"})).status == 400
