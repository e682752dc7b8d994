"""Live bars for the making of a testbed: one for all parts, one for each that is being made."""

from __future__ import annotations

from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from continuo.cli.building import describe
from continuo.testbed.parts import Part
from continuo.testbed.progress import Outcome


class Bars:
    """Rich's bars. What ended is printed above them, and stays."""

    def __init__(self, count: int) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[doing]}"), transient=True)
        self._all = self._progress.add_task("testbed", total=count, doing="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _task(self, part: Part) -> TaskID:
        if part.name not in self._tasks:
            self._tasks[part.name] = self._progress.add_task(part.name, total=None, doing="")
        return self._tasks[part.name]

    def waits(self, part: Part) -> None:
        self._progress.update(self._task(part), doing="another run makes it; waiting")

    def tries(self, part: Part, source: str) -> None:
        self._progress.update(self._task(part), description=f"{part.name} ({source})", total=None, doing="")

    def says(self, part: Part, text: str, done: int, total: int) -> None:
        self._progress.update(self._task(part), doing=text, completed=done, total=total or None)

    def ends(self, outcome: Outcome) -> None:
        if (task := self._tasks.pop(outcome.part.name, None)) is not None:
            self._progress.remove_task(task)
            self._progress.advance(self._all)
        self._progress.console.print(describe(outcome), markup=False, highlight=False)
