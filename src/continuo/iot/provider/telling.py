"""What the provider of boards tells of itself as metrics, counted from its caches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from continuo.resources.meta import Object
from continuo.telemetry import families as f
from continuo.telemetry.metrics import Tally

STATUSES = ("online", "offline", "registered")


def tally(boards: Iterable[Object], depths: Mapping[str, int]) -> Tally:
    """Boards by status, and how much waits in each queue."""
    told = Tally((f.BOARDS, f.QUEUE_DEPTH))
    for status in STATUSES:
        told.add(f.BOARDS, (status,), 0)
    for board in boards:
        said = ((board.get("status") or {}).get("atProvider") or {}).get("status")
        told.add(f.BOARDS, (str(said) if said in STATUSES else "unknown",))
    for controller, depth in depths.items():
        told.put(f.QUEUE_DEPTH, (controller,), depth)
    return told
