"""Orchestrations and change plans as trees in the terminal. Pure: objects in, rich renderables out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from continuo.placement.reasons import rate
from continuo.resources.meta import Object, is_true

_GOOD = frozenset({"Ready", "Connected", "Running"})
_BAD = frozenset({"Failed", "Degraded"})
_SYMBOLS = {"good": ("✔", "green"), "bad": ("✘", "red"), "busy": ("●", "yellow"), "idle": ("○", "bright_black")}


def _mood(phase: str) -> str:
    if phase in _GOOD:
        return "good"
    if phase in _BAD:
        return "bad"
    return "idle" if phase == "Pending" else "busy"


def _line(phase: str, name: str, *details: str, reason: str = "", took: str = "", missed: str = "") -> Text:
    symbol, colour = _SYMBOLS[_mood(phase)]
    text = Text.assemble((f"{symbol} ", colour), (name, "bold"), "  ", (phase, colour))
    for detail in details:
        if detail:
            text.append(f"  {detail}")
    if took:
        text.append(f"  {took}", style="cyan")
    if reason and phase not in _GOOD:
        text.append(f"  {reason}", style="red" if phase in _BAD else "bright_black")
    if missed:
        text.append(f"  {missed}", style="yellow")
    return text


def parse_time(value: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()


class Times:
    """How long things took since a start: filled while watching, so that a phase's first good moment is kept."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._reached: dict[str, float] = {}

    def reach(self, item: str, phase: str, now: float) -> str:
        """The time it took the item to become good, once it is; remembered."""
        if phase not in _GOOD and phase != "True":
            self._reached.pop(item, None)
            return ""
        moment = self._reached.setdefault(item, now)
        return f"{moment - self._started:.1f} s"


class NoTimes(Times):
    """For a look at something that was not watched from its start."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def reach(self, _item: str, _phase: str, _now: float) -> str:
        return ""


def orchestration_tree(
    obj: Object, machines: Mapping[str, Sequence[Object]] | None = None, times: Times | None = None, now: float = 0.0
) -> Tree:
    """One orchestration with everything that its status says; `machines` by declared cluster name."""
    times = times or NoTimes()
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    summary = status.get("summary") or {}
    counts = "  ".join(f"{kind} {summary[kind]}" for kind in ("clusters", "links", "apps") if kind in summary)
    metadata = obj["metadata"]
    phase = status.get("phase") or "Pending"
    name = f"{metadata['name']}"
    told = next((c.get("message", "") for c in status.get("conditions") or () if c["type"] == "Ready"), "")
    tree = Tree(
        _line(phase, name, counts, reason=told, took=times.reach("whole", phase, now)), guide_style="bright_black"
    )
    if is_true(obj, "Paused"):
        why = next((c.get("message", "") for c in status["conditions"] if c["type"] == "Paused"), "")
        tree.add(Text.assemble(("‖ ", "yellow"), ("paused", "bold"), f"  {why}"))
    reported = {
        kind: {_identity(entry): entry for entry in status.get(kind) or ()} for kind in ("clusters", "links", "apps")
    }
    clusters = _with_declared(reported["clusters"], (c["name"] for c in spec.get("clusters") or ()))
    links = _with_declared(reported["links"], ("/".join(sorted(pair)) for pair in spec.get("links") or ()))
    apps = _with_declared(reported["apps"], (a["name"] for a in spec.get("apps") or ()))
    if clusters:
        branch = tree.add(Text("clusters", style="bold blue"))
        for cluster, entry in clusters.items():
            _cluster(branch, cluster, entry, (machines or {}).get(cluster, ()), times, now)
    if links:
        branch = tree.add(Text("links", style="bold blue"))
        for link, entry in links.items():
            label = link.replace("/", " ⇄ ")
            detail = _measured(entry)
            took = times.reach(f"link/{link}", entry["phase"], now)
            branch.add(_line(entry["phase"], label, detail, reason=entry.get("message", ""), took=took))
    if apps:
        branch = tree.add(Text("applications", style="bold blue"))
        for app, entry in apps.items():
            _app(branch, app, entry, times, now)
    loops = {loop["name"]: loop for loop in status.get("loops") or ()}
    if known := dict.fromkeys([*(policy["name"] for policy in spec.get("policies") or ()), *loops]):
        branch = tree.add(Text("loops", style="bold blue"))
        for loop in known:
            branch.add(_loop(loops.get(loop) or {"name": loop, "stage": "Observe", "message": "not looked at yet"}))
    return tree


def _measured(entry: Object) -> str:
    """What was measured of a link, with the time of what is measured rarely."""
    parts = [entry["latency"]] if entry.get("latency") else []
    if entry.get("jitter"):
        parts.append(f"± {entry['jitter']}")
    if (bps := entry.get("bandwidthBps")) is not None:
        at = entry.get("bandwidthMeasuredAt") or ""
        parts.append(f"{rate(bps)}{f' at {at[11:16]} UTC' if at else ''}")
    return "  ".join(parts)


_LOOP_MOODS = {"Orient": "good", "Observe": "idle", "Held": "idle", "WaitingForApproval": "idle", "Stalled": "bad"}


def _loop(entry: Object) -> Text:
    """One closed loop: what it saw, what it decided, what holds it up."""
    symbol, colour = _SYMBOLS[_LOOP_MOODS.get(entry["stage"], "busy")]
    text = Text.assemble((f"{symbol} ", colour), (entry["name"], "bold"), "  ", (entry["stage"], colour))
    text.append(f"  {entry['observation']}" if entry.get("observation") else "")
    if entry.get("decision"):
        text.append(f"  {entry['decision']} {entry.get('outcome', '')}", style="cyan")
    return text.append(f"  {entry['message']}" if entry.get("message") else "", style="bright_black")


def _identity(entry: Object) -> str:
    return entry.get("name") or "/".join(sorted(entry["clusters"]))


def _with_declared(reported: dict[str, Object], declared: Iterable[str]) -> dict[str, Object]:
    known = dict.fromkeys([*declared, *reported])
    return {name: reported.get(name) or {"name": name, "phase": "Pending"} for name in known}


def _cluster(branch: Tree, name: str, entry: Object, machines: Sequence[Object], times: Times, now: float) -> None:
    nodes = ""
    if "controlPlaneDesired" in entry:
        nodes = f"control plane {entry.get('controlPlaneReady', 0)}/{entry['controlPlaneDesired']}"
        if "workersDesired" in entry:
            nodes += f", workers {entry.get('workersReady', 0)}/{entry['workersDesired']}"
    took = times.reach(f"cluster/{name}", entry["phase"], now)
    node = branch.add(
        _line(entry["phase"], name, entry.get("version", ""), nodes, reason=entry.get("message", ""), took=took)
    )
    for machine in sorted(machines, key=lambda m: (m["metadata"].get("creationTimestamp", ""), m["metadata"]["name"])):
        _machine(node, machine, times, now)
    packages = entry.get("packages") or []
    if packages:
        text = Text("packages ", style="bright_black")
        for package in packages:
            symbol, colour = _SYMBOLS[_mood(package["phase"])]
            text.append(f" {package['name']} ")
            text.append(symbol, style=colour)
        node.add(text)
        for package in packages:
            if package["phase"] in _BAD:
                node.add(_line(package["phase"], package["name"], reason=package.get("message", "")))


def _machine(node: Tree, machine: Object, times: Times, now: float) -> None:
    name = machine["metadata"]["name"]
    ready = is_true(machine, "NodeReady") or is_true(machine, "Ready")
    phase = "Ready" if ready else str((machine.get("status") or {}).get("phase") or "Pending")
    node.add(_line(phase, f"machine {name}", took=times.reach(f"machine/{name}", phase, now)))


def _app(branch: Tree, name: str, entry: Object, times: Times, now: float) -> None:
    owner = f"owner {entry['owner']}" if entry.get("owner") else ""
    home = f"home {entry['cluster']}" if entry.get("cluster") else ""
    took = times.reach(f"app/{name}", entry["phase"], now)
    node = branch.add(_line(entry["phase"], name, owner, home, reason=entry.get("message", ""), took=took))
    for component in entry.get("components") or ():
        identity = f"component/{name}/{component['name']}"
        took = times.reach(identity, component["phase"], now)
        where = f"on {component['cluster']}" if component.get("cluster") else ""
        leaf = node.add(
            _line(component["phase"], component["name"], where, component.get("ready", ""),
                  reason=component.get("message", ""), took=took,
                  missed=component.get("message", "") if component.get("reason") == "RequirementMissed" else "")
        )  # fmt: skip
        for url in component.get("urls") or ():
            if url["url"].startswith("http"):
                leaf.add(Text(url["url"], style="underline"))


_COLOURS = {
    "create": "green", "install": "green", "deploy": "green", "link": "green", "offload": "green",
    "delete": "red", "uninstall": "red", "unlink": "red", "wait": "bright_black",
}  # fmt: skip


def plan_tree(name: str, plan: Mapping[str, Any]) -> Tree:
    """A change plan (its JSON form) as a tree of steps, each with what it writes and what it needs."""
    steps = plan["steps"]
    count = sum(step["action"] != "wait" for step in steps)
    title = f"{name}: {count} change{'s' if count != 1 else ''}" if count else f"{name}: no change"
    if plan["refusals"]:
        title += f", {len(plan['refusals'])} refused"
    tree = Tree(Text(title, style="bold"), guide_style="bright_black")
    for step in steps:
        colour = _COLOURS.get(step["action"], "yellow")
        target = step["target"]
        kind = "" if target["kind"] in step["action"] else f"{target['kind']} "  # `link a/b`, not `link link a/b`
        text = Text.assemble((f"{step['action']} ", colour), kind, (target["name"], "bold"))
        if step["detail"]:
            text.append(f"  {step['detail']}")
        node = tree.add(text)
        if step["needs"]:
            node.add(Text(f"after {', '.join(step['needs'])}", style="bright_black"))
        if step["waitsFor"]:
            node.add(Text(f"waiting: {step['waitsFor'].removeprefix('waiting for ')}", style="bright_black"))
        for write in step["writes"]:
            where = f"{write['namespace']}/{write['name']}" if write["namespace"] else write["name"]
            node.add(Text(f"{write['op']} {write['kind']} {where} on {write['cluster']}", style="bright_black"))
    for refusal in plan["refusals"]:
        tree.add(Text.assemble(("refused ", "red"), (refusal["target"], "bold"), f"  {refusal['message']}"))
    return tree
