"""Pods and pod templates: defaults, quality of service, and what may change later.

A pod made from a template that went through here needs no new dictionaries below `spec`: whatever has all its defaults
already is shared as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from continuo.embedded.apicore.failures import forbidden_field, invalid_value, required
from continuo.embedded.apicore.kinds.containers import check_container
from continuo.embedded.apicore.metadata import is_label
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object

_SPEC_DEFAULTS: Final[Mapping[str, Any]] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_POD_DEFAULTS: Final[Mapping[str, Any]] = {
    **_SPEC_DEFAULTS,
    "serviceAccountName": "default",
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
}
_CONTAINER_DEFAULTS: Final[Mapping[str, Any]] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
_PROBE_DEFAULTS: Final[Mapping[str, Any]] = {
    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
}  # fmt: skip
_TOLERATIONS: Final = tuple(
    {"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for why in ("not-ready", "unreachable")
)
_DEFAULT_TOLERATIONS: Final = list(_TOLERATIONS)
_CONTAINER_LISTS: Final = ("containers", "initContainers")
_CHANGEABLE: Final = frozenset(
    ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", *_CONTAINER_LISTS)
)
_UPDATE_RULE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def defaulted(pod: Object) -> Object:
    """A pod with everything that an API server fills in."""
    spec = pod.get("spec") or {}
    new = _with_defaults(spec, _POD_DEFAULTS)
    new = _containers_defaulted(new)
    if "serviceAccount" not in new:
        new = {**new, "serviceAccount": new["serviceAccountName"]}
    tolerations = new.get("tolerations")
    if not tolerations:
        new = {**new, "tolerations": _DEFAULT_TOLERATIONS}
    else:
        known: set[str | None] = {entry.get("key") for entry in tolerations}
        missing = [entry for entry in _TOLERATIONS if entry["key"] not in known]
        if missing and None not in known:
            new = {**new, "tolerations": [*tolerations, *missing]}
    return pod if new is spec else {**pod, "spec": new}


def template_defaulted(template: Object) -> Object:
    """A pod template with its defaults."""
    spec = template.get("spec") or {}
    new = _containers_defaulted(_with_defaults(spec, _SPEC_DEFAULTS))
    return template if new is spec else {**template, "spec": new}


def _with_defaults(value: Object, defaults: Mapping[str, Any]) -> Object:
    for name in defaults:
        if value.get(name) is None:
            return {**defaults, **{k: v for k, v in value.items() if v is not None}}
    return value


def _containers_defaulted(spec: Object) -> Object:
    changed: Object = {}
    for field in _CONTAINER_LISTS:
        containers = spec.get(field)
        if containers and isinstance(containers, list):
            new = [_container_defaulted(container) for container in containers]
            if any(a is not b for a, b in zip(new, containers, strict=True)):
                changed[field] = new
    if volumes := spec.get("volumes"):
        new = [_volume_defaulted(volume) for volume in volumes]
        if any(a is not b for a, b in zip(new, volumes, strict=True)):
            changed["volumes"] = new
    return {**spec, **changed} if changed else spec


def _container_defaulted(container: Any) -> Any:
    if not isinstance(container, dict):
        return container
    changed: Object = {name: value for name, value in _CONTAINER_DEFAULTS.items() if container.get(name) is None}
    if container.get("imagePullPolicy") is None:
        changed["imagePullPolicy"] = _pull_policy(container.get("image") or "")
    ports = container.get("ports")
    if ports and any("protocol" not in port for port in ports):
        changed["ports"] = [port if "protocol" in port else {**port, "protocol": "TCP"} for port in ports]
    resources = container.get("resources")
    if resources and (limits := resources.get("limits")):
        requests = resources.get("requests") or {}
        if any(name not in requests for name in limits):
            changed["resources"] = {**resources, "requests": {**limits, **requests}}
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(field)
        if probe:
            new = _with_defaults(probe, _PROBE_DEFAULTS)
            get = new.get("httpGet")
            if get and "scheme" not in get:
                new = {**new, "httpGet": {**get, "scheme": "HTTP"}}
            if new is not probe:
                changed[field] = new
    env = container.get("env")
    if env and any(_bare_field(entry) for entry in env):
        changed["env"] = [_env_defaulted(entry) if _bare_field(entry) else entry for entry in env]
    return {**container, **changed} if changed else container


def _bare_field(entry: Object) -> bool:
    reference: Object = (entry.get("valueFrom") or {}).get("fieldRef") or {}
    return bool(reference) and "apiVersion" not in reference


def _env_defaulted(entry: Object) -> Object:
    source = entry["valueFrom"]
    return {**entry, "valueFrom": {**source, "fieldRef": {"apiVersion": "v1", **source["fieldRef"]}}}


def _volume_defaulted(volume: Object) -> Object:
    for field in ("secret", "configMap", "projected", "downwardAPI"):
        source = volume.get(field)
        if source is not None and "defaultMode" not in source:
            return {**volume, field: {**source, "defaultMode": 420}}
    return volume


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "Always" if not colon or tag == "latest" else "IfNotPresent"


# --- status -----------------------------------------------------------------------------------------------------------
def initial_status(pod: Object) -> Object:
    """Pending, with the class that its resources give it."""
    return {"phase": "Pending", "qosClass": _quality(pod.get("spec") or {})}


def _quality(spec: Object) -> str:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    if not any(c.get("resources") for c in containers):
        return "BestEffort"
    guaranteed = True
    for container in containers:
        resources: Object = container.get("resources") or {}
        limits: Object = resources.get("limits") or {}
        requests: Object = resources.get("requests") or {}
        if not {"cpu", "memory"} <= limits.keys() or any(requests.get(n, limits[n]) != limits[n] for n in limits):
            guaranteed = False
    return "Guaranteed" if guaranteed else "Burstable"


# --- checks -----------------------------------------------------------------------------------------------------------
def check(pod: Object, old: Object | None) -> Iterator[FieldError]:
    """What is wrong with a pod, or with a change of one."""
    spec = pod.get("spec") or {}
    if old is None:
        yield from check_spec(spec, "spec")
    elif spec is not old.get("spec") and not _change_allowed(spec, old.get("spec") or {}):
        yield forbidden_field("spec", _UPDATE_RULE)


def check_spec(spec: Object, path: str) -> Iterator[FieldError]:
    """The rules on a pod's specification that go beyond its schema."""
    containers = spec.get("containers")
    if not containers:
        yield required(f"{path}.containers")
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    seen: set[str] = set()
    for field in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            yield from _check_container_name(container.get("name"), where, seen)
            yield from check_container(container, where, volumes)


def _check_container_name(name: Any, where: str, seen: set[str]) -> Iterator[FieldError]:
    if not name:
        yield required(f"{where}.name")
    elif not is_label(name):
        yield invalid_value(f"{where}.name", name, "a lowercase RFC 1123 label must consist of lower case "
                            "alphanumeric characters or '-', and must start and end with an alphanumeric "
                            "character")  # fmt: skip
    elif name in seen:
        yield FieldError(f"{where}.name", "Duplicate", name)
    seen.add(name)


def _change_allowed(new: Object, old: Object) -> bool:
    for name in new.keys() | old.keys():
        after, before = new.get(name), old.get(name)
        if after is before or after == before:
            continue
        if name == "nodeName" and not before:
            continue
        if name not in _CHANGEABLE:
            return False
        if name in _CONTAINER_LISTS and not _only_images(after or [], before or []):
            return False
        if name == "tolerations" and any(entry not in (after or []) for entry in before or []):
            return False
    return True


def _only_images(new: list[Object], old: list[Object]) -> bool:
    return len(new) == len(old) and all(
        {**a, "image": "", "imagePullPolicy": ""} == {**b, "image": "", "imagePullPolicy": ""}
        for a, b in zip(new, old, strict=True)
    )


STRATEGY: Final = Strategy(
    defaults=defaulted, status=initial_status, check=check, by_spec=True, generation=True, graceful=True
)
