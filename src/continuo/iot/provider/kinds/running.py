"""How a workload is doing, board by board, and what that means for the whole: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from continuo.iot.provider.external import Readiness
from continuo.iot.provider.kinds.common import text
from continuo.iot.provider.lists import Row
from continuo.resources.boards_types import MAX_LISTED
from continuo.resources.boards_workloads import RunOnBoard, WorkloadObservation, WorkloadParameters

RUNNING, PENDING, SUCCEEDED, FAILED, REFUSED, OFFLINE = (
    "Running", "Pending", "Succeeded", "Failed", "Refused", "Offline",
)  # fmt: skip
_ENDED = {SUCCEEDED, FAILED, REFUSED}
_ORDER = {FAILED: 0, REFUSED: 1, PENDING: 2, OFFLINE: 3, RUNNING: 4, SUCCEEDED: 5}
_SHORT = 200
"""Characters of a message or result where there are many boards; one alone has more."""


def parts_of(row: Row) -> list[Mapping[str, Any]]:
    """Each board's part: `board`, `workload` and `status`."""
    if row.get("fleet"):
        return [part for part in row.get("parts") or () if isinstance(part, Mapping)]
    return [{"board": row.get("board"), "workload": row.get("uuid"), "status": row.get("status") or {}}]


def run_on(part: Mapping[str, Any], board: Row | None, most: int) -> RunOnBoard:
    """One board's, as it said last; what ended stays so while the board is away."""
    told = part.get("status") or {}
    phase = text(told, "phase") or PENDING
    if phase not in _ENDED and (board is None or text(board, "status") != "online"):
        phase = OFFLINE
    code = told.get("exitCode")
    return RunOnBoard(
        board=text(part, "board"), name=text(board or {}, "name")[:255], phase=phase,
        exit_code=code if isinstance(code, int) else None, restarts=max(0, int(told.get("restarts") or 0)),
        message="" if phase == OFFLINE else text(told, "message")[:most], result=text(told, "result")[:most],
    )  # fmt: skip


def observed(row: Row, boards: Mapping[str, Row], generation: int) -> WorkloadObservation:
    """What is told of all of them."""
    parts = parts_of(row)
    most = 1024 if len(parts) == 1 else _SHORT
    runs = [run_on(part, boards.get(text(part, "board")), most) for part in parts]
    runs.sort(key=lambda run: (_ORDER.get(run.phase, 0), run.name, run.board))
    count = Counter(run.phase for run in runs)
    return WorkloadObservation(
        uuid=text(row, "uuid"), generation=generation, desired=len(runs), running=count[RUNNING],
        succeeded=count[SUCCEEDED], failed=count[FAILED] + count[REFUSED], offline=count[OFFLINE],
        boards=tuple(runs[:MAX_LISTED]),
    )  # fmt: skip


def readiness(
    told: WorkloadObservation, said: WorkloadParameters, unfit: Mapping[str, str] = MappingProxyType({})
) -> Readiness:
    """Ready when it runs on all boards that are online; a job, when it ended well on all of them, and there was one.

    `unfit`: for boards of the fleet that have it not, by name, why.
    """
    fleet = said.board_id is None
    if not told.desired and said.replicas != 0 and (unfit or said.job is not None):
        name = min(unfit, default=None)
        why = ", for its fleet has none" if name is None else f": {name}: {unfit[name]}"
        return Readiness(False, f"no board has it{why}")
    if told.failed:
        worst = told.boards[0]
        code = "" if worst.exit_code is None else f" with exit code {worst.exit_code}"
        why = f": {worst.message}" if worst.message else ""
        return Readiness(
            False, f"{worst.phase.lower()} on {told.failed} of {told.desired} boards: {worst.name}{code}{why}"
        )
    missing = (said.replicas or 0) - told.desired
    if missing > 0:
        return Readiness(False, f"{missing} of {said.replicas} replicas have no board that fits")
    done = told.succeeded if said.job is not None else told.running + told.succeeded
    waiting = told.desired - done - told.offline
    if waiting:
        word = "has not ended" if said.job is not None else "does not run"
        first = next((run for run in told.boards if run.message), None)
        why = f": {first.name} says {first.message!r}" if first is not None else ""
        return Readiness(False, f"it {word} on {waiting} of {told.desired} boards yet{why}", creating=True)
    if told.offline and (said.job is not None or not fleet):
        return Readiness(
            False, f"{told.offline} of {told.desired} boards are offline: they are told when they come back"
        )
    return Readiness(True, "" if told.desired else "no board has it, and none has to")


def unfit(row: Row, boards: Mapping[str, Row]) -> dict[str, str]:
    """The boards of the fleet that have it not, by name, with the hub's sentence on each."""
    has = {text(part, "board") for part in parts_of(row)}
    told = row.get("why") if isinstance(row.get("why"), Mapping) else {}
    return {
        text(boards.get(str(board), {}), "name") or str(board): str(why)[:_SHORT]
        for board, why in (told or {}).items() if board not in has
    }  # fmt: skip


def begun(status: Mapping[str, Any], generation: int) -> WorkloadObservation | None:
    """What was said of this generation, where it ever was at the hub."""
    return msgspec.convert(status, WorkloadObservation) if status.get("generation") == generation else None


def subjects(row: Row) -> Iterable[str]:
    """What concerns it."""
    yield f"workload:{text(row, 'uuid')}"
    for part in parts_of(row):
        yield f"workload:{text(part, 'workload')}"
        yield f"board:{text(part, 'board')}"
