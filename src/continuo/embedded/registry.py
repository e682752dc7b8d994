"""The built-in resource types of every cluster, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from continuo.embedded.port import ResourceType
from continuo.resources.meta import Kind


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    scale: bool = False
    categories: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()
    one_by_one: bool = False
    """Objects of it cannot be deleted together."""


_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_ALL: Final = ("all",)
_EXTENSIONS: Final = ("api-extensions",)
_EVENT_FIELDS: Final = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
    "reportingComponent", "source", "type",
)  # fmt: skip

_NEW_EVENT_FIELDS: Final = (
    *(field.replace("involvedObject", "regarding") for field in _EVENT_FIELDS if field != "source"),
    "reportingController",
)

_CORE = (
    _Row("Namespace", "namespaces", ("ns",), False, True, selectable=("status.phase",), one_by_one=True),
    _Row("Node", "nodes", ("no",), False, True, selectable=("spec.unschedulable",)),
    _Row(
        "Pod", "pods", ("po",), True, True, categories=_ALL,
        selectable=(
            "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
            "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
        ),
    ),
    _Row(
        "Service", "services", ("svc",), True, True, categories=_ALL, selectable=("spec.clusterIP", "spec.type")
    ),
    _Row("Secret", "secrets", selectable=("type",)),
    _Row("ConfigMap", "configmaps", ("cm",)),
    _Row("ServiceAccount", "serviceaccounts", ("sa",)),
    _Row("Event", "events", ("ev",), selectable=_EVENT_FIELDS),
    _Row("Endpoints", "endpoints", ("ep",)),
    _Row("PersistentVolume", "persistentvolumes", ("pv",), False, True),
    _Row("PersistentVolumeClaim", "persistentvolumeclaims", ("pvc",), True, True),
    _Row("ResourceQuota", "resourcequotas", ("quota",), True, True),
    _Row("LimitRange", "limitranges", ("limits",)),
    _Row("PodTemplate", "podtemplates"),
)  # fmt: skip
_APPS = (
    _Row("Deployment", "deployments", ("deploy",), True, True, True, _ALL),
    _Row("ReplicaSet", "replicasets", ("rs",), True, True, True, _ALL, ("status.replicas",)),
    _Row("StatefulSet", "statefulsets", ("sts",), True, True, True, _ALL),
    _Row("DaemonSet", "daemonsets", ("ds",), True, True, categories=_ALL),
    _Row("ControllerRevision", "controllerrevisions"),
)
_BATCH = (
    _Row("Job", "jobs", (), True, True, categories=_ALL, selectable=("status.successful",)),
    _Row("CronJob", "cronjobs", ("cj",), True, True, categories=_ALL),
)
_NETWORKING = (
    _Row("Ingress", "ingresses", ("ing",), True, True),
    _Row("IngressClass", "ingressclasses", (), False),
    _Row("NetworkPolicy", "networkpolicies", ("netpol",)),
)
_RBAC = (
    _Row("Role", "roles"),
    _Row("RoleBinding", "rolebindings"),
    _Row("ClusterRole", "clusterroles", (), False),
    _Row("ClusterRoleBinding", "clusterrolebindings", (), False),
)
_STORAGE = (
    _Row("StorageClass", "storageclasses", ("sc",), False),
    _Row("CSIDriver", "csidrivers", (), False),
    _Row("CSINode", "csinodes", (), False),
    _Row("VolumeAttachment", "volumeattachments", (), False, True),
)
_GROUPS: Final[Mapping[tuple[str, str], tuple[_Row, ...]]] = {
    ("", "v1"): _CORE,
    ("apps", "v1"): _APPS,
    ("batch", "v1"): _BATCH,
    ("events.k8s.io", "v1"): (_Row("Event", "events", ("ev",), selectable=_NEW_EVENT_FIELDS),),
    ("discovery.k8s.io", "v1"): (_Row("EndpointSlice", "endpointslices"),),
    ("networking.k8s.io", "v1"): _NETWORKING,
    ("coordination.k8s.io", "v1"): (_Row("Lease", "leases"),),
    ("rbac.authorization.k8s.io", "v1"): _RBAC,
    ("storage.k8s.io", "v1"): _STORAGE,
    ("apiextensions.k8s.io", "v1"): (
        _Row("CustomResourceDefinition", "customresourcedefinitions", ("crd", "crds"), False, True, False, _EXTENSIONS),
    ),
    ("certificates.k8s.io", "v1"): (
        _Row(
            "CertificateSigningRequest", "certificatesigningrequests", ("csr",), False, True,
            selectable=("spec.signerName",),
        ),
    ),
    ("policy", "v1"): (_Row("PodDisruptionBudget", "poddisruptionbudgets", ("pdb",), True, True),),
    ("scheduling.k8s.io", "v1"): (_Row("PriorityClass", "priorityclasses", ("pc",), False),),
    ("node.k8s.io", "v1"): (_Row("RuntimeClass", "runtimeclasses", (), False),),
}  # fmt: skip

_SCALE: Final[Mapping[str, str]] = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}

EVENT_TABLE: Final = ("", "events")
"""Where both views of events keep them."""


@cache
def builtin_types() -> tuple[ResourceType, ...]:
    """Every built-in resource type, in the order of discovery."""
    return tuple(_resource_type(group, version, row) for (group, version), rows in _GROUPS.items() for row in rows)


def _resource_type(group: str, version: str, row: _Row) -> ResourceType:
    kind = Kind(group, version, row.kind, row.plural, row.namespaced, row.short)
    verbs = tuple(verb for verb in _VERBS if not (row.one_by_one and verb == "deletecollection"))
    return ResourceType(
        kind=kind,
        verbs=verbs,
        singular=row.kind.lower(),
        list_kind=row.kind + "List",
        categories=row.categories,
        status=row.status,
        scale=_SCALE if row.scale else None,
        selectable=row.selectable,
    )
