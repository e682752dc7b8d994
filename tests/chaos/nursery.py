"""Starts operator processes that are born ready: everything is imported once, each operator is a fork of that.

Run as a program. Each line on standard input is a kubeconfig path: an operator is started for it, exactly as
`continuo operator --kubeconfig PATH` would be, and its process ID is printed; what it logs is beside that, in a file that
ends with `.log`. An empty line waits for the last one's end.
With the argument `hasty` operators notice within a moment what is lost, and try again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from pathlib import Path

import continuo.cli.operator
import continuo.orchestrator.operator
from continuo.cli.failures import BadInput
from continuo.cli.host import local_operator
from continuo.orchestrator.settings import Settings
from continuo.resources.orchestration import decode

sys.path.insert(0, str(Path(__file__).parents[1]))
from resources.bad_orchestrations import GOOD


def main() -> None:
    decode(GOOD)  # what is made on first use is made once
    _rehearse()
    gc.collect()
    gc.freeze()
    pid = 0
    for line in sys.stdin:
        kubeconfig = line.strip()
        if kubeconfig:
            pid = _start(kubeconfig)
            print(pid, flush=True)
        else:
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


def _rehearse() -> None:
    """Import what the command imports when it runs: it fails, for there is no such file, after its imports."""
    with contextlib.suppress(BadInput):
        continuo.cli.operator.operator.main(args=["--kubeconfig", os.devnull], standalone_mode=False)


def _start(kubeconfig: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(Path(kubeconfig).with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if "hasty" in sys.argv:
            asyncio.run(_hasty(Path(kubeconfig).read_text(encoding="utf-8")))
        else:
            continuo.cli.operator.operator.main(args=["--kubeconfig", kubeconfig], standalone_mode=False)
        code = 0
    finally:
        os._exit(code)
    return 0


async def _hasty(kubeconfig: str) -> None:
    await local_operator(kubeconfig, Settings(lost_after=0.5, retry_first=0.2)).run()


if __name__ == "__main__":
    main()
