"""Killed while it offloads, moves and delivers, again and again: no pod runs twice, none is lost, nothing is left."""

from __future__ import annotations

import pytest

from broker.station.broker_world import broker_world
from broker.station.chaos import PROVIDERS, Chaos, everything, finalizers
from seeding import seeds

pytestmark = pytest.mark.anyio
OFFLOAD = ("scale", "scale", "scale")
MIGRATE = ("scale", "policy", "policy", "region")
PURCHASE = ("scale", "contract", "contract")
FAULTS = ("outage", "outage", "recover", "recover")
DECLARED = ("provider", "aggregate", "consumer")


async def survive(seed: int, spaces: tuple[str, ...], what: tuple[str, ...], steps: int = 5) -> None:
    async with broker_world(PROVIDERS, declared=False) as made:
        chaos = Chaos(made, seed, what)
        await chaos.clock.quiet()
        before = everything(made)
        await chaos.begin(*spaces)
        try:
            await chaos.run(steps)
            await chaos.settle()
            await chaos.clear()
        except TimeoutError as error:
            left = "\n".join(map(str, sorted(everything(made) - before)))
            raise AssertionError(f"seed {seed}: {chaos.done} does not settle; there is\n{left}") from error
        finally:
            assert chaos.witness.complaints == [], (seed, chaos.done)
        handed = {thing for thing in everything(made) if thing[0] == "broker" and thing[2] == "continuo-system"}
        left = everything(made) - before - handed - {("broker", "Namespace", "", "continuo-system")}
        assert not left, f"seed {seed}: {chaos.done} leaves\n" + "\n".join(map(str, sorted(left)))
        assert finalizers(made) == [], (seed, chaos.done)


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(1))
async def test_while_pods_are_offloaded(seed: int) -> None:
    await survive(seed, ("shop", "batch"), OFFLOAD)


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(1))
async def test_while_pods_move(seed: int) -> None:
    await survive(seed, ("shop", "batch"), MIGRATE)


@pytest.mark.parametrize("seed", seeds(1))
async def test_while_contracts_are_bought_and_ended(seed: int) -> None:
    await survive(seed, ("shop", "bought"), PURCHASE)


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(1))
async def test_while_clusters_are_away(seed: int) -> None:
    await survive(seed, ("shop", "batch", "bought"), (*MIGRATE, *FAULTS))


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(1))
async def test_while_everything_is_declared_and_deleted(seed: int) -> None:
    await survive(seed, ("shop", "batch", "bought"), (*MIGRATE, *PURCHASE, *FAULTS, *DECLARED))
