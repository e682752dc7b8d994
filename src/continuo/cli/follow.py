"""Following an orchestration until it is ready: a live tree on a terminal, one line per change elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live

from continuo.cli.trees import Times, orchestration_tree
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Expired, NotFound
from continuo.resources.meta import Kind, Object, condition, is_true, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION


class View:
    """What is shown: the orchestration and the machines of its clusters."""

    def __init__(self, obj: Object) -> None:
        self.object = obj
        self.machines: dict[str, Object] = {}
        self.started = time.monotonic()
        self.times = Times(self.started)

    @property
    def ready(self) -> bool:
        status = self.object.get("status") or {}
        current = status.get("observedGeneration") == self.object["metadata"].get("generation")
        return current and is_true(self.object, "Ready")

    def tree(self) -> Any:
        return orchestration_tree(self.object, self._machines(), self.times, time.monotonic())

    def _machines(self) -> Mapping[str, Sequence[Object]]:
        found: dict[str, list[Object]] = {}
        for machine in self.own_machines():
            found.setdefault(_cluster_of(machine)[len(self._prefix) :], []).append(machine)
        return found

    def own_machines(self) -> list[Object]:
        """The machines of this orchestration's clusters: its namespace may hold others'."""
        status = (self.object.get("status") or {}).get("clusters") or ()
        spec = (self.object.get("spec") or {}).get("clusters") or ()
        own = {self._prefix + str(entry["name"]) for entry in (*spec, *status)}
        return [machine for machine in self.machines.values() if _cluster_of(machine) in own]

    @property
    def _prefix(self) -> str:
        return f"{self.object['metadata']['name']}-"


def _cluster_of(machine: Object) -> str:
    return str(labels_of(machine).get("cluster.x-k8s.io/cluster-name", ""))


async def follow(cluster: Any, obj: Object, console: Console, *, timeout: float, machines: bool = True) -> View:
    """Show the orchestration until it is ready, or the time is over: then `view.ready` is False."""
    view = View(obj)
    changed = asyncio.Event()
    tasks = [asyncio.create_task(_watch_object(cluster, view, changed))]
    if machines:
        tasks.append(asyncio.create_task(_watch_machines(cluster, view, changed)))
    try:
        async with asyncio.timeout(timeout):
            if console.is_terminal:
                await _live(view, changed, console)
            else:
                await _lines(view, changed, console)
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return view


async def _live(view: View, changed: asyncio.Event, console: Console) -> None:
    with Live(view.tree(), console=console, refresh_per_second=10, transient=True) as live:
        while not view.ready:
            await changed.wait()
            changed.clear()
            live.update(view.tree())


async def _lines(view: View, changed: asyncio.Event, console: Console) -> None:
    """Without a terminal: what changed, as it changes."""
    known: dict[str, str] = {}
    while True:
        view.tree()  # keeps the times
        for item, phase, message in _items(view):
            if known.get(item) != phase:
                known[item] = phase
                took = time.monotonic() - view.started
                console.print(f"{took:6.1f} s  {item}: {phase}{f' ({message})' if message else ''}", highlight=False)
        if view.ready:
            return
        await changed.wait()
        changed.clear()


def _items(view: View) -> list[tuple[str, str, str]]:
    status = view.object.get("status") or {}
    found: list[tuple[str, str, str]] = []
    for machine in view.own_machines():
        ready = is_true(machine, "NodeReady") or is_true(machine, "Ready")
        phase = "Ready" if ready else str((machine.get("status") or {}).get("phase") or "Pending")
        found.append((f"machine {machine['metadata']['name']}", phase, ""))
    for entry in status.get("clusters") or ():
        found.append((f"cluster {entry['name']}", entry["phase"], ""))
        found += [(f"package {entry['name']}/{p['name']}", p["phase"], "") for p in entry.get("packages") or ()]
    for entry in status.get("links") or ():
        found.append((f"link {'/'.join(entry['clusters'])}", entry["phase"], ""))
    for entry in status.get("apps") or ():
        found += [
            (f"component {entry['name']}/{c['name']}", c["phase"], f"on {c.get('cluster')}" if c.get("cluster") else "")
            for c in entry.get("components") or ()
        ]
    return found


async def _watch_object(cluster: Any, view: View, changed: asyncio.Event) -> None:
    namespace, name = key_of(view.object)
    async for change in _changes(cluster, LOW_LEVEL_ORCHESTRATION, namespace, fields=f"metadata.name={name}"):
        view.object = change
        changed.set()


async def _watch_machines(cluster: Any, view: View, changed: asyncio.Event) -> None:
    namespace, _ = key_of(view.object)
    async for change in _changes(cluster, kinds.MACHINE, namespace):
        name = change["metadata"]["name"]
        if change.pop("deleted", False):
            view.machines.pop(name, None)
        else:
            view.machines[name] = change
        changed.set()


async def _changes(cluster: Any, kind: Kind, namespace: str, **selector: str) -> AsyncIterator[Object]:
    """The present objects, then their changes for as long as wanted; interruptions are taken up again."""
    while True:
        try:
            listing = await cluster.list(kind, namespace, **selector)
            for item in listing.items:
                yield item
            version = listing.resource_version
            while True:
                async for change in cluster.watch(kind, namespace, since=version, **selector):
                    version = change.object["metadata"]["resourceVersion"]
                    if change.type != "BOOKMARK":
                        yield {**change.object, "deleted": True} if change.type == "DELETED" else change.object
        except Expired:
            continue
        except NotFound:
            return  # the kind is not served here
        except ApiError:
            await asyncio.sleep(1.0)


def why_not_ready(obj: Object) -> str:
    """The sentence of the Ready condition."""
    found = condition(obj, "Ready") or {}
    return str(found.get("message") or found.get("reason") or "nothing has reported on it; is an operator running?")
