"""What starting an agent means on a command line: its log, its loop, and its exit code with a sentence."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from continuo.iot.agent import settings
from continuo.iot.agent.keeping import Unwelcome
from continuo.iot.agent.running import serve
from continuo.iot.agent.settings import BadSettings


def start(
    file: Path | None,
    home: Path,
    code: str | None,
    hub: str | None,
    ca: Path | None,
    metrics: str | None,
    verbose: bool,
) -> tuple[int, str]:
    """Run until stopped. 0: stopped; 1: the hub does not know this board; 2: bad settings; with a sentence."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    # Never DEBUG, at which it logs headers, and with them the tokens of tunnels.
    logging.getLogger("websockets").setLevel(logging.INFO if verbose else logging.WARNING)
    if sys.version_info < (3, 12):  # later ones wait for their children so by themselves
        asyncio.get_event_loop_policy().set_child_watcher(_watcher())
    try:
        asyncio.run(serve(settings.load(file, home.absolute(), code=code, url=hub, ca=ca), metrics))
    except BadSettings as error:
        return 2, str(error)
    except Unwelcome as error:
        return 1, str(error)
    return 0, ""


def _watcher() -> asyncio.AbstractChildWatcher:
    """Wait for children without a thread for each."""
    return asyncio.PidfdChildWatcher()
