"""Starts operators and backends that are born ready: everything is imported once, each process is a fork of that.

Run as a program. Each line on standard input is a JSON list, and is answered by a number:
["live", command, arguments, log file]   its process ID
["bury", process ID]                     its exit code, once it has ended
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from typing import Any

from continuo.cli.backend import backend
from continuo.cli.failures import BadInput
from continuo.cli.operator import operator

COMMANDS = {"operator": operator, "backend": backend}
NEEDED = ("continuo.cli.kafka_parts", "aiokafka.admin", "continuo.orchestrator.backend.backend", "uvloop")


def main() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    for command in COMMANDS.values():
        with contextlib.suppress(BadInput, SystemExit):  # all imports are behind it when it finds no such file
            command.main(["--kubeconfig", os.devnull, "--kafka", "127.0.0.1:1"], standalone_mode=False)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked: list[Any] = json.loads(line)
        answer = _live(*asked[1:]) if asked[0] == "live" else os.waitstatus_to_exitcode(os.waitpid(asked[1], 0)[1])
        print(answer, flush=True)


def _live(command: str, arguments: list[str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, target in enumerate((nothing, out, out)):
            os.dup2(target, number)
        COMMANDS[command].main(arguments, standalone_mode=False)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
    return 0


if __name__ == "__main__":
    main()
