"""How a demo's processes end, and how what is begun is not left half done."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from continuo.cli.failures import Failed


async def to_the_end(do: Callable[..., object], *arguments: object) -> None:
    """Do it in a thread, and be cancelled only when it is done: what was begun has to be known for what it is."""
    task = asyncio.create_task(asyncio.to_thread(do, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def end(pids: list[int], patience: float) -> None:
    """End these processes, all at a time; whoever has not in so many seconds is killed."""
    watched: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            watched[os.pidfd_open(pid)] = pid
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    try:
        left = set(watched)
        while left and (wait := deadline - time.monotonic()) > 0:
            left -= set(select.select(list(left), [], [], wait)[0])
        for descriptor in left:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if left:
            select.select(list(left), [], [], patience)
    finally:
        for descriptor in watched:
            os.close(descriptor)


@contextmanager
def told_to_end() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: whatever it started ends with it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told: list[str] = []

    def end(name: str) -> None:
        told.append(name)
        task.cancel()

    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, end, number.name)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise Failed(f"the demo was ended by {told[0]}; nothing of it runs any more") from None
        raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
