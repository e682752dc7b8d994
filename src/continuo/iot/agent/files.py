"""What the agent keeps on disk: small JSON files that are there whole or not at all, readable by nobody else.

A cheap card may take a second for one write, so they are written in threads: the loop answers the hub meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Done = TypeVar("Done")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


class Damaged(Exception):
    """A file of the agent that is not what the agent writes, in a sentence."""


async def whole(work: Callable[..., Done], *arguments: object) -> Done:
    """Do it in a thread; who is cancelled meanwhile waits for its end, so that nothing is written by somebody who is gone."""
    doing = asyncio.create_task(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise


def write(path: Path, value: Any) -> None:
    """Replace a file by one rename, on disk when this returns, mode 0600; raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(value))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> Any:
    """What is in it; None where there is no such file. Raises Damaged."""
    try:
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Damaged(f"{path} is no JSON: {error}") from None


class Store:
    """A folder of such files by name: what the board shall have, for when it starts without its hub."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(".*.new"):
            left.unlink(missing_ok=True)

    async def put(self, name: str, value: Any) -> None:
        """Keep a value, as it is now: on disk when this returns. Raises OSError."""
        path, said = self._path(name), msgspec.Raw(msgspec.json.encode(value))
        async with self._turn:
            await whole(write, path, said)

    def get(self, name: str) -> Any:
        """It, or None; raises Damaged."""
        return read(self._path(name))

    def drop(self, name: str) -> None:
        """Forget it."""
        self._path(name).unlink(missing_ok=True)

    def each(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """All whose name begins so (without that), in order of names; a damaged one is set aside."""
        for path in sorted(self._folder.glob(f"{prefix}*.json")):
            with suppress(Damaged):
                yield path.stem.removeprefix(prefix), read(path)
                continue
            path.replace(path.with_suffix(".damaged"))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of something to keep")
        return self._folder / f"{name}.json"
