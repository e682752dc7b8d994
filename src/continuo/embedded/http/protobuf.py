"""Reads the few protobuf request bodies that kubectl's typed commands send; answers are always JSON.

Only what is in the tables is understood. A field that is not is refused rather than lost.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from continuo.resources.errors import BadRequest, UnsupportedMediaType
from continuo.resources.meta import Object

_MAGIC = b"k8s\x00"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message. `type`: string, int, bool, time, intstr, map, bytesmap, quantities, or `message`
    with `table`; a message without a name is inlined.
    """

    name: str
    type: str = "string"
    many: bool = False
    table: Mapping[int, Field] | None = None


Table = Mapping[int, Field]


def _one(name: str, table: Table) -> Field:
    return Field(name, "message", table=table)


def _many(name: str, table: Table) -> Field:
    return Field(name, "message", many=True, table=table)


_OWNER: Table = {
    1: Field("kind"), 3: Field("name"), 4: Field("uid"), 5: Field("apiVersion"), 6: Field("controller", "bool"),
    7: Field("blockOwnerDeletion", "bool"),
}  # fmt: skip
_META: Table = {
    1: Field("name"), 2: Field("generateName"), 3: Field("namespace"), 4: Field("selfLink"), 5: Field("uid"),
    6: Field("resourceVersion"), 7: Field("generation", "int"), 8: Field("creationTimestamp", "time"),
    9: Field("deletionTimestamp", "time"), 10: Field("deletionGracePeriodSeconds", "int"), 11: Field("labels", "map"),
    12: Field("annotations", "map"), 13: _many("ownerReferences", _OWNER), 14: Field("finalizers", many=True),
}  # fmt: skip
_REFERENCE: Table = {
    1: Field("kind"), 2: Field("namespace"), 3: Field("name"), 4: Field("uid"), 5: Field("apiVersion"),
    6: Field("resourceVersion"), 7: Field("fieldPath"),
}  # fmt: skip
_METADATA = _one("metadata", _META)
_RESOURCE_ATTRIBUTES: Table = {
    1: Field("namespace"), 2: Field("verb"), 3: Field("group"), 4: Field("version"), 5: Field("resource"),
    6: Field("subresource"), 7: Field("name"),
}  # fmt: skip
_ACCESS_REVIEW: Table = {
    1: _METADATA,
    2: _one(
        "spec",
        {
            1: _one("resourceAttributes", _RESOURCE_ATTRIBUTES),
            2: _one("nonResourceAttributes", {1: Field("path"), 2: Field("verb")}),
        },
    ),
    3: _one("status", {1: Field("allowed", "bool"), 2: Field("reason"), 4: Field("denied", "bool")}),
}
_DELETE_OPTIONS: Table = {
    1: Field("gracePeriodSeconds", "int"), 2: _one("preconditions", {1: Field("uid"), 2: Field("resourceVersion")}),
    3: Field("orphanDependents", "bool"), 4: Field("propagationPolicy"), 5: Field("dryRun", many=True),
}  # fmt: skip
_RULE: Table = {
    1: Field("verbs", many=True), 2: Field("apiGroups", many=True), 3: Field("resources", many=True),
    4: Field("resourceNames", many=True), 5: Field("nonResourceURLs", many=True),
}  # fmt: skip
_BINDING: Table = {
    1: _METADATA,
    2: _many("subjects", {1: Field("kind"), 2: Field("apiGroup"), 3: Field("name"), 4: Field("namespace")}),
    3: _one("roleRef", {1: Field("apiGroup"), 2: Field("kind"), 3: Field("name")}),
}
_EMPTY: Table = {}
_PORT: Table = {
    1: Field("name"), 2: Field("hostPort", "int"), 3: Field("containerPort", "int"), 4: Field("protocol"),
    5: Field("hostIP"),
}  # fmt: skip
_CONTAINER: Table = {
    1: Field("name"), 2: Field("image"), 3: Field("command", many=True), 4: Field("args", many=True),
    5: Field("workingDir"), 6: _many("ports", _PORT), 8: _one("resources", _EMPTY), 14: Field("imagePullPolicy"),
}  # fmt: skip
_POD: Table = {
    2: _many("containers", _CONTAINER), 3: Field("restartPolicy"), 8: Field("serviceAccountName"),
}  # fmt: skip
_TEMPLATE: Table = {1: _METADATA, 2: _one("spec", _POD)}
_DEPLOYMENT: Table = {
    1: Field("replicas", "int"), 2: _one("selector", {1: Field("matchLabels", "map")}),
    3: _one("template", _TEMPLATE), 4: _one("strategy", _EMPTY), 5: Field("minReadySeconds", "int"),
    7: Field("paused", "bool"),
}  # fmt: skip
_JOB: Table = {
    1: Field("parallelism", "int"), 2: Field("completions", "int"), 6: _one("template", _TEMPLATE),
    7: Field("backoffLimit", "int"), 8: Field("ttlSecondsAfterFinished", "int"),
}  # fmt: skip
_INT_OR_STRING: Table = {1: Field("type", "int"), 2: Field("intVal", "int"), 3: Field("strVal")}
_SERVICE_PORT: Table = {
    1: Field("name"), 2: Field("protocol"), 3: Field("port", "int"), 4: Field("targetPort", "intstr"),
    5: Field("nodePort", "int"), 6: Field("appProtocol"),
}  # fmt: skip
_SERVICE: Table = {
    1: _many("ports", _SERVICE_PORT), 2: Field("selector", "map"), 3: Field("clusterIP"), 4: Field("type"),
    10: Field("externalName"),
}  # fmt: skip
_LABELS = _one("selector", {1: Field("matchLabels", "map")})
_BACKEND: Table = {
    4: _one("service", {1: Field("name"), 2: _one("port", {1: Field("name"), 2: Field("number", "int")})})
}
_INGRESS_PATH: Table = {1: Field("path"), 2: _one("backend", _BACKEND), 3: Field("pathType")}
_INGRESS: Table = {
    1: _one("defaultBackend", _BACKEND),
    2: _many("tls", {1: Field("hosts", many=True), 2: Field("secretName")}),
    3: _many("rules", {1: Field("host"), 2: _one("", {1: _one("http", {1: _many("paths", _INGRESS_PATH)})})}),
    4: Field("ingressClassName"),
}
_CRON_JOB: Table = {
    1: Field("schedule"), 2: Field("startingDeadlineSeconds", "int"), 3: Field("concurrencyPolicy"),
    4: Field("suspend", "bool"), 5: _one("jobTemplate", {1: _METADATA, 2: _one("spec", _JOB)}),
    6: Field("successfulJobsHistoryLimit", "int"), 7: Field("failedJobsHistoryLimit", "int"), 8: Field("timeZone"),
}  # fmt: skip
_STATUS = _one("status", {1: Field("replicas", "int"), 2: Field("updatedReplicas", "int"),
                          3: Field("availableReplicas", "int"), 4: Field("unavailableReplicas", "int"),
                          7: Field("readyReplicas", "int")})  # fmt: skip

KINDS: Mapping[tuple[str, str], Table] = {
    ("v1", "Namespace"): {
        1: _METADATA, 2: _one("spec", {1: Field("finalizers", many=True)}), 3: _one("status", {1: Field("phase")}),
    },
    ("v1", "ConfigMap"): {
        1: _METADATA, 2: Field("data", "map"), 3: Field("binaryData", "bytesmap"), 4: Field("immutable", "bool"),
    },
    ("v1", "Secret"): {
        1: _METADATA, 2: Field("data", "bytesmap"), 3: Field("type"), 4: Field("stringData", "map"),
        5: Field("immutable", "bool"),
    },
    ("v1", "ServiceAccount"): {
        1: _METADATA, 2: _many("secrets", _REFERENCE), 3: _many("imagePullSecrets", {1: Field("name")}),
        4: Field("automountServiceAccountToken", "bool"),
    },
    ("v1", "Service"): {1: _METADATA, 2: _one("spec", _SERVICE), 3: _one("status", {1: _one("loadBalancer", _EMPTY)})},
    ("v1", "Binding"): {1: _METADATA, 2: _one("target", _REFERENCE)},
    ("v1", "DeleteOptions"): _DELETE_OPTIONS,
    ("apps/v1", "Deployment"): {1: _METADATA, 2: _one("spec", _DEPLOYMENT), 3: _STATUS},
    ("batch/v1", "Job"): {1: _METADATA, 2: _one("spec", _JOB), 3: _one("status", _EMPTY)},
    ("batch/v1", "CronJob"): {1: _METADATA, 2: _one("spec", _CRON_JOB), 3: _one("status", _EMPTY)},
    ("v1", "ResourceQuota"): {
        1: _METADATA, 2: _one("spec", {1: Field("hard", "quantities"), 2: Field("scopes", many=True)}),
        3: _one("status", _EMPTY),
    },
    ("networking.k8s.io/v1", "Ingress"): {
        1: _METADATA, 2: _one("spec", _INGRESS), 3: _one("status", {1: _one("loadBalancer", _EMPTY)}),
    },
    ("policy/v1", "PodDisruptionBudget"): {
        1: _METADATA,
        2: _one("spec", {1: Field("minAvailable", "intstr"), 2: _LABELS, 3: Field("maxUnavailable", "intstr")}),
        3: _one("status", {
            3: Field("disruptionsAllowed", "int"), 4: Field("currentHealthy", "int"), 5: Field("desiredHealthy", "int"),
            6: Field("expectedPods", "int"),
        }),
    },
    ("scheduling.k8s.io/v1", "PriorityClass"): {
        1: _METADATA, 2: Field("value", "int"), 3: Field("globalDefault", "bool"), 4: Field("description"),
        5: Field("preemptionPolicy"),
    },
    ("policy/v1", "Eviction"): {1: _METADATA, 2: _one("deleteOptions", _DELETE_OPTIONS)},
    ("authentication.k8s.io/v1", "TokenRequest"): {
        1: _METADATA,
        2: _one("spec", {
            1: Field("audiences", many=True),
            3: _one("boundObjectRef", {1: Field("kind"), 2: Field("apiVersion"), 3: Field("name"), 4: Field("uid")}),
            4: Field("expirationSeconds", "int"),
        }),
        3: _one("status", {1: Field("token"), 2: Field("expirationTimestamp", "time")}),
    },
    ("authentication.k8s.io/v1", "SelfSubjectReview"): {1: _METADATA, 2: _one("status", {1: _one("userInfo", _EMPTY)})},
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): _ACCESS_REVIEW,
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): {
        1: _METADATA, 2: _one("spec", {1: Field("namespace")}), 3: _one("status", {3: Field("incomplete", "bool")}),
    },
    ("rbac.authorization.k8s.io/v1", "Role"): {1: _METADATA, 2: _many("rules", _RULE)},
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): {
        1: _METADATA, 2: _many("rules", _RULE),
        3: _one("aggregationRule", {1: _many("clusterRoleSelectors", {1: Field("matchLabels", "map")})}),
    },
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): _BINDING,
}  # fmt: skip


def decode(body: bytes) -> Object:
    """The object in a Kubernetes protobuf envelope; raises UnsupportedMediaType for kinds without a table."""
    try:
        return _decode(body)
    except (IndexError, UnicodeDecodeError) as error:
        raise BadRequest(f"the protobuf body cannot be read: {error}") from None


def _decode(body: bytes) -> Object:
    if not body.startswith(_MAGIC):
        raise BadRequest("the protobuf body does not begin with the Kubernetes prefix k8s\\x00")
    api_version = kind = ""
    raw = b""
    for number, value in _fields(body[len(_MAGIC) :]):
        if number == 1 and isinstance(value, bytes):
            types = {key: text.decode() for key, text in _fields(value) if isinstance(text, bytes)}
            api_version, kind = types.get(1, ""), types.get(2, "")
        elif number == 2 and isinstance(value, bytes):
            raw = value
    table = KINDS.get((api_version, kind))
    if table is None and kind == "DeleteOptions":
        table = _DELETE_OPTIONS
    if table is None:
        raise UnsupportedMediaType(f"{kind} in {api_version} is not understood as protobuf here: send it as JSON")
    return {"apiVersion": api_version, "kind": kind, **_message(raw, table, kind)}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire != 2:
            raise IndexError(f"wire type {wire} is not used by these messages")
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError("it ends too early")
        yield key >> 3, data[at : at + length]
        at += length


def _message(data: bytes, table: Table, path: str) -> Object:
    found: Object = {}
    for number, raw in _fields(data):
        field = table.get(number)
        if field is None:
            if raw in (b"", 0):
                continue
            raise UnsupportedMediaType(f"field {number} of {path} is not understood as protobuf here: send it as JSON")
        value = _value(field, raw, f"{path}.{field.name}")
        if field.many:
            found.setdefault(field.name, []).append(value)
        elif not field.name:
            found.update(value)  # inlined in JSON
        elif field.type in ("map", "bytesmap", "quantities"):
            found.setdefault(field.name, {}).update(value)
        elif value is not None and (value != "" or field.name == "apiGroup"):
            found[field.name] = value
    return found


def _value(field: Field, raw: int | bytes, path: str) -> Any:
    if isinstance(raw, int):
        if field.type not in ("int", "bool"):
            raise IndexError(f"{path} is a number")
        return bool(raw) if field.type == "bool" else raw - (1 << 64) if raw >> 63 else raw
    if field.type == "string":
        return raw.decode()
    if field.type == "message" and field.table is not None:
        return _message(raw, field.table, path)
    if field.type in ("map", "bytesmap", "quantities"):
        entry = dict(_fields(raw))
        return {_text(entry.get(1, b"")): _map_value(field, entry.get(2, b""))}
    if field.type == "time":
        parts = dict(_fields(raw))
        return _time(parts.get(1))
    if field.type == "intstr":
        found = _message(raw, _INT_OR_STRING, path)
        return found.get("strVal", "") if found.get("type") else found.get("intVal", 0)
    raise IndexError(f"{path} is not a number")


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise IndexError("a map has a key that is a number")
    return value.decode()


def _map_value(field: Field, value: int | bytes) -> str:
    if isinstance(value, int):
        raise IndexError("a map has a value that is a number")
    if field.type == "quantities":
        return _text(dict(_fields(value)).get(1, b""))
    return base64.b64encode(value).decode() if field.type == "bytesmap" else value.decode()


def _time(seconds: int | bytes | None) -> str | None:
    if not isinstance(seconds, int) or seconds >> 63:
        return None  # Go's zero time
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
