"""What the objects of `continuo install` are put together from: rules, bindings, confined containers, Deployments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from continuo.resources import kinds
from continuo.resources.meta import Kind, Object

RBAC = "rbac.authorization.k8s.io"
HEALTH_PORT = 8081
USER = 65532
FOLLOW = ("list", "watch")


def rule(of: Sequence[Kind], *verbs: str) -> Object:
    """These verbs on kinds of one group."""
    return {"apiGroups": [of[0].group], "resources": sorted(kind.plural for kind in of), "verbs": sorted(verbs)}


def part_rule(part: str, of: Sequence[Kind], *verbs: str) -> Object:
    """The same on a subresource."""
    whole = rule(of, *verbs)
    return {**whole, "resources": [f"{plural}/{part}" for plural in whole["resources"]]}


def by_group(of: Iterable[Kind]) -> list[list[Kind]]:
    """Kinds, those of one group together."""
    groups: dict[str, list[Kind]] = {}
    for kind in of:
        groups.setdefault(kind.group, []).append(kind)
    return [groups[group] for group in sorted(groups)]


def labels(part: str) -> dict[str, str]:
    """How a part is found."""
    return {"app.kubernetes.io/name": "continuo", "app.kubernetes.io/component": part}


def metadata(part: str) -> Object:
    """What every object of a part has."""
    return {"labels": labels(part)}


def binding(
    kind: Kind, name: str, account_namespace: str, namespace: str | None, part: str, account: str | None = None
) -> Object:
    """The role of that name for an account, which is called the same unless said otherwise."""
    role = "Role" if kind.namespaced else "ClusterRole"
    return kind.new(
        name,
        namespace,
        metadata=metadata(part),
        roleRef={"apiGroup": RBAC, "kind": role, "name": name},
        subjects=[{"kind": "ServiceAccount", "name": account or name, "namespace": account_namespace}],
    )


def container(name: str, image: str, arguments: list[str]) -> Object:
    """One that may do nothing to its machine."""
    return {
        "name": name,
        "image": image,
        "args": arguments,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def port(name: str, number: int) -> Object:
    """A port that a container listens on."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def probes(name: str) -> Object:
    """How a container's health is asked for, on the port of that name."""
    return {
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": name}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": name}, "periodSeconds": 5},
    }


def probed(part: str, image: str, arguments: list[str]) -> Object:
    """A container whose health is asked for on `HEALTH_PORT`."""
    return {**container(part, image, arguments), "ports": [port("health", HEALTH_PORT)], **probes("health")}


def deployment(
    name: str, namespace: str, replicas: int, of: Object, volumes: list[Object], *, alone: bool = False, **pod: object
) -> Object:
    """One of a container, which runs as nobody. `alone`: the old pod ends before the new one begins."""
    spec: Object = {
        "serviceAccountName": name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [of],
        **pod,
    }
    if volumes:
        spec["volumes"] = volumes
    found = labels(of["name"])
    template = {"metadata": {"labels": found}, "spec": spec}
    strategy = {"strategy": {"type": "Recreate"}} if alone else {}
    whole = {"replicas": replicas, **strategy, "selector": {"matchLabels": found}, "template": template}
    return kinds.DEPLOYMENT.new(name, namespace, metadata=metadata(of["name"]), spec=whole)


def service(name: str, namespace: str, part: str, ports: dict[str, int]) -> Object:
    """The ports of a part, by the names that its container gives them."""
    told = [{"name": each, "port": number, "targetPort": each, "protocol": "TCP"} for each, number in ports.items()]
    return kinds.SERVICE.new(name, namespace, metadata=metadata(part), spec={"selector": labels(part), "ports": told})
