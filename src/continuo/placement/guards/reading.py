"""From what somebody sent to an action: which operation, with which fields. Everything else is judged later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from continuo.placement.guards.model import Code, Rejection
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration import ClusterSpec

FIELDS: Mapping[Operation, tuple[str, ...]] = {
    Operation.PLACE_COMPONENT: ("component", "cluster"),
    Operation.MIGRATE_COMPONENT: ("component", "cluster"),
    Operation.SCALE_COMPONENT: ("component", "replicas"),
    Operation.CREATE_CLUSTER: ("cluster", "template"),
    Operation.SCALE_CLUSTER: ("cluster", "workers"),
    Operation.DELETE_CLUSTER: ("cluster",),
    Operation.LINK_CLUSTERS: ("cluster", "other"),
    Operation.UNLINK_CLUSTERS: ("cluster", "other"),
}
"""What others may ask for, each with all the fields that it has to have."""

_KNOWN = frozenset(operation.value for operation in Operation)
_VERSION = re.compile(r"v?\d+\.\d+\.\d+([+-].+)?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def read_action(said: Mapping[str, Any]) -> DecidedAction | Rejection:
    """The action, or why it is none. `said` has `op` and any of an action's fields; those that are None are not said."""
    op = str(said["op"])
    fields = {name: value for name, value in said.items() if value is not None and name != "op"}
    if op not in _KNOWN:
        known = ", ".join(FIELDS)
        return Rejection(Code.OP_UNKNOWN, f"there is no operation {op[:64]!r}: it must be one of {known}")
    operation = Operation(op)
    if operation not in FIELDS:
        return Rejection(Code.OP_NOT_OFFERED, f"{op} is done by Continuo's own loops alone")
    wanted = FIELDS[operation]
    for name in wanted:
        if name not in fields:
            code = Code.TEMPLATE_MISSING if name == "template" else Code.FIELD_MISSING
            return Rejection(code, f"{op} needs {_and(wanted)}: {name} is missing")
    for name in fields:
        if name not in wanted:
            return Rejection(Code.FIELD_UNEXPECTED, f"{op} has {_and(wanted)}: leave {name} out")
    if operation is Operation.CREATE_CLUSTER:
        return _creation(str(fields["cluster"]), fields["template"])
    return DecidedAction(op=operation, **fields)


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _creation(name: str, template: Any) -> DecidedAction | Rejection:
    if not _NAME.fullmatch(name):
        said = "lower-case letters, digits and dashes, beginning and ending with a letter or digit, 40 at most"
        return Rejection(Code.NAME_INVALID, f"{name[:64]!r} is no name for a cluster: {said}")
    if not isinstance(template, dict):
        return Rejection(Code.TEMPLATE_INVALID, "template must be an object, as in spec.clusters")
    if template.get("name", name) != name:
        return Rejection(Code.TEMPLATE_INVALID, f"template.name is {template['name']!r}: leave it out, or say {name}")
    version = template.get("kubernetes-version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        return Rejection(
            Code.VERSION_INVALID, f"template.kubernetes-version is {version!r}: it must be a full version, as v1.34.2"
        )
    unknown = sorted(set(template) - set(ClusterSpec.__struct_encode_fields__))
    if unknown:
        return Rejection(Code.TEMPLATE_INVALID, f"template has no field {unknown[0][:64]!r}")
    try:
        spec = msgspec.convert({**template, "name": name}, ClusterSpec)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        return Rejection(Code.TEMPLATE_INVALID, f"template{where.rstrip('`')}: {what}")
    return DecidedAction(op=Operation.CREATE_CLUSTER, cluster=name, template=spec)
