"""What a built-in kind does beyond its schema. Kinds without an entry do nothing special."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuo.embedded.apicore.failures import FieldProblem
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.state import State


def _same(obj: Object) -> Object:
    return obj


def _no_problems(_new: Object, _old: Object | None) -> Iterable[FieldProblem]:
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
    check: Callable[[Object, Object | None], Iterable[FieldProblem]] = _no_problems
    generation: bool = False
    graceful: bool = False
    """Deletion waits for the kubelet (pods)."""
    refuse_delete: Callable[[Object], str | None] | None = None


PLAIN = Strategy()
