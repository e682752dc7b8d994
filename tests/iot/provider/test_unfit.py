"""What a fleet's workload is worth that no board has: pure."""

from __future__ import annotations

from typing import Any

from continuo.iot.provider.kinds.running import observed, readiness, unfit
from continuo.resources.boards import WorkloadParameters
from continuo.resources.boards_workloads import JobSpec

BOARDS = {"b-1": {"uuid": "b-1", "name": "roof-1", "status": "online"}}
SPREAD = WorkloadParameters(fleet_id="f-1", command=("true",))
JOB = WorkloadParameters(fleet_id="f-1", command=("true",), job=JobSpec())


def ready(said: WorkloadParameters, **more: Any) -> tuple[bool, str]:
    there = {"uuid": "w-1", "fleet": "f-1", "parts": [], **more}
    found = readiness(observed(there, BOARDS, 1), said, unfit(there, BOARDS))
    return found.ready, found.message


def test_a_fleet_where_no_board_fits_is_not_ready_and_says_why() -> None:
    why = {"b-1": "it has 0 processors free, and 0.5 are needed"}
    sentence = "no board has it: roof-1: it has 0 processors free, and 0.5 are needed"
    assert ready(SPREAD, why=why) == ready(JOB, why=why) == (False, sentence)


def test_of_an_empty_fleet_a_job_has_not_run_and_all_else_is_where_it_has_to_be() -> None:
    assert ready(JOB) == (False, "no board has it, for its fleet has none")
    assert ready(SPREAD) == (True, "no board has it, and none has to")


def test_who_has_it_is_not_among_those_who_have_it_not() -> None:
    parts = [{"board": "b-1", "workload": "w-2", "status": {"phase": "Succeeded", "exitCode": 0}}]
    assert ready(JOB, why={"b-1": "it has it"}, parts=parts) == (True, "")
