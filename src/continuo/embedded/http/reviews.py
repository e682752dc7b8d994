"""Questions about access: who am I, may I, what may I."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.embedded.http.bodies import read_object
from continuo.embedded.http.call import Context
from continuo.embedded.http.options import invalid
from continuo.embedded.http.rbac import MASTERS, Attributes
from continuo.embedded.http.wire import Request, Response, User, json_response
from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.meta import Kind, Object

_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    return {**info, "uid": user.uid} if user.uid else info


def _attributes(spec: Object, namespace: str = "") -> Attributes:
    """What a review asks about; the namespace of the path must agree with it."""
    resource, path = spec.get("resourceAttributes") or {}, spec.get("nonResourceAttributes") or {}
    if bool(resource) == bool(path):
        text = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(_AUTHORIZATION, "SubjectAccessReview", "spec.resourceAttributes", "FieldValueInvalid", text)
    if path:
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    plural, _, sub = resource.get("resource", "").partition("/")
    given = resource.get("namespace", "")
    if namespace and given != namespace:
        raise BadRequest(f'spec.resourceAttributes.namespace is "{given}"; it must be "{namespace}", as in the path')
    return Attributes(
        resource.get("verb", ""),
        resource.get("group", ""),
        plural,
        resource.get("subresource", "") or sub,
        given,
        resource.get("name", ""),
    )


def _decide(context: Context, user: User, wanted: Attributes) -> Object:
    allowed = context.authorizer.allowed(user, wanted)
    if allowed:
        return {"allowed": True, "reason": "RBAC: allowed by the cluster's roles and bindings"}
    return {"allowed": False}


@dataclass(frozen=True, slots=True)
class _Question:
    context: Context
    user: User
    spec: Object
    namespace: str
    """The namespace of the path."""


def _self_access(asked: _Question) -> Object:
    return {"status": _decide(asked.context, asked.user, _attributes(asked.spec))}


def _access(asked: _Question) -> Object:
    spec = asked.spec
    if not spec.get("user") and not spec.get("groups"):
        raise BadRequest("spec.user or spec.groups must say about whom the question is")
    user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
    return {"status": _decide(asked.context, user, _attributes(spec, asked.namespace))}


_RESOURCE_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames")
_PATH_FIELDS = ("verbs", "nonResourceURLs")
_EVERYTHING: tuple[Object, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)


def _self_rules(asked: _Question) -> Object:
    wanted = asked.spec.get("namespace")
    if not wanted:
        raise BadRequest("no namespace on request: spec.namespace must name one")
    rules = [rule.source for rule in asked.context.authorizer.rules_of(asked.user, wanted)]
    if MASTERS in asked.user.groups:
        rules = [*_EVERYTHING, *rules]

    def picked(marker: str, fields: tuple[str, ...]) -> list[Object]:
        return [{key: rule[key] for key in fields if rule.get(key)} for rule in rules if rule.get(marker)]

    status = {
        "resourceRules": picked("resources", _RESOURCE_FIELDS),
        "nonResourceRules": picked("nonResourceURLs", _PATH_FIELDS),
        "incomplete": False,
    }
    return {"status": status}


def _whoami(asked: _Question) -> Object:
    return {"status": {"userInfo": _user_info(asked.user)}}


def _token_review(asked: _Question) -> Object:
    user = asked.context.tokens.authenticate(str(asked.spec.get("token", "")), asked.context.api)
    if user is None:
        status: Object = {"authenticated": False, "user": {}, "error": "the token is not valid on this cluster"}
    else:
        status = {"authenticated": True, "user": _user_info(user)}
    return {"spec": {}, "status": status}  # the token is not repeated


_Answer = Callable[[_Question], Object]
_ANSWERS: Mapping[tuple[str, str], tuple[str, bool, _Answer]] = {
    (_AUTHENTICATION, "selfsubjectreviews"): ("SelfSubjectReview", False, _whoami),
    (_AUTHENTICATION, "tokenreviews"): ("TokenReview", False, _token_review),
    (_AUTHORIZATION, "localsubjectaccessreviews"): ("LocalSubjectAccessReview", True, _access),
    (_AUTHORIZATION, "selfsubjectaccessreviews"): ("SelfSubjectAccessReview", False, _self_access),
    (_AUTHORIZATION, "selfsubjectrulesreviews"): ("SelfSubjectRulesReview", False, _self_rules),
    (_AUTHORIZATION, "subjectaccessreviews"): ("SubjectAccessReview", False, _access),
}


def review_types() -> list[ResourceType]:
    """The review resources, for discovery: they can only be created."""
    return [
        ResourceType(
            kind=Kind(group, "v1", kind, plural, namespaced),
            singular=kind.lower(),
            list_kind=f"{kind}List",
            verbs=("create",),
        )
        for (group, plural), (kind, namespaced, _) in _ANSWERS.items()
    ]


def is_review(group: str, version: str, plural: str) -> bool:
    """Whether the resource is one of these."""
    return version == "v1" and (group, plural) in _ANSWERS


def answer(context: Context, request: Request, group: str, plural: str, namespace: str) -> Response:
    """Answer one review; nothing is stored."""
    if request.method != "POST":
        raise NotFound("the server could not find the requested resource")
    kind, _, handler = _ANSWERS[group, plural]
    body = read_object(request)
    if body.get("kind", kind) != kind:
        raise BadRequest(f"the kind in the data ({body['kind']}) does not match the expected kind ({kind})")
    head: dict[str, Any] = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}}
    spec = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise BadRequest(f"spec of a {kind} must be an object")
    return json_response({**head, "spec": spec, **handler(_Question(context, request.user, spec, namespace))}, 201)
