"""The steps of the demo: each does something, and prints what was measured."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from typing import Any

from continuo.cli.demo_saying import head, say, since
from continuo.cli.failures import Failed
from continuo.cli.output import print_table
from continuo.cli.sensors_demo import appearing, counting, live, market, scene
from continuo.cli.sensors_demo.market import Buyer, sensor_of
from continuo.cli.sensors_demo.receivers import Receivers
from continuo.cli.sensors_demo.stage import Stage
from continuo.edge.sensors.reading import sensor_of_flavor
from continuo.resources.meta import Object

LIVE = 4.0
"""Seconds for which the paths are followed on the screen."""
MORE = 10
"""Readings that other paths have to bring, before one is said to have stopped."""


@dataclass(slots=True)
class Play:
    """What the steps share."""

    console: Any
    stage: Stage
    receivers: Receivers
    first: Buyer
    second: Buyer
    timeout: float
    step: int = 1

    def head(self, what: str) -> None:
        """Begin a step."""
        self.step += 1
        self.console.print()
        head(self.console, self.step, what)

    def say(self, what: str) -> None:
        """A sentence, in lines for a terminal."""
        say(self.console, what)

    def say_asked(self, where: str) -> None:
        """An option as it would be typed."""
        self.console.print(f"  {where}", highlight=False, markup=False)


async def perform(play: Play) -> None:
    """All of them but the first, which begins."""
    await _appear(play)
    await play.stage.begin_consumers()
    narrow, wide = await _ask(play)
    contracts = await _buy(play, narrow, wide)
    solved = await _solve(play, narrow)
    await _count(play, narrow, wide)
    await _refuse(play, narrow)
    paths = _paths(play, narrow, wide, [*contracts, solved])
    await _watch(play, paths)
    await _cancel(play, contracts[0], paths)


async def _appear(play: Play) -> None:
    play.head("four boards are plugged in: their Devices are made, and each sensor becomes a Flavor:")
    found = await appearing.appear(play.stage[scene.PROVIDER], play.timeout)
    rows = [
        (each.device, each.node, f"{each.sensors}", f"{min(each.flavors):.0f} ms", f"{max(each.flavors):.0f} ms")
        for each in found
    ]
    print_table(("DEVICE", "EDGE NODE", "SENSORS", "FIRST FLAVOR", "LAST FLAVOR"), rows)


async def _ask(play: Play) -> tuple[Object, Object]:
    play.head(f"{scene.FIRST} asks the provider (REAR) for humidity, under 25 ms and under 16 ms:")
    answers = []
    for where in (scene.WIDE, scene.NARROW):
        play.say_asked(where)
        answers.append(found := await play.first.ask(where))
        print_table(("  DEVICE", "MODEL", "LATENCY", "RATE", "FLAVOR"), [_row(each) for each in found])
    wide, narrow = answers
    names = {each["metadata"]["name"] for each in narrow}
    others = [each for each in wide if each["metadata"]["name"] not in names]
    if not narrow or not others:
        raise Failed(
            f"{len(wide)} sensors are under 25 ms and {len(narrow)} under 16 ms: there must be more of the former"
        )
    return narrow[0], others[0]


def _row(flavor: Object) -> tuple[str, ...]:
    sensor = sensor_of_flavor({**flavor, "metadata": {**flavor["metadata"], "namespace": scene.SPACE}})
    return (
        f"  {_device(flavor)}", sensor.model, f"{sensor.latency:f} ms", f"{sensor.sampling_rate:f} Hz",
        _short(flavor["metadata"]["name"]),
    )  # fmt: skip


def _device(flavor: Object) -> str:
    """What the provider calls the board, without the number of its silicon."""
    said = str(flavor["spec"]["flavorType"]["typeData"]["characteristics"]["name"])
    return re.sub(r"-[0-9a-f]{12}$", "", said.rpartition("-")[0] or said)


async def _buy(play: Play, *flavors: Object) -> list[str]:
    ends = [play.receivers[scene.ARCHIVE], play.receivers[scene.SCREEN]]
    names = " and ".join(f"{each.endpoint.name} ({'mTLS' if not each.key else 'signed'})" for each in ends)
    play.head(f"{scene.FIRST} reserves and buys both, for its endpoints {names}:")
    contracts, rows = [], []
    for flavor in flavors:
        began = time.perf_counter()
        transaction = await play.first.reserve(flavor, ends)
        reserved = time.perf_counter()
        contracts.append(name := await play.first.purchase(transaction))
        bought = time.perf_counter()
        await play.first.active(name, play.timeout)
        sensor = sensor_of(flavor)
        await play.receivers.until(
            lambda sensor=sensor: all(each.count(sensor) for each in ends),  # type: ignore[misc]
            play.timeout, "the first reading of a sensor that was bought",
        )  # fmt: skip
        marks = [began, reserved, bought, time.perf_counter()]
        took = [f"{(later - earlier) * 1000:.0f} ms" for earlier, later in itertools.pairwise(marks)]
        rows.append((_device(flavor), *took, _short(name)))
    print_table(("DEVICE", "RESERVED", "BOUGHT", "FIRST READINGS", "CONTRACT"), rows)
    return contracts


def _short(name: str) -> str:
    """The end of a name, which differs for each contract and flavor."""
    return f"...{name[-17:]}"


async def _solve(play: Play, narrow: Object) -> str:
    lab = play.receivers[scene.LAB]
    play.head(f"{scene.SECOND} wants the one under 16 ms, too: it applies a Solver, and does nothing else:")
    assert play.stage.consumers is not None
    await play.stage.consumers
    began = time.perf_counter()
    solver = await market.solve(play.stage[scene.SECOND], lab, play.timeout)
    solved = since(began)
    await play.receivers.until(lambda: lab.count(sensor_of(narrow)) > 0, play.timeout, f"a reading at {scene.LAB.name}")
    contract = await market.bought(play.stage[scene.SECOND])
    play.say(
        f"Solver {scene.SOLVER} is {solver['status']['solverPhase']['phase']} after {solved}: contract "
        f"{_short(contract)}; first reading at {scene.LAB.name} after {since(began)}"
    )
    return contract


async def _count(play: Play, narrow: Object, wide: Object) -> None:
    play.head("each reading leaves the edge once (MQTT messages), and is duplicated in the cloud (HTTP posts):")
    mine = [play.receivers[scene.ARCHIVE], play.receivers[scene.SCREEN]]
    paths = {sensor_of(narrow): [*mine, play.receivers[scene.LAB]], sensor_of(wide): mine}
    labels = {sensor_of(each): _device(each) for each in (narrow, wide)}
    found = await counting.once(play.stage.ports[scene.EDGES[0]], play.receivers, paths, play.timeout)
    rows = [
        (labels[each.sensor], f"{each.readings}", f"{each.published}", f"{sum(each.posts.values())}",
         " ".join(f"{name}:{count}" for name, count in each.posts.items()))
        for each in found
    ]  # fmt: skip
    print_table(("DEVICE", "READINGS", "MQTT", "HTTP", "AT"), rows)
    play.say(_said_who(found))
    total = await counting.totals(play.stage.address("monitor"))
    play.say(f"the relay since its start: {total.taken} readings from the edge, {total.twice} of them twice; "
             f"{total.delivered} deliveries")  # fmt: skip


def _said_who(found: list[counting.Counted]) -> str:
    """Who measured and who vouches for that, as the readings said which came."""
    claims = [(claim, count) for each in found for claim, count in each.claims.items()]
    named = sum(count for claim, count in claims if claim.device and claim.gateway)
    claim, domain = claims[0][0], scene.domain(scene.PROVIDER)
    device, gateway = (text.removeprefix(f"spiffe://{domain}") for text in (claim.device, claim.gateway))
    return (
        f"{named} of {sum(count for _, count in claims)} posts say who measured and who vouches (ce-device, ce-gateway), "
        f"such as {device} and {gateway} of {domain}"
    )


async def _refuse(play: Play, narrow: Object) -> None:
    play.head(f"{scene.FIRST} buys an accelerometer exclusively; what is not to be is refused:")
    flavor = (await play.first.ask(scene.SHAKEN))[0]
    name = await play.first.purchase(await play.first.reserve(flavor, [play.receivers[scene.ARCHIVE]], exclusive=True))
    await play.first.active(name, play.timeout)
    again = await market.refusal(play.second.reserve(flavor, [play.receivers[scene.LAB]]))
    play.say(f"{scene.SECOND} wants it, too: {again.status} {again}")
    metadata = await market.refusal(play.second.reserve_for(narrow, [scene.METADATA]))
    play.say(f"{scene.SECOND} names a cloud's metadata address: {metadata.status} {metadata}")


def _paths(play: Play, narrow: Object, wide: Object, contracts: list[str]) -> list[live.Path]:
    mine = (scene.ARCHIVE, scene.SCREEN)
    bought = [(narrow, mine), (wide, mine), (narrow, (scene.LAB,))]
    return [
        live.Path(sensor_of(flavor), _device(flavor), contract, play.receivers[end])
        for (flavor, ends), contract in zip(bought, contracts, strict=True) for end in ends
    ]  # fmt: skip


async def _watch(play: Play, paths: list[live.Path]) -> None:
    play.head(f"the paths for {LIVE:g} seconds:")
    await live.show(play.console, paths, LIVE)
    print_table(live.COLUMNS, live.rows(paths))
    play.console.print()
    play.console.print(live.plot(paths, play.console.width), highlight=False, markup=False)


async def _cancel(play: Play, contract: str, paths: list[live.Path]) -> None:
    play.head(f"{scene.FIRST} cancels its contract {contract[-8:]}; its paths stop, and no others:")
    began = time.perf_counter()
    await play.first.cancel(contract, play.timeout)
    took = since(began)
    others = [path for path in paths if path.contract != contract]
    before, was = [path.count for path in paths], [path.count for path in others]
    await play.receivers.until(
        lambda: all(path.count >= count + MORE for path, count in zip(others, was, strict=True)),
        play.timeout, "the other paths to go on",
    )  # fmt: skip
    rows = [
        (path.contract[-8:], path.receiver.endpoint.party, path.label, path.receiver.endpoint.name, f"{then}",
         f"+{path.count - then}")
        for path, then in zip(paths, before, strict=True)
    ]  # fmt: skip
    print_table(("CONTRACT", "BUYER", "SENSOR", "ENDPOINT", "WHEN IT ENDED", "SINCE"), rows)
    play.say(f"from the request until the seller had nothing of it left: {took}")
