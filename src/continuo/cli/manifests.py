"""What a real management cluster gets: CRDs, accounts with least privilege, Deployments. Pure.

The rights are derived from what the code follows and writes, so that a new kind cannot be forgotten here. The Helm chart in
`charts/continuo` renders to the same objects, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from continuo.broker.selector.desk import BROKER_FOLLOWS
from continuo.broker.selector.names import CONSUMER, LIQO_CONSUMER, LIQO_TENANT
from continuo.federation.reflection import objects as reflected
from continuo.federation.watches import WATCHES
from continuo.orchestrator.caches import management_watches
from continuo.orchestrator.observe import MANAGEMENT_KINDS
from continuo.resources import broker, kinds
from continuo.resources.crds import own_crds
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.tokens import TOKEN_REVIEW

OPERATOR, SERVER, BROKER, CATALOG = "continuo-operator", "continuo-server", "continuo-broker", "continuo-catalog"
SERVER_TLS = "continuo-server-tls"
"""The Secret with the server's certificate: whoever issues it (cert-manager, a person) makes it."""
_RBAC = "rbac.authorization.k8s.io"
HEALTH_PORT = 8081
_USER = 65532
_FOLLOW = ("list", "watch")
_NETWORK = (
    kinds.CONFIGURATION, kinds.GATEWAY_SERVER, kinds.GATEWAY_CLIENT, kinds.PUBLIC_KEY, kinds.FOREIGN_CLUSTER,
)  # fmt: skip
"""What an end of a network consists of."""
_NODE_LEASES = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class Setup:
    """What can be chosen."""

    image: str
    namespace: str = "continuo-system"
    replicas: int = 2
    server: bool = False
    applications_namespace: str = "default"
    """Where the orchestrations are that the server manages."""
    orchestration: str | None = None
    """The orchestration of applications that name none."""
    broker: bool = False
    catalog: bool = False
    """An account for a catalog, which runs elsewhere, and whose purchases become Contracts here."""


def install_objects(setup: Setup, *, crds: bool = True) -> list[Object]:
    """Everything, in the order in which it has to be applied."""
    found = [*own_crds()] if crds else []
    found += [kinds.NAMESPACE.new(setup.namespace, metadata={"labels": _namespace_labels()}), *_operator(setup)]
    found += _server(setup) if setup.server else []
    found += _broker(setup) if setup.broker else []
    return found + _catalog(setup) if setup.catalog else found


def _namespace_labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": "continuo", "pod-security.kubernetes.io/enforce": "restricted"}


# --- rights -----------------------------------------------------------------------------------------------------------
def operator_rules() -> list[Object]:
    """What the operator may do in every namespace; it writes no Secrets."""
    rules = [
        _rule([LOW_LEVEL_ORCHESTRATION], "list", "patch", "watch"),
        {
            "apiGroups": [LOW_LEVEL_ORCHESTRATION.group],
            "resources": [f"{LOW_LEVEL_ORCHESTRATION.plural}/status"],
            "verbs": ["patch"],
        },
    ]
    followed = [watch.kind for watch in management_watches()]
    written = [kind for kind in followed if kind in MANAGEMENT_KINDS]
    read = [kind for kind in followed if kind not in MANAGEMENT_KINDS and kind is not LOW_LEVEL_ORCHESTRATION]
    rules += [_rule(group, "create", "delete", "list", "patch", "watch") for group in _by_group(written)]
    rules += [_rule(group, *_FOLLOW) for group in _by_group([*read, kinds.CUSTOM_RESOURCE_DEFINITION])]
    return [*rules, _rule([kinds.EVENT], "create", "patch")]


def broker_rules() -> list[Object]:
    """What the broker may do in its own cluster: decide where pods go, and be an end of the virtual nodes on both sides.

    What consumers' pods need goes through it, Secrets too; kubeconfigs of the others are Secrets here. With Liqo it is an end
    of networks as well.
    """
    carried, network = [*reflected.KINDS], [*_NETWORK]
    linked = [watch.kind for watch in WATCHES]
    more = [broker.CONTRACT, kinds.CORE_EVENT, kinds.CUSTOM_RESOURCE_DEFINITION]
    followed = _by_group(dict.fromkeys([*BROKER_FOLLOWS, *more, *carried, *linked]))
    declared = [broker.CONSUMER, broker.PROVIDER, broker.AGGREGATE, broker.CONTRACT]
    return [
        *(_rule(group, *_FOLLOW) for group in followed),
        _rule(declared, "patch"),
        _part("status", [*declared, broker.BROKER_POLICY], "patch"),
        *(_rule(group, "create", "delete", "get", "update") for group in _by_group(carried)),
        _rule([kinds.POD, kinds.NODE], "create", "delete", "get", "patch"),
        _part("status", [kinds.POD, kinds.NODE], "patch"),
        {"apiGroups": [""], "resources": ["pods/binding", "pods/eviction"], "verbs": ["create"]},
        _rule([kinds.NAMESPACE], "create", "delete", "get", "patch"),
        *(_rule(group, "create", "delete", "patch") for group in _by_group(network)),
        _part("status", [kinds.RESOURCE_SLICE], "patch"),
        _rule([kinds.IP], "create", "delete"),
        *(_rule([kind], "create", "patch") for kind in (kinds.CORE_EVENT, kinds.EVENT)),
    ]


def node_lease_rules() -> list[Object]:
    """What keeps its virtual nodes alive."""
    return [_rule([kinds.LEASE], "create", "delete", "patch")]


def lease_rules(name: str = OPERATOR) -> list[Object]:
    """What a replica may do in its own namespace: hold its lease."""
    held = {**_rule([kinds.LEASE], "get", "update"), "resourceNames": [name]}
    return [_rule([kinds.LEASE], "create"), held]


def server_rules() -> list[Object]:
    """What the server may do everywhere: ask whose a token is."""
    return [_rule([TOKEN_REVIEW], "create")]


def application_rules() -> list[Object]:
    """What the server may do in the namespace of the orchestrations."""
    return [
        _rule([LOW_LEVEL_ORCHESTRATION], "get", "list", "patch", "watch"),
        _rule([kinds.SECRET], "create", "delete", "get", "list", "update"),
    ]


def catalog_rules() -> list[Object]:
    """What a catalog may do where its purchases become Contracts: keep those, see who is declared, and what cluster it is."""
    contracts = _rule([broker.CONTRACT], "create", "delete", "get", "list", "patch", "watch")
    told_apart = {**_rule([kinds.NAMESPACE], "get"), "resourceNames": ["kube-system"]}
    return [contracts, _rule([broker.CONSUMER, broker.PROVIDER], "get"), told_apart]


def handover_rules() -> list[Object]:
    """What a catalog may do in the namespace of the providers' kubeconfigs: ask a provider for a buyer's credentials."""
    return [_rule([kinds.SECRET], "get")]


def _rule(of: Sequence[Kind], *verbs: str) -> Object:
    return {"apiGroups": [of[0].group], "resources": sorted(kind.plural for kind in of), "verbs": sorted(verbs)}


def _part(part: str, of: Sequence[Kind], *verbs: str) -> Object:
    whole = _rule(of, *verbs)
    return {**whole, "resources": [f"{plural}/{part}" for plural in whole["resources"]]}


def _by_group(of: Iterable[Kind]) -> list[list[Kind]]:
    groups: dict[str, list[Kind]] = {}
    for kind in of:
        groups.setdefault(kind.group, []).append(kind)
    return [groups[group] for group in sorted(groups)]


# --- objects ----------------------------------------------------------------------------------------------------------
def _operator(setup: Setup) -> list[Object]:
    arguments = [
        "operator", "--leader-election", f"--lease-namespace={setup.namespace}", f"--health-port={HEALTH_PORT}",
    ]  # fmt: skip
    container = _probed("operator", setup.image, arguments)
    meta = _metadata("operator")
    return [
        kinds.SERVICE_ACCOUNT.new(OPERATOR, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(OPERATOR, metadata=meta, rules=operator_rules()),
        _binding(kinds.CLUSTER_ROLE_BINDING, OPERATOR, setup.namespace, None, "operator"),
        kinds.ROLE.new(OPERATOR, setup.namespace, metadata=meta, rules=lease_rules()),
        _binding(kinds.ROLE_BINDING, OPERATOR, setup.namespace, setup.namespace, "operator"),
        _deployment(OPERATOR, setup, setup.replicas, container, []),
    ]


def _broker(setup: Setup) -> list[Object]:
    arguments = [
        "broker", "serve", "--leader-election", f"--lease-namespace={setup.namespace}", f"--health-port={HEALTH_PORT}",
    ]  # fmt: skip
    meta = _metadata("broker")
    return [
        kinds.SERVICE_ACCOUNT.new(BROKER, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(BROKER, metadata=meta, rules=broker_rules()),
        _binding(kinds.CLUSTER_ROLE_BINDING, BROKER, setup.namespace, None, "broker"),
        kinds.ROLE.new(BROKER, setup.namespace, metadata=meta, rules=lease_rules(BROKER)),
        _binding(kinds.ROLE_BINDING, BROKER, setup.namespace, setup.namespace, "broker"),
        kinds.ROLE.new(BROKER, _NODE_LEASES, metadata=meta, rules=node_lease_rules()),
        _binding(kinds.ROLE_BINDING, BROKER, setup.namespace, _NODE_LEASES, "broker"),
        *_guard(setup.namespace),
        _deployment(BROKER, setup, setup.replicas, _probed("broker", setup.image, arguments), []),
    ]


def _catalog(setup: Setup) -> list[Object]:
    meta = _metadata("catalog")
    return [
        kinds.SERVICE_ACCOUNT.new(CATALOG, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(CATALOG, metadata=meta, rules=catalog_rules()),
        _binding(kinds.CLUSTER_ROLE_BINDING, CATALOG, setup.namespace, None, "catalog"),
        kinds.ROLE.new(CATALOG, setup.namespace, metadata=meta, rules=handover_rules()),
        _binding(kinds.ROLE_BINDING, CATALOG, setup.namespace, setup.namespace, "catalog"),
    ]


def _guard(namespace: str) -> list[Object]:
    """Nobody but the broker places pods in consumers' namespaces, whatever the pods tolerate: the API server refuses it."""
    account = f"system:serviceaccount:{namespace}:{BROKER}"
    binding = "(has(request.subResource) && request.subResource == 'binding')"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods", "pods/binding"]}
    ]
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "validations": [
            {
                "expression": f"!{binding} || request.userInfo.username == '{account}'",
                "message": "pods of a consumer are placed by the broker alone",
            },
            {
                "expression": f"{binding} || !has(object.spec.nodeName) || request.userInfo.username == '{account}'",
                "message": "a pod of a consumer must not choose its node: leave spec.nodeName out",
            },
        ],
    }
    ours = [{"key": CONSUMER, "operator": "Exists"}]
    liqo = [
        {"key": CONSUMER, "operator": "DoesNotExist"},
        {"key": LIQO_CONSUMER, "operator": "Exists"},
        {"key": LIQO_TENANT, "operator": "DoesNotExist"},
    ]
    return [
        kinds.VALIDATING_ADMISSION_POLICY.new(BROKER, metadata=_metadata("broker"), spec=spec),
        *(
            kinds.VALIDATING_ADMISSION_POLICY_BINDING.new(
                name, metadata=_metadata("broker"),
                spec={
                    "policyName": BROKER, "validationActions": ["Deny"],
                    "matchResources": {"namespaceSelector": {"matchExpressions": demands}},
                },
            )
            for name, demands in ((BROKER, ours), (f"{BROKER}-liqo", liqo))
        ),
    ]  # fmt: skip


def _probed(part: str, image: str, arguments: list[str]) -> Object:
    """A container whose health is asked for."""
    return {
        **_container(part, image, arguments),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 5},
    }


def _server(setup: Setup) -> list[Object]:
    meta, apps = _metadata("server"), setup.applications_namespace
    port = {"name": "https", "port": 443, "targetPort": "https", "protocol": "TCP"}
    return [
        kinds.SERVICE_ACCOUNT.new(SERVER, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(SERVER, metadata=meta, rules=server_rules()),
        _binding(kinds.CLUSTER_ROLE_BINDING, SERVER, setup.namespace, None, "server"),
        kinds.ROLE.new(SERVER, apps, metadata=meta, rules=application_rules()),
        _binding(kinds.ROLE_BINDING, SERVER, setup.namespace, apps, "server"),
        _deployment(
            SERVER, setup, 1, _server_container(setup), [{"name": "tls", "secret": {"secretName": SERVER_TLS}}]
        ),
        kinds.SERVICE.new(
            SERVER, setup.namespace, metadata=meta, spec={"selector": _labels("server"), "ports": [port]}
        ),
    ]


def _server_container(setup: Setup) -> Object:
    arguments = [
        "server", "--host=0.0.0.0", "--port=8443", "--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key",
        f"--namespace={setup.applications_namespace}",
    ]  # fmt: skip
    if setup.orchestration:
        arguments.append(f"--orchestration={setup.orchestration}")
    container = _container("server", setup.image, arguments)
    return {
        **container,
        "ports": [{"name": "https", "containerPort": 8443, "protocol": "TCP"}],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 5},
    }


def _container(name: str, image: str, arguments: list[str]) -> Object:
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


def _deployment(name: str, setup: Setup, replicas: int, container: Object, volumes: list[Object]) -> Object:
    labels = _labels(container["name"])
    pod: Object = {
        "serviceAccountName": name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if volumes:
        pod["volumes"] = volumes
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return kinds.DEPLOYMENT.new(name, setup.namespace, metadata=_metadata(container["name"]), spec=spec)


def _binding(kind: Kind, name: str, account_namespace: str, namespace: str | None, part: str) -> Object:
    role = "Role" if kind.namespaced else "ClusterRole"
    return kind.new(
        name,
        namespace,
        metadata=_metadata(part),
        roleRef={"apiGroup": _RBAC, "kind": role, "name": name},
        subjects=[{"kind": "ServiceAccount", "name": name, "namespace": account_namespace}],
    )


def _labels(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "continuo", "app.kubernetes.io/component": part}


def _metadata(part: str) -> Object:
    return {"labels": _labels(part)}
