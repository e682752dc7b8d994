"""The ContinuumSlice: clusters, a network and boards in one claim. Its schema is made of these structs.

What a slice says of clusters is a LowLevelOrchestration's spec as it is; what it says of boards are the kinds of
`iot.continuo.dev` without what a slice knows itself: which board, and which other object.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from continuo.resources.boards_networks import Encryption, SecurityGroup
from continuo.resources.boards_plugins import LONGEST_CODE, CodeSource, Grants, RunState, Signature
from continuo.resources.boards_types import (
    MAX_EXTRA,
    MAX_LISTED,
    ConfigRef,
    Count,
    Extra,
    SecretKeyRef,
    Short,
)
from continuo.resources.boards_workloads import JobSpec, Resources, Restart, Runtime, WorkloadSignature
from continuo.resources.errors import Invalid
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import Spec as Orchestration
from continuo.resources.orchestration_types import (
    AppName,
    Argument,
    Cidr,
    ComponentName,
    EnvName,
    EnvValue,
    Image,
    Ipv4,
    Port,
    PortName,
    by_name,
    doc,
    many,
)
from continuo.resources.selectors import MAX_LABELS, LabelKey, LabelValue

CONTINUUM_SLICE = Kind(
    "platform.continuo.dev", "v1alpha1", "ContinuumSlice", "continuumslices", short_names=("cslice",)
)
MAX_ITEMS = 16

Name = Annotated[
    str,
    Meta(
        min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        extra={"says": "must be lower-case letters, digits and dashes, beginning and ending with a letter or digit"},
    ),
]  # fmt: skip


class Boards(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which Boards of the claim's namespace belong to it."""

    match_labels: Annotated[dict[LabelKey, LabelValue], many("Labels that they have.", MAX_LABELS, 1)]
    min_ready: Annotated[Count | None, doc("How many have to be ready for the slice to be; all where absent.")] = None


class Plugin(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A plugin, injected into every board."""

    name: Annotated[Name, doc("Its name in the slice.")]
    code: Annotated[
        Annotated[str, Meta(min_length=1, max_length=LONGEST_CODE)] | None, doc("A Python module with a class Worker.")
    ] = None
    code_from: Annotated[CodeSource | None, doc("Where the code is, instead of `code`.")] = None
    callable: Annotated[bool, doc("Whether it is called and answers, or is started and goes on.")] = False
    signature: Annotated[Signature | None, doc("By whom it was signed.")] = None
    parameters: Annotated[Extra, many("Its parameters.", MAX_EXTRA)] = {}
    onboot: Annotated[bool, doc("Whether boards start it when they boot.")] = False
    state: Annotated[RunState, doc("What it should be doing.")] = RunState.INJECTED
    grants: Annotated[Grants | None, doc("What it may use on a board.")] = None


class Expose(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of every board that is reached from outside, through a tunnel."""

    name: Annotated[Name, doc("Its name in the slice.")]
    port: Annotated[Port, doc("The TCP port on the board.")]


class Network(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An encrypted layer-2 network of which every board has a port."""

    cidr: Annotated[Cidr, doc("Its addresses.")]
    gateway: Annotated[Ipv4 | None, doc("The address of the port that leads to other networks.")] = None
    mtu: Annotated[
        Annotated[int, Meta(ge=576, le=9000, extra={"format": "int32"})], doc("The largest packet, in bytes.")
    ] = 1400
    encryption: Annotated[Encryption, doc("What protects frames on their way.")] = Encryption.TLS
    security_groups: Annotated[
        tuple[SecurityGroup, ...],
        many(
            "What its ports may say to each other; all ports have all of them.",
            MAX_ITEMS,
            list_type="map",
            keys=["name"],
        ),
    ] = ()


class Endpoint(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A variable with the address of a component of the slice's clusters."""

    env: Annotated[EnvName, doc("The variable.")]
    app: Annotated[AppName, doc("The application in `orchestration`.")]
    component: Annotated[ComponentName, doc("The component of it that exposes a public port.")]
    port: Annotated[PortName | None, doc("The port's name; the first one where absent.")] = None


class Workload(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A process or a container on every board."""

    name: Annotated[Name, doc("Its name in the slice.")]
    runtime: Annotated[Runtime, doc("How it is run.")] = Runtime.PROCESS
    image: Annotated[Image | None, doc("The container's image.")] = None
    command: Annotated[tuple[Argument, ...], many("The program and its arguments.", 64)] = ()
    env: Annotated[dict[EnvName, EnvValue], many("Its environment.", 128)] = {}
    secret_env: Annotated[
        dict[EnvName, SecretKeyRef], many("Variables whose values are in Secrets of this namespace.", 32)
    ] = {}
    endpoints: Annotated[
        tuple[Endpoint, ...],
        many(
            "Variables with addresses in clusters; it is run once they are known.",
            MAX_ITEMS,
            list_type="map",
            keys=["env"],
        ),
    ] = ()
    files: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=253)], Annotated[str, Meta(max_length=262_144)]],
        many("Files in its working folder: path and text.", 32),
    ] = {}
    resources: Annotated[Resources | None, doc("What it gets.")] = None
    restart: Annotated[Restart | None, doc("When it is started again: always, but a job after failures.")] = None
    job: Annotated[JobSpec | None, doc("It ends, and is run once for each generation.")] = None
    signature: Annotated[
        WorkloadSignature | None, doc("By whom it was signed; variables of `endpoints` are in its openEnv.")
    ] = None


class Spec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is wanted in the clusters and on the boards."""

    orchestration: Annotated[
        Orchestration | None, doc("Clusters, links and applications: the spec of a LowLevelOrchestration.")
    ] = None
    provider_config_ref: Annotated[
        ConfigRef | None, doc("Which endpoint has the boards; the cluster's `default` where absent.")
    ] = None
    boards: Annotated[Boards | None, doc("Which boards; what is said below is for each of them.")] = None
    plugins: Annotated[tuple[Plugin, ...], by_name("Plugins on every board.", MAX_ITEMS)] = ()
    expose: Annotated[
        tuple[Expose, ...], by_name("Ports of every board that are reached from outside.", MAX_ITEMS)
    ] = ()
    network: Annotated[Network | None, doc("The network between the boards.")] = None
    workloads: Annotated[tuple[Workload, ...], by_name("What every board computes.", MAX_ITEMS)] = ()


class Counts(Struct, frozen=True, kw_only=True, rename="camel"):
    """The boards in numbers."""

    found: Annotated[Count, Meta(description="How many the labels select.")] = 0
    online: Annotated[Count, Meta(description="How many of them are online.")] = 0
    ready: Annotated[Count, Meta(description="How many have everything that the slice gives them.")] = 0


class Member(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One board."""

    name: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="The Board's name.")]
    ready: Annotated[bool, Meta(description="Whether it has everything.")]
    online: Annotated[bool, Meta(description="Whether it is online.")]
    ip: Annotated[Short, Meta(description="Its address in the network.")] = ""
    services: Annotated[
        dict[Annotated[str, Meta(max_length=40)], Short],
        Meta(max_length=MAX_ITEMS, description="Where its exposed ports are reached, by their names."),
    ] = {}


class Address(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a component of the clusters is reached."""

    app: Annotated[Short, Meta(description="The application.")]
    component: Annotated[Short, Meta(description="The component.")]
    port: Annotated[Short, Meta(description="The port's name; empty: the first one.")] = ""
    url: Annotated[Annotated[str, Meta(max_length=2048)], Meta(description="Its address.")]


class Status(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What there is of it, besides what Crossplane says itself."""

    clusters: Annotated[Short, Meta(description="Clusters that are ready, of all, such as `2/2`.")] = ""
    network: Annotated[Short, Meta(description="The network's addresses.")] = ""
    boards: Annotated[Counts | None, Meta(description="The boards in numbers.")] = None
    members: Annotated[
        tuple[Member, ...],
        Meta(max_length=MAX_LISTED, description="The boards; none are listed where there are more than 200.",
             extra={"list_type": "map", "keys": ["name"]}),
    ] = ()  # fmt: skip
    endpoints: Annotated[
        tuple[Address, ...],
        Meta(max_length=256, description="Addresses that workloads were given.", extra={"list_type": "atomic"}),
    ] = ()


def decode(spec: Object) -> Spec:
    """A claim's spec; raises Invalid with a sentence that names the field. What Crossplane keeps there is passed by."""
    try:
        read = msgspec.convert(spec, Spec)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise Invalid(f"spec{where.rstrip('`')}: {what}") from None
    _check(read)
    return read


def _check(spec: Spec) -> None:
    """What one field says of another."""
    per_board = (*spec.plugins, *spec.expose, *spec.workloads, *([spec.network] if spec.network else []))
    if per_board and spec.boards is None:
        raise Invalid("spec.boards: required where plugins, expose, network or workloads are given; say `matchLabels`")
    apps = {app.name: app for app in (spec.orchestration.apps if spec.orchestration else ())}
    for workload in spec.workloads:
        for endpoint in workload.endpoints:
            app = apps.get(endpoint.app)
            if app is None or endpoint.component not in {component.name for component in app.components}:
                raise Invalid(
                    f"spec.workloads[{workload.name}].endpoints[{endpoint.env}]: there is no component "
                    f"{endpoint.component} of an application {endpoint.app} in spec.orchestration"
                )


def encoded(value: Any) -> Any:
    """A struct of the claim as plain JSON under its wire names, absent fields left out."""
    return {key: item for key, item in msgspec.to_builtins(value).items() if item is not None}
