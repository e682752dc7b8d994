"""A witness of everything that an engine does: who serves a component, at every single change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.resources import kinds
from continuo.resources.loop import DECISION
from continuo.resources.meta import Object, is_true, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

APPLICATION, COMPONENT = "continuo.dev/application", "continuo.dev/component"
ORIGIN = "offloading.liqo.io/origin"


class Witness:
    """Watches one orchestration. Complaints are gathered, because whoever is told of a change must not raise."""

    def __init__(self, engine: Engine, orchestration: str) -> None:
        self._engine, self._name = engine, orchestration
        self.complaints: list[str] = []
        self.moves: list[tuple[str, str | None, str]] = []
        """What was decided to move, from where, to where."""
        self._dead: set[str] = set()
        self._watching = False
        self._ghosts: set[tuple[str, tuple[str, str]]] = set()
        """Pods (by component) that a dead cluster kept: removed before anything returns to it."""
        self._ready: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        """By component: its ready pods (home cluster and name), as its home sees them, and the cluster that each runs on."""
        self._settled: dict[str, str] = {}
        """Where components run of which nothing is left anywhere else."""
        self._moving: dict[str, str] = {}
        """Where components are on their way to."""
        self._last: dict[str, str] = {}
        """Where they were settled last."""
        self._stop: list[Callable[[], None]] = []
        engine.on_cluster(self._cluster)
        self._stop.append(engine.management.listen(LOW_LEVEL_ORCHESTRATION, self._told))
        self._stop.append(engine.management.listen(DECISION, self._decided))

    def _cluster(self, event: Any, api: Api) -> None:
        name = api.name.rpartition(f"{self._name}-")[2]
        if event == "added" and api is not self._engine.management:
            self._stop.append(api.listen(kinds.POD, lambda change: self._pod(name, change)))

    def begin(self) -> None:
        """Everything runs: from now on it has to."""
        self._watching = True

    def end(self) -> None:
        self._watching = False
        for stop in self._stop:
            stop()
        assert self.complaints == [], "\n".join(self.complaints)

    def died(self, cluster: str) -> None:
        """Nobody reaches it: whatever it still runs serves nobody, now or later."""
        self._dead.add(cluster)
        self._ghosts |= {(path, key) for path, pods in self._ready.items() for key, on in pods.items() if on == cluster}

    def lives(self, cluster: str) -> None:
        self._dead.discard(cluster)

    # --- what happens ---------------------------------------------------------------------------------------------------

    def _pod(self, home: str, change: StoredChange) -> None:
        pod = change.object
        labels = labels_of(pod)
        if COMPONENT not in labels or ORIGIN in labels:
            return  # what was offloaded is seen through its home: that is what traffic follows
        path, key = f"{labels[APPLICATION]}/{labels[COMPONENT]}", (home, pod["metadata"]["name"])
        gone = change.type == "DELETED" or "deletionTimestamp" in pod["metadata"]
        if gone or not is_true(pod, "Ready"):
            self._ready[path].pop(key, None)
        else:
            node = str(pod["spec"].get("nodeName"))
            inside = node.startswith(f"{self._name}-{home}-") or node == f"{self._name}-{home}"
            self._ready[path][key] = home if inside else node.removeprefix(f"{self._name}-")
        self._check(path)

    def _told(self, change: StoredChange) -> None:
        status = change.object.get("status") or {}
        settled = status.get("phase") == "Ready"
        for app in status.get("apps") or ():
            for component in app.get("components") or ():
                path = f"{app['name']}/{component['name']}"
                self._component(path, component, settled)

    def _decided(self, change: StoredChange) -> None:
        """Where a component is sent to, nothing of it may be left from before; what is verified is over."""
        decision = change.object
        stage = (decision.get("status") or {}).get("stage")
        for action in decision["spec"]["actions"]:
            if action["op"] not in ("migrateComponent", "placeComponent"):
                continue
            path, target = action["component"], action["cluster"]
            if change.type == "ADDED":
                self._sent(path, action.get("other"), target)
            elif stage == "Verified" and self._moving.get(path) == target:
                del self._moving[path]
                self.seen(path, target)

    def _sent(self, path: str, source: str | None, target: str) -> None:
        self.moves.append((path, source, target))
        self._moving[path] = target
        self._settled.pop(path, None)
        api = next((a for a in self._engine.clusters() if a.name.endswith(f"{self._name}-{target}")), None)
        app, _, name = path.partition("/")
        left = api.list(kinds.POD, app, {COMPONENT: name}) if api is not None else []
        if [pod for pod in left if ORIGIN in labels_of(pod)]:
            self.complaints.append(f"{path} goes to {target}, and what it was there before was never removed")

    def _component(self, path: str, told: Object, settled: bool) -> None:
        """Nothing of it is left elsewhere once nothing is left to do."""
        if told.get("phase") != "Running" or not settled or path in self._moving:
            return
        self.seen(path, told["cluster"])

    def seen(self, path: str, place: str) -> None:
        """It runs there, and nothing of it is to be anywhere else."""
        self._settled[path] = self._last[path] = place
        self._check(path)

    def _check(self, path: str) -> None:
        if not self._watching:
            return
        serving = {on for key, on in self._ready[path].items() if (path, key) not in self._ghosts}
        alive = serving - self._dead
        if not alive and self._last.get(path) not in self._dead:
            self.complaints.append(f"nobody serves {path}, seen last on {self._last.get(path)}")
        place = self._settled.get(path)
        if place is not None and alive - {place}:
            self.complaints.append(f"{path} runs on {place}, and {sorted(alive - {place})} serve it, too")
