"""Everything about boards in a cluster, followed; on a terminal it is a tree that moves while something is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from continuo.cli.boards_demo import scene
from continuo.cli.boards_tree import trees
from continuo.cli.failures import Failed
from continuo.kube.port import Cluster
from continuo.resources.boards import MANAGED_KINDS
from continuo.resources.meta import Kind, Object, condition
from continuo.runtime.informer import Informer, Watch

Found = Mapping[str, list[Object]]
PACE = 0.1
"""Seconds between two pictures at least."""


class View:
    """What there is, by kind."""

    def __init__(self, cluster: Cluster, console: Any) -> None:
        self._console = console
        self._informers = {
            managed.kind: Informer(cluster, Watch(managed.kind, scene.SPACE)) for managed in MANAGED_KINDS
        }
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Until it has everything once."""
        for informer in self._informers.values():
            informer.on_change(lambda _old, _new: self._changed.set())
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))

    async def stop(self) -> None:
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    def all(self, kind: Kind) -> list[Object]:
        """The objects of a kind, by name."""
        return sorted(self._informers[kind].cache, key=lambda obj: obj["metadata"]["name"])

    def get(self, kind: Kind, name: str) -> Object:
        """One of them."""
        found = next((obj for obj in self._informers[kind].cache if obj["metadata"]["name"] == name), None)
        if found is None:
            raise Failed(f"there is no {kind.kind} {name}")
        return found

    def found(self) -> Found:
        """All of them, by the names of their kinds."""
        return {kind.kind: self.all(kind) for kind in self._informers}

    def objects(self) -> list[Object]:
        """All of them."""
        return [obj for objects in self.found().values() for obj in objects]

    async def until(self, test: Callable[[], bool], timeout: float, what: str) -> None:
        """Return when the test holds; the tree moves meanwhile. Raises Failed with what is not ready."""
        try:
            async with asyncio.timeout(timeout):
                await self._until(test)
        except TimeoutError:
            self.print()
            raise Failed(f"waited {timeout:g} s for {what}{self._why()}") from None

    async def _until(self, test: Callable[[], bool]) -> None:
        if not self._console.is_terminal:
            while not test():
                self._changed.clear()
                await self._changed.wait()
            return
        from rich.live import Live

        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not test():
                live.update(self._picture(), refresh=True)
                self._changed.clear()
                await self._changed.wait()
                await asyncio.sleep(PACE)  # many changes are one picture

    def print(self) -> None:
        """The tree as it is now."""
        self._console.print(self._picture())

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        shown = trees(self.found())
        for tree in shown:
            _whole_lines(tree)
        return Group(*shown) if shown else Text("nothing is declared")

    def _why(self) -> str:
        for obj in self.objects():
            if not good(obj):
                return f"; {obj['kind']} {obj['metadata']['name']}: {why(obj) or 'nobody has looked at it'}"
        return ""


def _whole_lines(tree: Any) -> None:
    """A line that is too long ends with an ellipsis: wrapped, nobody sees the tree any more."""
    tree.label.no_wrap, tree.label.overflow = True, "ellipsis"
    for child in tree.children:
        _whole_lines(child)


def good(obj: Object) -> bool:
    """Ready and Synced, of the generation that it has."""
    states = [condition(obj, type_) or {} for type_ in ("Ready", "Synced")]
    current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return current and all(state.get("status") == "True" for state in states)


def why(obj: Object) -> str:
    """Why it is not ready, as its conditions say."""
    synced, ready = condition(obj, "Synced") or {}, condition(obj, "Ready") or {}
    worst = synced if synced.get("status") == "False" else ready
    return str(worst.get("message") or worst.get("reason") or "") if worst.get("status") != "True" else ""


def seen(obj: Object) -> Mapping[str, Any]:
    """What it is at the endpoint."""
    found: Mapping[str, Any] = (obj.get("status") or {}).get("atProvider") or {}
    return found


@asynccontextmanager
async def viewing(cluster: Cluster, console: Any) -> AsyncIterator[View]:
    """Follow it as long as the context lasts."""
    view = View(cluster, console)
    try:
        await view.start()
        yield view
    finally:
        await view.stop()
