"""The pure decisions: rolling updates and control planes, on random worlds."""

from __future__ import annotations

from random import Random

import pytest

from continuo.embedded.standins.capi.decide import Member, next_step
from continuo.embedded.standins.workload.rollout import Bounds, Generation, bounds, step


@pytest.mark.parametrize("seed", range(60))
def test_a_rollout_stays_within_its_bounds_and_ends(seed: int) -> None:
    rng = Random(seed)
    desired = rng.randint(0, 12)
    limits = bounds(desired, rng.choice([0, 1, 3, "25%"]), rng.choice([0, 1, 2, "25%"]), default="25%")
    spec = {"old-a": rng.randint(0, desired), "new": 0}
    spec["old-b"] = desired - spec["old-a"]
    working = dict(spec)
    for _ in range(500):
        new = Generation("new", spec["new"], working["new"])
        old = [Generation(name, spec[name], working[name]) for name in ("old-a", "old-b") if spec[name]]
        changes = step(limits, new, old)
        spec.update(changes)
        for name in spec:
            working[name] = min(working[name], spec[name])
        assert sum(spec.values()) <= max(desired + limits.surge, desired)
        assert sum(working.values()) >= desired - limits.unavailable
        lagging = [name for name in spec if working[name] < spec[name]]
        if not changes and not lagging:
            break
        if lagging:
            working[rng.choice(lagging)] += 1
    assert spec == {"old-a": 0, "old-b": 0, "new": desired}


def test_old_replicas_that_do_not_work_go_first() -> None:
    changes = step(Bounds(3, 1, 0), Generation("new", 1, 1), [Generation("old", 3, 2)])
    assert changes == {"old": 2}


def test_a_new_generation_that_does_not_start_leaves_the_old_one_alone() -> None:
    assert step(Bounds(3, 1, 0), Generation("new", 1, 0), [Generation("old", 3, 3)]) == {}


@pytest.mark.parametrize("seed", range(60))
def test_a_control_plane_converges_one_machine_at_a_time(seed: int) -> None:
    rng = Random(seed)
    members = [Member(f"m{n}", rng.random() < 0.5, True) for n in range(rng.choice([0, 1, 3, 5]))]
    desired, number = rng.choice([1, 3, 5]), 100
    for _ in range(200):
        before = len(members)
        action = next_step(desired, members)
        if action is None and all(member.healthy and not member.deleting for member in members):
            break
        if action is not None and action.action == "create":
            members.append(Member(f"m{number}", True, False))
            number += 1
        elif action is not None:
            members = [Member(m.name, m.current, m.healthy, m.deleting or m.name == action.name) for m in members]
            assert any(member.healthy and not member.deleting for member in members)
        elif any(member.deleting for member in members):
            members = [member for member in members if not member.deleting]
        else:
            members = [Member(m.name, m.current, True) for m in members]
        assert abs(len(members) - before) <= 1
    assert len(members) == desired
    assert all(member.current for member in members)


def test_a_control_plane_waits_for_a_machine_that_does_not_join() -> None:
    assert next_step(3, [Member("a", True, True), Member("b", True, False)]) is None


def test_an_outdated_machine_that_never_joined_is_given_up() -> None:
    step_ = next_step(1, [Member("a", False, True), Member("b", False, False)])
    assert step_ is not None and (step_.action, step_.name) == ("delete", "b")
