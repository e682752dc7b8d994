"""Starts sites and relays that are born ready: everything is imported once, each process is a fork of that.

Run as a program. Each line on standard input is a JSON list, and is answered by a number:
["live", command, arguments, log file, named pipe]   its process ID; the command says in the pipe that it is ready
["bury", process ID]                                 its exit code, once it has ended
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from typing import Any

from continuo.cli.edge_serve import serve
from continuo.cli.failures import BadInput
from continuo.cli.relay import relay

COMMANDS = {"site": serve, "relay": relay}
NEEDED = (
    "continuo.edge.listening", "continuo.edge.rear.client", "continuo.edge.relay.client", "continuo.edge.relay.service",
    "continuo.edge.site", "continuo.kube.config", "continuo.server.identity", "continuo.server.rear_app",
    "continuo.trust.http", "continuo.cli.working", "uvicorn.lifespan.off", "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.http.auto", "uvicorn.loops.auto", "uvloop",
)  # fmt: skip


def main() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    for arguments in (["--kubeconfig", os.devnull, "--insecure"], ["--insecure", "--control", "nowhere"]):
        with contextlib.suppress(BadInput, SystemExit):
            COMMANDS["site" if "--kubeconfig" in arguments else "relay"].main(arguments, standalone_mode=False)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked: list[Any] = json.loads(line)
        answer = _live(*asked[1:]) if asked[0] == "live" else _bury(asked[1])
        print(answer, flush=True)


def _bury(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _live(command: str, arguments: list[str], log: str, pipe: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, target in enumerate((nothing, out, out)):
            os.dup2(target, number)
        ready = os.open(pipe, os.O_WRONLY)
        COMMANDS[command].main([*arguments, "--ready-fd", str(ready)], standalone_mode=False)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
    return 0


if __name__ == "__main__":
    main()
