"""What an object looks like at the other end of a reflection: pure, and the same for whoever carries it there.

The embedded engine's stand-in for Liqo and our own reflection engine over real clusters (`federation/reflection`) differ in
how they read and write, and in what they call their labels; what a pod, its status or a Service becomes is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, annotations_of

GONE_PHASES = ("Succeeded", "Failed")
"""A pod in one of these has ended and is not started again."""
ROOT_CA = "kube-root-ca.crt"
_DROPPED_SPEC = frozenset(
    ("nodeName", "nodeSelector", "affinity", "serviceAccount", "serviceAccountName", "priority", "priorityClassName",
     "preemptionPolicy", "schedulerName", "hostIPC", "hostNetwork", "hostPID", "ephemeralContainers",
     "topologySpreadConstraints")
)  # fmt: skip
_NOT_COPIED = ("apiVersion", "kind", "metadata", "status")
_NOT_REFLECTED = frozenset(
    ("kubectl.kubernetes.io/last-applied-configuration", "kubernetes.io/ingress.class", "continuo.dev/decision",
     "continuo.dev/moved-from", "continuo.dev/move")
)  # fmt: skip
"""The last three are a broker's own: what it thought of other providers is not for the one that was chosen."""


# --- pods -------------------------------------------------------------------------------------------------------------
def remote_spec(spec: Object, taint: str) -> Object:
    """What of a pod's spec goes to the provider: everything but its place, its identity, and its host's namespaces.

    `taint` is the key of the virtual node's taint; a toleration of it stays behind, so that a pod goes one step only.
    """
    kept = {name: value for name, value in spec.items() if name not in _DROPPED_SPEC}
    kept["automountServiceAccountToken"] = False
    tolerations = [entry for entry in spec.get("tolerations") or () if entry.get("key") != taint]
    if tolerations:
        kept["tolerations"] = tolerations
    else:
        kept.pop("tolerations", None)
    return kept


def local_status(remote: Object, remap: Callable[[str], str] | None, host: str | None) -> Object:
    """A remote pod's status as its twin shows it: its address as it is seen from home, on the virtual node's host."""
    status = dict(remote)
    if host is None:
        status.pop("hostIP", None)
        status.pop("hostIPs", None)
    else:
        status["hostIP"], status["hostIPs"] = host, [{"ip": host}]
    ip = remote.get("podIP")
    if ip and remap is not None:
        seen = remap(ip)
        status["podIP"], status["podIPs"] = seen, [{"ip": seen}]
    else:
        status.pop("podIP", None)
        status.pop("podIPs", None)
    return status


def not_offloaded(status: Object, **why: str) -> Object:
    """The status of a pod that cannot be sent: one that has run is over, so that its controller makes another one."""
    if (status.get("phase") or "Pending") == "Pending":
        return {**status, "phase": "Pending", "reason": "OffloadingBackOff", **why}
    return {**status, "phase": "Failed", "reason": "OffloadingAborted", **why}


def same_meaning(before: Object, after: Object) -> bool:
    """Whether nothing of an object changed that has to be passed on: its labels, its annotations, its end."""
    old, new = before["metadata"], after["metadata"]
    return all(old.get(name) == new.get(name) for name in ("labels", "annotations", "deletionTimestamp"))


# --- everything else --------------------------------------------------------------------------------------------------
def passed_annotations(obj: Object) -> dict[str, str]:
    """The annotations that mean something at the other end."""
    return {key: value for key, value in annotations_of(obj).items() if key not in _NOT_REFLECTED}


def body_of(kind: Kind, obj: Object) -> Object:
    """What of an object goes to the provider, besides its metadata."""
    body = {name: value for name, value in obj.items() if name not in _NOT_COPIED}
    if kind is kinds.SERVICE:
        body["spec"] = _service(obj["spec"])
    elif kind is kinds.INGRESS:
        body["spec"] = {name: value for name, value in obj["spec"].items() if name != "ingressClassName"}
    return body


def _service(spec: Object) -> Object:
    kept: Object = {
        name: spec[name]
        for name in ("type", "selector", "sessionAffinity", "externalName", "publishNotReadyAddresses")
        if name in spec
    }
    kept["ports"] = [
        {name: value for name, value in port.items() if name != "nodePort"} for port in spec.get("ports") or ()
    ]
    if spec.get("clusterIP") == "None":
        kept["clusterIP"] = "None"
    return kept


def is_token(kind: Kind, obj: Object) -> bool:
    """Whether it is a service account's token, which is of no use in another cluster."""
    return kind is kinds.SECRET and obj.get("type") == "kubernetes.io/service-account-token"


def merged(kind: Kind, live: Object, wanted: Object) -> Object:
    """The copy as it should be: what it carries is replaced as a whole, what the server adds to a Service stays."""
    made = {**live, **{name: value for name, value in wanted.items() if name not in _NOT_COPIED}}
    made["metadata"] = overlay(live["metadata"], wanted["metadata"])
    for name in ("data", "binaryData"):
        if name in live and name not in wanted:
            del made[name]
    if kind is kinds.SERVICE:
        ports = overlay(live["spec"].get("ports"), wanted["spec"]["ports"])
        made["spec"] = {**live["spec"], **wanted["spec"], "ports": ports}
    return made


def root_ca(origin: str) -> str:
    """What the consumer's CA bundle is called at the provider, which has its own: a valid name, wherever its ID is cut."""
    return f"{ROOT_CA}.{origin[:5].rstrip('-.')}"


def overlay(live: Any, wanted: Any) -> Any:
    """`live` with everything of `wanted` in it; `live` itself when it has it.

    Mappings merge, and so do lists of as many mappings (the server adds defaults to each); all else replaces.
    """
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        laid = [overlay(old, new) for old, new in zip(live, wanted, strict=True)]
        return live if all(a is b for a, b in zip(live, laid, strict=True)) else laid
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return live if live == wanted else wanted
    changed: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in live:
            changed[name] = value
        else:
            value = overlay(live[name], value)
            if value is not live[name]:
                changed[name] = value
    return {**live, **changed} if changed else live
