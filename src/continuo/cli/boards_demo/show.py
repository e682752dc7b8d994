"""The demo from its beginning to its end, however it ends."""

from __future__ import annotations

import time
from pathlib import Path

from continuo.cli import demo_folder
from continuo.cli.boards_demo import stage, steps
from continuo.cli.boards_demo.view import viewing
from continuo.cli.demo_ending import told_to_end
from continuo.cli.demo_saying import head


async def show(data: Path, timeout: float, hold: bool) -> None:
    """Everything, in order. Nothing runs afterwards; with `hold` it all goes on until Ctrl-C, before it is deleted."""
    from rich.console import Console

    console = Console()
    data = demo_folder.usable(data, stage.DEMO)
    with told_to_end():
        began = time.perf_counter()
        head(console, 1, "an engine, a hub and a provider start ...")
        async with stage.staged(data) as made, viewing(made.cluster, console) as view:
            play = steps.Play(console, made, view, timeout, began)
            await steps.perform(play, hold)
    console.print("Nothing of it runs any more.", highlight=False)
