"""Liqo's peering and offloading kinds, as an API server must know them."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import (
    AGE,
    Column,
    anything,
    crd,
    flag,
    many,
    mapping,
    named,
    number,
    obj,
    quantity,
    reference,
    strings,
    text,
    time,
    unchanged,
)
from continuo.resources.meta import Object

CATEGORIES = ("liqo",)
PEER: Column = ("ClusterID", "string", r".metadata.labels.liqo\.io/remote-cluster-id", 1)
_CLUSTER_ID = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_MODULE_STATUS = ("None", "Pending", "Established", "Error", "Ready", "NotReady", "SomeNotReady")


def cluster_id(*, immutable: bool = False) -> Object:
    """The identifier of a cluster."""
    schema = text(pattern=_CLUSTER_ID, most=63)
    return unchanged(schema, "ClusterID") if immutable else schema


def blob() -> Object:
    """Bytes, base64 in JSON."""
    return {"type": "string", "format": "byte"}


def resource_list() -> Object:
    """Resource names to quantities."""
    return mapping(quantity())


def state_conditions(*states: str) -> Object:
    """Liqo's conditions: a type and a status of its own words."""
    condition = obj(
        ("type", "status"),
        type=text(),
        status=text(*states),
        reason=text(),
        message=text(),
        lastTransitionTime=time(),
    )
    return many(condition)


def _foreign_cluster() -> Object:
    module = obj(("enabled",), enabled=flag(), conditions=state_conditions(*_MODULE_STATUS))
    role = text("Consumer", "Provider", "ConsumerAndProvider", "Unknown") | {"default": "Unknown"}
    names = ("networking", "authentication", "offloading")
    status = obj(
        ("role",),
        role=role,
        modules=obj(names, **dict.fromkeys(names, module)),
        apiServerUrl=text(),
        foreignProxyUrl=text(),
        tenantNamespace=obj(local=text(), remote=text()),
        conditions=state_conditions(*_MODULE_STATUS),
        observedGeneration=number(format="int64"),
    )
    columns: tuple[Column, ...] = (
        ("Role", "string", ".status.role"),
        ("ClusterID", "string", ".spec.clusterID", 1),
        AGE,
    )
    spec = obj(("clusterID",), clusterID=cluster_id(immutable=True))
    return crd(kinds.FOREIGN_CLUSTER, spec, status, columns, categories=CATEGORIES)


def _authentication_parameters() -> Object:
    return obj(ca=blob(), signedCRT=blob(), apiServer=text(), proxyURL=text(), awsConfig=anything())


def _tenant() -> Object:
    spec = obj(
        clusterID=cluster_id(immutable=True),
        authzPolicy=text("KeysExchange", "TolerateNoHandshake") | {"default": "KeysExchange"},
        publicKey=blob(),
        csr=blob(),
        signature=blob(),
        proxyURL=text(),
        tenantCondition=text("Active", "Cordoned", "Drained") | {"default": "Active"},
    )
    status = obj(tenantNamespace=text(), authParams=_authentication_parameters())
    columns: tuple[Column, ...] = (("Condition", "string", ".spec.tenantCondition"), AGE)
    return crd(kinds.TENANT, spec, status, columns, categories=CATEGORIES)


def _identity() -> Object:
    spec = obj(
        ("clusterID", "type", "authParams"),
        clusterID=cluster_id(),
        type=text("ControlPlane", "ResourceSlice"),
        authParams=_authentication_parameters(),
        namespace=text(),
    )
    columns: tuple[Column, ...] = (
        ("Type", "string", ".spec.type"),
        ("KubeconfigSecret", "string", ".status.kubeconfigSecretRef.name"),
        AGE,
    )
    return crd(kinds.IDENTITY, spec, obj(kubeconfigSecretRef=named()), columns, categories=CATEGORIES)


def _class_list(name: str) -> Object:
    return many(obj((name,), **{name: text(), "default": flag()}))


def _resource_slice() -> Object:
    spec = obj(
        consumerClusterID=cluster_id(),
        providerClusterID=cluster_id(),
        class_=text(),
        resources=resource_list(),
        csr=blob(),
    )
    condition = obj(
        ("type", "status"),
        type=text("Authentication", "Resources"),
        status=text("Accepted", "Denied"),
        reason=text(),
        message=text(),
        lastTransitionTime=time(),
    )
    status = obj(
        conditions=many(condition),
        resources=resource_list(),
        authParams=_authentication_parameters(),
        storageClasses=_class_list("storageClassName"),
        ingressClasses=_class_list("ingressClassName"),
        loadBalancerClasses=_class_list("loadBalancerClassName"),
        nodeLabels=strings(),
        nodeSelector=strings(),
    )
    columns: tuple[Column, ...] = (
        ("Authentication", "string", ".status.conditions[?(@.type=='Authentication')].status"),
        ("Resources", "string", ".status.conditions[?(@.type=='Resources')].status"),
        AGE,
    )
    return crd(kinds.RESOURCE_SLICE, spec, status, columns, categories=CATEGORIES)


def _renew() -> Object:
    spec = obj(
        consumerClusterID=cluster_id(),
        publicKey=blob(),
        csr=blob(),
        identityType=text("ControlPlane", "ResourceSlice"),
        resourceSliceRef=named(),
    )
    return crd(kinds.RENEW, spec, obj(authParams=_authentication_parameters()), categories=CATEGORIES)


def _virtual_node() -> Object:
    spec = obj(
        clusterID=cluster_id(),
        kubeconfigSecretRef=named(),
        resourceQuota=obj(hard=resource_list()),
        createNode=flag(),
        disableNetworkCheck=flag(),
        labels=strings(),
        annotations=strings(),
        taints=many(obj(("key", "effect"), key=text(), value=text(), effect=text())),
        storageClasses=_class_list("storageClassName"),
        ingressClasses=_class_list("ingressClassName"),
        loadBalancerClasses=_class_list("loadBalancerClassName"),
        vkOptionsTemplateRef=reference(),
        template=obj(metadata=anything(), spec=anything()),
        offloadingPatch=anything(),
    )
    status = obj(conditions=state_conditions("None", "Creating", "Running", "Draining", "Deleting"))
    columns: tuple[Column, ...] = (
        ("ClusterID", "string", ".spec.clusterID"),
        ("Create Node", "boolean", ".spec.createNode"),
        AGE,
        ("VirtualKubelet", "string", ".status.conditions[?(@.type=='VirtualKubelet')].status", 1),
        ("Node", "string", ".status.conditions[?(@.type=='Node')].status", 1),
    )
    return crd(kinds.VIRTUAL_NODE, spec, status, columns, categories=CATEGORIES)


def _namespace_offloading() -> Object:
    mapping_strategy = text("EnforceSameName", "DefaultName", "SelectedName") | {"default": "DefaultName"}
    requirement = obj(("key", "operator"), key=text(), operator=text(), values=many(text()))
    term = obj(matchExpressions=many(requirement), matchFields=many(requirement))
    spec = obj(
        namespaceMappingStrategy=unchanged(mapping_strategy, "NamespaceMappingStrategy"),
        podOffloadingStrategy=text("Local", "Remote", "LocalAndRemote") | {"default": "LocalAndRemote"},
        clusterSelector=obj(("nodeSelectorTerms",), nodeSelectorTerms=many(term)),
        remoteNamespaceName=text(),
    )
    phases = ("Ready", "NoClusterSelected", "InProgress", "SomeFailed", "AllFailed", "Terminating")
    status = obj(
        offloadingPhase=text(*phases),
        remoteNamespaceName=text(),
        remoteNamespacesConditions=mapping(state_conditions()),
        observedGeneration=number(format="int64"),
    )
    columns: tuple[Column, ...] = (
        ("NamespaceMappingStrategy", "string", ".spec.namespaceMappingStrategy"),
        ("PodOffloadingStrategy", "string", ".spec.podOffloadingStrategy"),
        ("OffloadingPhase", "string", ".status.offloadingPhase"),
        ("RemoteNamespaceName", "string", ".status.remoteNamespaceName", 10),
        AGE,
    )
    only_name = {
        "rule": "self.metadata.name == 'offloading'",
        "message": "a NamespaceOffloading is named offloading: one per namespace",
    }
    return crd(
        kinds.NAMESPACE_OFFLOADING, spec, status, columns,
        categories=CATEGORIES, rules=(only_name,), required=("spec",),
    )  # fmt: skip


def _namespace_map() -> Object:
    current = obj(remoteNamespace=text(), phase=text("Accepted", "CreationLoopBackOff", "Terminating"))
    spec = obj(desiredMapping=strings())
    return crd(kinds.NAMESPACE_MAP, spec, obj(currentMapping=mapping(current)), categories=CATEGORIES)


def _shadows() -> list[Object]:
    pod_columns: tuple[Column, ...] = (("Status", "string", ".status.phase"), AGE)
    template = obj(endpoints=many(anything()), ports=many(anything()), addressType=text("IPv4", "IPv6", "FQDN"))
    quota = obj(
        ("user",),
        user=text(),
        limitsEnforcement=text("Hard", "Soft", "None"),
        resources=resource_list(),
        cordoned=flag(),
    )
    quota_columns: tuple[Column, ...] = (
        ("Enforcement", "string", ".spec.limitsEnforcement"),
        ("Cordoned", "boolean", ".spec.cordoned"),
        AGE,
    )
    return [
        crd(kinds.SHADOW_POD, obj(pod=anything()), obj(phase=text()), pod_columns, categories=CATEGORIES),
        crd(kinds.SHADOW_ENDPOINT_SLICE, obj(template=template), categories=CATEGORIES),
        crd(kinds.QUOTA, quota, None, quota_columns, categories=CATEGORIES),
        crd(kinds.VK_OPTIONS_TEMPLATE, anything(), categories=CATEGORIES),
    ]


def liqo_crds() -> list[Object]:
    """Peering and offloading; the network is in `liqo_network`."""
    return [
        _foreign_cluster(),
        _tenant(),
        _identity(),
        _resource_slice(),
        _renew(),
        _virtual_node(),
        _namespace_offloading(),
        _namespace_map(),
        *_shadows(),
    ]
