"""What the reconciler and a kind are to each other: facts in, facts out.

A kind knows how its external object is observed, created, updated and deleted; the reconciler knows when. Neither knows how
the other does it. Everything that crosses is frozen, so that what was decided can be told from what was seen.

Rules for an `External`: `observe` changes nothing outside; `create` is called at most once for an outcome that nobody
knows (a lost reply is looked for with `Managed.marker`); `update` may be repeated; `delete` of what is gone succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from continuo.resources.boards_types import Action
from continuo.resources.meta import Key, Kind, Object

P = TypeVar("P", bound=Struct)
Details = Mapping[str, bytes]
"""Connection details: what goes into the connection Secret."""

MARKER = "k8s-uid"
"""The key in `extra` by which an external object whose creation nobody saw answered is found again."""


class Refused(Exception):
    """The endpoint, or what was declared, says no: trying again as it is changes nothing. `str()` is a sentence."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        """`status`: the HTTP code of the refusal; 0 where it is ours."""
        super().__init__(sentence)
        self.status = status


class Absent(Refused):
    """The endpoint has no such object."""


class Conflicting(Refused):
    """Something of that name or code is there already, or what was asked does not fit what is there."""


class Unknown(Exception):
    """Whether the endpoint did what was asked is not known: no answer, or an answer of its own failure. A sentence."""


class NotSent(Unknown):
    """Nothing was asked, for nobody was reached: it surely was not done."""


class NotConnected(Exception):
    """The board is not connected now. That is a state and no error: what waits for it says so and is looked at again."""


class NotYet(Exception):
    """Something that this needs is not there yet; a change of it, or the next poll, brings another look. A sentence."""


@dataclass(frozen=True, slots=True)
class Managed(Generic[P]):
    """One object as it was when the reconciler began to look at it, references resolved."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str]
    external_name: str
    """Its identity outside; empty before it has one."""
    parameters: P
    deleting: bool = False
    policies: frozenset[Action] = frozenset(Action)
    status: Mapping[str, Any] = field(default_factory=dict)
    """`status.atProvider` as it was written last."""
    uncertain: bool = False
    """A creation was begun, and nobody saw how it ended: look for `marker` before anything else."""
    secret: str = ""
    """The name of its connection Secret."""

    @property
    def key(self) -> Key:
        """(namespace, name)."""
        return self.namespace, self.name

    @property
    def marker(self) -> str:
        """What `extra[MARKER]` of its external object is."""
        return self.uid


@dataclass(frozen=True, slots=True)
class Readiness:
    """The condition Ready, by what was observed."""

    ready: bool
    message: str = ""
    """Why not, and what would help."""
    creating: bool = False
    """Not ready because it is still on its way: reason Creating instead of Unavailable."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is outside."""

    exists: bool
    up_to_date: bool = True
    readiness: Readiness = Readiness(True)
    at_provider: Struct | None = None
    """An instance of the kind's observation; it becomes `status.atProvider`, written only when it changes."""
    external_name: str = ""
    """Set where it was found by something else than its external name: it is adopted."""
    late: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `forProvider` that the user left open, with what the endpoint chose (camelCase)."""
    details: Details = field(default_factory=dict)
    subjects: frozenset[str] = frozenset()
    """What concerns it: the subjects of events (see `follow.subjects`) for which it is looked at again."""
    difference: str = ""
    """What is not up to date, for the event and the log; never a secret."""
    again: float | None = None
    """Seconds until the next look where that is sooner than the poll interval."""
    sure: bool = False
    """That it is not there is certain, whatever was just made: no endpoint lags here."""
    lost: bool = False
    """It is gone outside, and must not be made anew."""


@dataclass(frozen=True, slots=True)
class Creation:
    """What a create returned."""

    external_name: str
    details: Details = field(default_factory=dict)
    subjects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """What an update returned."""

    details: Details = field(default_factory=dict)


class External(Protocol[P]):
    """One kind's way to one endpoint. Raises Refused, Unknown, NotConnected, NotYet; anything else is an error of ours."""

    async def observe(self, managed: Managed[P]) -> Observation:
        """What is there. With an external name: that one. Without, and `uncertain`: what carries the marker."""

    async def create(self, managed: Managed[P]) -> Creation:
        """Make it, with the marker. Called after `create-pending` was written."""

    async def update(self, managed: Managed[P], seen: Observation) -> Change:
        """Make it what is declared."""

    async def delete(self, managed: Managed[P]) -> None:
        """Remove it; what is gone is as good. The next observation tells whether it is."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of `forProvider` that may be filled from another object: `<name>Id` from `<name>Ref` or `<name>Selector`."""

    name: str
    """Such as `board`."""
    to: Kind

    @property
    def id_field(self) -> str:
        """Where the id is."""
        return f"{self.name}Id"


class Neighbours(Protocol):
    """The other objects of the cluster that a kind may look at, from caches."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object of a followed kind."""

    def all(self, kind: Kind, namespace: str) -> Iterable[Object]:
        """All of a namespace, by name."""

    def by_external_name(self, kind: Kind, external_name: str) -> Object | None:
        """The object of which that is the external name."""


Wake = Callable[[Kind, Object | None, Object | None, Neighbours], Iterable[Key]]
"""Which objects of a kind are concerned when one of another kind changes: (kind, old, new, neighbours) -> keys."""
