"""How demos speak: titles of steps, sentences in lines for a terminal, how long something took."""

from __future__ import annotations

import textwrap
import time
from typing import Any

WIDTH = 78


def head(console: Any, number: int, what: str) -> None:
    """The title of a step."""
    first, *more = textwrap.wrap(f"{number} {what}", WIDTH, subsequent_indent="  ")
    console.print("\n".join([f"[bold]{first[0]}[/]{first[1:]}", *more]), highlight=False)


def say(console: Any, what: str) -> None:
    """A sentence, in lines for a terminal."""
    lines = textwrap.fill(what, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    console.print(lines, highlight=False, markup=False)


def since(began: float) -> str:
    """How long ago that was."""
    took = time.perf_counter() - began
    return f"{took:.1f} s" if took >= 1 else f"{took * 1000:.0f} ms"
