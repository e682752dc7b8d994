"""Who is killed, when, and what is noted meanwhile: shared by the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from continuo.cli.host import Host
from continuo.embedded.port import Api, StoredChange
from continuo.orchestrator.naming import APPLIED
from continuo.orchestrator.observe import MANAGEMENT_KINDS, OWNED_KINDS
from continuo.resources import kinds
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Object, annotations_of, deleting, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.beds import PATIENCE

Made = tuple[str, str, str, str]
"""(cluster, kind, namespace, name)"""


class Witness:
    """Sees every change the moment it is made, and notes what of ours is created, and what is created twice."""

    def __init__(self, host: Host) -> None:
        self.made: Counter[Made] = Counter()
        self.on_change: Callable[[bool], None] = lambda _by_the_operator: None
        self._kinds = {kind.kind for kind in (*MANAGEMENT_KINDS, *OWNED_KINDS)}
        host.engine.on_cluster(self._cluster)

    def _cluster(self, event: str, api: Api) -> None:
        if event == "added":
            api.listen(None, lambda change: self._changed(api.name, change))

    def _changed(self, cluster: str, change: StoredChange) -> None:
        ours = labels_of(change.object).get("app.kubernetes.io/managed-by") == "continuo"
        if ours and change.kind.kind in self._kinds and change.type == "ADDED":
            namespace, name = key_of(change.object)
            self.made[(cluster, change.kind.kind, namespace, name)] += 1
        if change.kind not in _NOISE:
            self.on_change(change.kind in _TOLD or (ours and _by_the_operator(change)))

    def forget(self) -> None:
        self.made.clear()

    def twice(self) -> list[Made]:
        return [key for key, count in self.made.items() if count > 1]


_TOLD = (LOW_LEVEL_ORCHESTRATION, ADJUSTMENT, DECISION)
_NOISE = (kinds.LEASE, kinds.EVENT, kinds.CORE_EVENT)


def _by_the_operator(change: StoredChange) -> bool:
    """Whether it created, declared anew or asked to go; the rest is what others do to our objects."""
    if change.previous is None or change.type != "MODIFIED":
        return change.type == "ADDED"
    old, new = change.previous, change.object
    return deleting(old) != deleting(new) or _applied(old) != _applied(new)


def _applied(obj: Object) -> str | None:
    return annotations_of(obj).get(APPLIED)


class Nursery:
    """Starts operator processes in milliseconds: see nursery.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, *arguments: str) -> Nursery:
        pipe = asyncio.subprocess.PIPE
        program = str(Path(__file__).with_name("nursery.py"))
        return cls(await asyncio.create_subprocess_exec(sys.executable, program, *arguments, stdin=pipe, stdout=pipe))

    async def ask(self, line: str) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()
        return int(await self._process.stdout.readline())

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Victim:
    """An operator that is killed and started again while an act lasts.

    Half of its lives end at a write of its own, before it has the answer, the others at any change of the world, such as
    between two steps of a machine; after a random number of them. Time plays no part in these choices.
    """

    def __init__(self, nursery: Nursery, kubeconfig: Path, witness: Witness, rng: random.Random) -> None:
        self._nursery, self._kubeconfig, self._rng = nursery, kubeconfig, rng
        self.kills = self.at_writes = 0
        self.span = 20
        """Changes of the world that it may see at most."""
        self._left = self._pid = 0
        self._at_write = False
        self._changed = asyncio.Event()
        witness.on_change = self._count

    def _count(self, by_the_operator: bool) -> None:
        self._changed.set()
        if not self._pid or self._left <= 0 or (self._at_write and not by_the_operator):
            return
        self._left -= 1
        if not self._left:
            self.at_writes += by_the_operator
            self._kill()

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._pid = 0
        self.kills += 1

    async def live(self) -> None:
        """Start it, with nobody after it."""
        self._left = 0
        self._pid = await self._nursery.ask(str(self._kubeconfig))

    async def _buried(self) -> None:
        assert await self._nursery.ask("") == -signal.SIGKILL, "the operator ended by itself"

    async def torture(self, kills: int, done: Callable[[], bool]) -> None:
        """Kill it so many times, or until what it works at is done; then let one live.

        Raises AssertionError with the end of its log where one neither gets there nor to its end.
        """
        for _ in range(kills):
            await self.live()
            self._at_write = self._rng.random() < 0.5
            self._left = self._rng.randint(1, 4 if self._at_write else self.span)
            try:
                async with asyncio.timeout(PATIENCE):
                    while self._pid and not done():
                        await self._something()
            except TimeoutError:
                left = f"{self._left} more {'writes' if self._at_write else 'changes'}"
                raise AssertionError(f"the operator neither ends its work nor makes {left}:\n{self._tail()}") from None
            if self._pid:
                self._left = 0
                return
            await self._buried()
        await self.live()

    async def _something(self) -> None:
        """Wait for a change; a while at most, for time makes no difference to what is done."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 1.0)
        self.alive()

    def alive(self) -> None:
        """Raise AssertionError with the end of its log where it ended by itself: nobody would ever do its work."""
        with contextlib.suppress(FileNotFoundError):
            state = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            assert not self._pid or state != "Z", f"the operator ended by itself:\n{self._tail()}"

    def _tail(self) -> str:
        log = self._kubeconfig.with_suffix(".log")
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])

    async def end(self) -> None:
        """Kill the one that lives."""
        self._left = 0
        if self._pid:
            self._kill()
            await self._buried()
