from __future__ import annotations

import asyncio
import random

import pytest
from runtime_double import Double, run

from continuo.resources.kinds import LEASE
from continuo.runtime.leases import LeaderElection, LeaseSettings, micro_time


class Replica:
    """One process that wants to lead again and again; it notes when it worked."""

    def __init__(self, cluster: Double, identity: str, seed: int, workers: list[str]) -> None:
        self.name, self.workers = identity, workers
        self.periods = 0
        self.election = LeaderElection(
            cluster,
            "operator",
            "continuo",
            identity,
            rng=random.Random(seed),
            now=lambda: asyncio.get_running_loop().time(),
        )

    async def work(self) -> None:
        self.workers.append(self.name)
        assert len(self.workers) == 1, f"two leaders: {self.workers}"
        self.periods += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.workers.remove(self.name)

    async def run(self) -> None:
        while True:
            await self.election.run(self.work)


class Flaky(Double):
    """A way to the shared store that only one replica uses, so that it alone can be cut off."""

    def __init__(self, store: Double) -> None:
        super().__init__(store.name)
        self._objects, self._log = store._objects, store._log
        self._store = store

    def put(self, obj: dict) -> dict:
        return self._store.put(obj)


async def holder(cluster: Double) -> str:
    lease = await cluster.get(LEASE, "operator", "continuo")
    return lease["spec"]["holderIdentity"]


def test_one_leads_and_the_other_takes_over_when_it_is_cut_off() -> None:
    async def main() -> None:
        store, workers = Double(), []
        ways = [Flaky(store), Flaky(store)]
        replicas = [Replica(way, name, seed, workers) for seed, (way, name) in enumerate(zip(ways, "ab", strict=True))]
        tasks = [asyncio.create_task(replica.run()) for replica in replicas]
        await asyncio.sleep(60)
        first = workers[0]
        leader = "ab".index(first)
        ways[leader].down = True
        await asyncio.sleep(10.5)
        assert workers == [], "it stops before the other may start"
        await asyncio.sleep(20)
        assert workers == ["ba"[leader]]
        lease = await store.get(LEASE, "operator", "continuo")
        assert lease["spec"]["leaseTransitions"] == 1
        ways[leader].down = False
        await asyncio.sleep(60)
        assert workers == ["ba"[leader]], "who comes back waits"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_a_server_that_no_longer_answers_costs_the_lease_in_time() -> None:
    async def main() -> None:
        store, loop = Double(), asyncio.get_running_loop()
        election = LeaderElection(store, "operator", "continuo", "a")
        leading = asyncio.create_task(election.run(asyncio.Event().wait))  # type: ignore[arg-type]
        await asyncio.sleep(5)
        store.hangs = True
        start = loop.time()
        assert await leading is False
        assert loop.time() - start <= 10
        assert not election.leading

    run(main())


@pytest.mark.parametrize("seed", range(10))
def test_there_are_never_two_leaders(seed: int) -> None:
    """Two replicas with random outages for an hour; the assertion is in their work."""

    async def main() -> None:
        rng, store, workers = random.Random(seed), Double(), []
        ways = [Flaky(store), Flaky(store)]
        replicas = [Replica(way, name, seed, workers) for way, name in zip(ways, "ab", strict=True)]
        tasks = [asyncio.create_task(replica.run()) for replica in replicas]
        for _ in range(120):
            await asyncio.sleep(rng.random() * 60)
            way = rng.choice(ways)
            way.down = not way.down
            assert not [task for task in tasks if task.done()]
        for way in ways:
            way.down = False
        await asyncio.sleep(60)
        assert len(workers) == 1
        assert sum(replica.periods for replica in replicas) > 5
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_who_ends_gives_the_lease_back() -> None:
    async def main() -> None:
        store = Double()
        first = LeaderElection(store, "operator", "continuo", "a")
        assert await first.run(lambda: asyncio.sleep(5))
        assert await holder(store) == ""
        second = LeaderElection(store, "operator", "continuo", "b")
        start = asyncio.get_running_loop().time()
        assert await second.run(lambda: asyncio.sleep(5))
        assert asyncio.get_running_loop().time() - start == pytest.approx(5)

    run(main())


def test_an_error_of_the_work_reaches_the_caller() -> None:
    async def main() -> None:
        async def work() -> None:
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"):
            await LeaderElection(Double(), "operator", "continuo", "a").run(work)

    run(main())


def test_an_idle_leader_needs_one_request_per_renewal() -> None:
    async def main() -> None:
        store = Double()
        await LeaderElection(store, "operator", "continuo", "a").run(lambda: asyncio.sleep(101))
        assert store.requests["replace"] == 51  # fifty renewals and the release
        assert store.requests["get"] <= 2

    run(main())


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="duration > renew_deadline > retry"):
        LeaseSettings(duration=5, renew_deadline=10)


def test_times_have_microseconds() -> None:
    assert micro_time(1.5) == "1970-01-01T00:00:01.500000Z"
