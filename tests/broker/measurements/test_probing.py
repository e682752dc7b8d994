"""The probe and what asks it, over real sockets; and every way in which a provider may cheat."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.catalog.bench import Clock
from continuo.probing.agent import NONCE, Agent, Limits, start
from continuo.probing.client import Endpoint, ProbeFailed, Prober, session, summary
from continuo.probing.payload import blocks
from continuo.probing.tokens import LIFETIME, BadProbeToken, ProbeToken, believe, issue

pytestmark = pytest.mark.anyio
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
SIZE = 300_000


@asynccontextmanager
async def agent(clock: Clock, limits: Limits | None = None) -> AsyncIterator[Endpoint]:
    runner, port = await start(Agent("green", PUBLIC, limits, clock), "127.0.0.1", 0)
    try:
        yield Endpoint(f"http://127.0.0.1:{port}", "green")
    finally:
        await runner.cleanup()


@asynccontextmanager
async def prober(clock: Clock, timeout: float = 5.0) -> AsyncIterator[Prober]:
    async with session() as http:
        yield Prober(http, lambda: PRIVATE, clock, time.perf_counter, timeout=timeout, transfer_timeout=timeout)


async def test_latency_and_bandwidth_are_measured() -> None:
    clock = Clock()
    async with agent(clock) as endpoint, prober(clock) as probes:
        found = await probes.latency(endpoint, 20)
        assert found.samples == 20 and 0 < found.median <= found.p95 <= found.p99
        speed = await probes.bandwidth(endpoint, SIZE)
        assert speed.down > 0 and speed.up > 0 and speed.bytes == SIZE


@pytest.mark.parametrize("round_trips", [[5.0], [1.0, 3.0, 2.0, 4.0]])
def test_percentiles(round_trips: list[float]) -> None:
    found = summary(round_trips)
    assert found.p99 == max(round_trips) and found.median == (5.0 if len(round_trips) == 1 else 2.0)
    assert found.jitter == (0.0 if len(round_trips) == 1 else pytest.approx(5 / 3))


def test_the_bytes_of_a_transfer_are_its_seeds() -> None:
    assert b"".join(blocks("a", SIZE)) == b"".join(blocks("a", SIZE)) != b"".join(blocks("b", SIZE))
    assert sum(map(len, blocks("a", SIZE))) == SIZE


# --- the agent serves nobody else ---------------------------------------------------------------------------------------
def token(
    clock: Clock, probe: str = "green", lives: float = LIFETIME, budget: int = SIZE, key: Ed25519PrivateKey = PRIVATE
) -> str:
    return issue(key, ProbeToken(probe, random.Random(1).randbytes(8).hex(), clock.now + lives, budget))


async def asked(endpoint: Endpoint, path: str, token: str, method: str = "GET", **more: object) -> int:
    async with session() as http:
        headers = {NONCE: "a" * 16, **({"Authorization": f"Bearer {token}"} if token else {})}
        async with http.request(method, endpoint.url + path, headers=headers, **more) as answer:  # type: ignore[arg-type]
            await answer.read()
            return answer.status


async def test_without_a_good_token_it_answers_nothing() -> None:
    clock = Clock()
    async with agent(clock) as endpoint:
        bad = ["", "x", "a.b", token(clock, probe="blue"), token(clock, lives=-31), token(clock, lives=3600),
               token(clock, key=Ed25519PrivateKey.generate())]  # fmt: skip
        for each in bad:
            for path in ("/v1/echo", "/v1/download?bytes=10"):
                assert await asked(endpoint, path, each) == 401
            assert await asked(endpoint, "/v1/upload", each, "POST", data=b"x") == 401
        assert await asked(endpoint, "/v1/echo", token(clock)) == 200
        assert await asked(endpoint, "/healthz", "") == 200


@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(BadProbeToken):
        believe(text, [PUBLIC], "green", 1_800_000_000.0)


async def test_a_token_has_a_budget_and_so_has_a_minute() -> None:
    clock = Clock()
    async with agent(clock, Limits(transfer=1000, per_minute=2500)) as endpoint:
        spent = token(clock, budget=1500)
        assert await asked(endpoint, "/v1/download?bytes=1000", spent) == 200
        assert await asked(endpoint, "/v1/download?bytes=1000", spent) == 403
        assert await asked(endpoint, "/v1/download?bytes=1001", token(clock, budget=10**9)) == 413
        for size in ("0", "-1", "x", "", "9" * 30, "1e3"):
            assert await asked(endpoint, f"/v1/download?bytes={size}", spent) == 413
        other = issue(PRIVATE, ProbeToken("green", "other", clock.now + 60, 10**9))
        assert await asked(endpoint, "/v1/upload", other, "POST", data=b"x" * 1000) == 200
        assert await asked(endpoint, "/v1/upload", other, "POST", data=b"x" * 1000) == 429, (
            "the minute's bytes are spent"
        )
        clock.now += 60
        fresh = issue(PRIVATE, ProbeToken("green", "more", clock.now + 60, 10**9))
        assert await asked(endpoint, "/v1/upload", fresh, "POST", data=b"x" * 1000) == 200


async def test_an_upload_says_how_long_it_is() -> None:
    clock = Clock()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    async with agent(clock) as endpoint:
        assert await asked(endpoint, "/v1/upload", token(clock), "POST", data=endless()) == 413


# --- the broker believes nothing else -----------------------------------------------------------------------------------
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def pretender(handler: Handler) -> AsyncIterator[Endpoint]:
    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", "green")
    finally:
        await runner.cleanup()


async def fails(handler: Handler, says: str, *, transfer: bool = False, timeout: float = 5.0) -> None:
    clock = Clock()
    async with pretender(handler) as endpoint, prober(clock, timeout) as probes:
        with pytest.raises(ProbeFailed, match=says):
            await (probes.bandwidth(endpoint, SIZE) if transfer else probes.latency(endpoint, 3))


async def huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"x" * 65536)


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def redirecting(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://169.254.169.254/latest/meta-data")


async def broken(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def refusing(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


async def boastful(request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok", headers={f"X-{n}": "y" * 5000 for n in range(3)})


async def wrong_nonce(request: web.Request) -> web.StreamResponse:
    return web.Response(text="f" * 32)


async def compressed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b" + b"\x00" * 20, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("handler", "says"),
    [(huge, "more than 32 bytes"), (redirecting, "not followed"), (broken, "status 500"), (wrong_nonce, "another nonce"),
     (compressed, "another nonce"), (refusing, "does not answer"), (boastful, "does not answer|no HTTP")],
)  # fmt: skip
async def test_an_echo_that_is_none(handler: Handler, says: str) -> None:
    await fails(handler, says)


async def test_who_does_not_answer_is_not_waited_for() -> None:
    await fails(silent, "within 0.05 seconds", timeout=0.05)
    await fails(silent, "within 0.05 seconds", timeout=0.05, transfer=True)


async def too_much(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"x" * (SIZE + 1))


async def made_up(request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(SIZE))


async def too_little(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"")


async def half_honest(request: web.Request) -> web.StreamResponse:
    """Sends what it was asked for, and pretends to have received what it has not read."""
    if request.method == "POST":
        return web.json_response({"bytes": SIZE, "sha256": "0" * 64})
    text = request.headers["Authorization"].removeprefix("Bearer ")
    asked = believe(text, [PUBLIC], "green", 1_800_000_000.0)
    return web.Response(body=b"".join(blocks(asked.id, SIZE)))


@pytest.mark.parametrize(
    ("handler", "says"),
    [(too_much, "more than the 300000"), (made_up, "other bytes"), (too_little, "other bytes"), (huge, "more than"),
     (redirecting, "not followed"), (half_honest, "did not receive|does not answer")],
)  # fmt: skip
async def test_a_transfer_that_is_none(handler: Handler, says: str) -> None:
    await fails(handler, says, transfer=True)
