"""The asking side of a probe: round trips and transfers, believed only where the answer could not be made up.

Redirects are not followed, nothing is decompressed, no more is read than was asked for, and everything has a timeout.
A transfer is timed from the request to its last byte, so that holding data back or sending ahead only makes it slower.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.probing.agent import NONCE
from continuo.probing.payload import blocks, digest
from continuo.probing.tokens import LIFETIME, ProbeToken, issue

T = TypeVar("T")


class ProbeFailed(Exception):
    """The probe did not answer, or not as it had to; `str()` is a sentence."""


class ProbeRefused(ProbeFailed):
    """Something answered, but not to us (another key, a spent budget): neither up nor down."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Round trips in milliseconds."""

    median: float
    p95: float
    p99: float
    jitter: float
    """The mean difference between two round trips that followed each other."""
    samples: int


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Megabits in a second, as the asking side sees them."""

    down: float
    up: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a probe listens: `http://HOST:PORT`, and the name that its tokens are for."""

    url: str
    probe: str


class Prober:
    """Measures one endpoint at a time; shared by all of them."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        private: Callable[[], Ed25519PrivateKey],
        clock: Callable[[], float],
        stopwatch: Callable[[], float],
        *,
        timeout: float = 5.0,
        transfer_timeout: float = 30.0,
    ) -> None:
        self._http, self._private, self._clock, self._stopwatch = http, private, clock, stopwatch
        self._timeout, self._transfer_timeout = timeout, transfer_timeout

    async def latency(self, endpoint: Endpoint, samples: int = 10) -> Latency:
        """Round trips over one connection; the one that opened it does not count. Raises ProbeFailed."""
        return await self._within(self._timeout, endpoint, lambda: self._round_trips(endpoint, samples))

    async def bandwidth(self, endpoint: Endpoint, size: int) -> Bandwidth:
        """One transfer in each direction. Raises ProbeFailed."""

        async def both() -> Bandwidth:
            down, up = await self._download(endpoint, size), await self._upload(endpoint, size)
            return Bandwidth(down, up, size)

        return await self._within(self._transfer_timeout, endpoint, both)

    async def download(self, endpoint: Endpoint, size: int) -> float:
        """Megabits in a second of one transfer from there. Raises ProbeFailed."""
        return await self._within(self._transfer_timeout, endpoint, lambda: self._download(endpoint, size))

    async def _within(self, seconds: float, endpoint: Endpoint, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except TimeoutError as error:
            raise ProbeFailed(f"the probe {endpoint.probe} did not answer within {seconds:g} seconds") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProbeFailed(f"the probe {endpoint.probe} does not answer: {error or type(error).__name__}") from error
        except ValueError as error:
            raise ProbeFailed(f"the probe {endpoint.probe} answers with what is no HTTP: {error}") from error

    async def _round_trips(self, endpoint: Endpoint, samples: int) -> Latency:
        headers = self._headers(self._token(endpoint, 0))
        taken = []
        for _ in range(samples + 1):
            nonce = secrets.token_hex(16)
            started = self._stopwatch()
            async with self._http.get(
                f"{endpoint.url}/v1/echo", headers={**headers, NONCE: nonce}, allow_redirects=False
            ) as answer:
                said = await _all(endpoint, answer, len(nonce))
            taken.append(1000 * (self._stopwatch() - started))
            if said != nonce.encode():
                raise ProbeFailed(f"the probe {endpoint.probe} answered with another nonce: its answer was made up")
        return summary(taken[1:])

    async def _download(self, endpoint: Endpoint, size: int) -> float:
        token = self._token(endpoint, size)
        wanted = digest(token.id, size)
        got, seen = 0, hashlib.sha256()
        started = self._stopwatch()
        async with self._http.get(
            f"{endpoint.url}/v1/download", params={"bytes": str(size)}, headers=self._headers(token),
            allow_redirects=False,
        ) as answer:  # fmt: skip
            _expect(endpoint, answer)
            async for chunk in answer.content.iter_any():
                got += len(chunk)
                if got > size:
                    raise ProbeFailed(f"the probe {endpoint.probe} sent more than the {size} bytes it was asked for")
                seen.update(chunk)
        taken = self._stopwatch() - started
        if got != size or seen.digest() != wanted:
            raise ProbeFailed(f"the probe {endpoint.probe} sent other bytes than it was asked for")
        return _megabits(size, taken)

    async def _upload(self, endpoint: Endpoint, size: int) -> float:
        token = self._token(endpoint, size)
        data = b"".join(blocks(secrets.token_hex(16), size))
        started = self._stopwatch()
        async with self._http.post(
            f"{endpoint.url}/v1/upload", data=data, headers=self._headers(token), allow_redirects=False
        ) as answer:
            said = await _all(endpoint, answer, 256)
        taken = self._stopwatch() - started
        try:
            proof = msgspec.json.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            proof = None
        if proof != {"bytes": size, "sha256": hashlib.sha256(data).hexdigest()}:
            raise ProbeFailed(f"the probe {endpoint.probe} did not receive the bytes that were sent to it")
        return _megabits(size, taken)

    def _token(self, endpoint: Endpoint, budget: int) -> ProbeToken:
        return ProbeToken(endpoint.probe, secrets.token_hex(16), self._clock() + LIFETIME, budget)

    def _headers(self, token: ProbeToken) -> dict[str, str]:
        return {"Authorization": f"Bearer {issue(self._private(), token)}", "Accept-Encoding": "identity"}


def session(connector: aiohttp.BaseConnector | None = None) -> aiohttp.ClientSession:
    """A client for probes: short headers, no cookies, no environment, nothing decompressed."""
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None), max_line_size=4096, max_field_size=4096,
    )  # fmt: skip


def summary(taken: Sequence[float]) -> Latency:
    """Percentiles (nearest rank) and jitter of round trips."""
    ordered = sorted(taken)
    apart = [abs(after - before) for before, after in itertools.pairwise(taken)]
    return Latency(
        _rank(ordered, 0.5), _rank(ordered, 0.95), _rank(ordered, 0.99),
        sum(apart) / len(apart) if apart else 0.0, len(ordered),
    )  # fmt: skip


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _expect(endpoint: Endpoint, answer: aiohttp.ClientResponse) -> None:
    if 300 <= answer.status < 400:
        raise ProbeFailed(f"the probe {endpoint.probe} wants to send us elsewhere, which is not followed")
    if answer.status in (401, 403, 429):
        raise ProbeRefused(f"the probe {endpoint.probe} refuses us with HTTP status {answer.status}")
    if answer.status != 200:
        raise ProbeFailed(f"the probe {endpoint.probe} answers with HTTP status {answer.status}")


async def _all(endpoint: Endpoint, answer: aiohttp.ClientResponse, most: int) -> bytes:
    _expect(endpoint, answer)
    said = b""
    async for chunk in answer.content.iter_any():
        said += chunk
        if len(said) > most:
            raise ProbeFailed(f"the probe {endpoint.probe} answers with more than {most} bytes")
    return said


def _megabits(size: int, seconds: float) -> float:
    return 8 * size / max(seconds, 1e-6) / 1e6
