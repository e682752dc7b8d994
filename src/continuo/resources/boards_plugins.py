"""Plugins, and where they are injected and called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.boards_types import (
    GROUP,
    MAX_EXTRA,
    MAX_LISTED,
    VERSION,
    Count,
    Extra,
    Id,
    Name36,
    Ref,
    RefSelector,
    SecretKey,
    Sha256,
    Short,
    Text,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import ObjectName, Quantity, doc, many

PLUGIN = Kind(GROUP, VERSION, "Plugin", "plugins")
PLUGIN_INJECTION = Kind(GROUP, VERSION, "PluginInjection", "plugininjections", short_names=("injection",))
PLUGIN_CALL = Kind(GROUP, VERSION, "PluginCall", "plugincalls")

LONGEST_CODE = 512 * 1024
"""Characters of code in an object."""


class ConfigMapKey(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a ConfigMap of the same namespace."""

    name: Annotated[ObjectName, doc("The ConfigMap's name.")]
    key: Annotated[SecretKey, doc("The key in it.")]


class CodeSource(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where code is: a ConfigMap's key, or an address and the digest of what is there."""

    config_map_key_ref: Annotated[ConfigMapKey | None, doc("The ConfigMap's key that holds it.")] = None
    url: Annotated[Annotated[str, Meta(min_length=1, max_length=2048)] | None, doc("Where it is fetched.")] = None
    sha256: Annotated[Sha256 | None, doc("What SHA-256 of it has to be; required with `url`.")] = None


class Signature(Struct, frozen=True, kw_only=True, rename="camel"):
    """By whom the code was signed: what `continuo boards sign` prints."""

    key: Annotated[Annotated[str, Meta(min_length=1, max_length=128)], doc("The key's id in the service's policy.")]
    value: Annotated[
        Annotated[str, Meta(min_length=128, max_length=128)], doc("The Ed25519 signature, in hexadecimal digits.")
    ]


class Grants(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a plugin may use on its board; only agents that confine plugins heed it."""

    network: Annotated[bool, doc("Whether it reaches the network.")] = False
    memory: Annotated[Quantity | None, doc("Memory, such as `64Mi`.")] = None
    cpu: Annotated[Quantity | None, doc("Processor time, such as `500m`.")] = None
    time: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000, extra={"format": "int32"})] | None,
        doc("Seconds after which it is ended."),
    ] = None
    files: Annotated[Quantity | None, doc("How much it may write, such as `16Mi`.")] = None


class PluginParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Code for boards."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    code: Annotated[
        Annotated[str, Meta(min_length=1, max_length=LONGEST_CODE)] | None, doc("A Python module with a class Worker.")
    ] = None
    code_from: Annotated[CodeSource | None, doc("Where the code is, instead of `code`.")] = None
    callable: Annotated[bool, doc("Whether it is called and answers, or is started and goes on.")] = False
    public: Annotated[bool, doc("Whether other projects may use it.")] = False
    parameters: Annotated[Extra, many("Names and defaults of its parameters.", MAX_EXTRA)] = {}
    grants: Annotated[Grants | None, doc("What it may use on boards.")] = None
    signature: Annotated[
        Signature | None, doc("By whom it was signed; boards refuse what their policy does not name.")
    ] = None
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class PluginObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A plugin as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    code_hash: Annotated[Short, Meta(description="SHA-256 of its code.")] = ""
    callable: Annotated[bool, Meta(description="Whether it is called and answers.")] = False


class RunState(StrEnum):
    """What a plugin should be doing on its board."""

    INJECTED = "Injected"
    RUNNING = "Running"
    STOPPED = "Stopped"


class _Targets(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One board, or all of a fleet."""

    board_id: Annotated[Id | None, doc("The board.")] = None
    board_ref: Annotated[Ref | None, doc("The Board whose id that is.")] = None
    board_selector: Annotated[RefSelector | None, doc("The Board whose id that is, by labels.")] = None
    fleet_id: Annotated[Id | None, doc("The fleet, instead of a board.")] = None
    fleet_ref: Annotated[Ref | None, doc("The Fleet whose id that is.")] = None
    fleet_selector: Annotated[RefSelector | None, doc("The Fleet whose id that is, by labels.")] = None
    plugin_id: Annotated[Id | None, doc("The plugin.")] = None
    plugin_ref: Annotated[Ref | None, doc("The Plugin whose id that is.")] = None
    plugin_selector: Annotated[RefSelector | None, doc("The Plugin whose id that is, by labels.")] = None
    parameters: Annotated[Extra, many("Its parameters.", MAX_EXTRA)] = {}


class PluginInjectionParameters(_Targets, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A plugin on a board, or on all boards of a fleet, those that join later included."""

    onboot: Annotated[bool, doc("Whether the board starts it when it boots.")] = False
    state: Annotated[RunState, doc("What it should be doing.")] = RunState.INJECTED
    update: Annotated[
        bool, doc("Whether new code of another project's plugin is taken as it comes; that of one's own always is.")
    ] = False


class BoardState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How one board is doing."""

    board: Annotated[Short, Meta(description="The board's id.")]
    name: Annotated[Short, Meta(description="Its name.")] = ""
    state: Annotated[Short, Meta(description="`Ready`, `Pending`, `Offline` or `Failed`.")]
    hash: Annotated[Short, Meta(description="SHA-256 of the code that it has, where it tells.")] = ""
    message: Annotated[Text, Meta(description="What is wrong.")] = ""


_LISTED = Meta(
    max_length=MAX_LISTED, description="The first 200 boards, those that are not ready before the others.",
    extra={"list_type": "map", "keys": ["board"]},
)  # fmt: skip


class PluginInjectionObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far an injection is."""

    desired: Annotated[Count, Meta(description="How many boards should have it.")] = 0
    ready: Annotated[Count, Meta(description="How many have it as wanted.")] = 0
    pending: Annotated[Count, Meta(description="How many are online and have it not yet.")] = 0
    offline: Annotated[Count, Meta(description="How many cannot be told now.")] = 0
    failed: Annotated[Count, Meta(description="How many said that they cannot.")] = 0
    code_hash: Annotated[Short, Meta(description="SHA-256 of the code that was injected last.")] = ""
    request: Annotated[Short, Meta(description="The request that is under way.")] = ""
    boards: Annotated[tuple[BoardState, ...], _LISTED] = ()


class PluginCallParameters(_Targets, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One call of a plugin, or one for each board of a fleet; it is never made twice for the same generation."""

    timeout: Annotated[
        Annotated[int, Meta(ge=1, le=3600, extra={"format": "int32"})], doc("Seconds after which it is given up.")
    ] = 60


class CallResult(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one board answered."""

    board: Annotated[Short, Meta(description="The board's id.")]
    result: Annotated[Short, Meta(description="`SUCCESS`, `WARNING`, `ERROR` or `RUNNING`.")]
    message: Annotated[Text, Meta(description="What it said.")] = ""


class PluginCallObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a call went."""

    generation: Annotated[Count, Meta(description="The generation for which it was made.")] = 0
    request_id: Annotated[Short, Meta(description="The request at the endpoint.")] = ""
    result: Annotated[
        Short, Meta(description="`SUCCESS`, `WARNING`, `ERROR` or `RUNNING`, the worst of all boards.")
    ] = ""
    message: Annotated[Text, Meta(description="What the board said; of a fleet, how many said what.")] = ""
    finished_at: Annotated[
        Annotated[str, Meta(max_length=40, extra={"format": "date-time"})] | None, Meta(description="When it was over.")
    ] = None
    boards: Annotated[
        tuple[CallResult, ...],
        Meta(max_length=MAX_LISTED, description="The first 200 answers, bad ones before the others.",
             extra={"list_type": "map", "keys": ["board"]}),
    ] = ()  # fmt: skip
