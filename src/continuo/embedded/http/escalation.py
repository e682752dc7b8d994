"""Nobody grants more than they have: writes of roles and bindings are compared with the writer's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from continuo.embedded.http.bodies import read_object, read_patch
from continuo.embedded.http.call import Call
from continuo.embedded.http.rbac import MASTERS, Attributes, role_key
from continuo.resources.errors import Forbidden
from continuo.resources.meta import Object

_GROUP = "rbac.authorization.k8s.io"
_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")
_WRITES = ("create", "update", "patch")


def check(call: Call) -> None:
    """Raises Forbidden when the request would give someone rights that its sender lacks."""
    kind, user = call.kind, call.request.user
    if kind.group != _GROUP or call.verb not in _WRITES or MASTERS in user.groups:
        return
    obj = _result(call)
    namespace = call.target.namespace
    if kind.plural in _ROLES:
        if not _may(call, Attributes("escalate", _GROUP, kind.plural, namespace=namespace, name=call.target.name)):
            _require(call, obj.get("rules") or (), obj)
    elif kind.plural in _BINDINGS:
        reference = obj.get("roleRef") or {}
        plural, name = f"{str(reference.get('kind', '')).lower()}s", str(reference.get("name", ""))
        if not _may(call, Attributes("bind", _GROUP, plural, namespace=namespace, name=name)):
            granted = call.context.authorizer.rules_of_role(role_key(reference, namespace))
            _require(call, [rule.source for rule in granted], obj)


def _result(call: Call) -> Object:
    """The object as it would be stored."""
    if call.verb != "patch":
        return read_object(call.request)
    how, body = read_patch(call.request)
    trial = replace(call.write(), dry_run=True, warnings=[])
    return call.api.patch(call.kind, call.target.name, call.target.namespace, how, body, trial)


def _may(call: Call, wanted: Attributes) -> bool:
    return call.context.authorizer.allowed(call.request.user, wanted)


def _require(call: Call, rules: Iterable[Object], obj: Object) -> None:
    missing = [
        rule for rule in rules if not all(_may(call, wanted) for wanted in _spelled(rule, call.target.namespace))
    ]
    if missing:
        user = call.request.user
        groups = ", ".join(f'"{group}"' for group in user.groups)
        raise Forbidden(
            f'{call.kind.resource} "{obj["metadata"].get("name", "")}" is forbidden: user "{user.name}" '
            f"(groups=[{groups}]) is attempting to grant RBAC permissions not currently held: "
            + "; ".join(map(_shown, missing))
        )


def _spelled(rule: Object, namespace: str) -> Iterator[Attributes]:
    """Everything that a rule allows, one by one; `*` stands for itself and is covered by `*` only."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield Attributes(verb, path=path)
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                plural, _, subresource = resource.partition("/")
                for name in rule.get("resourceNames") or ("",):
                    yield Attributes(verb, group, plural, subresource, namespace, name)


def _shown(rule: Object) -> str:
    fields = ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")
    return "{" + ", ".join(f"{field}: {rule[field]}" for field in fields if rule.get(field)) + "}"
