"""Whether an object already says what we want, so that a healthy link causes no write at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from continuo.federation.model import Apply, ClusterWrite, Delete
from continuo.federation.quantities import same_quantity
from continuo.federation.state import EndState
from continuo.resources.meta import Kind, Object, deleting, key_of


def says(live: Any, wanted: Any, *, amounts: bool = False) -> bool:
    """Whether `live` contains `wanted`: mappings may have more, lists must match item by item.

    Values below a field called `resources` are amounts: 1000m says 1.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and says(live[key], value, amounts=amounts or key == "resources")
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(says(a, b, amounts=amounts) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted) or (amounts and same_quantity(live, wanted))


def settled(live: Object | None, wanted: Object) -> bool:
    """Whether the object is there to stay and says what is wanted."""
    return live is not None and not deleting(live) and says(live, wanted)


def ensure(end: EndState, live: Object | None, wanted: Object) -> tuple[ClusterWrite, ...]:
    """The write that makes it so; none while an old object of that name is still going away."""
    if live is not None and (deleting(live) or says(live, wanted)):
        return ()
    return (ClusterWrite(end.name, Apply(wanted)),)


def remove(end: EndState, kind: Kind, live: Object | None) -> tuple[ClusterWrite, ...]:
    """The deletion of what is there; none when it is going away already."""
    if live is None or deleting(live):
        return ()
    namespace, name = key_of(live)
    return (ClusterWrite(end.name, Delete(kind, namespace, name)),)


def unique(writes: Iterable[ClusterWrite]) -> tuple[ClusterWrite, ...]:
    """Each write once, in order."""
    kept: dict[tuple[str, str, str], ClusterWrite] = {}
    for write in writes:
        kept.setdefault((write.cluster, type(write.op).__name__, write.op.summary), write)
    return tuple(kept.values())
