"""One plugin as the hub tells it, and the policy that says what may run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from continuo.iot.agent.confinement.limits import BadAmount, Confinement, Limits
from continuo.iot.pickled import NotText, code_of
from continuo.iot.signing import BadSignature, Signature, code_hash, verify

UUID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
CALL_TIME = 300.0
"""Seconds that a call may take, unless its grant says otherwise."""


class NotAllowed(Exception):
    """Why a plugin is refused, in a sentence."""


class Grants(msgspec.Struct, frozen=True):
    """What a plugin was granted beyond the least."""

    network: bool = False
    memory: int | float | str | None = None
    cpu: int | float | str | None = None
    time: int | float | str | None = None
    files: int | float | str | None = None


class Policy(msgspec.Struct, frozen=True):
    """Whose code runs here, and how much it may use at most."""

    keys: dict[str, str] = {}
    unsigned: bool = False
    limits: dict[str, Any] = {}
    strict: bool = False


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that shall be on the board; `state` says whether it shall run."""

    name: str
    code: str
    callable: bool = False
    onboot: bool = False
    state: Literal["injected", "running"] = "injected"
    parameters: dict[str, Any] | None = None
    grants: Grants = Grants()
    signature: dict[str, Any] | None = None
    hash: str = ""

    def same_program(self, other: Plugin) -> bool:
        """Whether a run of one is a run of the other."""
        mine = (self.hash, self.name, self.callable, self.grants, self.signature)
        return mine == (other.hash, other.name, other.callable, other.grants, other.signature)


def read(uuid: str, said: object) -> Plugin:
    """From the desired state; the code is unpickled and hashed. Raises NotAllowed."""
    if not UUID.fullmatch(uuid):
        raise NotAllowed(f"{uuid[:80]!r} is no plugin's id")
    try:
        plugin = msgspec.convert(said, Plugin)
        code = code_of(plugin.code)
    except (msgspec.ValidationError, NotText) as error:
        raise NotAllowed(str(error)) from None
    hashed = code_hash(code)
    if plugin.hash and plugin.hash != hashed:
        raise NotAllowed(f"its code is not what its hash says: {hashed[:12]} instead of {plugin.hash[:12]}")
    return msgspec.structs.replace(plugin, code=code, hash=hashed)


def from_iotronic(said: Mapping[str, Any], onboot: bool) -> tuple[str, Plugin]:
    """From a PluginInject, whose plugin is a row of IoTronic's: signature and grants are in `extra`. Raises NotAllowed."""
    extra = said.get("extra")
    extra = extra if isinstance(extra, Mapping) else {}
    told = {
        "name": said.get("name"), "code": said.get("code"), "callable": bool(said.get("callable")), "onboot": onboot,
        "signature": extra.get("signature"), "grants": extra.get("grants") or {},
    }  # fmt: skip
    return str(said.get("uuid")), read(str(said.get("uuid")), told)


def check(plugin: Plugin, policy: Policy) -> None:
    """Raise NotAllowed unless the policy lets this code run."""
    try:
        signature = Signature.read(plugin.signature)
        if signature is not None or not policy.unsigned:
            verify(policy.keys, signature, plugin.code, msgspec.to_builtins(plugin.grants))
    except BadSignature as error:
        raise NotAllowed(str(error)) from None


def confinement(plugin: Plugin, policy: Policy, most: Mapping[str, Any], strict: bool, call: bool) -> Confinement:
    """How it runs: its grants within the policy's and the board's limits. Raises NotAllowed."""
    default = Limits(time=CALL_TIME if call else None)
    try:
        limits = Limits.read(msgspec.structs.asdict(plugin.grants), default).within(policy.limits).within(most)
    except BadAmount as error:
        raise NotAllowed(str(error)) from None
    computing = None if limits.time is None else max(1, int(limits.time * limits.cpu) + 1)
    return Confinement(limits, plugin.grants.network, strict=strict or policy.strict, cpu_seconds=computing)
