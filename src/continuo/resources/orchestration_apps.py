"""The applications of a LowLevelOrchestration: components, what they expose, and what they need."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from continuo.resources.orchestration_places import ComponentPlacement, Geolocation
from continuo.resources.orchestration_types import (
    MAX_ARGS,
    MAX_COMPONENTS,
    MAX_EXPOSE,
    MAX_MEMBERS,
    MAX_REQUIREMENTS,
    MAX_RESOURCES,
    MAX_STORAGE,
    MAX_VARIABLES,
    AccessMode,
    AppName,
    Argument,
    ClusterRef,
    ComponentName,
    ComponentRef,
    EnvName,
    EnvValue,
    HostName,
    Image,
    MountPath,
    ObjectName,
    Owner,
    PlacementHint,
    Port,
    PortName,
    Protocol,
    Quantity,
    ResourceName,
    StorageKind,
    Word,
    by_name,
    doc,
    many,
)


class Expose(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One port of a component, and who reaches it."""

    name: Annotated[PortName | None, doc("A name for the port.")] = None
    is_public: Annotated[bool, doc("Reachable from outside the clusters.")] = False
    is_peered: Annotated[bool, doc("Reachable by the application's other components, on every linked cluster.")] = True
    container_port: Annotated[Port, doc("The port that the container listens on.")] = field(name="containerPort")
    cluster_port: Annotated[Port, doc("The port of the component's Service.")] = field(name="clusterPort")
    protocol: Annotated[
        Protocol,
        doc(
            "What is spoken on the port. A public `HTTPS` port needs the component's `tls`: without a certificate it is "
            "served as plain HTTP, and the status says so."
        ),
    ] = Protocol.TCP
    host: Annotated[HostName | None, doc("The DNS name under which a public HTTP(S) port is served.")] = None


class SecretKeyRef(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One key of a Secret."""

    name: Annotated[ObjectName, doc("The Secret's name.")]
    key: Annotated[Word, doc("The key inside the Secret.")]


class EnvVariable(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One environment variable: a value, or a reference to a Secret's key."""

    name: Annotated[EnvName, doc("The variable's name.")]
    value: Annotated[EnvValue | None, doc("The value; a string, so quote numbers and `true`.")] = None
    secret: Annotated[
        SecretKeyRef | None, doc("The key of a Secret in the object's namespace that holds the value.")
    ] = None


class Env(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The environment of a component's container."""

    is_secret: Annotated[bool, doc("Keep the values in a Secret instead of the pod template.")] = False
    variables: Annotated[tuple[EnvVariable, ...], by_name("The variables.", MAX_VARIABLES)] = ()


class TlsRef(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The certificate of a component's public port."""

    name: Annotated[ObjectName, doc("TLS Secret (`tls.crt`, `tls.key`) in the object's namespace.")]


class RegistryRef(Struct, frozen=True, kw_only=True, rename="kebab"):
    """The credentials of the registry that holds a component's image."""

    secret: Annotated[ObjectName, doc("Secret of type `kubernetes.io/dockerconfigjson` in the object's namespace.")]


class Resources(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What a component's container asks for, and may use at most."""

    requests: Annotated[
        dict[ResourceName, Quantity], many("What must be free where the component runs.", MAX_RESOURCES)
    ] = {}
    limits: Annotated[dict[ResourceName, Quantity], many("What it may use at most.", MAX_RESOURCES)] = {}


class StorageSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """A volume of a component."""

    name: Annotated[AppName, doc("The volume's name.")]
    kind: Annotated[StorageKind, doc("`local` lives as long as the pod, `persistent` is a claim that outlives it.")]
    size: Annotated[Quantity, doc("How much room it has.")]
    mount_path: Annotated[MountPath, doc("Where the container sees it.")] = field(name="mountPath")
    access: Annotated[AccessMode | None, doc("Access mode of a persistent volume; `ReadWriteOnce` where absent.")] = (
        None
    )


class ComponentSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One component of an application: one Deployment on one cluster, and the Service in front of it."""

    name: Annotated[ComponentName, doc("The component's name; the others reach it under this DNS name.")]
    image: Annotated[Image, doc("The container image.")]
    cluster_selector: Annotated[
        ClusterRef | None,
        doc(
            "The cluster that runs it. Where absent, `placement-hint` chooses by the clusters' `tier`, and "
            "without a hint it runs on the application's cluster."
        ),
    ] = None
    replicas: Annotated[int, Meta(ge=0, le=100), doc("How many pods.", format="int32")] = 1
    command: Annotated[tuple[Argument, ...], many("Replaces the image's entrypoint.", MAX_ARGS)] = ()
    args: Annotated[tuple[Argument, ...], many("Replaces the image's arguments.", MAX_ARGS)] = ()
    expose: Annotated[tuple[Expose, ...], many("The ports that others reach.", MAX_EXPOSE)] = ()
    env: Annotated[Env | None, doc("Environment variables.")] = None
    tls: Annotated[TlsRef | None, doc("The certificate of its public port.")] = None
    registry: Annotated[RegistryRef | None, doc("How to pull the image.")] = None
    resources: Annotated[Resources | None, doc("Requests and limits.")] = None
    storage: Annotated[tuple[StorageSpec, ...], by_name("Volumes.", MAX_STORAGE)] = ()
    placement_hint: Annotated[PlacementHint | None, doc("The tier that it would like.")] = None
    geolocation: Annotated[Geolocation | None, doc("Where it should run.")] = None
    placement: Annotated[
        ComponentPlacement | None,
        doc(
            "Lets the scheduler choose the cluster, within these bounds and `placement-hint`; `placement: {}` sets none. "
            "Not together with `cluster-selector`."
        ),
    ] = None


class LinkRequirement(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What the network between some components must give."""

    name: Annotated[Word, doc("The requirement's name: the blueprint's virtual link.")]
    members: Annotated[
        tuple[ComponentRef, ...],
        many("The components that talk to each other.", MAX_MEMBERS, list_type="set"),
    ]
    bandwidth_bps: Annotated[
        Annotated[int, Meta(ge=0)] | None, doc("At least so many bits per second.", format="int64")
    ] = field(name="bandwidthBps", default=None)
    latency_ms: Annotated[Annotated[float, Meta(ge=0)] | None, doc("At most so many milliseconds.")] = field(
        name="latencyMs", default=None
    )
    jitter_ms: Annotated[Annotated[float, Meta(ge=0)] | None, doc("At most so many milliseconds of variation.")] = (
        field(name="jitterMs", default=None)
    )


class RollbackPolicy(StrEnum):
    """What becomes of a deployment that failed."""

    NONE = "none"
    APP = "app"
    COMPONENT = "component"


class AppSpec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """One application: components that share one namespace across the clusters they run on."""

    name: Annotated[AppName, doc("The application's name, and its namespace on every cluster.")]
    id: Annotated[Word | None, doc("An identifier of the caller's.")] = None
    owner: Annotated[Owner, doc("Who it belongs to. Cannot change.")]
    cluster: Annotated[ClusterRef, doc("The home cluster: it holds the namespace that is offloaded.")]
    components: Annotated[tuple[ComponentSpec, ...], by_name("The components.", MAX_COMPONENTS, least=1)]
    link_requirements: Annotated[
        tuple[LinkRequirement, ...],
        by_name("What the network between components must give.", MAX_REQUIREMENTS),
    ] = ()
    rollback_policy: Annotated[
        RollbackPolicy,
        doc(
            "What returns to how it last ran when a deployment fails: nothing, the whole application, or the component."
        ),
    ] = RollbackPolicy.NONE
    deploy_within: Annotated[
        Annotated[int, Meta(ge=1, le=86_400, extra={"format": "int32"})],
        doc("Seconds after which a component that does not run counts as failed."),
    ] = 300
