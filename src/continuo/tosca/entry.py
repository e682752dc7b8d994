"""One component of a blueprint as an entry of `spec.apps[].components[]`: plain JSON under the wire names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from continuo.resources.meta import Object
from continuo.tosca.blueprint import Blueprint, Component, Host, VirtualLink
from continuo.tosca.exposure import Exposure, members
from continuo.tosca.names import slug
from continuo.tosca.problems import Problems
from continuo.tosca.units import bytes_text, cpu_text, plain_number

_GPUS = (("amd", "amd.com/gpu"), ("intel", "gpu.intel.com/i915"))


@dataclass(frozen=True, slots=True)
class Names:
    """Names of Secrets that a component refers to."""

    app: str
    tls: str = ""
    registries: Mapping[str, str] | None = None
    """Registry host to the Secret with its credentials."""

    def env_secret(self, component: str) -> str:
        """The Secret with a component's confidential variables."""
        return f"{self.app}-{component}-env"


def component_entry(
    component: Component,
    host: Host | None,
    cluster: str,
    exposed: Sequence[Exposure],
    names: Names,
    blueprint: Blueprint,
) -> Object:
    """The component as the application's entry has it; what is empty is left out."""
    name = slug(component.name)
    entry: Object = {
        "name": name,
        "cluster-selector": cluster,
        "image": component.image,
        "replicas": component.replicas,
        "placement-hint": component.hint,
        "geolocation": dict(component.geolocation),
        "resources": _resources(host),
        "storage": _storage(host, blueprint),
        "expose": [_expose(exposure) for exposure in exposed],
        "env": _env(component, names.env_secret(name)),
        "tls": {"name": names.tls} if names.tls and any(e.by_host_name for e in exposed) else {},
        "registry": _registry(component.image, names.registries or {}),
    }
    return {key: value for key, value in entry.items() if value not in ("", {}, [])}


def _expose(exposure: Exposure) -> Object:
    return {
        "name": exposure.name,
        "is-public": exposure.public,
        "is-peered": exposure.peered,
        "containerPort": exposure.port,
        "clusterPort": exposure.port,
        "protocol": exposure.protocol,
    }


def _env(component: Component, secret: str) -> Object:
    variables: list[Object] = []
    for variable in sorted(component.environment, key=lambda v: v.name):
        if variable.secret:
            variables.append({"name": variable.name, "secret": {"name": secret, "key": variable.name}})
        else:
            variables.append({"name": variable.name, "value": variable.value})
    return {"is-secret": any("secret" in v for v in variables), "variables": variables} if variables else {}


def secret_values(component: Component) -> dict[str, str]:
    """The component's confidential variables, by name."""
    return {v.name: v.value for v in sorted(component.environment, key=lambda v: v.name) if v.secret}


def _registry(image: str, registries: Mapping[str, str]) -> Object:
    host = image.partition("/")[0]
    return {"secret": registries[host]} if host in registries else {}


def _resources(host: Host | None) -> Object:
    if host is None:
        return {}
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    wishes = (
        ("cpu", host.cpus, cpu_text),
        ("memory", host.memory, bytes_text),
        ("ephemeral-storage", host.disk, bytes_text),
    )
    for name, wish, text in wishes:
        if wish.low:
            requests[name] = text(wish.low)
        if wish.high:
            limits[name] = text(wish.high)
    if host.gpu is not None:
        limits[_gpu_resource(host.gpu.model)] = str(host.gpu.units)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _gpu_resource(model: str) -> str:
    """The extended resource that the model's device plugin offers; NVIDIA's unless the model names another maker."""
    return next((name for maker, name in _GPUS if model.lower().startswith(maker)), "nvidia.com/gpu")


def _storage(host: Host | None, blueprint: Blueprint) -> list[Object]:
    found = []
    for attachment in host.attachments if host else ():
        storage = blueprint.storages[attachment.storage]
        entry = {
            "name": slug(storage.name),
            "kind": storage.kind,
            "size": bytes_text(storage.size),
            "mountPath": attachment.location,
        }
        found.append({**entry, "access": storage.access} if storage.access else entry)
    return found


def link_requirements(blueprint: Blueprint, problems: Problems) -> list[Object]:
    """What the network between components has to give, for every virtual link that asks for something."""
    found = []
    on_link = members(blueprint)
    for key, link in blueprint.links.items():
        wish = _wish(link)
        if not wish:
            continue
        inside = [blueprint.components[point.binding] for point in on_link[key]]
        names = list(dict.fromkeys(slug(component.name) for component in inside if not component.external))
        if len(names) < 2:
            message = f"{key}: its requirements are not followed, because fewer than two components are on it."
            problems.add("requirement-outside", message, link.at, node=key, severity="info")
            continue
        found.append({"name": link.name, "members": names, **wish})
    return found


def _wish(link: VirtualLink) -> Object:
    wish: Object = {}
    if link.bandwidth_bps:
        wish["bandwidthBps"] = int(bytes_text(link.bandwidth_bps))
    for key, value in (("latencyMs", link.latency_ms), ("jitterMs", link.jitter_ms)):
        if value:
            wish[key] = plain_number(value)
    return wish


def unused_wishes(host: Host, problems: Problems) -> None:
    """Say which of a node's wishes nothing acts on, rather than letting them go silently."""
    if host.gpu is None:
        return
    for what, asked in (("model", bool(host.gpu.model)), ("dedicated", host.gpu.dedicated)):
        if asked:
            problems.add(
                "wish-unused", f"{host.key}: gpu {what} does not take part in placement.",
                host.at, node=host.key, severity="info",
            )  # fmt: skip
