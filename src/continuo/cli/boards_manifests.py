"""What a cluster gets that declares boards: the provider with least privilege and, where wanted, the hub. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.cli.manifest_parts import (
    FOLLOW,
    HEALTH_PORT,
    USER,
    binding,
    container,
    deployment,
    metadata,
    part_rule,
    port,
    probed,
    probes,
    rule,
    service,
)
from continuo.resources import kinds
from continuo.resources.boards import CONFIG_KINDS, MANAGED_KINDS, PROVIDER_CONFIG_USAGE
from continuo.resources.meta import Object

PROVIDER, HUB, CROSSPLANE = "continuo-boards", "continuo-hub", "continuo-boards-crossplane"
HUB_TLS = "continuo-hub-tls"
"""The Secret with the hub's certificate: whoever issues it (cert-manager, a person) makes it."""
TO_CROSSPLANE = {"rbac.crossplane.io/aggregate-to-crossplane": "true"}
_PORTS = {"rest": 8812, "wamp": 8181, "tunnel": 8080, "network": 8443}
_METRICS = 8900
EXPOSED = range(50000, 50010)
"""The public ports of the hub's Service: each is a line of it, so there are few."""
_MANAGED = tuple(each.kind for each in MANAGED_KINDS)
_CONFIGS = tuple(each.kind for each in CONFIG_KINDS)


@dataclass(frozen=True, slots=True)
class Boards:
    """What can be chosen."""

    hub: bool = True
    """False where the endpoints are elsewhere."""
    public: str = ""
    """How boards reach the hub: a name or an address."""
    storage: str = "1Gi"
    """What the hub asks for to keep its records and its authority."""
    database: str = ""
    """The Secret with the PostgreSQL URL, in its key `url`; empty: SQLite on the volume."""
    tls: bool = False
    """The hub's certificate is the Secret `continuo-hub-tls`; otherwise the hub has an authority of its own."""
    options: tuple[str, ...] = ()
    """Of `continuo boards provider`, besides those that follow from the rest."""
    hub_options: tuple[str, ...] = ()


def boards_objects(image: str, namespace: str, replicas: int, boards: Boards) -> list[Object]:
    """The provider and, where it is wanted, the hub."""
    meta = metadata("boards")
    arguments = [
        "boards", "provider", "--leader-election", f"--lease-namespace={namespace}", f"--health-port={HEALTH_PORT}",
        *boards.options,
    ]  # fmt: skip
    to_crossplane: Object = {"labels": {**metadata("boards")["labels"], **TO_CROSSPLANE}}
    found = [
        kinds.SERVICE_ACCOUNT.new(PROVIDER, namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(PROVIDER, metadata=meta, rules=provider_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, PROVIDER, namespace, None, "boards"),
        kinds.ROLE.new(PROVIDER, namespace, metadata=meta, rules=lease_rules()),
        binding(kinds.ROLE_BINDING, PROVIDER, namespace, namespace, "boards"),
        kinds.CLUSTER_ROLE.new(CROSSPLANE, metadata=to_crossplane, rules=composing_rules()),
        deployment(PROVIDER, namespace, replicas, probed("boards", image, arguments), []),
    ]
    return [*found, *_hub(image, namespace, boards)] if boards.hub else found


# --- rights -----------------------------------------------------------------------------------------------------------
def provider_rules() -> list[Object]:
    """What the provider may do in every namespace. Connection details and credentials are Secrets there."""
    return [
        rule(_MANAGED, *FOLLOW, "patch"),
        part_rule("status", _MANAGED, "patch"),
        rule(_CONFIGS, *FOLLOW, "patch"),
        part_rule("status", _CONFIGS, "patch"),
        rule([PROVIDER_CONFIG_USAGE], *FOLLOW, "create", "patch"),
        rule([kinds.SECRET], *FOLLOW, "create", "get", "patch"),
        rule([kinds.CONFIG_MAP], "get"),
        rule([kinds.NAMESPACE], "get"),
        rule([kinds.EVENT], "create", "patch"),
    ]


def composing_rules() -> list[Object]:
    """What Crossplane may do with the kinds of boards: compose them."""
    return [
        rule(_MANAGED, *FOLLOW, "create", "delete", "get", "patch", "update"),
        part_rule("status", _MANAGED, "get", "patch", "update"),
    ]


def lease_rules() -> list[Object]:
    """What a replica may do in its own namespace: hold its lease."""
    held = {**rule([kinds.LEASE], "get", "update"), "resourceNames": [PROVIDER]}
    return [rule([kinds.LEASE], "create"), held]


# --- the hub ----------------------------------------------------------------------------------------------------------
def _hub(image: str, namespace: str, boards: Boards) -> list[Object]:
    told = metadata("hub")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": boards.storage}}}
    data: Object = {"name": "data", "persistentVolumeClaim": {"claimName": HUB}}
    volumes = [data, *([{"name": "tls", "secret": {"secretName": HUB_TLS}}] if boards.tls else [])]
    made = deployment(HUB, namespace, 1, _hub_container(image, namespace, boards), volumes, alone=True)
    made["spec"]["template"]["spec"]["securityContext"]["fsGroup"] = USER
    ports = {**_PORTS, **{f"p{number}": number for number in EXPOSED}}
    reached = service(HUB, namespace, "hub", ports)
    for each in reached["spec"]["ports"]:
        each["targetPort"] = each["port"]
    reached["spec"]["type"] = "LoadBalancer"
    return [
        kinds.SERVICE_ACCOUNT.new(HUB, namespace, metadata=told, automountServiceAccountToken=False),
        kinds.PERSISTENT_VOLUME_CLAIM.new(HUB, namespace, metadata=told, spec=claim),
        made,
        reached,
    ]


def _hub_container(image: str, namespace: str, boards: Boards) -> Object:
    arguments = [
        "hub", "--data=/data/hub",
        *(f"--{'listen' if name == 'rest' else name}=0.0.0.0:{number}" for name, number in _PORTS.items()),
        f"--public={boards.public or f'{HUB}.{namespace}.svc'}", f"--ports={EXPOSED.start}-{EXPOSED.stop - 1}",
        f"--metrics=0.0.0.0:{_METRICS}",
        *(["--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key"] if boards.tls else []),
        *boards.hub_options,
    ]  # fmt: skip
    made = container("hub", image, arguments)
    ports = [port(name, number) for name, number in {**_PORTS, "metrics": _METRICS}.items()]
    mounts: list[Object] = [{"name": "data", "mountPath": "/data"}]
    if boards.tls:
        mounts.append({"name": "tls", "mountPath": "/tls", "readOnly": True})
    found = {**made, "ports": ports, **probes("metrics"), "volumeMounts": mounts}
    if boards.database:
        where = {"secretKeyRef": {"name": boards.database, "key": "url"}}
        found["env"] = [{"name": "CONTINUO_HUB_DATABASE", "valueFrom": where}]
    return found
