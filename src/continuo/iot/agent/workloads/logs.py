"""What a workload prints: the last of it, on disk, in two files at most. A place in it is the number of bytes before it."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from pathlib import Path

LIMIT = 512 * 1024
"""Bytes kept, about."""


class Log:
    """One workload's output; it survives the agent."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder, self._half = folder, limit // 2
        self._more = asyncio.Condition()

    def _parts(self) -> list[tuple[int, Path]]:
        found = (path for path in self._folder.glob("log.*") if path.suffix[1:].isdigit())
        return sorted((int(path.suffix[1:]), path) for path in found)

    def files(self) -> list[Path]:
        """Where it is kept."""
        return [path for _, path in self._parts()]

    def end(self) -> int:
        """The place after all that was printed."""
        parts = self._parts()
        return parts[-1][0] + parts[-1][1].stat().st_size if parts else 0

    async def append(self, data: bytes) -> None:
        """Add what was printed, and tell those who wait for it. Raises OSError where the disk is full."""
        await asyncio.to_thread(self._append, data)
        async with self._more:
            self._more.notify_all()

    def _append(self, data: bytes) -> None:
        parts = self._parts()
        start, path = parts[-1] if parts else (0, self._folder / "log.0")
        size = path.stat().st_size if parts else 0
        if size >= self._half:
            path = self._folder / f"log.{start + size}"
            for _, old in parts[:-1]:
                old.unlink(missing_ok=True)
        with path.open("ab") as file:
            file.write(data)

    def read(self, since: int = 0) -> tuple[int, bytes]:
        """What is kept from a place on, and where that begins."""
        parts = self._parts()
        kept = b"".join(path.read_bytes() for _, path in parts)
        first = parts[0][0] if parts else 0
        return (max(first, since), kept[max(0, since - first) :]) if since <= first + len(kept) else (first, kept)

    def tail(self, lines: int | None = None) -> str:
        """The last lines, or all that is kept."""
        return last_lines(self.read()[1].decode(errors="replace"), lines)

    async def wait(self, since: int, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
        """Until there is more than up to a place, or nothing more will come, or the time is over."""
        try:
            async with asyncio.timeout(seconds), self._more:
                while self.end() <= since and not over():
                    await self._more.wait()
        except TimeoutError:
            return

    async def wake(self) -> None:
        """Let those who wait see whether it is over."""
        async with self._more:
            self._more.notify_all()


def last_lines(text: str, lines: int | None) -> str:
    """So many of them, or all."""
    if lines is None:
        return text
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines > 0 else ""


def whole_text(data: bytes) -> tuple[str, int]:
    """The text, and of how many bytes: a letter printed in part is left for the next time, unless it is all there is."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    rest = len(decoder.getstate()[0])
    return (text, len(data) - rest) if text or not rest else (decoder.decode(b"", True), len(data))
