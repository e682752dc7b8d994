"""Short commands of the system, with a limit in time and an error that says what they said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from continuo.testbed.errors import TestbedError

SECONDS = 60.0


async def run(
    *argv: str, check: bool = True, timeout: float = SECONDS, environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> str:  # fmt: skip
    """Run a command and return what it printed; raises TestbedError when it fails, unless told not to check."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=None if environment is None else dict(environment),
        )  # fmt: skip
    except OSError as error:
        raise TestbedError(f"cannot run {argv[0]}: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout):
            output, _ = await child.communicate(stdin)
    except TimeoutError as error:
        raise TestbedError(f"`{' '.join(argv)}` did not end within {timeout:g} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    text = output.decode(errors="replace").strip()
    if check and child.returncode != 0:
        raise TestbedError(f"`{' '.join(argv)}` failed with code {child.returncode}: {text or 'it said nothing'}")
    return text
