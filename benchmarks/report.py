"""What a benchmark prints: a table, and each bar with what was reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that must not be above (or below) what is demanded."""

    what: str
    reached: float
    limit: float
    unit: str = "x"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the demand is met."""
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def __str__(self) -> str:
        demand = "at least" if self.at_least else "at most"
        verdict = "ok    " if self.met else "MISSED"
        return f"{verdict} {self.what}: {self.reached:.2f}{self.unit} ({demand} {self.limit:g}{self.unit})"


class Report:
    """One benchmark's printed lines."""

    WIDTH = 17

    def __init__(self, name: str, about: str) -> None:
        self._bars: list[Bar] = []
        print(f"\n{name} - {about}\n", flush=True)

    def head(self, *columns: str) -> None:
        """The table's first line."""
        self.row(*columns)

    def row(self, *cells: str) -> None:
        """One line of the table."""
        print("".join(f"{cell:>{self.WIDTH}}" for cell in cells), flush=True)

    def note(self, text: str) -> None:
        """A line that is no bar."""
        print(text, flush=True)

    def bar(self, bar: Bar) -> None:
        """A demand, to be printed at the end."""
        self._bars.append(bar)

    def end(self) -> int:
        """Print the demands; the exit code."""
        print()
        for bar in self._bars:
            print(bar, flush=True)
        return 0 if all(bar.met for bar in self._bars) else 1
