"""How the long-running commands use the interpreter.

Their caches grow to millions of dictionaries, none of them garbage, which the collector would walk again and again.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 50_000, 2, 500
"""Python's own thresholds (700, 10, 10) look at everything that lives after every few thousand new objects. What is young is
looked at often and in small numbers: nobody waits long for a collection, but for the rare one of everything."""


def settle() -> None:
    """Call once when everything is imported: what is loaded now stays, and collections become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
