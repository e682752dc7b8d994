"""Both sides as processes of their own that are killed with SIGKILL, again and again, while they trade."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections import Counter
from pathlib import Path

from continuo.edge.rear.names import HOLDS
from continuo.resources.kinds import (
    ALLOCATION,
    CONFIG_MAP,
    FLAVOR,
    FLUIDOS_CONTRACT,
    KNOWN_CLUSTER,
    SOLVER,
    TRANSACTION,
)
from continuo.resources.meta import Object
from edge.rear.rear_world import SPACE, World, sensor, settled, world
from edge.rear.test_buyer import solver

SENSORS, SOLVERS = 5, 8
KILLS = int(os.environ.get("CONTINUO_CHAOS_KILLS", "6"))


class Process:
    """`continuo edge rear` for one cluster."""

    def __init__(self, kubeconfig: Path, *options: str) -> None:
        self._command = [
            sys.executable, "-m", "continuo.cli.main", "edge", "rear", "--kubeconfig", str(kubeconfig), "--insecure",
            "--egress-allow", "127.0.0.0/8", *options,
        ]  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        reads, writes = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, "--ready-fd", str(writes), pass_fds=(writes,), stderr=asyncio.subprocess.DEVNULL
        )
        os.close(writes)
        async with asyncio.timeout(30):
            await asyncio.to_thread(os.read, reads, 1)
        os.close(reads)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def prepare(made: World, tmp_path: Path) -> tuple[Process, Process]:
    found, port = [], free_port()
    for name in ("provider", "consumer"):
        cluster, path = made.make(name), tmp_path / name
        path.write_text(made.kubeconfig(name), encoding="utf-8")
        data = {"domain": f"{name}.eu", "nodeID": f"{name}-1", "ip": "127.0.0.1", "port": str(port if not found else 1)}
        await cluster.create(CONFIG_MAP.new("fluidos-node-identity", SPACE, data=data))
        options = ("--port", str(port), "--no-buy") if not found else ("--no-sell",)
        found.append(Process(path, *options))
    consumer = made.client("consumer")
    await consumer.create(KNOWN_CLUSTER.new("knowncluster-p", SPACE, spec={"address": f"127.0.0.1:{port}"}))
    return found[0], found[1]


def test_no_double_sale_and_no_lost_contract_whoever_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world() as made:
            seller, buyer = await prepare(made, tmp_path)
            try:
                await trade(made, seller, buyer, random.Random(11))
            finally:
                await asyncio.gather(seller.kill(), buyer.kill())

    asyncio.run(main())


async def trade(made: World, seller: Process, buyer: Process, rng: random.Random) -> None:
    provider, consumer = made.client("provider"), made.client("consumer")
    for number in range(SENSORS):
        await provider.create(sensor(f"s{number}"))
    await asyncio.gather(seller.start(), buyer.start())
    for number in range(SOLVERS):
        endpoint = f"https://127.0.0.1:4487/{number}"
        await consumer.create(solver(f"solver-{number}", exclusive=True, endpoints=[endpoint], steps=2))
    changes = Changes(made)
    for _ in range(KILLS):
        await changes.some(rng.randrange(1, 25))  # wherever it is by then
        victim = rng.choice((seller, buyer))
        await victim.kill()
        await victim.start()
    await settled(lambda: finished(made), 90)
    await settled(lambda: len(made.objects("provider", ALLOCATION)) == SENSORS, 30)
    check(made)
    for each in made.objects("consumer", SOLVER):
        await consumer.delete(SOLVER, each["metadata"]["name"], SPACE)
    await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT), 60)
    await settled(lambda: all(not holds(each) for each in made.objects("provider", FLAVOR)), 30)
    assert not made.objects("provider", ALLOCATION)
    assert all(each["spec"]["availability"] for each in made.objects("provider", FLAVOR))


class Changes:
    """Counts changes of any object, so that a kill comes after so many of them."""

    def __init__(self, made: World) -> None:
        self._event = asyncio.Event()
        for name in ("provider", "consumer"):
            made.engine.cluster(name).listen(None, lambda _change: self._event.set())

    async def some(self, count: int) -> None:
        try:
            async with asyncio.timeout(3):  # perhaps there is nothing left to be changed
                for _ in range(count):
                    self._event.clear()
                    await self._event.wait()
        except TimeoutError:
            return


def phases(made: World) -> Counter[str]:
    said = [
        ((each.get("status") or {}).get("solverPhase") or {}).get("phase") for each in made.objects("consumer", SOLVER)
    ]
    return Counter(str(each) for each in said)


def finished(made: World) -> bool:
    return phases(made) == {"Solved": SENSORS, "Failed": SOLVERS - SENSORS}


def holds(flavor: Object) -> dict[str, Object]:
    found: dict[str, Object] = json.loads((flavor["metadata"].get("annotations") or {}).get(HOLDS, "{}"))
    return found


def check(made: World) -> None:
    sold, bought = (made.objects(name, FLUIDOS_CONTRACT) for name in ("provider", "consumer"))
    flavors = Counter(each["spec"]["flavor"]["metadata"]["name"] for each in sold)
    assert len(flavors) == SENSORS and set(flavors.values()) == {1}
    assert sorted(each["metadata"]["name"] for each in sold) == sorted(each["metadata"]["name"] for each in bought)
    for flavor in made.objects("provider", FLAVOR):
        (hold,) = holds(flavor).values()
        assert hold["exclusive"] and hold["until"] is None and hold["contract"]
    known = {each["metadata"]["name"] for each in made.objects("provider", TRANSACTION)}
    assert {each["spec"]["transactionID"] for each in sold} == known
