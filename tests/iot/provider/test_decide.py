"""The algorithm as tables: every set of policies, every state of a creation, every way to go."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.provider import decide
from continuo.iot.provider.decide import (
    Adopt,
    Create,
    Delete,
    Fail,
    Initialize,
    Lost,
    Release,
    Settled,
    Times,
    Update,
    Wait,
)
from continuo.iot.provider.external import Observation
from continuo.iot.provider.marks import FINALIZER, Marks, duration, marks_of, stamp
from continuo.iot.provider.policies import ACCEPTED, EVERYTHING, BadPolicies, read
from continuo.resources.boards_types import Action

NOW, TIMES = 1000.0, Times(grace=30.0, poll=60.0)
C, U, D, L = Action.CREATE, Action.UPDATE, Action.DELETE, Action.LATE_INITIALIZE
HELD = (FINALIZER,)


def test_there_are_fifteen_sets_of_policies() -> None:
    every = chain.from_iterable(combinations(list(Action), size) for size in range(len(Action) + 1))
    accepted = []
    for names in every:
        try:
            read(names)
            accepted.append(frozenset(names))
        except BadPolicies as error:
            assert "managementPolicies [" in str(error)
    assert len(accepted) == 15 and set(accepted) == ACCEPTED
    assert read(["*"]) == EVERYTHING == read([each.value for each in EVERYTHING])
    with pytest.raises(BadPolicies, match="Obsrve"):
        read(["Obsrve"])


def after(
    seen: Observation, marks: Marks | None = None, allowed: frozenset[Action] = EVERYTHING, **facts: object
) -> object:
    given_ = decide.Facts(marks or Marks("x"), finalizers=HELD, **facts)  # type: ignore[arg-type]
    return decide.after(given_, allowed, seen, NOW, TIMES)


HERE, CHANGED, MISSING = Observation(True), Observation(True, up_to_date=False), Observation(False)
OPEN = Observation(True, late={"type": "gateway"})


@pytest.mark.parametrize("allowed", sorted(ACCEPTED - {frozenset(), frozenset({Action.ALL})}, key=sorted))
def test_each_set_does_what_it_says(allowed: frozenset[Action]) -> None:
    assert after(HERE, allowed=allowed) == Settled()
    assert after(CHANGED, allowed=allowed) == (Update() if U in allowed else Settled(kept=True))
    assert isinstance(after(MISSING, allowed=allowed), Create if C in allowed else Fail)
    assert after(OPEN, allowed=allowed) == (Initialize(("type",)) if L in allowed else Settled())
    facts = decide.Facts(Marks("x"), tuple(each.value for each in allowed), deleting=True, finalizers=HELD)
    assert decide.before(facts) == (decide.Observe(allowed) if D in allowed else Release(kept=True))


CREATIONS = [
    (Marks(), Create()),
    (Marks(pending=900.0, failed=950.0), Create()),
    (Marks(pending=900.0), Create()),  # nobody saw how it ended, and by now it would be there
    (Marks(pending=990.0), Wait),  # it may still come
    (Marks(pending=990.0, failed=980.0), Wait),
    (Marks(pending=2000.0), Wait),  # another clock
    (Marks("x", pending=900.0, succeeded=901.0), Create()),
    (Marks("x", pending=989.0, succeeded=990.0), Wait),  # lists may lag
]


@pytest.mark.parametrize(("marks", "step"), CREATIONS)
def test_what_is_missing_is_made_when_it_is_surely_missing(marks: Marks, step: object) -> None:
    done = after(MISSING, marks)
    assert done == step or (isinstance(step, type) and isinstance(done, step))


def test_what_is_found_is_adopted_and_what_was_taken_away_is_not_made_anew() -> None:
    assert after(Observation(True, external_name="y"), Marks(pending=990.0)) == Adopt("y")
    assert isinstance(after(Observation(False, lost=True)), Lost)
    assert after(Observation(False, lost=True), deleting=True) == Release()


def test_deletion_waits_for_those_who_depend_on_it_and_for_the_end_outside() -> None:
    assert after(HERE, deleting=True) == Delete()
    users = tuple(f"Port default/p{number}" for number in range(5))
    waiting = after(HERE, deleting=True, users=users)
    assert isinstance(waiting, Wait) and "p0" in waiting.message and "and 2 more" in waiting.message
    assert after(MISSING, deleting=True) == Release()
    assert isinstance(after(MISSING, Marks(pending=990.0), deleting=True), Wait)
    assert after(MISSING, Marks(pending=900.0), deleting=True) == Release()
    foreign = decide.Facts(Marks("x"), deleting=True, finalizers=(*HELD, "foregroundDeletion"))
    assert isinstance(decide.after(foreign, EVERYTHING, HERE, NOW, TIMES), Wait)


def test_pause_comes_before_everything_and_what_we_never_held_is_let_go() -> None:
    paused = decide.Facts(Marks("x", paused=True), ("*",), deleting=True, finalizers=HELD)
    assert isinstance(decide.before(paused), decide.Pause)
    assert isinstance(decide.before(decide.Facts(Marks(), ())), decide.Pause)
    assert decide.before(decide.Facts(Marks(), deleting=True)) == Release(kept=True)
    assert isinstance(decide.before(decide.Facts(Marks(), ("Delete",))), decide.BadPolicy)


_TIMES = st.none() | st.floats(0, 2 * NOW)


@given(st.sampled_from(["", "x"]), _TIMES, _TIMES, _TIMES, st.sampled_from(sorted(ACCEPTED, key=sorted)))
def test_nothing_is_created_while_a_creation_may_still_come(
    name: str, pending: float | None, succeeded: float | None, failed: float | None, allowed: frozenset[Action]
) -> None:
    marks = Marks(name, pending, succeeded, failed)
    done = after(MISSING, marks, allowed)
    if isinstance(done, Create):
        assert C in allowed
        assert not (marks.uncertain and pending is not None and NOW - pending < TIMES.grace)


DURATIONS = [
    ("1m", 60.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5s", 1.5), ("", None), ("5", None), ("1x", None),
    ("s", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


@given(st.floats(1, 4e9))
def test_times_survive_the_annotations(now: float) -> None:
    obj = {"metadata": {"annotations": {"crossplane.io/external-create-pending": stamp(now)}}}
    pending = marks_of(obj).pending
    assert pending is not None and abs(pending - now) < 1e-4 * max(1.0, now / 1e6)
