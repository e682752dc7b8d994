"""What a real management cluster gets: CRDs, accounts with least privilege, Deployments. Pure.

The rights are derived from what the code follows and writes, so that a new kind cannot be forgotten here. The Helm chart in
`charts/continuo` renders to the same objects, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from continuo.broker.selector.desk import BROKER_FOLLOWS
from continuo.broker.selector.names import CONSUMER, LIQO_CONSUMER, LIQO_TENANT
from continuo.cli.boards_manifests import Boards, boards_objects
from continuo.cli.edge_manifests import Edge, edge_objects
from continuo.cli.loops_manifests import (
    KAFKA,
    PROMETHEUS,
    Agreed,
    Kafka,
    PrometheusAt,
    kafka_env,
    prometheus_env,
    with_secrets,
)
from continuo.cli.manifest_parts import (
    FOLLOW,
    HEALTH_PORT,
    USER,
    binding,
    by_group,
    container,
    deployment,
    labels,
    metadata,
    part_rule,
    probed,
    rule,
)
from continuo.cli.settings_options import PROBER_IMAGE
from continuo.federation.reflection import objects as reflected
from continuo.federation.watches import WATCHES
from continuo.orchestrator.caches import management_watches
from continuo.orchestrator.observe import MANAGEMENT_KINDS
from continuo.resources import broker, kinds
from continuo.resources.boards import boards_crds
from continuo.resources.crds import edge_crds, fluidos_crds, own_crds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.tokens import TOKEN_REVIEW
from continuo.telemetry import operated

OPERATOR, SERVER, BROKER, CATALOG = "continuo-operator", "continuo-server", "continuo-broker", "continuo-catalog"
BACKEND = "continuo-backend"
SERVER_TLS = "continuo-server-tls"
"""The Secret with the server's certificate: whoever issues it (cert-manager, a person) makes it."""
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
    operator: bool = True
    """False where no clusters are managed: a site of a market needs none."""
    edge: Edge | None = None
    """One site of a market for sensors, and its relay."""
    boards: Boards | None = None
    """The provider of the kinds of boards, and a hub."""
    pod_monitor: bool = False
    """A PodMonitor, by which the Prometheus operator scrapes all of it."""
    service_monitor: bool = False
    """A ServiceMonitor for the server, with an account that may read its metrics."""
    kafka: Kafka | None = None
    """Where events go, and where the operator tells backends what to do."""
    backends: int = 0
    """So many carry out what the operator decides; without, it does so itself."""
    prometheus: PrometheusAt | None = None
    agreed: Agreed = field(default_factory=Agreed)
    events_storage: str = ""
    """The size of a volume on which the server keeps events."""
    events_database: str = ""
    """The Secret with the PostgreSQL URL, in its key `url`, where they are kept there."""


def install_objects(setup: Setup, *, crds: bool = True) -> list[Object]:
    """Everything, in the order in which it has to be applied."""
    found = definitions(setup) if crds else []
    found += [kinds.NAMESPACE.new(setup.namespace, metadata={"labels": _namespace_labels(setup)})]
    found += _operator(setup) if setup.operator else []
    found += _backend(setup) if setup.operator and setup.backends else []
    found += _server(setup) if setup.server else []
    found += _broker(setup) if setup.broker else []
    found += _catalog(setup) if setup.catalog else []
    found += edge_objects(setup.image, setup.namespace, setup.edge) if setup.edge is not None else []
    if setup.boards is not None:
        found += boards_objects(setup.image, setup.namespace, setup.replicas, setup.boards)
    found += [operated.pod_monitor(setup.namespace)] if setup.pod_monitor else []
    return [*found, *(operated.service_monitor(setup.namespace) if setup.service_monitor else ())]


def definitions(setup: Setup) -> list[Object]:
    """The kinds that have to be known before anything else."""
    own = own_crds() if setup.operator or setup.server or setup.broker or setup.catalog else []
    boards = boards_crds() if setup.boards is not None else []
    if setup.edge is None:
        return [*own, *boards]
    return [*own, *(edge_crds() if setup.edge.kubeedge else fluidos_crds()), *boards]


def _namespace_labels(setup: Setup) -> dict[str, str]:
    level = "privileged" if setup.edge is not None and setup.edge.host_path else "restricted"  # which know no hostPath
    return {"app.kubernetes.io/name": "continuo", "pod-security.kubernetes.io/enforce": level}


# --- rights -----------------------------------------------------------------------------------------------------------
def operator_rules() -> list[Object]:
    """What the operator may do in every namespace; it writes no Secrets."""
    rules = [
        rule([LOW_LEVEL_ORCHESTRATION], "list", "patch", "watch"),
        part_rule("status", [LOW_LEVEL_ORCHESTRATION], "patch"),
        *_step_rules(),
    ]
    rules += [rule([kinds.CONTROLLER_REVISION], "create", "delete", "patch")]
    rules += [rule([ADJUSTMENT], "create", "update"), rule([DECISION], "create", "delete", "get", "patch")]
    rules += [part_rule("status", [DECISION], "patch")]
    return [*rules, rule([kinds.EVENT], "create", "patch")]


def backend_rules() -> list[Object]:
    """What a backend may do in every namespace: see what the operator sees, and write what steps write, but tell nobody."""
    return [rule([LOW_LEVEL_ORCHESTRATION], *FOLLOW), *_step_rules()]


def _step_rules() -> list[Object]:
    """What it takes to carry out steps."""
    followed = [watch.kind for watch in management_watches()]
    written = [kind for kind in followed if kind in MANAGEMENT_KINDS]
    read = [kind for kind in followed if kind not in MANAGEMENT_KINDS and kind is not LOW_LEVEL_ORCHESTRATION]
    rules = [rule(group, "create", "delete", "list", "patch", "watch") for group in by_group(written)]
    return [*rules, *(rule(group, *FOLLOW) for group in by_group([*read, kinds.CUSTOM_RESOURCE_DEFINITION]))]


def broker_rules() -> list[Object]:
    """What the broker may do in its own cluster: decide where pods go, and be an end of the virtual nodes on both sides.

    What consumers' pods need goes through it, Secrets too; kubeconfigs of the others are Secrets here. With Liqo it is an end
    of networks as well.
    """
    carried, network = [*reflected.KINDS], [*_NETWORK]
    linked = [watch.kind for watch in WATCHES]
    more = [broker.CONTRACT, kinds.CORE_EVENT, kinds.CUSTOM_RESOURCE_DEFINITION]
    followed = by_group(dict.fromkeys([*BROKER_FOLLOWS, *more, *carried, *linked]))
    declared = [broker.CONSUMER, broker.PROVIDER, broker.AGGREGATE, broker.CONTRACT]
    return [
        *(rule(group, *FOLLOW) for group in followed),
        rule(declared, "patch"),
        part_rule("status", [*declared, broker.BROKER_POLICY], "patch"),
        *(rule(group, "create", "delete", "get", "update") for group in by_group(carried)),
        rule([kinds.POD, kinds.NODE], "create", "delete", "get", "patch"),
        part_rule("status", [kinds.POD, kinds.NODE], "patch"),
        {"apiGroups": [""], "resources": ["pods/binding", "pods/eviction"], "verbs": ["create"]},
        rule([kinds.NAMESPACE], "create", "delete", "get", "patch"),
        *(rule(group, "create", "delete", "patch") for group in by_group(network)),
        part_rule("status", [kinds.RESOURCE_SLICE], "patch"),
        rule([kinds.IP], "create", "delete"),
        *(rule([kind], "create", "patch") for kind in (kinds.CORE_EVENT, kinds.EVENT)),
    ]


def node_lease_rules() -> list[Object]:
    """What keeps its virtual nodes alive."""
    return [rule([kinds.LEASE], "create", "delete", "patch")]


def lease_rules(name: str = OPERATOR) -> list[Object]:
    """What a replica may do in its own namespace: hold its lease."""
    held = {**rule([kinds.LEASE], "get", "update"), "resourceNames": [name]}
    return [rule([kinds.LEASE], "create"), held]


def server_rules() -> list[Object]:
    """What the server may do everywhere: ask whose a token is."""
    return [rule([TOKEN_REVIEW], "create")]


def application_rules() -> list[Object]:
    """What the server may do in the namespace of the orchestrations."""
    return [
        rule([LOW_LEVEL_ORCHESTRATION], "get", "list", "patch", "watch"),
        rule([kinds.SECRET], "create", "delete", "get", "list", "update"),
        rule([ADJUSTMENT], "list", "watch"),
        rule([DECISION], "create", "get", "list", "watch"),
    ]


def catalog_rules() -> list[Object]:
    """What a catalog may do where its purchases become Contracts: keep those, see who is declared, and where it is."""
    contracts = rule([broker.CONTRACT], "create", "delete", "get", "list", "patch", "watch")
    told_apart = {**rule([kinds.NAMESPACE], "get"), "resourceNames": ["kube-system"]}
    return [contracts, rule([broker.CONSUMER, broker.PROVIDER], "get"), told_apart]


def handover_rules() -> list[Object]:
    """What a catalog may do in the namespace of the providers' kubeconfigs: ask a provider for a buyer's credentials."""
    return [rule([kinds.SECRET], "get")]


# --- objects ----------------------------------------------------------------------------------------------------------
def _operator(setup: Setup) -> list[Object]:
    arguments = [
        "operator", "--leader-election", f"--lease-namespace={setup.namespace}", f"--health-port={HEALTH_PORT}",
        *(["--tasks=kafka"] if setup.backends else []),
    ]  # fmt: skip
    told = [
        {"name": PROBER_IMAGE, "value": setup.image},
        *setup.agreed.rendering(),
        *setup.agreed.guarding(),
        *kafka_env(setup.kafka),
        *prometheus_env(setup.prometheus),
    ]
    worker, volumes = with_secrets(
        {**probed("operator", setup.image, arguments), "env": told},
        {
            KAFKA: setup.kafka.secret if setup.kafka else "",
            PROMETHEUS: setup.prometheus.secret if setup.prometheus else "",
        },
    )
    meta = metadata("operator")
    return [
        kinds.SERVICE_ACCOUNT.new(OPERATOR, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(OPERATOR, metadata=meta, rules=operator_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, OPERATOR, setup.namespace, None, "operator"),
        kinds.ROLE.new(OPERATOR, setup.namespace, metadata=meta, rules=lease_rules()),
        binding(kinds.ROLE_BINDING, OPERATOR, setup.namespace, setup.namespace, "operator"),
        deployment(OPERATOR, setup.namespace, setup.replicas, worker, volumes),
    ]


def _backend(setup: Setup) -> list[Object]:
    told = [*setup.agreed.rendering(), *kafka_env(setup.kafka)]
    worker, volumes = with_secrets(
        {**probed("backend", setup.image, ["backend", f"--health-port={HEALTH_PORT}"]), "env": told},
        {KAFKA: setup.kafka.secret if setup.kafka else ""},
    )
    meta = metadata("backend")
    return [
        kinds.SERVICE_ACCOUNT.new(BACKEND, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(BACKEND, metadata=meta, rules=backend_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, BACKEND, setup.namespace, None, "backend"),
        deployment(BACKEND, setup.namespace, setup.backends, worker, volumes),
    ]


def _broker(setup: Setup) -> list[Object]:
    arguments = [
        "broker", "serve", "--leader-election", f"--lease-namespace={setup.namespace}", f"--health-port={HEALTH_PORT}",
    ]  # fmt: skip
    meta = metadata("broker")
    return [
        kinds.SERVICE_ACCOUNT.new(BROKER, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(BROKER, metadata=meta, rules=broker_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, BROKER, setup.namespace, None, "broker"),
        kinds.ROLE.new(BROKER, setup.namespace, metadata=meta, rules=lease_rules(BROKER)),
        binding(kinds.ROLE_BINDING, BROKER, setup.namespace, setup.namespace, "broker"),
        kinds.ROLE.new(BROKER, _NODE_LEASES, metadata=meta, rules=node_lease_rules()),
        binding(kinds.ROLE_BINDING, BROKER, setup.namespace, _NODE_LEASES, "broker"),
        *_guard(setup.namespace),
        deployment(BROKER, setup.namespace, setup.replicas, probed("broker", setup.image, arguments), []),
    ]


def _catalog(setup: Setup) -> list[Object]:
    meta = metadata("catalog")
    return [
        kinds.SERVICE_ACCOUNT.new(CATALOG, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(CATALOG, metadata=meta, rules=catalog_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, CATALOG, setup.namespace, None, "catalog"),
        kinds.ROLE.new(CATALOG, setup.namespace, metadata=meta, rules=handover_rules()),
        binding(kinds.ROLE_BINDING, CATALOG, setup.namespace, setup.namespace, "catalog"),
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
        kinds.VALIDATING_ADMISSION_POLICY.new(BROKER, metadata=metadata("broker"), spec=spec),
        *(
            kinds.VALIDATING_ADMISSION_POLICY_BINDING.new(
                name, metadata=metadata("broker"),
                spec={
                    "policyName": BROKER, "validationActions": ["Deny"],
                    "matchResources": {"namespaceSelector": {"matchExpressions": demands}},
                },
            )
            for name, demands in ((BROKER, ours), (f"{BROKER}-liqo", liqo))
        ),
    ]  # fmt: skip


def _server(setup: Setup) -> list[Object]:
    meta, apps = metadata("server"), setup.applications_namespace
    port = {"name": "https", "port": 443, "targetPort": "https", "protocol": "TCP"}
    return [
        kinds.SERVICE_ACCOUNT.new(SERVER, setup.namespace, metadata=meta),
        kinds.CLUSTER_ROLE.new(SERVER, metadata=meta, rules=server_rules()),
        binding(kinds.CLUSTER_ROLE_BINDING, SERVER, setup.namespace, None, "server"),
        kinds.ROLE.new(SERVER, apps, metadata=meta, rules=application_rules()),
        binding(kinds.ROLE_BINDING, SERVER, setup.namespace, apps, "server"),
        *_server_storage(setup),
        _server_deployment(setup),
        kinds.SERVICE.new(SERVER, setup.namespace, metadata=meta, spec={"selector": labels("server"), "ports": [port]}),
    ]


def _server_storage(setup: Setup) -> list[Object]:
    if not setup.events_storage:
        return []
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": setup.events_storage}}}
    return [kinds.PERSISTENT_VOLUME_CLAIM.new(SERVER, setup.namespace, metadata=metadata("server"), spec=claim)]


def _server_deployment(setup: Setup) -> Object:
    volumes: list[Object] = [{"name": "tls", "secret": {"secretName": SERVER_TLS}}]
    if setup.events_storage:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": SERVER}})
    alone = bool(setup.events_storage)  # a volume has one writer
    made = deployment(SERVER, setup.namespace, 1, _server_container(setup), volumes, alone=alone)
    if alone:
        made["spec"]["template"]["spec"]["securityContext"]["fsGroup"] = USER
    return made


def _server_container(setup: Setup) -> Object:
    arguments = [
        "server", "--host=0.0.0.0", "--port=8443", "--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key",
        f"--namespace={setup.applications_namespace}",
    ]  # fmt: skip
    if setup.service_monitor:
        arguments.append(f"--metrics-reader={operated.reader(setup.namespace)}")
    if setup.orchestration:
        arguments.append(f"--orchestration={setup.orchestration}")
    mounts: list[Object] = [{"name": "tls", "mountPath": "/tls", "readOnly": True}]
    if setup.events_storage:
        arguments.append("--events=/data/events.db")
        mounts.append({"name": "data", "mountPath": "/data"})
    told = setup.agreed.guarding()
    if setup.events_database:
        where = {"secretKeyRef": {"name": setup.events_database, "key": "url"}}
        told.append({"name": "CONTINUO_EVENTS", "valueFrom": where})
    return {
        **container("server", setup.image, arguments),
        "ports": [{"name": "https", "containerPort": 8443, "protocol": "TCP"}],
        "volumeMounts": mounts,
        **({"env": told} if told else {}),
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 5},
    }
