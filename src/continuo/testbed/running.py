"""Long commands whose progress is followed line by line, and which end with whoever started them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from continuo.testbed.errors import TestbedError

_KEPT_LINES = 12
_GRACE_SECONDS = 5.0


def ignore(_line: str) -> None:
    """Follow nothing."""


async def follow(
    argv: Sequence[str], *, timeout: float, on_line: Callable[[str], None] = ignore, folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Run a command in a group of its own; raises TestbedError with its last lines when it fails or takes too long."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env={**os.environ, **(environment or {})}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True, limit=1 << 20,
        )  # fmt: skip
    except OSError as error:
        raise TestbedError(f"cannot run {argv[0]}: {error.strerror or error}") from error
    said: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        async with asyncio.timeout(timeout):
            assert child.stdout is not None
            async for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                said.append(line)
                on_line(line)
            await child.wait()
    except TimeoutError as error:
        raise TestbedError(f"`{argv[0]} {argv[1]}` did not end within {timeout:g} s") from error
    finally:
        if child.returncode is None:
            await _end(child)
    if child.returncode != 0:
        raise TestbedError("\n".join(line for line in said if line) or f"{argv[0]} ended with code {child.returncode}")


async def _end(child: asyncio.subprocess.Process) -> None:
    """End a command and all that it started; all of them hold its output, so the end of that is the end of them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await child.wait()
                await _last_output(child)
                return


async def _last_output(child: asyncio.subprocess.Process) -> None:
    assert child.stdout is not None
    while await child.stdout.read(1 << 16):
        pass
