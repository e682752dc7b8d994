"""One end of a wire, in a network namespace of its own: an agent, and what it receives from the agent at the other end."""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.probing.agent import Agent, start
from continuo.probing.client import Endpoint, Prober, session
from continuo.probing.links import receive

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))


async def main(own: str, other: str) -> None:
    """Say `up`, wait for a line, measure, say what was measured, wait for the end of the input."""
    runner, _ = await start(Agent(own, PRIVATE.public_key().public_bytes_raw()), own, 8099)
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with session() as http:
        prober = Prober(http, lambda: PRIVATE, time.time, time.perf_counter)
        bps, size = await receive(prober, Endpoint(f"http://{other}:8099", other))
    print(msgspec.json.encode({"bps": bps, "bytes": size}).decode(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


asyncio.run(main(*sys.argv[1:]))
