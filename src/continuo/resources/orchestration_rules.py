"""The rules that no single field can say: CEL expressions that the API server runs, and its answers.

A rule belongs to a struct (`self` is the struct), to one of its list fields (`self` is the list), or to the
items of that list (`field[]`). CEL writes the dash of a field name as `__dash__`; `_cel` does that, so that
rules read like the wire. Every list and string that a rule walks is bounded, because the API server refuses
rules whose worst case costs too much. For the same reason cross-references compare names as they are, and
messages are fixed: building strings out of items multiplies the cost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from msgspec import Struct

from continuo.resources.meta import Object
from continuo.resources.orchestration import Spec
from continuo.resources.orchestration_apps import AppSpec, ComponentSpec, EnvVariable, Expose, StorageSpec
from continuo.resources.orchestration_clusters import ClusterSpec
from continuo.resources.orchestration_policies import Metric, Policy, ScaleCluster, ScaleComponent
from continuo.resources.selectors import Requirement


@dataclass(frozen=True, slots=True)
class Rule:
    """One validation rule; `field` is the wire name that the answer points at."""

    expression: str
    message: str
    field: str = ""
    required: bool = False

    def to_schema(self) -> Object:
        """The entry of `x-kubernetes-validations`."""
        entry: Object = {"rule": _cel(self.expression), "message": self.message}
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        if self.required:
            entry["reason"] = "FieldValueRequired"
        return entry


def _cel(expression: str) -> str:
    """Field names with their dashes escaped: `self.is-public` becomes `self.is__dash__public`."""
    return re.sub(r"(?<=\.)[a-z]+(-[a-z]+)+", lambda name: name.group().replace("-", "__dash__"), expression)


COMPARED = Rule(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    "must be given with operator In or NotIn, and left out with Exists or DoesNotExist",
    "values",
)
"""Of a selector's requirement."""

_CANNOT_CHANGE = "cannot change once the cluster is declared: declare another cluster and move the components"


def _fixed(field: str) -> Rule:
    """An optional field that cannot change, nor come, nor go."""
    there, same = f"has(self.{field})", f"self.{field} == oldSelf.{field}"
    return Rule(f"{there} == has(oldSelf.{field}) && (!{there} || {same})", _CANNOT_CHANGE, field)


def _declared(list_: str, condition: str) -> str:
    """Whether all of an optional list fulfil a condition on `names`, the names of the clusters.

    The names are collected once: looking every cluster up for every component is too costly where there are many.
    """
    names = "has(self.clusters) ? self.clusters.map(k, k.name) : []"
    return f"!has(self.{list_}) || [{names}].all(names, self.{list_}.all(x, {condition}))"


def _not_dev(field: str, why: str) -> Rule:
    """An optional field that means nothing for simulated machines."""
    return Rule(
        f"self.provider != 'dev' || !has(self.{field})", f"{why}: leave {field} out, or set provider openstack", field
    )


def _no_dev(list_: str, condition: str) -> str:
    """Whether no entry of an optional list fulfils a condition on `names`, the names of the simulated clusters."""
    names = "has(self.clusters) ? self.clusters.filter(k, k.provider == 'dev').map(k, k.name) : []"
    return f"!has(self.{list_}) || [{names}].all(names, !self.{list_}.exists(x, {condition}))"


_BOOTSTRAP = (
    "({0}.provider in ['kubeadm', 'k3s', 'microk8s'] ? {0}.provider : "
    "has({0}.kubernetes-type) ? {0}.kubernetes-type : 'kubeadm')"
)
_SELF, _OLD = _BOOTSTRAP.format("self"), _BOOTSTRAP.format("oldSelf")
_HTTP = "({0}.protocol in ['HTTP', 'HTTPS'] || {0}.clusterPort in [80, 443, 8080, 8443])"
_TLS = "({0}.protocol in ['HTTP', 'HTTPS'] || {0}.clusterPort in [443, 8443])"

_CLUSTER_RULES = (
    Rule(
        "self.control-plane-count % 2 == 1",
        "must be odd (1, 3, 5, 7 or 9): etcd needs a majority, and an even member adds risk without safety",
        "control-plane-count",
    ),
    Rule(
        f"self.provider == 'existing' || {_SELF} != 'microk8s' || "
        "self.control-plane-count + self.worker-machine-count == 1",
        "a microk8s cluster has one node in total, because its nodes accept another only if they can "
        "resolve its name, which Cluster API cannot arrange: set control-plane-count 1 and "
        "worker-machine-count 0, or use kubeadm or k3s",
        "worker-machine-count",
    ),
    Rule("self.provider == oldSelf.provider", _CANNOT_CHANGE, "provider"),
    Rule(f"{_SELF} == {_OLD}", _CANNOT_CHANGE, "kubernetes-type"),
    Rule(
        "!has(self.kubernetes-type) || self.provider in ['openstack', 'existing', 'dev', self.kubernetes-type]",
        "contradicts provider, which names a bootstrap already: leave kubernetes-type out, or set provider openstack",
        "kubernetes-type",
    ),
    Rule(
        "self.provider == 'existing' || has(self.kubernetes-version)",
        "is required unless provider is existing: the version to install, such as v1.32.4",
        "kubernetes-version",
        required=True,
    ),
    Rule(
        "self.provider != 'existing' || has(self.kubeconfig)",
        "is required with provider existing: the Secret whose key `value` is the cluster's kubeconfig",
        "kubeconfig",
        required=True,
    ),
    Rule(
        "self.provider == 'existing' || !has(self.kubeconfig)",
        "is only for clusters that exist already: set provider existing, or leave kubeconfig out",
        "kubeconfig",
    ),
    Rule(
        f"self.provider != 'dev' || {_SELF} == 'kubeadm'",
        "must be kubeadm with provider dev, whose simulated machines understand nothing else: leave "
        "kubernetes-type out, or set provider openstack",
        "kubernetes-type",
    ),
    Rule(
        "self.provider != 'dev' || !has(self.packages) || size(self.packages) == 0",
        "cannot be installed with provider dev, whose clusters run no pods: leave packages out, or set provider "
        "openstack",
        "packages",
    ),
    *(
        _not_dev(field, "means nothing with provider dev, whose machines are simulated")
        for field in ("image", "cloud", "external-network", "ssh-key", "failure-domain", "public-ip")
    ),
    Rule(
        "self.provider == 'dev' || !has(self.machine-startup)",
        "is only for simulated machines: set provider dev, or leave machine-startup out",
        "machine-startup",
    ),
    Rule("self.cni == oldSelf.cni", _CANNOT_CHANGE, "cni"),
    _fixed("pod-cidr"),
    _fixed("service-cidr"),
)

_EXPOSE_RULES = (
    Rule(
        "!self.is-public || self.is-peered",
        "must be true where is-public is true: a public port is reached through its Service",
        "is-peered",
    ),
    Rule(
        f"!has(self.host) || (self.is-public && {_HTTP.format('self')})",
        "is only for public HTTP or HTTPS ports: set is-public true and protocol HTTP, or leave host out",
        "host",
    ),
)

_COMPONENT_RULES = (
    Rule(
        "!has(self.expose) || self.expose.all(a, self.expose.exists_one(b, a.clusterPort == b.clusterPort && "
        "(a.protocol == 'UDP') == (b.protocol == 'UDP')))",
        "exposes one clusterPort twice: it may occur once for UDP and once for the other protocols",
        "expose",
    ),
    Rule(
        f"!has(self.tls) || (has(self.expose) && self.expose.exists(e, e.is-public && {_TLS.format('e')}))",
        "needs a public HTTP or HTTPS port (or 443, 8443) to protect: expose one, or leave tls out",
        "tls",
    ),
    Rule(
        "!has(self.storage) || self.storage.all(a, self.storage.exists_one(b, a.mountPath == b.mountPath))",
        "mounts two volumes at one mountPath: give each its own",
        "storage",
    ),
    Rule(
        "!has(self.placement) || !has(self.cluster-selector)",
        "leaves the choice of the cluster that cluster-selector makes: leave one of them out",
        "placement",
    ),
)

_POLICY_RULES = (
    Rule(
        "[has(self.scale-component), has(self.scale-cluster), has(self.provision-cluster), has(self.failover)]"
        ".exists_one(x, x)",
        "must have exactly one of scale-component, scale-cluster, provision-cluster and failover",
    ),
)
_BOUNDS = Rule("self.min <= self.max", "must not be above max", "min")
_QUERY = Rule(
    "(self.source == 'Prometheus') == has(self.query)",
    "must be given with source Prometheus, and left out with source Resource",
    "query",
)

_APP_RULES = (
    Rule(
        "self.owner == oldSelf.owner",
        "cannot change: delete the application and declare it again under the other owner",
        "owner",
    ),
    Rule(
        "!has(self.link-requirements) || [self.components.map(c, c.name)].all(names, "
        "self.link-requirements.all(r, r.members.all(m, m in names)))",
        "has a member that is no component of this application: name components as in components",
        "link-requirements",
    ),
)

_SPEC_RULES = (
    Rule(
        _declared("links", "x.all(name, name in names)"),
        "names a cluster that is not declared: add it to spec.clusters, or remove the link",
        "links",
    ),
    Rule(
        _declared("apps", "x.cluster in names"),
        "has a cluster that is not declared: name one of spec.clusters as the application's home cluster",
        "apps",
    ),
    Rule(
        _declared("apps", "x.components.all(p, !has(p.cluster-selector) || p.cluster-selector in names)"),
        "has a cluster-selector that is not declared: name one of spec.clusters, or leave the selector out",
        "apps",
    ),
    Rule(
        _no_dev("links", "x.exists(name, name in names)"),
        "joins a cluster of provider dev, which is simulated and runs no Liqo: link other clusters",
        "links",
    ),
    Rule(
        _no_dev(
            "apps",
            "x.cluster in names || x.components.exists(p, has(p.cluster-selector) && p.cluster-selector in names)",
        ),
        "has its home or a component on a cluster of provider dev, which is simulated and runs no pods: name another cluster",
        "apps",
    ),
)

RULES: dict[type[Struct] | tuple[type[Struct], str], tuple[Rule, ...]] = {
    ClusterSpec: _CLUSTER_RULES,
    Expose: _EXPOSE_RULES,
    EnvVariable: (
        Rule(
            "has(self.value) != has(self.secret)",
            "must have either value or secret (name and key), and not both",
        ),
    ),
    StorageSpec: (
        Rule(
            "!has(self.access) || self.kind == 'persistent'",
            "is only for persistent volumes: set kind persistent, or leave access out",
            "access",
        ),
    ),
    ComponentSpec: _COMPONENT_RULES,
    AppSpec: _APP_RULES,
    Policy: _POLICY_RULES,
    ScaleComponent: (_BOUNDS,),
    ScaleCluster: (_BOUNDS,),
    Metric: (_QUERY,),
    Requirement: (COMPARED,),
    Spec: _SPEC_RULES,
    (Spec, "links"): (
        Rule(
            "self.all(a, size(a) != 2 || "
            "self.exists_one(b, size(b) == 2 && a[0] in b && a[1] in b && b[0] in a && b[1] in a))",
            "joins two clusters twice: a pair may occur once, in either order",
        ),
    ),
    (Spec, "links[]"): (Rule("size(self) != 2 || self[0] != self[1]", "must join two different clusters"),),
}
