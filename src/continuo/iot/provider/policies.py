"""Which sets of management policies there are. Fifteen make sense; any other is refused before anything is done."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.resources.boards_types import Action

_O, _C, _U, _D, _L = Action.OBSERVE, Action.CREATE, Action.UPDATE, Action.DELETE, Action.LATE_INITIALIZE
EVERYTHING = frozenset({_O, _C, _U, _D, _L})

ACCEPTED: frozenset[frozenset[Action]] = frozenset(
    {
        frozenset(),
        frozenset({Action.ALL}),
        EVERYTHING,
        frozenset({_O}),
        frozenset({_O, _L}),
        frozenset({_O, _C, _U, _D}),
        frozenset({_O, _C, _U, _L}),
        frozenset({_O, _C, _U}),
        frozenset({_O, _C, _D, _L}),
        frozenset({_O, _C, _L}),
        frozenset({_O, _C, _D}),
        frozenset({_O, _C}),
        frozenset({_O, _D}),
        frozenset({_O, _U}),
        frozenset({_O, _U, _L}),
    }
)


class BadPolicies(ValueError):
    """A set that means nothing, in a sentence."""


def read(said: Iterable[str]) -> frozenset[Action]:
    """The actions that are allowed; none of them means paused. Raises BadPolicies."""
    named = list(said)
    try:
        wanted = frozenset(Action(each) for each in named)
    except ValueError:
        wanted = frozenset({Action.ALL, Action.OBSERVE})
    if wanted not in ACCEPTED:
        raise BadPolicies(
            f"managementPolicies [{', '.join(named)}] is no set that can be followed: use [*], or Observe with any of "
            "Create, Update, Delete and LateInitialize (Update with Delete, and Delete with LateInitialize, need Create), "
            "or nothing to pause"
        )
    return EVERYTHING if Action.ALL in wanted else wanted
