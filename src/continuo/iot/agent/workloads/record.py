"""What is known of a workload's runs, written before each run and after it: the only thing that says whether one is due.

A run is begun in the record before it is begun. A record that says of a run that it was begun and not that it ended is of an
agent that was killed, or a board that lost power, in between: what the run did is not known.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from continuo.iot.agent.workloads.spec import Spec

FIRST, LONGEST = 1.0, 300.0
"""Seconds until a workload that ended is started again; doubled each time."""
STEADY = 60.0
"""Seconds after which a run counts as having gone well for a while: the next pause is the first again."""
TRIES = 6
"""How often a job is run until it has failed."""
LOST = (
    "the board or its agent stopped while it ran, so how it ended is not known; it is not repeated, as job.retry says"
)


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One workload's runs of one generation. Times are seconds since 1970."""

    generation: int
    runtime: str = "process"
    phase: str = "Pending"
    begun: int = 0
    ended: int = 0
    final: bool = False
    """It will not be run again."""
    failures: int = 0
    """In a row; of what shall never end, each end is one."""
    exit_code: int | None = None
    message: str = ""
    started: float | None = None
    finished: float | None = None
    result: str = ""
    """The beginning of a job's first result."""

    @property
    def open(self) -> bool:
        """A run was begun, and its end is not known."""
        return self.begun > self.ended


def begin(record: Record, now: float) -> Record:
    """What is written before a run; it is said to run when it does."""
    return msgspec.structs.replace(
        record,
        phase="Pending",
        begun=record.ended + 1,
        started=now,
        finished=None,
        message=record.message or "it is being started",
    )


def running(record: Record) -> Record:
    """What is said during a run."""
    return msgspec.structs.replace(record, phase="Running", message="", exit_code=None, result="")


def not_begun(record: Record, phase: str, message: str) -> Record:
    """The run that was to be begun surely was not: `Refused`, or `Pending` where it may go well later."""
    return msgspec.structs.replace(record, phase=phase, begun=record.ended, started=None, message=message)


def end(spec: Spec, record: Record, code: int | None, sentence: str, now: float, result: str = "") -> Record:
    """A run has ended: with an exit code, or killed."""
    well = code == 0
    steady = not spec.job and record.started is not None and now - record.started >= STEADY
    failures = 0 if well and spec.restart != "Always" else 1 if steady else record.failures + 1
    final = _is_final(spec, well, failures)
    return msgspec.structs.replace(
        record,
        phase=("Succeeded" if well else "Failed") if final else "Pending",
        ended=record.begun,
        final=final,
        failures=failures,
        exit_code=code,
        message="" if well and final else sentence,
        finished=now,
        result=result,
    )


def _is_final(spec: Spec, well: bool, failures: int) -> bool:
    if spec.restart == "Never" or (spec.job and well):
        return True
    if spec.job:
        return failures >= TRIES
    return spec.restart == "OnFailure" and well


def lost(spec: Spec, record: Record, now: float) -> Record:
    """The agent that began a run is no more, and nothing is known of the run."""
    if spec.once:
        return msgspec.structs.replace(
            record, phase="Failed", ended=record.begun, final=True, exit_code=None, message=LOST, finished=now
        )
    return msgspec.structs.replace(record, phase="Pending", ended=record.begun, message="it is started again")


def pause(record: Record, now: float) -> float:
    """Seconds before the next run; a board's clock may have jumped meanwhile."""
    if record.ended == 0 or record.finished is None:
        return 0.0
    whole = float(min(LONGEST, FIRST * 2 ** min(max(record.failures - 1, 0), 20)))
    return min(whole, max(0.0, record.finished + whole - now))


class Store:
    """A record on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Record | None:
        """What was written last; None where nothing was. Raises ValueError where it cannot be read any more."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._path} is no record: {error}") from None

    def write(self, record: Record) -> None:
        """Whole or not at all, and on the disk when this returns. Raises OSError."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
