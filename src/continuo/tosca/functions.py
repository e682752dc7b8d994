"""TOSCA's intrinsic functions, as far as they can be known before anything is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from continuo.tosca.cursor import Cursor
from continuo.tosca.problems import did_you_mean
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar, describe

FUNCTIONS = frozenset(
    (
        "get_input", "get_property", "get_attribute", "get_operation_output", "get_nodes_of_type", "get_artifact",
        "concat", "join", "token",
    )
)  # fmt: skip


def called(node: Node) -> str:
    """The function that a value calls, or an empty string."""
    if isinstance(node, MapNode) and len(node.fields) == 1:
        name = next(iter(node.fields))
        return name if name in FUNCTIONS else ""
    return ""


def references(node: Node) -> Iterator[str]:
    """The names of all inputs that a value asks for, however deep."""
    if isinstance(node, ListNode):
        for item in node.items:
            yield from references(item)
    elif isinstance(node, MapNode):
        target = node.fields.get("get_input")
        if isinstance(target, Scalar) and not target.is_null:
            yield target.text
        for value in node.fields.values():
            yield from references(value)


@dataclass(frozen=True, slots=True)
class Functions:
    """Evaluates function calls with the inputs bound; an input may be declared and have no value."""

    inputs: Mapping[str, Node | None]
    supplied: frozenset[str] = frozenset()
    """Inputs whose value came with the request rather than from the blueprint."""

    def __call__(self, cursor: Cursor) -> Cursor | None:
        """The value that a call stands for, in the call's place; other values as they are."""
        name = called(cursor.value)
        if not name:
            return cursor
        assert isinstance(cursor.value, MapNode)
        argument = cursor.step(cursor.value.fields[name], name)
        match name:
            case "get_input":
                return self._input(cursor, argument)
            case "concat":
                return self._joined(cursor, argument, "")
            case "join":
                return self._join(cursor, argument)
            case "token":
                return self._token(cursor, argument)
        cursor.report(
            "bad-value", f"{name} is not known before deployment, and cannot be used here.",
            hint="use a literal value or get_input",
        )  # fmt: skip
        return None

    def in_clear(self, node: Node) -> bool:
        """Whether everything that the value is made of stands in the blueprint."""
        return self.supplied.isdisjoint(references(node))

    def _input(self, cursor: Cursor, argument: Cursor) -> Cursor | None:
        if not isinstance(argument.value, Scalar):
            argument.report("bad-value", f"get_input must name one input, not {describe(argument.value)}.")
            return None
        if argument.value.is_null:
            cursor.warn("input-null", f"{_last(cursor)} asks for an input without naming one; it is left out.")
            return None
        name = argument.value.text
        if name not in self.inputs:
            hint = did_you_mean(name, self.inputs) or "declare it under topology_template.inputs"
            argument.report("input-unknown", f"there is no input named {name}.", hint=hint)
            return None
        return _replaced(cursor, self.inputs[name])

    def _texts(self, cursor: Cursor) -> list[str] | None:
        texts = []
        for item in cursor.items(_last(cursor)):
            found = self(item)
            if found is None:
                return None
            if not isinstance(found.value, Scalar):
                item.report("bad-value", f"{_last(cursor)} takes texts, not {describe(found.value)}.")
                return None
            texts.append(found.value.text)
        return texts

    def _joined(self, cursor: Cursor, argument: Cursor, delimiter: str) -> Cursor | None:
        texts = self._texts(argument)
        return None if texts is None else _text(cursor, delimiter.join(texts))

    def _join(self, cursor: Cursor, argument: Cursor) -> Cursor | None:
        parts = list(argument.items("join"))
        delimiter = parts[1].value if len(parts) == 2 else Scalar("", False, 0, 0)
        if not 1 <= len(parts) <= 2 or not isinstance(delimiter, Scalar):
            cursor.report("bad-value", "join takes a list of texts and a delimiter.", hint='write join: [[a, b], ","]')
            return None
        return self._joined(cursor, parts[0], delimiter.text)

    def _token(self, cursor: Cursor, argument: Cursor) -> Cursor | None:
        texts = self._texts(argument)
        if texts is None:
            return None
        if len(texts) != 3 or not texts[1] or not texts[2].isascii() or not texts[2].isdigit() or len(texts[2]) > 9:
            cursor.report("bad-value", "token takes a text, a delimiter and a number.", hint="write token: [a.b, ., 0]")
            return None
        parts = texts[0].split(texts[1])
        index = int(texts[2])
        if index >= len(parts):
            cursor.report("out-of-range", f"token asks for part {index}, and there are {len(parts)}.")
            return None
        return _text(cursor, parts[index])


def _text(cursor: Cursor, text: str) -> Cursor:
    return Cursor(
        Scalar(text, False, cursor.value.line, cursor.value.column), cursor.path, cursor.node, cursor.problems
    )


def _replaced(cursor: Cursor, value: Node | None) -> Cursor | None:
    if value is None:
        return None
    if isinstance(value, Scalar):  # a finding about it belongs where it is used
        value = Scalar(value.text, value.plain, cursor.value.line, cursor.value.column)
    return Cursor(value, cursor.path, cursor.node, cursor.problems)


def _last(cursor: Cursor) -> str:
    return cursor.path.rpartition(".")[2]
