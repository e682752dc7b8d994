"""What a workload prints: the last of it, on disk, in two files at most. A place in it is the number of bytes before it."""

from __future__ import annotations

import asyncio
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
        text = self.read()[1].decode(errors="replace")
        if lines is None:
            return text
        return "".join(text.splitlines(keepends=True)[-lines:]) if lines > 0 else ""

    async def wait(self, since: int, seconds: float) -> None:
        """Until there is more than up to a place, or the time is over."""
        try:
            async with asyncio.timeout(seconds), self._more:
                while self.end() <= since:
                    await self._more.wait()
        except TimeoutError:
            return
