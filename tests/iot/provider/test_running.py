"""How a workload is told of: the whole of it, and not more than fits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from continuo.iot.provider.kinds.running import begun, observed, readiness
from continuo.resources.boards_workloads import JobSpec, WorkloadParameters

SERVICE = WorkloadParameters(fleet_id="f", command=("serve",))
JOB = WorkloadParameters(fleet_id="f", command=("measure",), job=JobSpec())


def fleet(*phases: str, **more: Any) -> dict[str, Any]:
    parts = [
        {"board": f"b{at:04}", "workload": f"w{at:04}", "status": {"phase": phase, **more}}
        for at, phase in enumerate(phases)
    ]
    return {"uuid": "w", "fleet": "f", "parts": parts}


def boards(number: int, away: frozenset[int] = frozenset()) -> dict[str, dict[str, Any]]:
    return {
        f"b{at:04}": {"uuid": f"b{at:04}", "name": f"board {at}", "status": "offline" if at in away else "online"}
        for at in range(number)
    }


def test_the_status_of_a_thousand_boards_is_small_and_trouble_comes_first() -> None:
    row = fleet(*["Running"] * 990, *["Failed"] * 10, message="x" * 5000, result="y" * 5000)
    told = observed(row, boards(1000), 7)
    assert (told.desired, told.running, told.failed, told.generation) == (1000, 990, 10, 7)
    assert len(told.boards) == 200 and {run.phase for run in told.boards[:10]} == {"Failed"}
    assert len(msgspec.json.encode(told)) < 150_000
    assert max(len(run.message) for run in told.boards) == 200


@pytest.mark.parametrize(
    ("said", "phases", "away", "ready", "says"),
    [
        (SERVICE, ("Running", "Running"), (), True, ""),
        (SERVICE, ("Running", "Running"), (1,), True, ""),
        (SERVICE, ("Running", "Pending"), (), False, "it does not run on 1 of 2 boards yet"),
        (SERVICE, ("Running", "Refused"), (), False, "refused on 1 of 2 boards: board 1"),
        (SERVICE, (), (), True, "no board has it, and none has to"),
        (JOB, ("Succeeded", "Succeeded"), (0, 1), True, ""),
        (JOB, ("Succeeded", "Running"), (), False, "it has not ended on 1 of 2 boards yet"),
        (JOB, ("Succeeded", "Running"), (1,), False, "1 of 2 boards are offline"),
        (JOB, ("Succeeded", "Failed"), (1,), False, "failed on 1 of 2 boards: board 1"),
    ],
)
def test_what_ready_means(
    said: WorkloadParameters, phases: tuple[str, ...], away: tuple[int, ...], ready: bool, says: str
) -> None:
    told = readiness(observed(fleet(*phases), boards(2, frozenset(away)), 1), said, {})
    assert told.ready is ready and told.message.startswith(says), told


def test_a_fleet_of_which_no_board_fits_says_why() -> None:
    told = readiness(observed(fleet(), boards(1), 1), SERVICE, {"board 0": "it has not enough memory"})
    assert not told.ready and "board 0: it has not enough memory" in told.message


def test_only_of_its_own_generation_a_run_is_remembered() -> None:
    told = msgspec.to_builtins(observed(fleet("Succeeded"), boards(1), 3))
    assert begun(told, 4) is None
    before = begun(told, 3)
    assert before is not None and before.succeeded == 1 and before.boards[0].name == "board 0"
