"""Starts hubs, providers, agents and crowds of simulated boards that are born ready: each is a fork of what is imported once.

Run as a program. Each line on standard input is a JSON list, and is answered by a number:
["live", command, arguments, log file, named pipe]   its process ID; in the pipe is said that it works
["bury", process ID]                                 its exit code, once it has ended
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from continuo.cli.boards_provider import provider
from continuo.cli.hub import hub
from continuo.iot.agent.command import start
from continuo.iot.agent.simulated import Crowd

NEEDED = (
    "continuo.cli.boards_there", "continuo.cli.companions", "continuo.cli.server", "continuo.cli.tuning",
    "continuo.cli.working", "continuo.iot.agent.running", "continuo.iot.hub.hub", "continuo.iot.hub.networks",
    "continuo.iot.hub.tunnels", "continuo.iot.hub.wamp", "continuo.iot.provider.kinds", "continuo.iot.provider.provider",
    "continuo.kube.config", "continuo.server.hub.app", "uvicorn.lifespan.off", "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto", "uvicorn.protocols.http.httptools_impl", "uvloop",
)  # fmt: skip
CLONE_NEWNET = 0x40000000


def agent(home: str, url: str, ca: str, code: str, space: str, ready: int) -> int:
    """A real one, in a network namespace of its own where it is given one."""
    if space:
        place = os.open(f"/var/run/netns/{space}", os.O_RDONLY | os.O_CLOEXEC)
        if ctypes.CDLL(None, use_errno=True).setns(place, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
        os.close(place)
    os.write(ready, b"ready")
    exit_code, sentence = start(None, Path(home), code, url, Path(ca), None, False)
    print(sentence, file=sys.stderr)
    return exit_code


async def crowd(home: str, url: str, ca: str, codes: str, ready: int) -> None:
    """Boards that run nothing."""
    await Crowd(Path(home), url, tuple(json.loads(codes)), Path(ca)).start()
    os.write(ready, b"ready")
    await asyncio.Event().wait()


def run(command: str, arguments: Sequence[str], ready: int) -> None:
    """Be that."""
    match command:
        case "hub":
            hub.main([*arguments, "--ready-fd", str(ready)], standalone_mode=False)
        case "provider":
            provider.main([*arguments, "--ready-fd", str(ready)], standalone_mode=False)
        case "agent":
            sys.exit(agent(*arguments, ready=ready))
        case "crowd":
            asyncio.run(crowd(*arguments, ready=ready))


def main() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        print(_bury(asked[1]) if asked[0] == "bury" else _live(*asked[1:]), flush=True)


def _bury(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _live(command: str, arguments: list[str], log: str, pipe: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, target in enumerate((nothing, out, out)):
            os.dup2(target, number)
        run(command, arguments, os.open(pipe, os.O_WRONLY | os.O_CLOEXEC))
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
