"""Waiting for something to become true: asked with growing pauses, given up when it cannot become true any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from continuo.testbed.errors import NotReady

T = TypeVar("T")
U = TypeVar("U")

_FIRST, _LONGEST = 0.02, 0.5

Probe = Callable[[], Awaitable[str | None]]
"""Answers None when it is so, else what is still missing, in words that fit after "is not ready: "."""


async def until(probe: Probe, what: str, timeout: float) -> None:
    """Return as soon as the probe says None; raises NotReady with its last answer when the time is over."""
    last = "nothing was seen yet"
    try:
        async with asyncio.timeout(timeout):
            pause = _FIRST
            while (answer := await probe()) is not None:
                last = answer
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST)
    except TimeoutError as error:
        raise NotReady(f"{what} is not ready after {timeout:g} s: {last}") from error


async def all_or_none(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; the first failure ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await _done(*tasks)
    return [task.result() for task in tasks]


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """The same for two of different kinds."""
    first, second = asyncio.ensure_future(one), asyncio.ensure_future(other)
    await _done(first, second)
    return first.result(), second.result()


async def _done(*tasks: asyncio.Future[Any]) -> None:
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
