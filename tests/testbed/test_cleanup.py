"""What a killed testbed leaves is found by the next one, without any help of the killed one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from continuo.testbed import cleanup
from continuo.testbed.errors import TestbedError
from continuo.testbed.processtable import marked, start_time
from continuo.testbed.registry import register, registered

VICTIM = """
import asyncio, sys
from pathlib import Path
from continuo.testbed import processes
from continuo.testbed.registry import register
from continuo.testbed.processes import Crew

processes._leash = lambda: ()  # as where the kernel does not end children with their parent

async def main():
    bed = register(Path(sys.argv[1]), Path("data"))
    crew = Crew(bed.id, bed.folder)
    await crew.start("plain", ["sleep", "600"], log_file=bed.folder / "log")
    await crew.start("fork", ["sh", "-c", "setsid sleep 600 & exec sleep 600"], log_file=bed.folder / "log")
    print(bed.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def killed(root: Path) -> str:
    """The identity of a bed whose process was killed while its children run on."""
    with subprocess.Popen([sys.executable, "-c", VICTIM, str(root)], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        identity = victim.stdout.readline().strip()
        victim.send_signal(signal.SIGKILL)
    return identity


def test_the_next_start_ends_all_processes_of_a_killed_bed(tmp_path: Path) -> None:
    identity = killed(tmp_path)
    [dead] = registered(tmp_path)
    assert dead.id == identity
    assert not dead.alive
    assert len(set(marked(identity))) >= 2
    assert asyncio.run(cleanup.sweep(tmp_path)) == [identity]
    assert list(marked(identity)) == []
    assert list(registered(tmp_path)) == []


def test_recorded_processes_are_found_without_a_mark(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        bed = register(tmp_path, Path("data"))
        record = f'{{"pid": {child.pid}, "started": "{start_time(child.pid)}", "name": "x"}}\n'
        (bed.folder / "processes.jsonl").write_text(record + '{"pid": 1, "started": "0", "name": "another"}\n{"pi')
        assert list(cleanup.processes_of(bed)) == [child.pid]
        asyncio.run(cleanup.remove(bed))
        assert child.wait(10) == -signal.SIGKILL


def test_a_bed_that_runs_is_left_alone(tmp_path: Path) -> None:
    bed = register(tmp_path, Path("data"))
    assert bed.pid == os.getpid()
    assert asyncio.run(cleanup.sweep(tmp_path)) == []
    with pytest.raises(TestbedError, match="runs already"):
        register(tmp_path, Path("data"), bed.id)
    bed.forget()
    assert register(tmp_path, Path("data"), bed.id).id == bed.id
