"""The change plan: a graph of typed steps. `decide` returns it, `continuo plan` prints it, `act` runs the same object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from continuo.orchestrator import naming
from continuo.resources.meta import Kind, Object, annotations_of, key_of

MANAGEMENT = ""
"""The name of the management cluster in a Write."""


class Action(StrEnum):
    """What a step does to its target."""

    CREATE = "create"
    SCALE = "scale"
    UPGRADE = "upgrade"
    UPDATE = "update"
    REPAIR = "repair"
    DELETE = "delete"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    LINK = "link"
    UNLINK = "unlink"
    DEPLOY = "deploy"
    MOVE = "move"
    RECALL = "recall"
    OFFLOAD = "offload"
    WAIT = "wait"


TargetKind = Literal["cluster", "package", "link", "application", "component"]


@dataclass(frozen=True, slots=True)
class Target:
    """The declared item that a step serves; `name` is a path such as `green/liqo` or `shop/web`."""

    kind: TargetKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Write:
    """One request: a server-side apply of exactly `object`, or a deletion of the object of that kind and name."""

    cluster: str
    op: Literal["apply", "delete"]
    kind: Kind
    object: Object

    def __str__(self) -> str:
        namespace, name = key_of(self.object)
        where = f"{namespace}/{name}" if namespace else name
        return f"{self.op} {self.kind.kind} {where}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be done. It is over when `decide` no longer returns it."""

    id: str
    action: Action
    target: Target
    writes: tuple[Write, ...] = ()
    """What can be written now; empty while the step only waits, or while its writes depend on something not there yet."""
    needs: tuple[str, ...] = ()
    """Steps that have to be over first."""
    detail: str = ""
    """What changes, in a few words: `workers 1 -> 3`."""
    waits_for: str = ""

    @property
    def changes(self) -> bool:
        """Whether the step changes something, rather than watching a change that is under way."""
        return self.action is not Action.WAIT


@dataclass(frozen=True, slots=True)
class Refusal:
    """A wish that is not carried out, and why."""

    target: Target
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that separates what is from what is declared."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether running it would change anything."""
        return any(step.changes for step in self.steps)

    def runnable(self) -> tuple[Step, ...]:
        """The steps that can be run now: with writes, and with nothing open that they need."""
        open_steps = {step.id for step in self.steps}
        return tuple(step for step in self.steps if step.writes and not any(need in open_steps for need in step.needs))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data; Secrets are named, never shown."""
        return {
            "changes": self.changes,
            "steps": [_step_json(step) for step in self.steps],
            "refusals": [{"target": str(r.target), "reason": r.reason, "message": r.message} for r in self.refusals],
        }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": str(step.action),
        "target": {"kind": step.target.kind, "name": step.target.name},
        "detail": step.detail,
        "needs": list(step.needs),
        "waitsFor": step.waits_for,
        "writes": [_write_json(write) for write in step.writes],
    }


def _write_json(write: Write) -> dict[str, Any]:
    obj = write.object
    if write.kind.kind == "Secret":
        obj = _without_content(obj)
    namespace, name = key_of(obj)
    shown: dict[str, Any] = {
        "cluster": write.cluster or "management",
        "op": write.op,
        "kind": write.kind.kind,
        "namespace": namespace,
        "name": name,
    }
    if write.op == "apply":
        shown["object"] = obj
    return shown


def _without_content(secret: Object) -> Object:
    """A Secret without its values, and without our hash of them, against which short values could be tried."""
    hidden: Object = {
        field: dict.fromkeys(secret[field], "(hidden)") for field in ("data", "stringData") if field in secret
    }
    annotations = {key: "(hidden)" if key == naming.APPLIED else v for key, v in annotations_of(secret).items()}
    return {**secret, **hidden, "metadata": {**secret["metadata"], "annotations": annotations}}


@dataclass(slots=True)
class Draft:
    """A plan under construction."""

    steps: list[Step] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def add(self, step: Step) -> str:
        self.steps.append(step)
        self._ids.add(step.id)
        return step.id

    def __contains__(self, step: str) -> bool:
        """Whether there is a step of that id."""
        return step in self._ids

    def refuse(self, target: Target, reason: str, message: str) -> None:
        self.refusals.append(Refusal(target, reason, message))

    def done(self) -> Plan:
        return Plan(tuple(self.steps), tuple(self.refusals))
