"""Who may do what, and how a refusal reads."""

from __future__ import annotations

import pytest

from .conftest import unique
from .objects import config_map
from .rest import Api, Object

RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@pytest.fixture
def jane(api: Api) -> str:
    """A user whom no binding names."""
    return unique("jane")


def _role(name: str, **rule: list[str]) -> Object:
    return {
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"], **rule}],
    }


def _binding(name: str, subject: Object, role: str = "", kind: str = "Role") -> Object:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role or name}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}


def _user(name: str) -> Object:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def allow(api: Api, ns: str, subject: Object, **rule: list[str]) -> None:
    api.post(f"{RBAC}/namespaces/{ns}/roles", _role("r", **rule)).ok()
    api.post(f"{RBAC}/namespaces/{ns}/rolebindings", _binding("r", subject)).ok()


def eventually(api: Api, path: str, status: int) -> None:
    """An authorizer may learn of a change a moment later."""
    for _ in range(200):
        if api.get(path).status == status:
            return
    raise AssertionError(f"{path} does not answer {status}")


def test_a_refusal_says_who_what_and_where(api: Api, maps: str, ns: str, jane: str) -> None:
    user = api.impersonating(jane)
    message = user.get(maps).fails(403, "Forbidden")
    assert message == (
        f'configmaps is forbidden: User "{jane}" cannot list resource "configmaps" in API group "" in the namespace "{ns}"'
    )
    reply = user.get(f"/apis/apps/v1/namespaces/{ns}/deployments/web")
    assert reply.fails(403, "Forbidden") == (
        f'deployments.apps "web" is forbidden: User "{jane}" cannot get resource "deployments" in API group "apps" '
        f'in the namespace "{ns}"'
    )
    assert reply.json["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    assert user.get("/api/v1/nodes").fails(403, "Forbidden") == (
        f'nodes is forbidden: User "{jane}" cannot list resource "nodes" in API group "" at the cluster scope'
    )
    assert user.get("/metrics").fails(403, "Forbidden") == f'forbidden: User "{jane}" cannot get path "/metrics"'
    assert user.post(maps, config_map("a")).status == 403
    assert user.get("/version").status == 200


def test_a_wrong_token_is_nobody(api: Api, maps: str) -> None:
    stranger = api.with_token("nonsense")
    assert stranger.get(maps).fails(401, "Unauthorized") == "Unauthorized"


def test_a_role_grants_in_its_namespace(api: Api, maps: str, ns: str, jane: str) -> None:
    api.post(maps, config_map("a")).ok()
    user = api.impersonating(jane)
    allow(api, ns, _user(jane))
    eventually(user, maps, 200)
    assert user.get(f"{maps}/a").status == 200
    assert user.get("/api/v1/configmaps").status == 403
    assert user.get(maps, watch="true", timeoutSeconds=1).status == 403
    assert user.delete(f"{maps}/a").status == 403
    assert user.patch(f"{maps}/a", {}).status == 403


def test_names_and_subresources_in_rules(api: Api, maps: str, ns: str, jane: str) -> None:
    for name in "ab":
        api.post(maps, config_map(name)).ok()
    allow(api, ns, _user(jane), resourceNames=["a"])
    user = api.impersonating(jane)
    eventually(user, f"{maps}/a", 200)
    assert user.get(f"{maps}/b").status == 403
    assert user.get(maps).status == 403


def test_names_in_rules_count_for_lists_of_one_name(api: Api, maps: str, ns: str, jane: str) -> None:
    for name in "ab":
        api.post(maps, config_map(name)).ok()
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["list", "watch"]}
    allow(api, ns, _user(jane), **rule)
    user = api.impersonating(jane)
    eventually(user, f"{maps}?fieldSelector=metadata.name%3Da", 200)
    (found,) = user.get(maps, fieldSelector="metadata.name=a").ok()["items"]
    assert found["metadata"]["name"] == "a"
    assert user.get(maps, fieldSelector="metadata.name=a", watch="true", timeoutSeconds=1).status == 200
    assert user.get(maps, fieldSelector="metadata.name=b").status == 403
    assert user.get(maps, fieldSelector="metadata.name!=a").status == 403
    assert user.get(maps).status == 403


def test_groups(api: Api, maps: str, ns: str, jane: str) -> None:
    allow(api, ns, {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "team"})
    eventually(api.impersonating(jane, "team"), maps, 200)
    assert api.impersonating(jane).get(maps).status == 403


def test_a_service_account(api: Api, maps: str, ns: str) -> None:
    accounts = f"/api/v1/namespaces/{ns}/serviceaccounts"
    api.post(accounts, {"metadata": {"name": "bot"}}).ok()
    reply = api.post(f"{accounts}/bot/token", {"spec": {"expirationSeconds": 900}})
    assert reply.status == 201
    token = reply.json["status"]["token"]
    assert token.count(".") == 2
    bot = api.with_token(token)
    me = bot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).ok()["status"]["userInfo"]
    assert me["username"] == f"system:serviceaccount:{ns}:bot"
    assert set(me["groups"]) == {"system:serviceaccounts", f"system:serviceaccounts:{ns}", "system:authenticated"}
    assert bot.get(maps).status == 403
    allow(api, ns, {"kind": "ServiceAccount", "name": "bot", "namespace": ns})
    eventually(bot, maps, 200)
    short = api.post(f"{accounts}/bot/token", {"spec": {"expirationSeconds": 5}}).fails(422, "Invalid")
    assert "may not specify a duration less than 10 minutes" in short
    assert api.post(f"{accounts}/nobody/token", {"spec": {}}).fails(404, "NotFound")


def test_asking_before_doing(api: Api, ns: str, jane: str) -> None:
    def ask(user: Api, verb: str, resource: str) -> bool:
        attributes = {"namespace": ns, "verb": verb, "resource": resource}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        reply = user.post(
            f"{AUTHORIZATION}/selfsubjectaccessreviews", {**body, "spec": {"resourceAttributes": attributes}}
        )
        assert reply.status == 201
        return bool(reply.json["status"]["allowed"])

    user = api.impersonating(jane, "system:authenticated")
    allow(api, ns, _user(jane))
    eventually(user, f"/api/v1/namespaces/{ns}/configmaps", 200)
    assert ask(user, "get", "configmaps")
    assert not ask(user, "delete", "configmaps")
    assert ask(api, "delete", "configmaps")


def test_asking_for_someone_else(api: Api, ns: str, jane: str) -> None:
    allow(api, ns, _user(jane))
    eventually(api.impersonating(jane), f"/api/v1/namespaces/{ns}/configmaps", 200)
    attributes = {"namespace": ns, "verb": "list", "resource": "configmaps"}
    body = {"spec": {"user": jane, "resourceAttributes": attributes}}
    assert api.post(f"{AUTHORIZATION}/subjectaccessreviews", body).ok()["status"]["allowed"] is True
    body["spec"]["user"] = "nobody"
    assert api.post(f"{AUTHORIZATION}/subjectaccessreviews", body).ok()["status"]["allowed"] is False
    other = api.post(
        f"{AUTHORIZATION}/namespaces/{ns}/localsubjectaccessreviews", {**body, "metadata": {"namespace": ns}}
    )
    assert other.ok()["status"]["allowed"] is False


def test_what_may_i(api: Api, ns: str, jane: str) -> None:
    allow(api, ns, _user(jane))
    user = api.impersonating(jane, "system:authenticated")
    eventually(user, f"/api/v1/namespaces/{ns}/configmaps", 200)
    status = user.post(f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": ns}}).ok()["status"]
    assert {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]} in status["resourceRules"]
    assert any("/version" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])


def test_who_am_i(api: Api, jane: str) -> None:
    user = api.impersonating(jane, "system:authenticated", "team")
    reply = user.post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"},
    )
    info = reply.ok()["status"]["userInfo"]
    assert (info["username"], sorted(info["groups"])) == (jane, ["system:authenticated", "team"])


def test_nobody_grants_more_than_they_have(api: Api, ns: str, jane: str) -> None:
    allow(
        api,
        ns,
        _user(jane),
        apiGroups=["rbac.authorization.k8s.io"],
        resources=["roles"],
        verbs=["create", "get", "list"],
    )
    user = api.impersonating(jane)
    roles = f"{RBAC}/namespaces/{ns}/roles"
    eventually(user, roles, 200)
    message = user.post(roles, _role("more", verbs=["delete"])).fails(403, "Forbidden")
    assert "is attempting to grant RBAC permissions not currently held" in message


def test_a_binding_keeps_its_role(api: Api, ns: str, jane: str) -> None:
    allow(api, ns, _user(jane))
    path = f"{RBAC}/namespaces/{ns}/rolebindings/r"
    message = api.patch(path, {"roleRef": {"name": "other"}}).fails(422, "Invalid")
    assert "roleRef: Invalid value: " in message
    assert message.endswith("cannot change roleRef")
