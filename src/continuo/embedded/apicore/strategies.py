"""What a built-in kind does beyond its schema. Kinds without an entry do nothing special."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.state import State
    from continuo.embedded.port import Event


def _same(obj: Object) -> Object:
    return obj


def _no_problems(_new: Object, _old: Object | None) -> Iterable[FieldError]:
    return ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """One kind's own behaviour. `defaults` and `prepare` return a new object and share what they leave."""

    defaults: Callable[[Object], Object] = _same
    status: Callable[[Object], Object | None] | None = None
    """The status of a new object (None: no status at all); without it a new object keeps none either."""
    keeps_status: bool = False
    """A new object may bring its own status (nodes)."""
    prepare: Callable[[State, Object, Object | None], Object] | None = None
    """Fill in what depends on the cluster, such as addresses."""
    check: Callable[[Object, Object | None], Iterable[FieldError]] = _no_problems
    check_in_cluster: Callable[[State, Object, Object | None], Iterable[FieldError]] | None = None
    """Checks that need to know the rest of the cluster."""
    by_spec: bool = False
    """What `defaults`, `status` and `check` do with a new object follows from its spec alone."""
    generation: bool = False
    graceful: bool = False
    """Deletion waits for the kubelet (pods)."""
    committed: Callable[[State, Event, Object, Object | None], None] | None = None
    """Told of every committed change before anyone else: what the next write must already see (served CRDs, taken
    addresses)."""
    deleting: Callable[[Object], Object] | None = None
    """What else changes when the object is marked for deletion."""
    refuse_delete: Callable[[Object], str | None] | None = None


PLAIN = Strategy()
