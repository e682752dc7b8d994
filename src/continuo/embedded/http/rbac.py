"""Who may do what: the cluster's own Roles and Bindings decide, looked up by subject and kept fresh by its changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from continuo.embedded.http.wire import User
from continuo.embedded.port import Api, StoredChange
from continuo.resources.errors import Forbidden
from continuo.resources.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from continuo.resources.meta import Key, Object, key_of

MASTERS = "system:masters"
_SERVICE_ACCOUNT = "system:serviceaccount:"
RoleKey = tuple[str, str, str]
"""(kind, namespace, name) of a Role or ClusterRole."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request wants to do. `path` is set for requests that name no resource."""

    verb: str
    group: str = ""
    plural: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def resource(self) -> str:
        """`pods`, or `pods/log` for a subresource: how rules name it."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled PolicyRule."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    paths: tuple[str, ...]
    source: Object

    def allows(self, wanted: Attributes) -> bool:
        """Whether this rule covers the request."""
        if "*" not in self.verbs and wanted.verb not in self.verbs:
            return False
        if wanted.path:
            return any(_path_matches(path, wanted.path) for path in self.paths)
        if "*" not in self.groups and wanted.group not in self.groups:
            return False
        if self.names and wanted.name not in self.names:
            return False
        return self._covers(wanted)

    def _covers(self, wanted: Attributes) -> bool:
        if "*" in self.resources or wanted.resource in self.resources:
            return True
        return bool(wanted.subresource) and f"*/{wanted.subresource}" in self.resources


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _compile(rules: Iterable[Object]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
            rule,
        )
        for rule in rules
    )


@dataclass(frozen=True, slots=True)
class Grant:
    """One binding: a role, within a namespace (empty: everywhere)."""

    namespace: str
    role: RoleKey


def _subject_key(subject: Object, namespace: str) -> str:
    name = subject.get("name", "")
    if subject.get("kind") == "ServiceAccount":
        return f"u:{_SERVICE_ACCOUNT}{subject.get('namespace') or namespace}:{name}"
    return f"g:{name}" if subject.get("kind") == "Group" else f"u:{name}"


def role_key(reference: Object, namespace: str) -> RoleKey:
    """Which role a binding's `roleRef` names."""
    kind = reference.get("kind", "")
    return (kind, namespace if kind == "Role" else "", reference.get("name", ""))


class Authorizer:
    """Decides for one cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._grants: dict[str, dict[Key, Grant]] = {}
        self._rules: dict[RoleKey, tuple[Rule, ...]] = {}
        self._stops = [api.listen(kind, self._binding_changed) for kind in (ROLE_BINDING, CLUSTER_ROLE_BINDING)]
        self._stops += [api.listen(kind, self._role_changed) for kind in (ROLE, CLUSTER_ROLE)]
        for kind in (ROLE_BINDING, CLUSTER_ROLE_BINDING):
            for binding in api.list(kind):
                self._add(binding)

    def close(self) -> None:
        """Stop following the cluster."""
        for stop in self._stops:
            stop()

    def allowed(self, user: User, wanted: Attributes) -> bool:
        """Whether the user may do it."""
        if MASTERS in user.groups:
            return True
        return any(rule.allows(wanted) for rule in self.rules_of(user, wanted.namespace))

    def require(self, user: User, wanted: Attributes) -> None:
        """Raises Forbidden, in Kubernetes' words, when the user may not do it."""
        if not self.allowed(user, wanted):
            raise forbidden(user, wanted)

    def rules_of(self, user: User, namespace: str) -> Iterator[Rule]:
        """Every rule that applies to the user in the namespace; cluster-wide ones first."""
        grants = [grant for subject in _subjects(user) for grant in self._grants.get(subject, {}).values()]
        for grant in sorted(grants, key=lambda grant: bool(grant.namespace)):
            if not grant.namespace or grant.namespace == namespace:
                yield from self.rules_of_role(grant.role)

    def rules_of_role(self, key: RoleKey) -> tuple[Rule, ...]:
        """The rules of a Role or ClusterRole; none when it does not exist."""
        found = self._rules.get(key)
        if found is None:
            kind, namespace, name = key
            role = self._api.find(ROLE if kind == "Role" else CLUSTER_ROLE, name, namespace)
            found = self._rules[key] = _compile(self._all_rules(role)) if role else ()
        return found

    def _all_rules(self, role: Object) -> list[Object]:
        """The role's rules and those that it aggregates from other ClusterRoles by their labels."""
        rules = list(role.get("rules") or ())
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            for other in self._api.list(CLUSTER_ROLE, labels=selector.get("matchLabels") or {}):
                if other["metadata"]["name"] != role["metadata"]["name"]:
                    rules.extend(other.get("rules") or ())
        return rules

    def _add(self, binding: Object) -> None:
        key = key_of(binding)
        grant = Grant(key[0], role_key(binding.get("roleRef") or {}, key[0]))
        for subject in binding.get("subjects") or ():
            self._grants.setdefault(_subject_key(subject, key[0]), {})[key] = grant

    def _remove(self, binding: Object) -> None:
        key = key_of(binding)
        for subject in binding.get("subjects") or ():
            of_subject = self._grants.get(_subject_key(subject, key[0]), {})
            of_subject.pop(key, None)

    def _binding_changed(self, change: StoredChange) -> None:
        if change.previous is not None:
            self._remove(change.previous)
        if change.type == "DELETED":
            self._remove(change.object)
        else:
            self._add(change.object)

    def _role_changed(self, _change: StoredChange) -> None:
        self._rules.clear()  # aggregation lets one role change many; they are compiled again when needed


def _subjects(user: User) -> list[str]:
    return [f"u:{user.name}", *(f"g:{group}" for group in user.groups)]


def forbidden(user: User, wanted: Attributes) -> Forbidden:
    """The refusal, worded as Kubernetes words it."""
    if wanted.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"')
    subject = f"{wanted.plural}.{wanted.group}" if wanted.group else wanted.plural
    named = f'{subject} "{wanted.name}"' if wanted.name else subject
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'{named} is forbidden: User "{user.name}" cannot {wanted.verb} resource "{wanted.resource}" '
        f'in API group "{wanted.group}" {scope}'
    )
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.plural}
    return Forbidden(message, details={key: value for key, value in details.items() if value})
