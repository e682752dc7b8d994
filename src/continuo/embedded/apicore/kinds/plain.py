"""Namespaces, secrets, config maps and the other kinds with only a little behaviour of their own."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from continuo.embedded.apicore.failures import forbidden_field, invalid_value, required
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.state import State

_RBAC: Final = "rbac.authorization.k8s.io"
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_STORAGE_CLASSES: Final = ("storage.k8s.io", "storageclasses")
_IMMORTAL: Final = frozenset(("default", "kube-system", "kube-public"))
_SECRET_KEYS: Final = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


# --- namespaces -------------------------------------------------------------------------------------------------------
def _namespace(_state: State, namespace: Object, old: Object | None) -> Object:
    metadata = namespace["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get("kubernetes.io/metadata.name") != metadata.get("name"):
        labels = {**labels, "kubernetes.io/metadata.name": metadata.get("name")}
        namespace = {**namespace, "metadata": {**metadata, "labels": labels}}
    # Only `finalize` changes the specification.
    spec = old.get("spec") if old is not None else {"finalizers": ["kubernetes"]}
    return namespace if namespace.get("spec") == spec else {**namespace, "spec": spec or {}}


def _terminating(namespace: Object) -> Object:
    return {**namespace, "status": {**(namespace.get("status") or {}), "phase": "Terminating"}}


def _immortal(namespace: Object) -> str | None:
    return "this namespace may not be deleted" if namespace["metadata"]["name"] in _IMMORTAL else None


NAMESPACE: Final = Strategy(
    prepare=_namespace, status=lambda _: {"phase": "Active"}, deleting=_terminating, refuse_delete=_immortal
)


# --- secrets and config maps ------------------------------------------------------------------------------------------
def _secret(secret: Object) -> Object:
    plain = secret.get("stringData")
    if plain or "stringData" in secret:
        data = dict(secret.get("data") or {})
        for name, text in (plain or {}).items():
            data[name] = base64.b64encode(str(text).encode()).decode()
        secret = {name: value for name, value in secret.items() if name != "stringData"}
        secret["data"] = data
    return secret if secret.get("type") else {**secret, "type": "Opaque"}


def _check_secret(secret: Object, old: Object | None) -> Iterator[FieldError]:
    data = secret.get("data") or {}
    yield from _check_keys("data", data)
    for name, text in data.items():
        if old is not None and (old.get("data") or {}).get(name) == text:
            continue
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError, ValueError):
            yield invalid_value(f"data[{name}]", "<secret>", "must be base64")
    for name in _SECRET_KEYS.get(secret["type"], ()):
        if name not in data:
            yield required(f"data[{name}]")
        elif name.startswith(".docker") and not _is_json(data[name]):
            yield invalid_value(f"data[{name}]", "<secret contents redacted>", "unexpected end of JSON input")
    if old is not None and secret["type"] != old.get("type"):
        yield invalid_value("type", secret["type"], "field is immutable")
    yield from _check_frozen(secret, old, ("data",))


def _is_json(text: str) -> bool:
    try:
        json.loads(base64.b64decode(text))
    except ValueError:
        return False
    return True


def _check_config_map(config: Object, old: Object | None) -> Iterator[FieldError]:
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    yield from _check_keys("data", data)
    yield from _check_keys("binaryData", binary)
    for name, value in data.items():
        if not isinstance(value, str):
            yield invalid_value(f"data[{name}]", value, "must be a string")
        if name in binary:
            yield invalid_value(f"data[{name}]", name, "duplicate of key present in binaryData")
    yield from _check_frozen(config, old, ("data", "binaryData"))


def _check_keys(path: str, data: Object) -> Iterator[FieldError]:
    size = 0
    for name, value in data.items():
        size += len(value) if isinstance(value, str) else 0
        if not _CONFIG_KEY.match(name) or name in (".", "..") or (name.startswith("..") and len(name) < 3):
            yield invalid_value(
                f"{path}[{name}]", name,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            )  # fmt: skip
    if size > 1 << 20:
        yield FieldError(path, "TooLong", "", "may not be more than 1048576 bytes")


def _check_frozen(new: Object, old: Object | None, fields: tuple[str, ...]) -> Iterator[FieldError]:
    if old is None or not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield forbidden_field(field, "field is immutable when `immutable` is set")


SECRET: Final = Strategy(defaults=_secret, check=_check_secret)
CONFIG_MAP: Final = Strategy(check=_check_config_map)


# --- role bindings ----------------------------------------------------------------------------------------------------
def _binding(binding: Object) -> Object:
    role, subjects = binding.get("roleRef") or {}, binding.get("subjects") or []
    changed: Object = {}
    if not role.get("apiGroup"):
        changed["roleRef"] = {"apiGroup": _RBAC, **{k: v for k, v in role.items() if k != "apiGroup"}}
    if any(s.get("kind") in ("User", "Group") and not s.get("apiGroup") for s in subjects):
        changed["subjects"] = [
            {**s, "apiGroup": _RBAC} if s.get("kind") in ("User", "Group") and not s.get("apiGroup") else s
            for s in subjects
        ]
    return {**binding, **changed} if changed else binding


def _check_binding(binding: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None and binding.get("roleRef") != old.get("roleRef"):
        yield invalid_value("roleRef", binding.get("roleRef"), "cannot change roleRef")
    role = binding.get("roleRef") or {}
    for field in ("name", "kind"):
        if not role.get(field):
            yield required(f"roleRef.{field}")


BINDING: Final = Strategy(defaults=_binding, check=_check_binding)


# --- fields with fixed defaults ---------------------------------------------------------------------------------------
def _top(**defaults: Any) -> Strategy:
    def fill(obj: Object) -> Object:
        missing = {name: value for name, value in defaults.items() if obj.get(name) is None}
        return {**obj, **missing} if missing else obj

    return Strategy(defaults=fill)


def _volume_claim(claim: Object) -> Object:
    spec = claim.get("spec") or {}
    return claim if "volumeMode" in spec else {**claim, "spec": {**spec, "volumeMode": "Filesystem"}}


def _with_default_class(state: State, claim: Object, old: Object | None) -> Object:
    """A new claim that names no class gets the cluster's default one, the newest where there are several."""
    spec = claim.get("spec") or {}
    if old is not None or spec.get("storageClassName") is not None:
        return claim
    classes = [entry for entry in state.tables[_STORAGE_CLASSES].all() if _is_default(entry)]
    if not classes:
        return claim
    name = max(classes, key=lambda entry: (entry["metadata"]["creationTimestamp"], entry["metadata"]["name"]))
    return {**claim, "spec": {**spec, "storageClassName": name["metadata"]["name"]}}


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return annotations.get("storageclass.kubernetes.io/is-default-class") == "true"


def _check_claim(claim: Object, old: Object | None) -> Iterator[FieldError]:
    spec = claim.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        yield required("spec.resources[storage]")
    if old is None:
        return
    before = old.get("spec") or {}
    free = {"resources", "volumeAttributesClassName"} | {
        name for name in ("volumeName", "storageClassName") if not before.get(name)
    }
    if any(spec.get(name) != before.get(name) for name in (spec.keys() | before.keys()) - free):
        yield forbidden_field(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )


def _volume(volume: Object) -> Object:
    spec = volume.get("spec") or {}
    full = {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem", **spec}
    return volume if full == spec else {**volume, "spec": full}


def _endpoint_slice(endpoints: Object) -> Object:
    ports = endpoints.get("ports") or []
    if all("protocol" in port for port in ports):
        return endpoints
    return {**endpoints, "ports": [{"name": "", "protocol": "TCP", **port} for port in ports]}


def _network_policy(policy: Object) -> Object:
    """What a policy is about, where it does not say so: Ingress, and Egress when it has rules for it."""
    spec = policy.get("spec") or {}
    full = {"policyTypes": ["Ingress", *(["Egress"] if spec.get("egress") else [])], **spec}
    for field in ("ingress", "egress"):
        if any("ports" in rule for rule in spec.get(field) or ()):
            full[field] = [
                {**rule, "ports": _with_protocol(rule["ports"])} if "ports" in rule else rule for rule in spec[field]
            ]
    return policy if full == spec else {**policy, "spec": full}


def _with_protocol(ports: list[Object]) -> list[Object]:
    return [{"protocol": "TCP", **port} for port in ports]


def _limit_range(limits: Object) -> Object:
    """Containers request their limit where nothing else is said; a limit that is not given is the maximum."""
    spec = limits.get("spec") or {}
    full = [_limits(entry) if entry.get("type") == "Container" else entry for entry in spec.get("limits") or ()]
    return limits if full == spec.get("limits") else {**limits, "spec": {**spec, "limits": full}}


def _limits(entry: Object) -> Object:
    default = {**(entry.get("max") or {}), **(entry.get("default") or {})}
    request = {**(entry.get("min") or {}), **default, **(entry.get("defaultRequest") or {})}
    return {**entry, **({"default": default} if default else {}), **({"defaultRequest": request} if request else {})}


def _check_lease(lease: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = lease.get("spec") or {}
    for name, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        value = spec.get(name)
        if value is not None and value < least:
            rule = "must be greater than 0" if least else "must be greater than or equal to 0"
            yield invalid_value(f"spec.{name}", value, rule)


LEASE: Final = Strategy(check=_check_lease)
NODE: Final = Strategy(status=lambda _: {}, keeps_status=True)
CLAIM: Final = Strategy(
    defaults=_volume_claim, prepare=_with_default_class, check=_check_claim, status=lambda _: {"phase": "Pending"}
)
VOLUME: Final = Strategy(defaults=_volume, status=lambda _: {"phase": "Pending"})
STORAGE_CLASS: Final = _top(reclaimPolicy="Delete", volumeBindingMode="Immediate")
PRIORITY_CLASS: Final = _top(preemptionPolicy="PreemptLowerPriority")
NETWORK_POLICY: Final = Strategy(defaults=_network_policy, generation=True)
LIMIT_RANGE: Final = Strategy(defaults=_limit_range)
ENDPOINT_SLICE: Final = Strategy(defaults=_endpoint_slice, generation=True)
WITH_GENERATION: Final = Strategy(generation=True)
WITH_STATUS: Final = Strategy(generation=True, status=lambda _: {})
REQUEST: Final = Strategy(status=lambda _: {})
INGRESS: Final = Strategy(generation=True, status=lambda _: {"loadBalancer": {}})
