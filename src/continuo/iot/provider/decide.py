"""What to do with one managed resource: Crossplane's algorithm, as two pure decisions around one observation.

`before` says whether the outside is looked at at all; `after`, what follows from what was seen there. Each returns one step;
the shell does it and looks again, so that whatever happens in between is only another beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from continuo.iot.provider.external import Observation
from continuo.iot.provider.marks import FINALIZER, Marks
from continuo.iot.provider.policies import BadPolicies, read
from continuo.resources.boards_types import Action


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds."""

    grace: float = 30.0
    """How long the outcome of a creation that nobody saw is awaited, and a new object may be missing in lists."""
    poll: float = 60.0
    jitter: float = 0.1
    """The share of the poll interval by which it is longer at most, so that objects do not come all at once."""
    least_poll: float = 1.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the object says."""

    marks: Marks
    policies: tuple[str, ...] = ("*",)
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    """Who depends on it, as they are told to people: it is not deleted before they are."""


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing until it changes."""

    message: str


@dataclass(frozen=True, slots=True)
class BadPolicy:
    """It asks for what cannot be followed."""

    message: str


@dataclass(frozen=True, slots=True)
class Release:
    """Let it go: the external object is gone, or to be kept."""

    kept: bool = False


@dataclass(frozen=True, slots=True)
class Observe:
    """Look at the outside."""

    allowed: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Fail:
    """Something is wrong that only a change mends; look again at the next poll."""

    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It is gone outside and is not made anew."""

    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds."""

    seconds: float
    message: str
    deleting: bool = False
    blocked: bool = False
    """Others have to act first; otherwise it is only a matter of time."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the external object."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """It was found: take its external name."""

    external_name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Make the external object."""


@dataclass(frozen=True, slots=True)
class Initialize:
    """Fill what was left open with what is there."""

    fields: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Update:
    """Make it what is declared."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is to be done until something changes."""

    kept: bool = False
    """It differs, and may not be changed."""


Before: TypeAlias = Pause | BadPolicy | Release | Observe
After: TypeAlias = Release | Fail | Lost | Wait | Delete | Adopt | Create | Initialize | Update | Settled


def before(facts: Facts) -> Before:
    """Whether the outside is looked at."""
    if facts.marks.paused:
        return Pause("the annotation crossplane.io/paused is true: remove it to go on")
    try:
        allowed = read(facts.policies)
    except BadPolicies as error:
        return BadPolicy(str(error))
    if facts.deleting and FINALIZER not in facts.finalizers and not facts.marks.uncertain:
        return Release(kept=True)  # it was never made by us, or is let go already
    if facts.deleting and Action.DELETE not in allowed and allowed:
        return Release(kept=True)
    if not allowed:
        return Pause("managementPolicies is empty: name what may be done to go on")
    return Observe(allowed)


def after(facts: Facts, allowed: frozenset[Action], seen: Observation, now: float, times: Times) -> After:
    """What follows from what was seen."""
    if facts.deleting:
        return _deleting(facts, seen, now, times)
    if seen.lost:
        return Lost(
            "it was removed at the endpoint, and a new one would be another: recreate it, or delete this object"
        )
    if not seen.exists:
        return _missing(facts, allowed, now, times, sure=seen.sure)
    if seen.external_name and seen.external_name != facts.marks.external_name:
        return Adopt(seen.external_name)
    if seen.late and Action.LATE_INITIALIZE in allowed:
        return Initialize(tuple(seen.late))
    if seen.up_to_date:
        return Settled()
    return Update() if Action.UPDATE in allowed else Settled(kept=True)


def _deleting(facts: Facts, seen: Observation, now: float, times: Times) -> After:
    if not seen.exists:
        if facts.marks.uncertain and (left := _left(facts.marks.pending, now, times)) > 0:
            return Wait(left, "a creation whose end nobody saw may still come", deleting=True)
        return Release()
    others = [each for each in facts.finalizers if each != FINALIZER]
    if others:
        return Wait(
            times.poll, f"it is deleted after {', '.join(sorted(others))} let it go", deleting=True, blocked=True
        )
    if facts.users:
        return Wait(times.poll, f"it is used by {named(facts.users)}: delete that first", deleting=True, blocked=True)
    return Delete()


def _missing(facts: Facts, allowed: frozenset[Action], now: float, times: Times, *, sure: bool) -> After:
    if Action.CREATE not in allowed:
        name = facts.marks.external_name
        return Fail(
            f"nothing at the endpoint is called {name!r}, and managementPolicies do not allow to create it"
            if name
            else "the annotation crossplane.io/external-name is needed: it says which object is to be observed"
        )
    if facts.marks.uncertain and (left := _left(facts.marks.pending, now, times)) > 0:
        return Wait(left, "nobody saw how the last creation ended, and it may still come")
    if facts.marks.external_name and not sure and (left := _left(facts.marks.succeeded, now, times)) > 0:
        return Wait(min(left, 5.0), "it was just made, and the endpoint does not show it yet")
    return Create()


def _left(since: float | None, now: float, times: Times) -> float:
    """Seconds of grace that are left; a time in the future (another clock) counts as now."""
    return 0.0 if since is None else times.grace - max(now - since, 0.0)


def named(users: tuple[str, ...], most: int = 3) -> str:
    """Who they are, in a few words."""
    more = len(users) - most
    return ", ".join(users[:most]) + (f" and {more} more" if more > 0 else "")
