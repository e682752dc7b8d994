"""Which orchestrations share clusters and links, found without looking at every pair of clusters."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest

from continuo.orchestrator import naming
from continuo.orchestrator.caches import CachedCluster, management_watches
from continuo.orchestrator.observe import observe
from continuo.orchestrator.preview import ListedWorld
from continuo.orchestrator.world import Register
from continuo.resources.meta import Key, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .worlds import Store

HERE = ("default", "o")


def secret(name: str) -> Key:
    return ("default", f"{name}-config")


class Counting(ListedWorld):
    """A world that counts how often it is asked for a link."""

    asked = 0

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        self.asked += 1
        return super().link_holders(a, b, besides)


def world(register: Register) -> Counting:
    return Counting(CachedCluster(Store(management_watches()).caches), {}, register)


def orchestration(names: list[str], secrets: dict[str, str] | None = None) -> Object:
    clusters = [
        {"name": name, "provider": "existing", "kubeconfig": (secrets or {}).get(name, f"{name}-config")}
        for name in names
    ]
    obj = LOW_LEVEL_ORCHESTRATION.new("o", "default", spec={"clusters": clusters})
    obj["metadata"].update(uid="u", generation=1)
    return obj


def links(*pairs: tuple[str, str]) -> list[tuple[Key, Key]]:
    return [(secret(a), secret(b)) for a, b in pairs]


@pytest.mark.parametrize("seed", range(20))
def test_shared_links_are_those_of_all_pairs_that_others_hold(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"c{number}" for number in range(8)]
    pairs = list(combinations(names, 2))
    register, held = Register(), {}
    for step in range(30):
        holder = ("default", rng.choice(["o", "a", "b", "c"]))
        held[holder] = rng.sample(pairs, rng.randrange(5)) if step % 3 else []
        register.put(holder, [secret(name) for name in names], links(*held[holder]))
    ours = rng.sample(names, 5)
    expected = {
        naming.pair(a, b)
        for a, b in combinations(sorted(ours), 2)
        if any((a, b) in pairs for holder, pairs in held.items() if holder != HERE)
    }
    assert observe(orchestration(ours), world(register)).shared_links == expected


def test_two_names_of_one_cluster_share_its_links() -> None:
    register = Register()
    register.put(("default", "other"), [secret("a"), secret("b")], links(("a", "b")))
    snapshot = observe(orchestration(["a", "b", "c"], {"c": "a-config"}), world(register))
    assert snapshot.shared_links == {("a", "b"), ("b", "c")}


def test_a_cluster_of_many_costs_no_more_than_its_own_links() -> None:
    names = [f"c{number}" for number in range(60)]
    register = Register()
    register.put(HERE, map(secret, names), links(*pairwise(names)))
    for number in range(200):  # everybody else links something of their own to c0
        other = f"x{number}"
        register.put(("default", other), [secret("c0"), secret(other)], links(("c0", other)))
    register.put(("default", "other"), map(secret, names), links(("c3", "c4")))
    seen = world(register)
    assert observe(orchestration(names), seen).shared_links == {("c3", "c4")}
    assert seen.asked == 2 * (len(names) - 1), "once from each end of each link"


def test_what_nobody_declares_any_more_is_forgotten() -> None:
    register = Register()
    register.put(HERE, [secret("a"), secret("b")], links(("a", "b")))
    register.put(("default", "other"), [secret("a"), secret("b")], links(("b", "a")))
    register.put(HERE)
    assert register.partners(secret("a")) == {secret("b")}
    register.put(("default", "other"))
    assert not register.partners(secret("a")) and not register.partners(secret("b"))
