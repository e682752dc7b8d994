"""The kinds of boards (`iot.continuo.dev`), as Crossplane declares managed resources; and their definitions.

The structs are the single source: validation, CustomResourceDefinitions, columns and the reference page are made of them.
Import from here; the parts are `boards_*`.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from continuo.resources.boards_config import (
    CLUSTER_PROVIDER_CONFIG,
    PROVIDER_CONFIG,
    PROVIDER_CONFIG_USAGE,
    ProviderConfigSpec,
    ProviderConfigStatus,
    Usage,
)
from continuo.resources.boards_networks import (
    EXPOSED_SERVICE,
    PORT,
    SERVICE,
    VIRTUAL_NETWORK,
    ExposedServiceObservation,
    ExposedServiceParameters,
    PortObservation,
    PortParameters,
    ServiceObservation,
    ServiceParameters,
    VirtualNetworkObservation,
    VirtualNetworkParameters,
)
from continuo.resources.boards_plugins import (
    PLUGIN,
    PLUGIN_CALL,
    PLUGIN_INJECTION,
    PluginCallObservation,
    PluginCallParameters,
    PluginInjectionObservation,
    PluginInjectionParameters,
    PluginObservation,
    PluginParameters,
)
from continuo.resources.boards_rules import CLUSTER_CREDENTIALS, OWN_CREDENTIALS, RULES, SPEC_RULES
from continuo.resources.boards_things import (
    BOARD,
    FLEET,
    BoardObservation,
    BoardParameters,
    FleetObservation,
    FleetParameters,
)
from continuo.resources.boards_types import CATEGORIES, Conditions, ManagedSpec
from continuo.resources.boards_workloads import WORKLOAD, WorkloadObservation, WorkloadParameters
from continuo.resources.decoding import decode_at
from continuo.resources.definitions import Column, definition, definition_of_fields
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration_rules import Rule
from continuo.resources.schema import struct_schema

__all__ = [
    "BOARD",
    "CATEGORIES",
    "CLUSTER_PROVIDER_CONFIG",
    "CONFIG_KINDS",
    "EXPOSED_SERVICE",
    "EXTERNAL_NAME",
    "FLEET",
    "MANAGED_KINDS",
    "PLUGIN",
    "PLUGIN_CALL",
    "PLUGIN_INJECTION",
    "PORT",
    "PROVIDER_CONFIG",
    "PROVIDER_CONFIG_USAGE",
    "SERVICE",
    "VIRTUAL_NETWORK",
    "WORKLOAD",
    "BoardObservation",
    "BoardParameters",
    "Conditions",
    "ConfigKindOf",
    "ExposedServiceObservation",
    "ExposedServiceParameters",
    "FleetObservation",
    "FleetParameters",
    "ManagedKind",
    "ManagedSpec",
    "PluginCallObservation",
    "PluginCallParameters",
    "PluginInjectionObservation",
    "PluginInjectionParameters",
    "PluginObservation",
    "PluginParameters",
    "PortObservation",
    "PortParameters",
    "ProviderConfigSpec",
    "ProviderConfigStatus",
    "ServiceObservation",
    "ServiceParameters",
    "Usage",
    "VirtualNetworkObservation",
    "VirtualNetworkParameters",
    "WorkloadObservation",
    "WorkloadParameters",
    "boards_crds",
    "decode_at",
]


EXTERNAL_NAME = "crossplane.io/external-name"
READY: Column = ("READY", "string", ".status.conditions[?(@.type=='Ready')].status", 0)
SYNCED: Column = ("SYNCED", "string", ".status.conditions[?(@.type=='Synced')].status", 0)
NAMED: Column = ("EXTERNAL-NAME", "string", ".metadata.annotations.crossplane\\.io/external-name", 0)
AGE: Column = ("AGE", "date", ".metadata.creationTimestamp", 0)


@dataclass(frozen=True, slots=True)
class ManagedKind:
    """One managed resource with all that is said about it."""

    kind: Kind
    about: str
    parameters: type[Struct]
    observation: type[Struct]
    columns: tuple[Column, ...] = ()
    """Besides READY, SYNCED, EXTERNAL-NAME and AGE."""


@dataclass(frozen=True, slots=True)
class ConfigKindOf:
    """A kind of configuration."""

    kind: Kind
    about: str
    rules: tuple[Rule, ...]


def _seen(name: str, path: str, type_: str = "string", priority: int = 0) -> Column:
    return (name, type_, f".status.atProvider.{path}", priority)


MANAGED_KINDS: tuple[ManagedKind, ...] = (
    ManagedKind(
        BOARD, "A board, registered at an IoTronic-compatible service.", BoardParameters, BoardObservation,
        (_seen("STATUS", "status"),),
    ),
    ManagedKind(
        FLEET, "Boards that are treated alike.", FleetParameters, FleetObservation,
        (_seen("MEMBERS", "members", "integer"), _seen("ONLINE", "online", "integer")),
    ),
    ManagedKind(PLUGIN, "Code for boards.", PluginParameters, PluginObservation),
    ManagedKind(
        PLUGIN_INJECTION, "A plugin on a board or on a fleet.", PluginInjectionParameters, PluginInjectionObservation,
        (_seen("BOARDS", "desired", "integer"), _seen("DONE", "ready", "integer"),
         _seen("OFFLINE", "offline", "integer", 1), _seen("FAILED", "failed", "integer", 1)),
    ),
    ManagedKind(
        PLUGIN_CALL, "One call of a plugin, on a board or on each of a fleet.", PluginCallParameters,
        PluginCallObservation, (_seen("RESULT", "result"), _seen("MESSAGE", "message", priority=1)),
    ),
    ManagedKind(SERVICE, "A port that boards listen on.", ServiceParameters, ServiceObservation,
                (("PORT", "integer", ".spec.forProvider.port", 0),)),
    ManagedKind(
        EXPOSED_SERVICE, "A board's service, reached from outside.", ExposedServiceParameters, ExposedServiceObservation,
        (_seen("HOST", "host"), _seen("PUBLIC-PORT", "publicPort", "integer")),
    ),
    ManagedKind(
        VIRTUAL_NETWORK, "An encrypted layer-2 network between boards.", VirtualNetworkParameters,
        VirtualNetworkObservation, (("CIDR", "string", ".spec.forProvider.cidr", 0), _seen("PORTS", "ports", "integer")),
    ),
    ManagedKind(PORT, "A board's end of a network.", PortParameters, PortObservation,
                (_seen("IP", "ip"), _seen("INTERFACE", "vifName"))),
    ManagedKind(
        WORKLOAD, "A process or a container on a board, or spread over a fleet.", WorkloadParameters, WorkloadObservation,
        (_seen("BOARDS", "desired", "integer"), _seen("RUNNING", "running", "integer"),
         _seen("SUCCEEDED", "succeeded", "integer", 1), _seen("FAILED", "failed", "integer", 1)),
    ),
)  # fmt: skip

CONFIG_KINDS: tuple[ConfigKindOf, ...] = (
    ConfigKindOf(PROVIDER_CONFIG, "An IoTronic-compatible endpoint, for its own namespace.", (OWN_CREDENTIALS,)),
    ConfigKindOf(
        CLUSTER_PROVIDER_CONFIG, "An IoTronic-compatible endpoint, for every namespace.", (CLUSTER_CREDENTIALS,)
    ),
)

_CONFIG_CATEGORIES = ("crossplane", "provider", "iot")
USAGE_ABOUT = "That an object uses a ProviderConfig, which is kept until nobody does."


def boards_crds() -> list[Object]:
    """The CustomResourceDefinitions of the kinds of boards, ready to be applied."""
    managed = [_managed_crd(kind) for kind in MANAGED_KINDS]
    return [*managed, *(_config_crd(kind) for kind in CONFIG_KINDS), _usage_crd()]


def _managed_crd(of: ManagedKind) -> Object:
    spec = struct_schema(ManagedSpec, RULES)
    spec["description"] = "What it should be, and how far the provider may go."
    spec["properties"] = {"forProvider": struct_schema(of.parameters, RULES), **spec["properties"]}
    spec["required"] = ["forProvider"]
    rules = SPEC_RULES.get(of.parameters)
    if rules:
        spec["x-kubernetes-validations"] = [rule.to_schema() for rule in rules]
    status: Object = {
        "type": "object",
        "description": "What it is.",
        "properties": {
            "atProvider": struct_schema(of.observation, {}),
            "conditions": _conditions(),
            "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation it speaks of."},
            "lastHandledReconcileAt": {
                "type": "string", "maxLength": 255,
                "description": "The last `crossplane.io/reconcile-requested-at` that was heeded.",
            },
        },
    }  # fmt: skip
    columns = (READY, SYNCED, *of.columns, NAMED, AGE)
    return definition(of.kind, of.about, spec, status, columns, categories=CATEGORIES)


def _config_crd(of: ConfigKindOf) -> Object:
    spec = struct_schema(ProviderConfigSpec, {**RULES, ProviderConfigSpec: (*RULES[ProviderConfigSpec], *of.rules)})
    status = struct_schema(ProviderConfigStatus, {})
    columns: tuple[Column, ...] = (
        ("ENDPOINT", "string", ".spec.endpoint", 0), READY, ("USERS", "integer", ".status.users", 0), AGE,
    )  # fmt: skip
    return definition(of.kind, of.about, spec, status, columns, categories=_CONFIG_CATEGORIES)


def _usage_crd() -> Object:
    schema = struct_schema(Usage, {})
    columns: tuple[Column, ...] = (
        ("CONFIG", "string", ".providerConfigRef.name", 0),
        ("RESOURCE-KIND", "string", ".resourceRef.kind", 0),
        ("RESOURCE-NAME", "string", ".resourceRef.name", 0),
        AGE,
    )
    return definition_of_fields(
        PROVIDER_CONFIG_USAGE, USAGE_ABOUT, schema["properties"], schema["required"], columns,
        categories=_CONFIG_CATEGORIES,
    )  # fmt: skip


def _conditions() -> Object:
    class Holder(Struct):
        conditions: Conditions = ()

    schema: Object = struct_schema(Holder, {})["properties"]["conditions"]
    return schema
