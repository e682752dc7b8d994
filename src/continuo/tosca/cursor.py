"""A place in the document being checked: the value, its path, the node it belongs to, and where findings go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from continuo.tosca.problems import Place, Problems, Severity, did_you_mean
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar, describe

MISSPELT: Mapping[str, str] = {"bandwith": "bandwidth", "bandwitdh": "bandwidth", "lattency": "latency"}
"""Keys that published blueprints get wrong; read as what they mean, with a warning."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """One value in its context. Moving on gives another cursor."""

    value: Node
    path: str
    node: str
    problems: Problems

    def report(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        severity: Severity = "error",
        at: Place | None = None,
    ) -> None:
        """Record a finding about this value; the message gets the node's name in front."""
        text = f"{self.node}: {message}" if self.node else sentence(message)
        self.problems.add(code, text, at or self.value, node=self.node, path=self.path, hint=hint, severity=severity)

    def warn(self, code: str, message: str, *, hint: str = "", at: Place | None = None) -> None:
        """Record something that is tolerated, and says how it was understood."""
        self.report(code, message, hint=hint, severity="warning", at=at)

    def step(self, value: Node, key: str, node: str | None = None) -> Cursor:
        """The cursor of a value inside this one."""
        path = f"{self.path}.{key}" if self.path else key
        return Cursor(value, path, self.node if node is None else node, self.problems)

    def fields(self, what: str) -> dict[str, Cursor]:
        """The entries of a map (none when nothing is written); anything else is reported."""
        if isinstance(self.value, MapNode):
            return {name: self.step(value, name) for name, value in self.value.fields.items()}
        if not (isinstance(self.value, Scalar) and self.value.is_null):
            self.report("bad-value", f"{what} must be a map, not {describe(self.value)}.")
        return {}

    def items(self, what: str) -> Iterator[Cursor]:
        """The entries of a list (none when nothing is written); anything else is reported."""
        if isinstance(self.value, ListNode):
            for index, value in enumerate(self.value.items):
                yield self.step(value, str(index))
        elif not (isinstance(self.value, Scalar) and self.value.is_null):
            self.report("bad-value", f"{what} must be a list, not {describe(self.value)}.")

    def key(self, name: str) -> Place:
        """Where the key `name` of this map is written."""
        return self.value.keys[name] if isinstance(self.value, MapNode) else self.value

    def known(self, allowed: Mapping[str, object] | frozenset[str], what: str, code: str) -> dict[str, Cursor]:
        """The map's entries under known names. Near misses are read with a warning, others reported."""
        found: dict[str, Cursor] = {}
        for name, inner in self.fields(what).items():
            meant = name if name in allowed else _meant(name, allowed)
            if meant is None:
                self.report(
                    code,
                    f"{what} has no {_noun(code)} named {name}.",
                    hint=did_you_mean(name, allowed),
                    at=self.key(name),
                )
                continue
            if meant != name:
                self.warn(code, f"{what} says {name}; it is read as {meant}.", at=self.key(name))
            if meant not in found or meant == name:
                found[meant] = inner
        return found


def sentence(message: str) -> str:
    """With a capital at its beginning, unless that is somebody's word."""
    return f"T{message[1:]}" if message.startswith("the ") else message


def _noun(code: str) -> str:
    return "property" if code == "unknown-property" else "key"


def _meant(name: str, allowed: Mapping[str, object] | frozenset[str]) -> str | None:
    """The known name that a published misspelling stands for: `bandwith`, `deployment unit`, `num-cpus`."""
    for candidate in (MISSPELT.get(name), name.strip().lower().replace(" ", "_").replace("-", "_")):
        if candidate in allowed:
            return candidate
    return None
