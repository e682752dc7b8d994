"""How many seeds a chaos is run with: few in the usual run, as many as one likes by a variable.

`CONTINUO_CHAOS_SEEDS=100` runs a hundred seeds of each instead of the few of the usual run, `7-9` runs those.
"""

from __future__ import annotations

import os


def seeds(few: int) -> list[int]:
    """The seeds of one chaos, of which the usual run has a few."""
    said = os.environ.get("CONTINUO_CHAOS_SEEDS", str(few))
    first, _, last = said.rpartition("-")
    return list(range(int(first or 0), int(last) + bool(first)))
