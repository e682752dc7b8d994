"""What starting an agent means on a command line: its log, its loop, and its exit code with a sentence."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    try:
        with _children_without_threads():
            asyncio.run(serve(settings.load(file, home.absolute(), code=code, url=hub, ca=ca), metrics))
    except BadSettings as error:
        return 2, str(error)
    except Unwelcome as error:
        return 1, str(error)
    return 0, ""


@contextmanager
def _children_without_threads() -> Iterator[None]:
    """Wait for children without a thread for each, as Python 3.12 and later do by themselves."""
    if sys.version_info >= (3, 12):
        yield
        return
    policy = asyncio.get_event_loop_policy()
    before = policy.get_child_watcher()
    policy.set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        yield
    finally:
        policy.set_child_watcher(before)
