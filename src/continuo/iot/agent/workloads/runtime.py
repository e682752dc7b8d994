"""What runs workloads: a process in its confinement, or a container of whichever engine is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from continuo.iot.agent.confinement import Limits
from continuo.iot.agent.workloads.logs import Log
from continuo.iot.agent.workloads.spec import Spec

RESULTS = "results"


class NotStarted(Exception):
    """It surely does not run, in a sentence. `phase`: Refused where this board cannot, Pending where it may later."""

    def __init__(self, sentence: str, phase: str = "Refused") -> None:
        super().__init__(sentence)
        self.phase = phase


@dataclass(frozen=True, slots=True)
class Task:
    """One run to be made."""

    uuid: str
    spec: Spec
    limits: Limits
    work: Path
    """Its working folder: files are there, and an empty `results`."""
    log: Log
    number: int
    """Of the run, within its generation."""

    @property
    def label(self) -> str:
        """Its name with an engine."""
        return f"continuo-{self.uuid}-{self.spec.generation}-{self.number}"


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    code: int | None
    sentence: str


class Running(Protocol):
    """A run."""

    async def wait(self) -> End:
        """Until it has ended, and all that it printed is in the log."""

    async def stop(self) -> None:
        """End it; returns when nothing of it runs."""


class Runtime(Protocol):
    """Makes runs."""

    async def start(self, task: Task) -> Running:
        """Raises NotStarted."""

    async def clear(self, uuid: str, /) -> None:
        """Whatever there is of any run of a workload is no more when this returns."""

    async def adopt(self, task: Task, /) -> Running | None:
        """A run that an agent before this one began and whose end is not known; None: it runs no more and left nothing.

        Raises NotStarted where it surely was never begun.
        """
