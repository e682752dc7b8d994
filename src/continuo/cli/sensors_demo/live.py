"""The paths as they are now: a table, and a small plot of what is measured."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from continuo.cli.sensors_demo.receivers import Post, Receiver

COLUMNS = ("CONTRACT", "BUYER", "SENSOR", "ENDPOINT", "READINGS", "NOW", "LATENCY")
LAST = 200
"""Readings that medians are made of."""
SHOWN = 12.0
"""Seconds that the plot shows."""
PACE = 0.25


@dataclass(frozen=True, slots=True)
class Path:
    """One sensor's way to one endpoint."""

    sensor: str
    """UID."""
    label: str
    contract: str
    receiver: Receiver

    @property
    def posts(self) -> list[Post]:
        """What has come by it: the newest."""
        return list(self.receiver.posts.get(self.sensor, ()))

    @property
    def count(self) -> int:
        """All that has come by it."""
        return self.receiver.count(self.sensor)


def rows(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """The table. The latency is from the reading at the edge until it is at the endpoint, the median of the newest."""
    found: list[tuple[str, ...]] = []
    for path in paths:
        posts = path.posts
        now = f"{posts[-1].values['Humidity']:.1f} %" if posts else "-"
        took = f"{statistics.median(post.took for post in posts[-LAST:]):.1f} ms" if posts else "-"
        endpoint = path.receiver.endpoint
        contract = path.contract[-8:]
        found.append((contract, endpoint.party, path.label, endpoint.name, f"{path.count}", now, took))
    return found


def plot(paths: Sequence[Path], width: int) -> str:
    """Humidity over the last seconds, of one path for each sensor."""
    import plotext

    plotext.clear_figure()
    plotext.plotsize(min(width, 78), 14)
    shown = {path.sensor: path for path in reversed(paths) if path.posts}
    newest = max((path.posts[-1].at for path in shown.values()), default=0.0)
    for path, marker in zip(reversed(shown.values()), ("dot", "x", "o"), strict=False):
        posts = [post for post in path.posts if post.at > newest - SHOWN]
        times = [post.at - newest for post in posts]
        plotext.plot(times, [post.values["Humidity"] for post in posts], label=path.label, marker=marker)
    plotext.title("humidity (%) over the last seconds")
    picture: str = plotext.uncolorize(plotext.build())
    return picture.rstrip("\n")


async def show(console: Any, paths: Sequence[Path], seconds: float) -> None:
    """On a terminal it changes for so many seconds; elsewhere it is printed once, after them."""
    if not console.is_terminal:
        await asyncio.sleep(seconds)
        return
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while loop.time() < end:
            table = Table(*COLUMNS, box=None, pad_edge=False)
            for row in rows(paths):
                table.add_row(*row)
            live.update(Group(table, Text(), Text(plot(paths, console.width))), refresh=True)
            await asyncio.sleep(PACE)
