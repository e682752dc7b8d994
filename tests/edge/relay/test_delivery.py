"""Readings reach every buyer, in order, whatever other buyers' endpoints do."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import random
import tracemalloc
from typing import Any

import pytest

from continuo.edge.relay.model import Authentication, Scheme
from continuo.edge.relay.pace import Patience
from continuo.edge.relay.path import Limits
from continuo.edge.relay.relay import NotSold
from seeding import seeds

from . import bed

pytestmark = pytest.mark.anyio


async def test_a_reading_is_an_event_with_its_headers() -> None:
    async with bed.target() as buyer, bed.relaying(bed.route("c", buyer)) as relay:
        relay.accept(bed.source(), b'{"time":"2026-03-01T10:00:00Z","sequence":7,"value":1}', "http")
        await buyer.until(1)
        relay.accept(bed.source(), b"weather temperature=1.5,sequence=8i 1772359201000000000", "http")
        await buyer.until(2)
    (first, _), (second, _) = buyer.taken
    assert first[":line"] == "POST /in HTTP/1.1"
    assert first["ce-specversion"] == "1.0" and first["ce-type"] == "dev.continuo.sensor.reading"
    assert first["ce-source"] == "/default/edge-a/sensor/0" and first["ce-subject"] == "s0"
    assert first["ce-time"] == "2026-03-01T10:00:00.000000Z"
    assert first["content-type"] == "application/json" and second["content-type"] == "text/plain; charset=utf-8"
    assert second["ce-time"] == "2026-03-01T10:00:01.000000Z"
    assert first["ce-id"] != second["ce-id"] and first["ce-sequence"] < second["ce-sequence"]
    assert first["user-agent"].startswith("continuo-relay/") and "authorization" not in first
    assert buyer.connections == 1


async def test_what_cannot_stand_in_a_header_is_encoded() -> None:
    async with bed.target() as buyer:
        flows = (bed.Flow(sensor='a"b\r\nX-Evil: 1 é%', source=bed.source()),)
        async with bed.relaying(bed.route("c", buyer, flows=flows)) as relay:
            relay.accept(bed.source(), b"1", "http")
            await buyer.until(1)
    assert buyer.taken[0][0]["ce-subject"] == "a%22b%0D%0AX-Evil:%201%20%C3%A9%25"
    assert "x-evil" not in buyer.taken[0][0]


@pytest.mark.parametrize("secret", ["a-plain-secret-of-some-length", "whsec_" + base64.b64encode(b"k" * 32).decode()])
async def test_signatures_are_those_of_standard_webhooks(secret: str) -> None:
    how = Authentication(scheme=Scheme.SIGNED, secret=secret)
    async with bed.target() as buyer, bed.relaying(bed.route("c", buyer, how=how)) as relay:
        relay.accept(bed.source(), "größe=1".encode(), "http")
        await buyer.until(1)
    headers, body = buyer.taken[0]
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}" and headers["webhook-id"] == headers["ce-id"]


async def test_a_bearer_token_goes_to_its_target_only() -> None:
    async with bed.target() as one, bed.target() as other:
        how = Authentication(scheme=Scheme.BEARER, secret="tok.en-1")
        routes = bed.route("a", one, how=how), bed.route("b", other)
        async with bed.relaying(*routes) as relay:
            relay.accept(bed.source(), b"1", "http")
            await one.until(1)
            await other.until(1)
    assert one.taken[0][0]["authorization"] == "Bearer tok.en-1"
    assert "authorization" not in other.taken[0][0]


def failing_at_random(seed: int) -> bed.Say:
    rng = random.Random(seed)

    def say(_: Any, __: Any, ___: bytes) -> bytes:
        return rng.choice([
            bed.answer(204), bed.answer(204), bed.answer(503), bed.answer(429, "Retry-After: 0"), bed.answer(408), b"",
            bed.answer(200, "Connection: close"), b"nonsense\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + bed.answer(200),
        ])  # fmt: skip

    return say


@pytest.mark.parametrize("seed", seeds(3))
async def test_at_least_once_and_in_order_whatever_fails(seed: int) -> None:
    """Nothing is lost, nothing overtakes within a sensor, and nothing of one buyer goes to another."""
    patience = Patience(first=0.001, longest=0.004, attempts=1000, timeout=0.5)
    async with bed.target(failing_at_random(seed)) as flaky, bed.target() as well, bed.target() as third:
        flows = tuple(bed.Flow(sensor=f"s{n}", source=bed.source(n)) for n in (2, 3))
        routes = bed.route("a", flaky, well, sensors=3), bed.route("b", third, flows=flows)
        async with bed.relaying(*routes, seed=seed, patience=patience) as relay:
            for number in range(60):
                for sensor in range(4):
                    relay.accept(bed.source(sensor), bed.reading(number, sensor), "http")
                if number % 7 == 0:
                    await asyncio.sleep(0)
            await bed.settled(
                relay, lambda: all(not len(p.lanes) for x in relay.routes.values() for p in x.paths.values())
            )
    for buyer, sensors in ((flaky, (0, 1, 2)), (well, (0, 1, 2)), (third, (2, 3))):
        heard = {json.loads(body)["sensor"] for _, body in buyer.seen}
        assert heard == set(sensors)
        for sensor in sensors:
            numbers = bed.sequences(buyer.bodies, sensor)
            assert sorted(set(numbers)) == list(range(60))
            assert list(dict.fromkeys(numbers)) == list(range(60))  # first deliveries are in order
    assert bed.sequences(well.bodies, 1) == list(range(60))


@pytest.mark.parametrize("ill", ["hang", "dead", "500", "huge", "redirect", "slow-head"])
async def test_one_bad_target_hurts_no_other(ill: str) -> None:
    says: dict[str, Any] = {
        "hang": bed.hang, "500": bed.always(500), "redirect": bed.always(302, "Location: http://127.0.0.1:1/"),
        "huge": lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000,
        "slow-head": lambda *_: b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000,
    }  # fmt: skip
    patience = Patience(first=0.01, longest=0.05, attempts=100, timeout=0.1)
    async with bed.target(says.get(ill, bed.ok)) as bad, bed.target() as good:
        url = "http://127.0.0.1:9/x" if ill == "dead" else bad.url
        async with bed.relaying(bed.route("a", url), bed.route("b", good), patience=patience) as relay:
            for number in range(50):
                relay.accept(bed.source(), bed.reading(number), "http")
            await good.until(50)
            status = relay.status("a")
            assert status is not None
            at_bad = status.targets[0]
            if ill not in ("huge", "redirect"):
                await bed.settled(relay, lambda: relay.routes["a"].paths[url].figures.failed > 0)
                assert at_bad.delivered == 0 and len(relay.routes["a"].paths[url].lanes) > 40
            else:
                await bad.until(50 if ill == "huge" else 1, seen=True)
    assert bed.sequences(good.bodies) == list(range(50))


async def test_a_huge_answer_is_not_read_and_counts_by_its_status() -> None:
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 300_000
    async with bed.target(lambda *_: huge) as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        for number in range(3):
            relay.accept(bed.source(), bed.reading(number), "http")
        await bed.settled(relay, lambda: relay.routes["a"].paths[buyer.url].figures.delivered == 3)
    assert buyer.connections == 3  # what was not read to its end is not used again


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 422])
async def test_what_a_target_refuses_is_not_sent_again(status: int) -> None:
    async with bed.target(bed.always(status)) as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        relay.accept(bed.source(), b"1", "http")
        await bed.settled(relay, lambda: bool(relay.letters.of("a")))
        (letter,) = relay.letters.of("a")
        told = relay.status("a")
    assert len(buyer.seen) == 1 and letter.attempts == 1 and f"it answered {status}" in letter.reason
    assert told is not None and told.targets[0].dead == 1 and told.targets[0].queued == 0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_sent_again(status: int) -> None:
    answers = iter([bed.answer(status), bed.answer(status)])
    async with (
        bed.target(lambda *_: next(answers, bed.answer(200))) as buyer,
        bed.relaying(bed.route("a", buyer)) as relay,
    ):
        relay.accept(bed.source(), b"1", "http")
        await bed.settled(relay, lambda: relay.routes["a"].paths[buyer.url].figures.delivered == 1)
    assert len({headers["ce-id"] for headers, _ in buyer.seen}) == 1 and len(buyer.seen) == 3


async def test_a_reading_that_fails_too_often_is_given_up_and_the_next_one_goes() -> None:
    def say(_: Any, __: Any, body: bytes) -> bytes:
        return bed.answer(500 if body == b"poison" else 200)

    patience = Patience(first=0.001, longest=0.002, attempts=4)
    async with bed.target(say) as buyer, bed.relaying(bed.route("a", buyer), patience=patience) as relay:
        for body in (b"one", b"poison", b"two"):
            relay.accept(bed.source(), body, "http")
        await buyer.until(2)
        (letter,) = relay.letters.of("a")
    assert buyer.bodies == [b"one", b"two"] and letter.reason == "it answered 500, 4 times"


async def test_dead_letters_are_sent_once_more_when_asked() -> None:
    async with bed.target(bed.always(403)) as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        relay.accept(bed.source(), b"1", "http")
        relay.accept(bed.source(), b"2", "http")
        await bed.settled(relay, lambda: len(relay.letters.of("a")) == 2)
        buyer.say = bed.ok
        assert relay.replay("a") == (2, 0)
        await buyer.until(2)
        assert relay.letters.of() == []
        await bed.settled(relay, lambda: relay.memory.bytes == 0)
    ids = [headers["ce-id"] for headers, _ in buyer.seen]
    assert buyer.bodies == [b"1", b"2"] and ids[:2] == ids[2:]


async def test_a_dead_target_is_tried_with_one_reading_at_a_time() -> None:
    async with bed.target(bed.always(503)) as buyer, bed.relaying(bed.route("a", buyer, sensors=8)) as relay:
        for sensor in range(8):
            relay.accept(bed.source(sensor), bed.reading(1, sensor), "http")
        path = relay.routes["a"].paths[buyer.url]
        await bed.settled(relay, lambda: path.figures.failed >= 12)
        assert path.stuck or len(path._active) == 1
        buyer.say = bed.ok
        await buyer.until(8)
    assert sorted(json.loads(body)["sensor"] for body in buyer.bodies) == list(range(8))


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    limits = Limits(readings=10, bytes=10_000)
    async with bed.target(bed.hang) as buyer, bed.relaying(bed.route("a", buyer), limits=limits) as relay:
        for number in range(100):
            relay.accept(bed.source(), bed.reading(number), "http")
        path = relay.routes["a"].paths[buyer.url]
        waiting = bed.sequences([entry.reading.body for entry in path.lanes.entries()])
    assert len(waiting) == 10 and waiting[-9:] == list(range(91, 100))
    assert path.figures.dropped == 90


async def test_memory_is_bounded_and_readings_are_shared() -> None:
    body = b"x" * 10_000
    async with bed.target(bed.hang) as buyer:
        urls = [f"{buyer.url}/{number}" for number in range(50)]
        async with bed.relaying(bed.route("a", *urls), memory=1_000_000, limits=Limits(10_000, 2**30)) as relay:
            tracemalloc.start()
            for number in range(300):
                relay.accept(bed.source(), b"%d" % number + body, "http")
                assert relay.memory.bytes <= 1_000_000
            gc.collect()
            used = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            dropped = sum(path.figures.dropped for path in relay.routes["a"].paths.values())
    assert dropped > 0
    assert used < 20_000_000  # fifty copies of what is kept would be fifty megabytes


async def test_who_waits_for_nobody_loses_nothing_when_memory_is_short() -> None:
    async with (
        bed.target(bed.hang) as stuck,
        bed.target() as well,
        bed.relaying(bed.route("a", stuck), bed.route("b", well), memory=50_000) as relay,
    ):
        for number in range(200):
            relay.accept(bed.source(), bed.reading(number) + b" " * 1000, "http")
            if number % 5 == 0:
                await well.until(number - 4)
        await well.until(200)
        assert relay.routes["b"].paths[well.url].figures.dropped == 0
        assert relay.routes["a"].paths[stuck.url].figures.dropped > 100


async def test_old_readings_are_given_up_without_an_attempt() -> None:
    patience = Patience(first=0.001, longest=0.002, attempts=10_000, age=0.05)
    async with bed.target(bed.always(500)) as buyer, bed.relaying(bed.route("a", buyer), patience=patience) as relay:
        relay.accept(bed.source(), b"1", "http")
        await bed.settled(relay, lambda: bool(relay.letters.of("a")))
        assert relay.letters.of("a")[0].reason == "older than 0.05 s: it answered 500"


async def test_a_flow_gets_no_more_than_its_rate() -> None:
    async with (
        bed.target() as buyer,
        bed.target() as other,
        bed.relaying(bed.route("a", buyer, rate=2.0), bed.route("b", other)) as relay,
    ):
        for number in range(100):  # ten a second, by the sensor's own clock
            body = json.dumps({"time": 1_700_000_000 + number / 10, "sequence": number, "sensor": 0}).encode()
            relay.accept(bed.source(), body, "http")
        await other.until(100)
        await bed.settled(relay, lambda: relay.idle)
        assert relay.totals.thinned == 100 - len(buyer.taken)
    numbers = bed.sequences(buyer.bodies)
    assert 20 <= len(numbers) <= 22 and numbers == sorted(numbers)


async def test_routes_change_under_load_without_a_loss() -> None:
    rng = random.Random(5)
    async with (
        bed.target() as one,
        bed.target() as two,
        bed.target() as three,
        bed.relaying(bed.route("a", one, two)) as relay,
    ):
        for number in range(200):
            relay.accept(bed.source(), bed.reading(number), "http")
            if number % 20 == 10:
                how = Authentication(scheme=Scheme.BEARER, secret=f"t{number}")
                others = [three] if rng.random() < 0.5 else []
                targets = tuple(bed.Target(url=each.url, authentication=how) for each in (one, two, *others))
                await relay.put(bed.route("a", targets=targets))
            if number % 3 == 0:
                await asyncio.sleep(0)
        await one.until(200)
        await two.until(200)
    assert bed.sequences(one.bodies) == bed.sequences(two.bodies) == list(range(200))
    assert one.taken[-1][0]["authorization"] == "Bearer t190"


async def test_a_deleted_route_ends_at_once_also_for_what_waits() -> None:
    async with bed.target(bed.hang) as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        for number in range(5):
            relay.accept(bed.source(), bed.reading(number), "http")
        await buyer.until(1, seen=True)
        assert await relay.delete("a") and not await relay.delete("a")
        with pytest.raises(NotSold):
            relay.accept(bed.source(), b"x", "http")
        assert relay.memory.bytes == 0 and not relay._sources and not relay._nodes
    assert len(buyer.seen) == 1


async def test_the_same_reading_by_two_ways_is_one() -> None:
    async with bed.target() as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        for body, way in (
            (b"21.5", "mqtt"), (b"21.5", "http"), (b"21.5", "http"), (b"21.5", "mqtt"), (b"21.5", "mqtt"),
            (bed.reading(1), "mqtt"), (bed.reading(1), "mqtt"), (bed.reading(1), "http"), (bed.reading(2), "http"),
        ):  # fmt: skip
            relay.accept(bed.source(), body, way)
        await bed.settled(relay, lambda: relay.idle)
        assert relay.totals.readings == 5 and relay.totals.doubled == 4
    assert buyer.bodies == [b"21.5"] * 3 + [bed.reading(1), bed.reading(2)]


async def test_a_connection_that_was_closed_while_idle_is_no_trouble() -> None:
    async with (
        bed.target(lambda *_: bed.answer(200, "Connection: close")) as buyer,
        bed.relaying(bed.route("a", buyer)) as relay,
    ):
        for number in range(5):
            relay.accept(bed.source(), bed.reading(number), "http")
            await buyer.until(number + 1)
        assert relay.routes["a"].paths[buyer.url].figures.failed == 0
    assert buyer.connections == 5
