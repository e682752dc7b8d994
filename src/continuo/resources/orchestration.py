"""The LowLevelOrchestration: clusters, links between them, and applications across them, in one object.

These structs are the single source of the wire format: `schema` makes the CRD's OpenAPI schema of them,
`docs` the reference page, and `decode` reads objects with them. The wire names are those of the figures in
the thesis: kebab-case, but `containerPort` and `clusterPort`. Import from here; the parts are `orchestration_*`.

How large one object can be: the API server hands an object, status and managed fields included, to etcd in one
request, and etcd takes 1.5 MiB. The item limits bound what rules cost, not bytes: an application of three
components takes about 1 KiB of spec and as much of status, but 128 variables of 8 KiB do not fit twice. So use
many objects rather than one big one; they live side by side.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Struct

from continuo.resources.errors import Invalid
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration_apps import (
    AppSpec,
    ComponentSpec,
    Env,
    EnvVariable,
    Expose,
    LinkRequirement,
    RegistryRef,
    Resources,
    RollbackPolicy,
    SecretKeyRef,
    StorageSpec,
    TlsRef,
)
from continuo.resources.orchestration_clusters import CloudSpec, ClusterCost, ClusterSpec
from continuo.resources.orchestration_places import ComponentPlacement, Geolocation
from continuo.resources.orchestration_policies import PlacementSpec, Policies, Policy
from continuo.resources.orchestration_status import (
    AppPhase,
    AppStatus,
    ClusterPhase,
    ClusterStatus,
    ComponentStatus,
    Condition,
    LinkPhase,
    LinkStatus,
    LoopStage,
    LoopStatus,
    PackagePhase,
    PackageStatus,
    Phase,
    Status,
    Summary,
    Url,
)
from continuo.resources.orchestration_types import (
    MAX_APPS,
    MAX_CLUSTERS,
    MAX_LINKS,
    AccessMode,
    Bootstrap,
    ClusterRef,
    Cni,
    Package,
    PlacementHint,
    Protocol,
    Provider,
    StorageKind,
    Tier,
    by_name,
    doc,
    many,
)

__all__ = [
    "LOW_LEVEL_ORCHESTRATION",
    "AccessMode",
    "AppPhase",
    "AppSpec",
    "AppStatus",
    "Bootstrap",
    "CloudSpec",
    "ClusterCost",
    "ClusterPhase",
    "ClusterSpec",
    "ClusterStatus",
    "Cni",
    "ComponentPlacement",
    "ComponentSpec",
    "ComponentStatus",
    "Condition",
    "Env",
    "EnvVariable",
    "Expose",
    "Geolocation",
    "LinkPhase",
    "LinkRequirement",
    "LinkStatus",
    "LoopStage",
    "LoopStatus",
    "LowLevelOrchestration",
    "Package",
    "PackagePhase",
    "PackageStatus",
    "Phase",
    "PlacementHint",
    "PlacementSpec",
    "Policies",
    "Policy",
    "Protocol",
    "Provider",
    "RegistryRef",
    "Resources",
    "RollbackPolicy",
    "SecretKeyRef",
    "Spec",
    "Status",
    "StorageKind",
    "StorageSpec",
    "Summary",
    "Tier",
    "TlsRef",
    "Url",
    "decode",
    "decode_spec",
    "encode",
    "normalise",
]

LOW_LEVEL_ORCHESTRATION = Kind(
    "charity-project.eu", "v1", "LowLevelOrchestration", "lowlevelorchestrations", short_names=("llorch",)
)


class Spec(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What is wanted."""

    clusters: Annotated[tuple[ClusterSpec, ...], by_name("The workload clusters.", MAX_CLUSTERS)] = ()
    links: Annotated[
        tuple[tuple[ClusterRef, ClusterRef], ...],
        many(
            "Pairs of clusters to join, by name. One writer: server-side apply takes the list as a whole.",
            MAX_LINKS,
        ),
    ] = ()
    apps: Annotated[
        tuple[AppSpec, ...],
        by_name("The applications. Each may have its own writer: server-side apply by `name`.", MAX_APPS),
    ] = ()
    placement: Annotated[
        PlacementSpec | None, doc("How components are placed that leave the choice with their own `placement`.")
    ] = None
    policies: Policies = ()
    paused: Annotated[
        bool, doc("Only look: no loop acts, no scheduler places, and nothing is changed or repaired.")
    ] = False


class LowLevelOrchestration(Struct, frozen=True, kw_only=True, rename="camel"):
    """Clusters, the links between them, and the applications that run across them."""

    api_version: str = LOW_LEVEL_ORCHESTRATION.api_version
    kind: str = LOW_LEVEL_ORCHESTRATION.kind
    metadata: dict[str, Any]
    spec: Spec = Spec()
    status: Status = Status()

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """`metadata.namespace`."""
        return str(self.metadata.get("namespace") or "")

    @property
    def generation(self) -> int:
        """`metadata.generation`: rises with each change of the spec."""
        return int(self.metadata.get("generation") or 0)


def decode(obj: Object) -> LowLevelOrchestration:
    """The object as structs, defaults filled in; raises Invalid with a sentence that names the field."""
    try:
        return msgspec.convert(obj, LowLevelOrchestration)
    except msgspec.ValidationError as error:
        raise Invalid(_sentence(str(error))) from None


def decode_spec(spec: Object) -> Spec:
    """Only the spec as structs; raises Invalid with a sentence that names the field."""
    try:
        return msgspec.convert(spec, Spec)
    except msgspec.ValidationError as error:
        raise Invalid(_sentence(str(error), "spec")) from None


def encode(struct: Struct) -> Object:
    """The struct as plain JSON under its wire names; absent and empty optional fields are left out."""
    cls = type(struct)
    required = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
    defaults = (msgspec.NODEFAULT,) * required + cls.__struct_defaults__
    plain: Object = {}
    for name, key, default in zip(cls.__struct_fields__, cls.__struct_encode_fields__, defaults, strict=True):
        value = getattr(struct, name)
        if value is None or value == {} or (value == () and default == ()):
            continue
        plain[key] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return encode(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return msgspec.to_builtins(value)


def normalise(obj: Object) -> Object:
    """Cluster references without the prefix `<object's name>-` that the thesis' figures use.

    The prefix goes only where what remains is a declared cluster and the whole is not. Pure.
    """
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj
    declared = {c["name"] for c in spec.get("clusters") or () if isinstance(c, dict) and isinstance(c.get("name"), str)}
    prefix = f"{(obj.get('metadata') or {}).get('name')}-"

    def short(name: Any) -> Any:
        if isinstance(name, str) and name not in declared and name.removeprefix(prefix) in declared:
            return name.removeprefix(prefix)
        return name

    changed: Object = {}
    if isinstance(spec.get("links"), list):
        changed["links"] = [[short(n) for n in x] if isinstance(x, list) else x for x in spec["links"]]
    if isinstance(spec.get("apps"), list):
        changed["apps"] = [_app_with(app, short) if isinstance(app, dict) else app for app in spec["apps"]]
    if all(spec[key] == value for key, value in changed.items()):
        return obj
    return {**obj, "spec": {**spec, **changed}}


def _app_with(app: Object, short: Any) -> Object:
    new = dict(app)
    if "cluster" in app:
        new["cluster"] = short(app["cluster"])
    if isinstance(app.get("components"), list):
        new["components"] = [
            {**c, "cluster-selector": short(c["cluster-selector"])}
            if isinstance(c, dict) and "cluster-selector" in c
            else c
            for c in app["components"]
        ]
    return new


def _sentence(error: str, root: str = "") -> str:
    """Turn msgspec's `Expected ... - at `$.spec.x`` turned round, field first."""
    what, _, where = error.partition(" - at `$")
    path = (root + where.rstrip("`")).lstrip(".")
    return f"{path}: {what}" if path else what
