"""Cluster API's core, kubeadm's control plane and bootstrap, as an API server must know them."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import (
    AGE,
    Column,
    anything,
    conditions,
    crd,
    either,
    filled,
    flag,
    many,
    mapping,
    number,
    obj,
    selector,
    strings,
    text,
    time,
)
from continuo.resources.meta import Object

BOTH_CONTRACTS = {"cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"}
CLUSTER_NAME = r".metadata.labels['cluster\.x-k8s\.io/cluster-name']"
_CATEGORIES = ("cluster-api",)
_SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
          "labelSelectorPath": ".status.selector"}  # fmt: skip
_CONDITION = ".status.conditions[?(@.type=='{}')].status"
_PAUSED: Column = ("PAUSED", "string", _CONDITION.format("Paused"), 10)
_REPLICAS: tuple[Column, ...] = (
    ("DESIRED", "integer", ".spec.replicas"),
    ("CURRENT", "integer", ".status.replicas"),
    ("READY", "integer", ".status.readyReplicas"),
    ("AVAILABLE", "integer", ".status.availableReplicas"),
    ("UP-TO-DATE", "integer", ".status.upToDateReplicas"),
)


def contract_ref() -> Object:
    """A reference of the v1beta2 contract: group instead of version, always the same namespace."""
    return obj(
        ("apiGroup", "kind", "name"),
        apiGroup=text(least=1, most=253),
        kind=text(least=1, most=63),
        name=text(least=1, most=253),
    )


def object_meta() -> Object:
    """Labels and annotations of a template."""
    return obj(labels=strings(), annotations=strings())


def machine_deletion() -> Object:
    """How long draining and detaching may take."""
    seconds = ("nodeDrainTimeoutSeconds", "nodeVolumeDetachTimeoutSeconds", "nodeDeletionTimeoutSeconds")
    return obj(**{name: number(0) for name in seconds})


def counters(*more: str) -> dict[str, Object]:
    """The replica counters of a status."""
    names = ("replicas", "readyReplicas", "availableReplicas", "upToDateReplicas", *more)
    return {name: number() for name in names}


def _machine_spec() -> Object:
    return obj(
        ("clusterName", "bootstrap", "infrastructureRef"),
        clusterName=text(least=1, most=63),
        bootstrap=obj(configRef=contract_ref(), dataSecretName=text()),
        infrastructureRef=contract_ref(),
        version=text(),
        providerID=text(),
        failureDomain=text(),
        minReadySeconds=number(0),
        deletion=machine_deletion(),
        readinessGates=many(obj(("conditionType",), conditionType=text())),
    )


def _machine_template() -> Object:
    return obj(("spec",), metadata=object_meta(), spec=_machine_spec())


def _addresses() -> Object:
    return many(obj(("type", "address"), type=text(), address=text()))


def _cluster() -> Object:
    network = obj(
        apiServerPort=number(1, 65535),
        pods=obj(("cidrBlocks",), cidrBlocks=many(text(), least=1, most=100)),
        services=obj(("cidrBlocks",), cidrBlocks=many(text(), least=1, most=100)),
        serviceDomain=text(least=1, most=253),
    )
    spec = obj(
        paused=flag(),
        clusterNetwork=network,
        controlPlaneEndpoint=obj(host=text(), port=number(1, 65535)),
        controlPlaneRef=contract_ref(),
        infrastructureRef=contract_ref(),
        topology=obj(classRef=obj(name=text(), namespace=text()), version=text()),
    )
    replicas = obj(desiredReplicas=number(), **counters())
    status = obj(
        observedGeneration=number(format="int64"),
        phase=text("Pending", "Provisioning", "Provisioned", "Deleting", "Failed", "Unknown"),
        initialization=obj(infrastructureProvisioned=flag(), controlPlaneInitialized=flag()),
        controlPlane=replicas,
        workers=replicas,
        failureDomains=many(obj(("name",), name=text(), controlPlane=flag(), attributes=strings()), by="name"),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTERCLASS", "string", ".spec.topology.classRef.name"),
        ("AVAILABLE", "string", _CONDITION.format("Available")),
        ("CP DESIRED", "integer", ".status.controlPlane.desiredReplicas"),
        ("CP CURRENT", "integer", ".status.controlPlane.replicas", 10),
        ("CP READY", "integer", ".status.controlPlane.readyReplicas", 10),
        ("CP AVAILABLE", "integer", ".status.controlPlane.availableReplicas"),
        ("CP UP-TO-DATE", "integer", ".status.controlPlane.upToDateReplicas"),
        ("W DESIRED", "integer", ".status.workers.desiredReplicas"),
        ("W CURRENT", "integer", ".status.workers.replicas", 10),
        ("W READY", "integer", ".status.workers.readyReplicas", 10),
        ("W AVAILABLE", "integer", ".status.workers.availableReplicas"),
        ("W UP-TO-DATE", "integer", ".status.workers.upToDateReplicas"),
        _PAUSED,
        ("PHASE", "string", ".status.phase"),
        AGE,
        ("VERSION", "string", ".spec.topology.version"),
    )
    return crd(kinds.CLUSTER, filled(spec), status, columns, categories=_CATEGORIES, labels=BOTH_CONTRACTS)


def _machine() -> Object:
    status = obj(
        observedGeneration=number(format="int64"),
        phase=text("Pending", "Provisioning", "Provisioned", "Running", "Updating", "Deleting", "Deleted", "Failed",
                   "Unknown"),
        initialization=obj(infrastructureProvisioned=flag(), bootstrapDataSecretCreated=flag()),
        nodeRef=obj(name=text()),
        nodeInfo=anything(),
        addresses=_addresses(),
        lastUpdated=time(),
        conditions=conditions(),
    )  # fmt: skip
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", ".spec.clusterName"),
        ("NODE NAME", "string", ".status.nodeRef.name"),
        ("PROVIDER ID", "string", ".spec.providerID", 10),
        ("READY", "string", _CONDITION.format("Ready")),
        ("AVAILABLE", "string", _CONDITION.format("Available")),
        ("UP-TO-DATE", "string", _CONDITION.format("UpToDate")),
        ("INTERNAL-IP", "string", ".status.addresses[?(@.type=='InternalIP')].address", 10),
        ("EXTERNAL-IP", "string", ".status.addresses[?(@.type=='ExternalIP')].address", 10),
        _PAUSED,
        ("PHASE", "string", ".status.phase"),
        AGE,
        ("VERSION", "string", ".spec.version"),
    )
    return crd(kinds.MACHINE, _machine_spec(), status, columns, categories=_CATEGORIES, labels=BOTH_CONTRACTS)


def _machine_owner_spec(**more: Object) -> Object:
    return obj(
        ("clusterName", "selector", "template"),
        clusterName=text(least=1, most=63),
        replicas=number(0),
        selector=selector(),
        template=_machine_template(),
        deletion=obj(order=text("Random", "Newest", "Oldest")),
        machineNaming=obj(template=text()),
        **more,
    )


def _machine_set() -> Object:
    status = obj(selector=text(), observedGeneration=number(format="int64"), conditions=conditions(), **counters())
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", ".spec.clusterName"),
        *_REPLICAS,
        _PAUSED,
        AGE,
        ("VERSION", "string", ".spec.template.spec.version"),
    )
    return crd(
        kinds.MACHINE_SET, _machine_owner_spec(), status, columns,
        scale=_SCALE, categories=_CATEGORIES, labels=BOTH_CONTRACTS,
    )  # fmt: skip


def _machine_deployment() -> Object:
    strategy = obj(
        type=text("RollingUpdate", "OnDelete"), rollingUpdate=obj(maxSurge=either(), maxUnavailable=either())
    )
    spec = _machine_owner_spec(
        paused=flag(), rollout=obj(after=time(), strategy=strategy), remediation=obj(maxInFlight=either())
    )
    status = obj(
        selector=text(),
        observedGeneration=number(format="int64"),
        phase=text("ScalingUp", "ScalingDown", "Running", "Failed", "Unknown"),
        conditions=conditions(),
        **counters(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", ".spec.clusterName"),
        ("AVAILABLE", "string", _CONDITION.format("Available")),
        *_REPLICAS,
        _PAUSED,
        ("PHASE", "string", ".status.phase"),
        AGE,
        ("VERSION", "string", ".spec.template.spec.version"),
    )
    return crd(
        kinds.MACHINE_DEPLOYMENT, spec, status, columns,
        scale=_SCALE, categories=_CATEGORIES, labels=BOTH_CONTRACTS,
    )  # fmt: skip


def _machine_health_check() -> Object:
    unhealthy = obj(("type", "status", "timeoutSeconds"), type=text(), status=text(), timeoutSeconds=number(0))
    spec = obj(
        ("clusterName", "selector"),
        clusterName=text(least=1, most=63),
        selector=selector(),
        checks=obj(nodeStartupTimeoutSeconds=number(0), unhealthyNodeConditions=many(unhealthy)),
        remediation=anything(),
    )
    status = obj(
        expectedMachines=number(),
        currentHealthy=number(),
        remediationsAllowed=number(),
        observedGeneration=number(format="int64"),
        targets=many(text()),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", ".spec.clusterName"),
        ("REPLICAS", "integer", ".status.expectedMachines"),
        ("HEALTHY", "integer", ".status.currentHealthy"),
        _PAUSED,
        AGE,
    )
    return crd(kinds.MACHINE_HEALTH_CHECK, spec, status, columns, categories=_CATEGORIES, labels=BOTH_CONTRACTS)


def _node_configuration() -> Object:
    arguments = many(obj(("name",), name=text(least=1, most=256), value=text()))
    registration = obj(
        name=text(), criSocket=text(), kubeletExtraArgs=arguments, taints=many(anything()),
        ignorePreflightErrors=many(text()),
    )  # fmt: skip
    return obj(nodeRegistration=registration, localAPIEndpoint=anything(), skipPhases=many(text()))


def _kubeadm_config_spec() -> Object:
    arguments = many(obj(("name",), name=text(least=1, most=256), value=text()))
    component = obj(extraArgs=arguments, extraVolumes=many(anything()))
    configuration = obj(
        apiServer=obj(extraArgs=arguments, certSANs=many(text()), extraVolumes=many(anything())),
        controllerManager=component,
        scheduler=component,
        controlPlaneEndpoint=text(),
        featureGates=mapping(flag()),
    )
    return obj(
        clusterConfiguration=configuration,
        initConfiguration=_node_configuration(),
        joinConfiguration=_node_configuration(),
        files=many(obj(("path",), path=text(least=1), owner=text(), permissions=text(), content=text())),
        preKubeadmCommands=many(text()),
        postKubeadmCommands=many(text()),
        users=many(obj(("name",), name=text())),
        ntp=anything(),
        format=text("cloud-config", "ignition"),
        verbosity=number(),
    )


def _kubeadm_control_plane() -> Object:
    machine = obj(
        ("infrastructureRef",), infrastructureRef=contract_ref(), deletion=machine_deletion(),
        readinessGates=many(obj(("conditionType",), conditionType=text())),
    )  # fmt: skip
    spec = obj(
        ("version", "machineTemplate"),
        replicas=number(),
        version=text(least=1, most=256),
        machineTemplate=obj(("spec",), metadata=object_meta(), spec=machine),
        kubeadmConfigSpec=_kubeadm_config_spec(),
        rollout=obj(after=time(), strategy=obj(type=text("RollingUpdate"), rollingUpdate=obj(maxSurge=either()))),
        remediation=anything(),
        machineNaming=obj(template=text()),
    )
    status = obj(
        selector=text(),
        observedGeneration=number(format="int64"),
        initialization=obj(controlPlaneInitialized=flag()),
        version=text(),
        versions=many(obj(version=text(), replicas=number())),
        conditions=conditions(),
        **counters(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", CLUSTER_NAME),
        ("AVAILABLE", "string", _CONDITION.format("Available")),
        *_REPLICAS,
        _PAUSED,
        ("INITIALIZED", "boolean", ".status.initialization.controlPlaneInitialized"),
        AGE,
        ("VERSION", "string", ".spec.version"),
    )
    return crd(
        kinds.KUBEADM_CONTROL_PLANE, spec, status, columns,
        scale=_SCALE, categories=_CATEGORIES, labels=BOTH_CONTRACTS,
    )  # fmt: skip


def _kubeadm_config() -> list[Object]:
    status = obj(
        initialization=obj(dataSecretCreated=flag()),
        dataSecretName=text(),
        observedGeneration=number(format="int64"),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (("CLUSTER", "string", CLUSTER_NAME), _PAUSED, AGE)
    template = obj(("template",), template=obj(metadata=object_meta(), spec=_kubeadm_config_spec()))
    return [
        crd(kinds.KUBEADM_CONFIG, _kubeadm_config_spec(), status, columns,
            categories=_CATEGORIES, labels=BOTH_CONTRACTS),
        crd(kinds.KUBEADM_CONFIG_TEMPLATE, template, categories=_CATEGORIES, labels=BOTH_CONTRACTS),
    ]  # fmt: skip


def cluster_api_crds() -> list[Object]:
    """Core and kubeadm."""
    return [
        _cluster(),
        _machine(),
        _machine_set(),
        _machine_deployment(),
        _machine_health_check(),
        _kubeadm_control_plane(),
        *_kubeadm_config(),
    ]
