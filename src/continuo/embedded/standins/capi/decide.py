"""The control plane's next step: one machine at a time, and never without a healthy one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Member:
    """One control plane machine."""

    name: str
    current: bool
    """Made from the version and template that the control plane asks for now."""
    healthy: bool
    """Its node joined and its static pods run."""
    deleting: bool = False
    marked: bool = False
    """Annotated to be the first to go."""


@dataclass(frozen=True, slots=True)
class Step:
    """Create a machine, or delete that one."""

    action: Literal["create", "delete"]
    name: str = ""


def next_step(desired: int, members: Sequence[Member], surge: int = 1) -> Step | None:
    """What to do now (members oldest first); None: nothing, or wait for what is on its way."""
    if any(member.deleting for member in members):
        return None
    if not members:
        return Step("create")
    if not all(member.healthy for member in members):
        return _without_health(desired, members)
    outdated = [member for member in members if not member.current]
    if len(members) < desired or (outdated and len(members) < desired + surge):
        return Step("create")
    if outdated:
        return Step("delete", _first(outdated).name)
    if len(members) > desired:
        return Step("delete", _first(members).name)
    return None


def _first(members: Sequence[Member]) -> Member:
    return next((member for member in members if member.marked), members[0])


def _without_health(desired: int, members: Sequence[Member]) -> Step | None:
    """Only a machine that never joined may go, and only when it is outdated or one too many."""
    healthy = sum(member.healthy for member in members)
    rolling = any(not member.current for member in members if member.healthy)
    limit = desired + (1 if rolling else 0)
    for member in members:
        if not member.healthy and healthy > 0 and (not member.current or len(members) > limit):
            return Step("delete", member.name)
    return None
