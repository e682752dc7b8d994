"""How an injection is, board by board, and what that asks for: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from continuo.iot.provider.external import Readiness
from continuo.iot.provider.kinds.reach import Target
from continuo.resources.boards_plugins import (
    BoardState,
    PluginInjectionObservation,
    PluginInjectionParameters,
    RunState,
)
from continuo.resources.boards_types import MAX_LISTED

READY, PENDING, OFFLINE, FAILED = "Ready", "Pending", "Offline", "Failed"
_BAD = {"dead", "refused", "failed"}
_ORDER = {FAILED: 0, PENDING: 1, OFFLINE: 2, READY: 3}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every board should have."""

    hash: str
    said: PluginInjectionParameters
    ours: bool
    """Whether the endpoint is a hub of ours: it keeps what offline boards should have, and tells what boards report."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One board, judged."""

    target: Target
    state: str
    hash: str = ""
    message: str = ""
    inject: bool = False
    """It has to be injected, again or for the first time."""
    start: bool = False
    stop: bool = False


def judge(target: Target, row: Mapping[str, Any] | None, wanted: Wanted, known_hash: str, alive: bool | None) -> Seen:
    """One board. `known_hash`: what we injected last, and `alive`: what it answered, where nobody else tells."""
    can, reports = target.online or wanted.ours, wanted.ours and target.reports
    if row is None:
        return Seen(target, PENDING if target.online else OFFLINE, inject=can)
    told = str(row.get("hash") or "") if reports else known_hash
    if (pinned := str(row.get("pinned") or "")) and not wanted.said.update:
        wanted = replace(wanted, hash=pinned)  # the plugin of another project is another since
    state, message = str(row.get("state") or ""), str(row.get("message") or "")
    inject = can and (bool(row.get("onboot")) != wanted.said.onboot or _outdated(told, wanted, target, reports=reports))
    start, stop = _run(row, wanted, bool(row.get("running")) if wanted.ours else bool(alive))
    start, stop = start and can, stop and can
    if not target.online:
        return Seen(target, OFFLINE, told, message, inject=inject, start=start, stop=stop)
    if reports and state in _BAD and told in ("", wanted.hash) and not inject:
        return Seen(target, FAILED, told, message or f"the board says: {state}", start=start, stop=stop)
    settled = not reports or _settled(state, wanted)
    good = told == wanted.hash and not (inject or start or stop) and settled
    return Seen(target, READY if good else PENDING, told, message, inject=inject, start=start, stop=stop)


def _outdated(told: str, wanted: Wanted, target: Target, *, reports: bool) -> bool:
    """Whether it has to be told of the code that there is now. Who reports and is away gets it when it comes."""
    if not reports:
        return told != wanted.hash
    return bool(told) and told != wanted.hash and target.online


def _run(row: Mapping[str, Any], wanted: Wanted, running: bool) -> tuple[bool, bool]:
    """(start, stop)."""
    state = wanted.said.state
    if state is RunState.RUNNING:
        other = wanted.ours and running and dict(row.get("parameters") or {}) != dict(wanted.said.parameters)
        return not running or other, False
    return False, state is RunState.STOPPED and running


def _settled(state: str, wanted: Wanted) -> bool:
    """Whether the board itself says that it is so."""
    if wanted.said.state is RunState.RUNNING:
        return state == "running"
    return state != "running" if wanted.said.state is RunState.STOPPED else bool(state)


def observed(seen: Iterable[Seen], code_hash: str, request: str) -> PluginInjectionObservation:
    """What is told of all of them."""
    ordered = sorted(seen, key=lambda one: (_ORDER[one.state], one.target.name, one.target.uuid))
    count = Counter(one.state for one in ordered)
    listed = tuple(
        BoardState(
            board=one.target.uuid, name=one.target.name[:255], state=one.state, hash=one.hash, message=one.message[:200]
        )
        for one in ordered[:MAX_LISTED]
    )
    return PluginInjectionObservation(
        desired=len(ordered), ready=count[READY], pending=count[PENDING], offline=count[OFFLINE], failed=count[FAILED],
        code_hash=code_hash, request=request, boards=listed,
    )  # fmt: skip


def readiness(told: PluginInjectionObservation, *, fleet: bool) -> Readiness:
    """Ready when all that are online have it; one board has to be online itself."""
    if told.failed:
        worst = next(board for board in told.boards if board.state == FAILED)
        return Readiness(False, f"{told.failed} of {told.desired} boards cannot: {worst.name} says {worst.message!r}")
    if told.pending:
        return Readiness(False, f"{told.pending} of {told.desired} boards have not done it yet", creating=True)
    if told.offline and not fleet:
        return Readiness(False, "the board is offline: it is told when it comes back")
    if not told.desired:
        return Readiness(True, "the fleet has no boards")
    return Readiness(True)
