"""Calls of an engine's command line: argument lists, bounded in time, their complaints as a sentence."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

QUICK = 60.0
PULL = 900.0
"""Seconds for fetching an image."""


class Failed(Exception):
    """An engine's command failed, in a sentence. `code`: its exit code."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code


class NoEngine(Exception):
    """No engine works here; says what to install."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"this board cannot run containers{': ' + why if why else ''}; install podman, nerdctl with containerd, or docker"
        )


async def call(
    command: Sequence[str],
    seconds: float | None = QUICK,
    env: Mapping[str, str] | None = None,
    warnings: bool = False,
) -> str:
    """What it says, `warnings` too if asked for; raises Failed. `seconds` None: for as long as it takes."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            said, complained = await process.communicate()
    except TimeoutError:
        raise Failed(f"{command[0]} {command[1]} did not end within {seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = complained.decode(errors="replace").strip().splitlines()
        raise Failed((lines[-1] if lines else f"{command[0]} {command[1]} failed")[:300], process.returncode)
    return (said + complained if warnings else said).decode(errors="replace").strip()
