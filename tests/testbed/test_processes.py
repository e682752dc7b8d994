from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from continuo.testbed.errors import Ended, NotReady
from continuo.testbed.processes import CLIENTS, STORES, Crew
from continuo.testbed.processtable import marked, same, start_time
from continuo.testbed.waiting import all_or_none, until

from .ending import ended


def script(text: str) -> list[str]:
    return ["sh", "-c", text]


async def appears(path: Path) -> None:
    def missing() -> str | None:
        return None if path.exists() else "it is not there"

    async def there() -> str | None:
        return missing()

    await until(there, path.name, 20)


def test_a_program_that_falls_is_started_again(tmp_path: Path) -> None:
    async def main() -> None:
        crew = Crew("test-again", tmp_path)
        process = await crew.start(
            "worker", script(f"touch {tmp_path}/up; exec sleep 60"), log_file=tmp_path / "log",
            ready=lambda: appears(tmp_path / "up"),
        )  # fmt: skip
        first = process.pid
        (tmp_path / "up").unlink()
        os.kill(first, signal.SIGKILL)
        await appears(tmp_path / "up")
        assert process.pid != first
        await crew.stop()
        assert start_time(process.pid) is None

    asyncio.run(main())


def test_a_program_that_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        crew = Crew("test-early", tmp_path)
        with pytest.raises(Ended, match=r"worker ended with code 3: no such flag; see .*log"):
            await crew.start(
                "worker", script("echo no such flag; exit 3"), log_file=tmp_path / "log",
                ready=lambda: appears(tmp_path / "never"),
            )  # fmt: skip
        await crew.stop()

    asyncio.run(main())


def test_clients_end_before_stores_and_what_they_started_ends_too(tmp_path: Path) -> None:
    def program(name: str) -> list[str]:
        note = f"trap 'echo {name} >> {tmp_path}/order; exit' TERM; touch {tmp_path}/{name}; sleep 60 & wait"
        return script(note)

    async def main() -> None:
        crew = Crew("test-order", tmp_path)
        for name, rank in (("store", STORES), ("client", CLIENTS)):
            path = tmp_path / name
            await crew.start(name, program(name), log_file=tmp_path / "log", rank=rank, ready=lambda p=path: appears(p))
        await crew.stop()

    asyncio.run(main())
    assert (tmp_path / "order").read_text().split() == ["client", "store"]
    assert all(ended(pid) for pid in marked("test-order"))


def test_a_number_that_is_used_again_is_another_process() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert same(os.getpid(), started)
    assert not same(os.getpid(), "1")


def test_what_does_not_become_ready_says_what_is_missing() -> None:
    async def never() -> str | None:
        return "the door is closed"

    with pytest.raises(NotReady, match=r"the house is not ready after 0.05 s: the door is closed"):
        asyncio.run(until(never, "the house", 0.05))


def test_the_first_failure_ends_the_others() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the other")

    async def fails() -> None:
        raise NotReady("no")

    with pytest.raises(NotReady):
        asyncio.run(all_or_none([waits(), fails()]))
    assert ended == ["the other"]
