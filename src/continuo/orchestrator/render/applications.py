"""One component of an application -> Deployment, Services, claims and Secrets in the application's home cluster.

Everything is written to the home cluster; Liqo carries what belongs elsewhere. A component's place is node affinity: the
virtual node of its cluster, or any real node when it stays at home.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from continuo.federation import offloading
from continuo.orchestrator import naming
from continuo.orchestrator.render import exposure
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, ComponentSpec

DOCKER_CONFIG, TLS = "kubernetes.io/dockerconfigjson", "kubernetes.io/tls"


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret beside the orchestration that a component needs in its namespace."""

    name: str
    type: str | None
    """The type it must have, or None for any."""
    purpose: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a component runs, as seen from the application's home cluster."""

    cluster: str
    """The declared cluster's name."""
    remote_id: str | None
    """The Liqo cluster ID of the other cluster; None: at home."""


def component_labels(namespace: str, orchestration: str, app: AppSpec, component: ComponentSpec) -> dict[str, str]:
    return {
        **naming.owner_labels(namespace, orchestration),
        naming.APPLICATION: app.name,
        naming.COMPONENT: component.name,
        "app.kubernetes.io/name": component.name,
        "app.kubernetes.io/part-of": app.name,
    }


def render_namespace(namespace: str, orchestration: str, app: AppSpec) -> Object:
    labels = {**naming.owner_labels(namespace, orchestration), naming.APPLICATION: app.name}
    return kinds.NAMESPACE.new(app.name, metadata={"labels": labels, "annotations": {"continuo.dev/owner": app.owner}})


def secrets_used(component: ComponentSpec) -> tuple[SecretUse, ...]:
    """The Secrets of the orchestration's namespace that the component refers to."""
    found: dict[str, SecretUse] = {}
    if component.registry:
        name = component.registry.secret
        found[name] = SecretUse(name, DOCKER_CONFIG, "pulls the image")
    if component.tls:
        found[component.tls.name] = SecretUse(component.tls.name, TLS, "holds the certificate")
    for variable in component.env.variables if component.env else ():
        if variable.secret:
            found.setdefault(variable.secret.name, SecretUse(variable.secret.name, None, f"sets {variable.name}"))
    return tuple(found.values())


def copy_secret(source: Object, app: AppSpec, labels: dict[str, str]) -> Object:
    """The Secret as it is needed in the application's namespace."""
    content = {"data": dict(source["data"])} if source.get("data") else {}
    return kinds.SECRET.new(
        source["metadata"]["name"],
        app.name,
        metadata={"labels": labels},
        type=source.get("type") or "Opaque",
        **content,
    )


def render_component(
    namespace: str,
    orchestration: str,
    app: AppSpec,
    component: ComponentSpec,
    place: Place,
    entrance: exposure.Entrance,
    address: Mapping[str, str],
    settings: Settings,
    environment: str = "",
) -> tuple[Object, ...]:
    """All objects of one component except copied Secrets; each carries its own hash.

    `environment` stands for the values in Secrets: pods read them once, so another mark means new pods.
    """
    labels = component_labels(namespace, orchestration, app, component)
    selector = {naming.APPLICATION: app.name, naming.COMPONENT: component.name}
    objects = [*_environment(app, component, labels), *_claims(app, component, labels)]
    objects.append(_deployment(app, component, labels, selector, place, environment))
    objects += exposure.render_exposure(app, component, labels, selector, entrance, dict(address), settings)
    return tuple(naming.sealed(obj) for obj in objects)


def _environment(app: AppSpec, component: ComponentSpec, labels: dict[str, str]) -> list[Object]:
    """The Secret behind `env.is-secret`: values leave the Deployment, which many may read."""
    if not component.env or not component.env.is_secret:
        return []
    data = {
        variable.name: base64.b64encode((variable.value or "").encode()).decode()
        for variable in component.env.variables
        if not variable.secret
    }
    secret = kinds.SECRET.new(f"{component.name}-env", app.name, metadata={"labels": labels}, type="Opaque", data=data)
    return [secret] if data else []


def environment_mark(app: AppSpec, component: ComponentSpec, secrets: Mapping[str, Object]) -> str:
    """A hash of the values that the component's environment takes from Secrets; empty when there are none.

    It stands in the open, so it is salted and slow: short passwords shall not be tried against it by the million.
    """
    if not component.env:
        return ""
    values: list[list[str | None]] = []
    for variable in component.env.variables:
        if variable.secret:
            data = (secrets.get(variable.secret.name) or {}).get("data") or {}
            values.append([variable.name, data.get(variable.secret.key)])
        elif component.env.is_secret:
            values.append([variable.name, variable.value])
    salt = f"{app.name}/{component.name}"
    return hashlib.pbkdf2_hmac("sha256", json.dumps(values).encode(), salt.encode(), 1000, 8).hex() if values else ""


def _variables(component: ComponentSpec) -> list[Object]:
    if not component.env:
        return []
    rendered: list[Object] = []
    for variable in component.env.variables:
        if variable.secret:
            source = {"name": variable.secret.name, "key": variable.secret.key}
            rendered.append({"name": variable.name, "valueFrom": {"secretKeyRef": source}})
        elif component.env.is_secret:
            source = {"name": f"{component.name}-env", "key": variable.name}
            rendered.append({"name": variable.name, "valueFrom": {"secretKeyRef": source}})
        else:
            rendered.append({"name": variable.name, **({"value": variable.value} if variable.value else {})})
    return rendered


def claim_name(component: ComponentSpec, volume: str) -> str:
    return f"{component.name}-{volume}"


def _claims(app: AppSpec, component: ComponentSpec, labels: dict[str, str]) -> list[Object]:
    return [
        kinds.PERSISTENT_VOLUME_CLAIM.new(
            claim_name(component, volume.name),
            app.name,
            metadata={"labels": labels},
            spec={
                "accessModes": [volume.access or "ReadWriteOnce"],
                "resources": {"requests": {"storage": volume.size}},
            },
        )
        for volume in component.storage
        if volume.kind == "persistent"
    ]


def _volumes(component: ComponentSpec) -> tuple[list[Object], list[Object]]:
    volumes: list[Object] = []
    mounts: list[Object] = []
    for volume in component.storage:
        if volume.kind == "persistent":
            source: Object = {"persistentVolumeClaim": {"claimName": claim_name(component, volume.name)}}
        else:
            source = {"emptyDir": {"sizeLimit": volume.size}}
        volumes.append({"name": volume.name, **source})
        mounts.append({"name": volume.name, "mountPath": volume.mount_path})
    return volumes, mounts


def _deployment(
    app: AppSpec,
    component: ComponentSpec,
    labels: dict[str, str],
    selector: dict[str, str],
    place: Place,
    environment: str,
) -> Object:
    container: Object = {"name": component.name, "image": component.image}
    if component.command:
        container["command"] = list(component.command)
    if component.args:
        container["args"] = list(component.args)
    if variables := _variables(component):
        container["env"] = variables
    if component.expose:
        ports: dict[tuple[int, str], str] = {}
        for expose, name in exposure.port_names(component).items():
            ports.setdefault((expose.container_port, exposure.transport(expose)), name)
        container["ports"] = [
            {"name": name, "containerPort": port, "protocol": transport} for (port, transport), name in ports.items()
        ]
    if component.resources:
        resources = {
            "requests": dict(component.resources.requests or {}), "limits": dict(component.resources.limits or {}),
        }  # fmt: skip
        container["resources"] = {key: value for key, value in resources.items() if value}
    volumes, mounts = _volumes(component)
    if mounts:
        container["volumeMounts"] = mounts
    pod: Object = {"containers": [container], **offloading.pin(place.remote_id)}
    if volumes:
        pod["volumes"] = volumes
    if component.registry:
        pod["imagePullSecrets"] = [{"name": component.registry.secret}]
    template: Object = {"labels": labels}
    if environment:
        template["annotations"] = {naming.ENVIRONMENT: environment}
    return kinds.DEPLOYMENT.new(
        component.name,
        app.name,
        metadata={"labels": {**labels, naming.CLUSTER: place.cluster}},
        spec={
            "replicas": component.replicas,
            "selector": {"matchLabels": selector},
            "template": {"metadata": template, "spec": pod},
        },
    )
