"""The printer columns of everything else that is built in: services, nodes, configuration, access, definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.http.ages import age, human_duration
from continuo.embedded.http.columns import AGE, NAME, Column, at, text
from continuo.embedded.http.columns_workloads import selector_text
from continuo.resources.meta import Object

_NODE_ROLE = "node-role.kubernetes.io/"
_RBAC = "rbac.authorization.k8s.io"


# --- networking -------------------------------------------------------------------------------------------------------
def _balancers(obj: Object) -> list[str]:
    entries = at(obj, "status", "loadBalancer", "ingress") or []
    return [entry.get("ip") or entry.get("hostname") or "" for entry in entries]


def _external_ip(service: Object) -> str:
    spec = service.get("spec") or {}
    external = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return spec.get("externalName") or "<none>"
    if spec.get("type") == "LoadBalancer":
        return ",".join([*_balancers(service), *external]) or "<pending>"
    return ",".join(external) or "<none>"


def _service_ports(service: Object) -> str:
    shown = []
    for port in at(service, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _hosts(ingress: Object) -> str:
    hosts = [rule["host"] for rule in at(ingress, "spec", "rules") or () if rule.get("host")]
    shown = ",".join(hosts[:3]) or "*"
    return f"{shown} + {len(hosts) - 3} more..." if len(hosts) > 3 else shown


_NO_PORT: tuple[Object, ...] = ({},)


def _endpoints(obj: Object) -> str:
    found = [
        f"{address.get('ip')}:{port['port']}" if "port" in port else str(address.get("ip"))
        for subset in obj.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or _NO_PORT
    ]
    shown = ",".join(found[:3]) or "<none>"
    return f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown


def _slice_ports(obj: Object) -> str:
    return ",".join(str(port.get("port", "*")) for port in obj.get("ports") or ()) or "<unset>"


def _slice_addresses(obj: Object) -> str:
    found = [address for entry in obj.get("endpoints") or () for address in entry.get("addresses") or ()]
    shown = ",".join(found[:3]) or "<unset>"
    return f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown


# --- nodes and storage ------------------------------------------------------------------------------------------------
def _node_status(node: Object) -> str:
    ready = [c for c in at(node, "status", "conditions") or () if c.get("type") == "Ready"]
    shown = "Unknown" if not ready else "Ready" if ready[0].get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if at(node, "spec", "unschedulable") else shown


def _node_roles(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_NODE_ROLE) for key in labels if key.startswith(_NODE_ROLE)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    return ",".join(sorted(roles - {""})) or "<none>"


def _node_address(kind: str) -> Any:
    def cell(node: Object) -> str:
        entries = at(node, "status", "addresses") or ()
        return next((str(entry["address"]) for entry in entries if entry.get("type") == kind), "<none>")

    return cell


def _node_info(name: str, key: str) -> Column:
    return text(name, lambda o: at(o, "status", "nodeInfo", key) or "<unknown>", 1)


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _access_modes(obj: Object) -> str:
    modes = at(obj, "status", "accessModes") or at(obj, "spec", "accessModes") or ()
    return ",".join(_MODES.get(mode, mode) for mode in modes)


def _claim(volume: Object) -> str:
    claim = at(volume, "spec", "claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _used(quota: Object, *, limits: bool) -> str:
    """`cpu: 1/2, pods: 0/4` of what is requested, or of what is limited."""
    used = at(quota, "status", "used") or {}
    hard = at(quota, "status", "hard") or {}
    names = sorted(name for name in hard if name.startswith("limits.") is limits)
    return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)


# --- events, leases, access -------------------------------------------------------------------------------------------
def _event_object(event: Object) -> str:
    subject = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(subject.get('kind', '')).lower()}/{subject.get('name', '')}"


def _seen(event: Object, now: float) -> str:
    last = at(event, "series", "lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    return age(last or event.get("eventTime"), now)


def _first_seen(event: Object, now: float) -> str:
    return age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _source(event: Object) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    parts = [source.get("component") or event.get("reportingComponent") or event.get("reportingController")]
    return ", ".join(str(part) for part in [*parts, source.get("host")] if part)


def _message(event: Object) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


def _event_count(event: Object) -> int:
    found = at(event, "series", "count") or event.get("count") or event.get("deprecatedCount") or 1
    return int(found)


def _requested(request: Object, _now: float) -> str:
    seconds = at(request, "spec", "expirationSeconds")
    return "<none>" if seconds is None else human_duration(seconds)


def _signing(request: Object) -> str:
    types = [entry.get("type") for entry in at(request, "status", "conditions") or ()]
    shown = [word for word in ("Approved", "Denied", "Failed") if word in types] or ["Pending"]
    return ",".join([*shown, "Issued"] if at(request, "status", "certificate") else shown)


def _subjects(kind: str) -> Any:
    def cell(binding: Object) -> str:
        chosen = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        return ", ".join(f"{s['namespace']}/{s['name']}" if s.get("namespace") else str(s["name"]) for s in chosen)

    return cell


_EVENTS = (
    Column("Last Seen", _seen),
    text("Type", lambda o: o.get("type", "")),
    text("Reason", lambda o: o.get("reason", "")),
    text("Object", _event_object),
    text("Subobject", lambda o: at(o, "involvedObject", "fieldPath") or "", 1),
    text("Source", _source, 1),
    text("Message", _message),
    Column("First Seen", _first_seen, priority=1),
    text("Count", _event_count, 1),
    Column("Name", NAME.cell, priority=1, format="name"),
)
_CREATED = text("Created At", lambda o: o["metadata"].get("creationTimestamp") or "<unknown>", type="date")
_BINDING = (
    NAME,
    text("Role", lambda o: f"{at(o, 'roleRef', 'kind')}/{at(o, 'roleRef', 'name')}"),
    AGE,
    text("Users", _subjects("User"), 1),
    text("Groups", _subjects("Group"), 1),
    text("ServiceAccounts", _subjects("ServiceAccount"), 1),
)

CLUSTER: Mapping[tuple[str, str], tuple[Column, ...]] = {
    ("", "services"): (
        NAME,
        text("Type", lambda o: at(o, "spec", "type") or "ClusterIP"),
        text("Cluster-IP", lambda o: at(o, "spec", "clusterIP") or "<none>"),
        text("External-IP", _external_ip),
        text("Port(s)", _service_ports),
        AGE,
        text("Selector", lambda o: selector_text(at(o, "spec", "selector")), 1),
    ),
    ("networking.k8s.io", "ingresses"): (
        NAME,
        text("Class", lambda o: at(o, "spec", "ingressClassName") or "<none>"),
        text("Hosts", _hosts),
        text("Address", lambda o: ",".join(_balancers(o))),
        text("Ports", lambda o: "80, 443" if at(o, "spec", "tls") else "80"),
        AGE,
    ),
    ("networking.k8s.io", "ingressclasses"): (
        NAME,
        text("Controller", lambda o: at(o, "spec", "controller")),
        text("Parameters", lambda o: at(o, "spec", "parameters", "name") or "<none>"),
        AGE,
    ),
    ("networking.k8s.io", "networkpolicies"): (
        NAME,
        text("Pod-Selector", lambda o: selector_text(at(o, "spec", "podSelector"))),
        AGE,
    ),
    ("discovery.k8s.io", "endpointslices"): (
        NAME,
        text("AddressType", lambda o: o.get("addressType", "")),
        text("Ports", _slice_ports),
        text("Endpoints", _slice_addresses),
        AGE,
    ),
    ("", "nodes"): (
        NAME,
        text("Status", _node_status),
        text("Roles", _node_roles),
        AGE,
        text("Version", lambda o: at(o, "status", "nodeInfo", "kubeletVersion") or ""),
        text("Internal-IP", _node_address("InternalIP"), 1),
        text("External-IP", _node_address("ExternalIP"), 1),
        _node_info("OS-Image", "osImage"),
        _node_info("Kernel-Version", "kernelVersion"),
        _node_info("Container-Runtime", "containerRuntimeVersion"),
    ),
    ("", "namespaces"): (NAME, text("Status", lambda o: at(o, "status", "phase") or ""), AGE),
    ("", "events"): _EVENTS,
    ("events.k8s.io", "events"): _EVENTS,
    ("", "configmaps"): (
        NAME,
        text("Data", lambda o: len(o.get("data") or ()) + len(o.get("binaryData") or ())),
        AGE,
    ),
    ("", "secrets"): (
        NAME,
        text("Type", lambda o: o.get("type", "Opaque")),
        text("Data", lambda o: len(o.get("data") or ())),
        AGE,
    ),
    ("", "serviceaccounts"): (NAME, AGE),
    ("", "persistentvolumeclaims"): (
        NAME,
        text("Status", lambda o: at(o, "status", "phase") or ""),
        text("Volume", lambda o: at(o, "spec", "volumeName") or ""),
        text("Capacity", lambda o: at(o, "status", "capacity", "storage") or ""),
        text("Access Modes", _access_modes),
        text("StorageClass", lambda o: at(o, "spec", "storageClassName") or ""),
        text("VolumeAttributesClass", lambda o: at(o, "spec", "volumeAttributesClassName") or "<unset>"),
        AGE,
        text("VolumeMode", lambda o: at(o, "spec", "volumeMode") or "Filesystem", 1),
    ),
    ("", "persistentvolumes"): (
        NAME,
        text("Capacity", lambda o: at(o, "spec", "capacity", "storage") or ""),
        text("Access Modes", _access_modes),
        text("Reclaim Policy", lambda o: at(o, "spec", "persistentVolumeReclaimPolicy") or ""),
        text("Status", lambda o: at(o, "status", "phase") or ""),
        text("Claim", _claim),
        text("StorageClass", lambda o: at(o, "spec", "storageClassName") or ""),
        text("VolumeAttributesClass", lambda o: at(o, "spec", "volumeAttributesClassName") or "<unset>"),
        text("Reason", lambda o: at(o, "status", "reason") or ""),
        AGE,
        text("VolumeMode", lambda o: at(o, "spec", "volumeMode") or "Filesystem", 1),
    ),
    ("", "resourcequotas"): (
        NAME,
        text("Request", lambda o: _used(o, limits=False)),
        text("Limit", lambda o: _used(o, limits=True)),
        AGE,
    ),
    ("", "limitranges"): (NAME, _CREATED),
    ("node.k8s.io", "runtimeclasses"): (NAME, text("Handler", lambda o: o.get("handler", "")), AGE),
    ("storage.k8s.io", "csinodes"): (
        NAME,
        text("Drivers", lambda o: len(at(o, "spec", "drivers") or ()), type="integer"),
        AGE,
    ),
    ("storage.k8s.io", "volumeattachments"): (
        NAME,
        text("Attacher", lambda o: at(o, "spec", "attacher") or ""),
        text("PV", lambda o: at(o, "spec", "source", "persistentVolumeName") or ""),
        text("Node", lambda o: at(o, "spec", "nodeName") or ""),
        text("Attached", lambda o: bool(at(o, "status", "attached")), type="boolean"),
        AGE,
    ),
    ("", "endpoints"): (NAME, text("Endpoints", _endpoints), AGE),
    ("certificates.k8s.io", "certificatesigningrequests"): (
        NAME,
        AGE,
        text("SignerName", lambda o: at(o, "spec", "signerName") or "<none>"),
        text("Requestor", lambda o: at(o, "spec", "username") or ""),
        Column("RequestedDuration", _requested),
        text("Condition", _signing),
    ),
    ("storage.k8s.io", "storageclasses"): (
        NAME,
        text("Provisioner", lambda o: o.get("provisioner", "")),
        text("ReclaimPolicy", lambda o: o.get("reclaimPolicy") or "Delete"),
        text("VolumeBindingMode", lambda o: o.get("volumeBindingMode") or "Immediate"),
        text("AllowVolumeExpansion", lambda o: str(bool(o.get("allowVolumeExpansion"))).lower()),
        AGE,
    ),
    ("coordination.k8s.io", "leases"): (
        NAME,
        text("Holder", lambda o: at(o, "spec", "holderIdentity") or ""),
        AGE,
    ),
    (_RBAC, "roles"): (NAME, _CREATED),
    (_RBAC, "clusterroles"): (NAME, _CREATED),
    (_RBAC, "rolebindings"): _BINDING,
    (_RBAC, "clusterrolebindings"): _BINDING,
    ("apiextensions.k8s.io", "customresourcedefinitions"): (NAME, _CREATED),
    ("policy", "poddisruptionbudgets"): (
        NAME,
        text("Min Available", lambda o: str(at(o, "spec", "minAvailable") or "N/A")),
        text("Max Unavailable", lambda o: str(at(o, "spec", "maxUnavailable") or "N/A")),
        text("Allowed Disruptions", lambda o: at(o, "status", "disruptionsAllowed") or 0, type="integer"),
        AGE,
    ),
    ("scheduling.k8s.io", "priorityclasses"): (
        NAME,
        text("Value", lambda o: o.get("value", 0), type="integer"),
        text("Global-Default", lambda o: bool(o.get("globalDefault")), type="boolean"),
        AGE,
        text("PreemptionPolicy", lambda o: o.get("preemptionPolicy") or "PreemptLowerPriority"),
    ),
}
