"""`type == "Humidity" && manufacturer == "STMicroelectronics" && latency < 16ms`: CEL, and numbers with their units.

CEL has no units, so each such number becomes a name of the same length before CEL's parser sees the text: columns in its
sentences stay right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import ascii_letters, digits
from typing import Any

from continuo.edge.sensors import terms
from continuo.edge.sensors.criteria import Criteria
from continuo.edge.sensors.fields import Field, Kind, by_name, flavor_type
from continuo.edge.sensors.model import SENSOR, BadFilter
from continuo.edge.sensors.terms import Literal
from continuo.expressions.tree import LONGEST, BadExpression, Call, Const, Ident, Items, Node, Select, parse
from continuo.expressions.where import PRESENT

_NAMES = tuple(f"_{sign}" for sign in ascii_letters + digits)
_TOKEN = re.compile(
    r"""(?P<text>[rR]?\"\"\"(?s:.*?)\"\"\"|[rR]?'''(?s:.*?)'''|[rR]"[^"\n]*"|[rR]'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"|(?P<number>(?<![\w.])[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"(?P<unit>[ ]*(?![xXuU]\b|0[xX])[A-Za-zµμ]+)"
    r"|(?P<has>\bhas)(?=\s*\(\s*[A-Za-z]\w*\s*\))"
    r"|(?P<name>[A-Za-z_]\w*)"
)
_UNITS = frozenset({
    "ns", "us", "µs", "μs", "ms", "s", "min", "nW", "uW", "µW", "μW", "mW", "W", "Hz", "kHz", "MHz", "mHz",
    "n", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
})  # fmt: skip
_WORDS = frozenset({"in", "as", "true", "false", "null"})
_COMPARISONS = frozenset(terms.TURNED)
_PRESENT, _TYPE = "Has", "Type"
"""What stands for `has`, which in CEL takes no field of the first level, and for `type`, which is a function of CEL."""


def from_where(text: str, kind: str = SENSOR) -> Criteria:
    """What an expression asks for; raises BadFilter."""
    kind = flavor_type(kind)
    return Criteria(kind, condition_of(text, kind))


@lru_cache(maxsize=512)
def condition_of(text: str, kind: str) -> Node:
    """The condition that an expression is; raises BadFilter."""
    if len(text) > LONGEST:
        raise BadFilter(f"the expression has {len(text)} characters; at most {LONGEST} are allowed")
    fields = by_name(kind)
    masked, literals = _masked(text)
    try:
        functions = {_PRESENT: _never, "quantity": _never}
        names = (_TYPE if name == "type" else name for name in fields)
        tree = parse(masked, (*names, *_NAMES[: _room(len(literals))]), functions)
        return terms.every([_Reader(fields, literals).read(tree)])
    except BadExpression as problem:
        raise BadFilter(_unmasked(str(problem), literals)) from problem
    except RecursionError as problem:
        raise BadFilter("the expression is nested too deeply; at most 32 levels are allowed") from problem


def _never(text: str) -> Any:
    raise NotImplementedError(f"only the tree is used, nothing is called with {text}")


def _room(literals: int) -> int:
    """How many names to declare: few different numbers, as each makes another parser."""
    return 0 if not literals else 8 if literals <= 8 else len(_NAMES)


def _masked(text: str) -> tuple[str, dict[str, str]]:
    """The text as CEL reads it, and what stands behind each name."""
    literals: dict[str, str] = {}

    def mask(found: re.Match[str]) -> str:
        if found["name"] is not None and found["name"].startswith("_"):
            raise BadFilter(f"column {found.start() + 1}: there is no field {found['name']}; none begins with _")
        if found["has"] is not None:
            return _PRESENT
        if found["name"] == "type":
            return _TYPE
        if found["number"] is None or found["unit"].strip() in _WORDS:
            return found[0]
        return _named(found, literals)

    return _TOKEN.sub(mask, text), literals


def _named(found: re.Match[str], literals: dict[str, str]) -> str:
    unit = found["unit"].strip()
    if unit not in _UNITS:
        raise BadFilter(
            f"column {found.start() + 1}: {found[0]!r} has a unit that is not known; there are ms, s, us for time, "
            "Hz, kHz for rates, mW, W, uW for power, and those of Kubernetes quantities such as Gi"
        )
    if len(literals) == len(_NAMES):
        raise BadFilter(f"the expression has more than {len(_NAMES)} numbers with units")
    name = _NAMES[len(literals)]
    literals[name] = found[0]
    return name.ljust(len(found[0]))


def _unmasked(sentence: str, literals: Mapping[str, str]) -> str:
    for name, written in literals.items():
        sentence = re.sub(rf"(?<!\w){name}(?!\w)", written, sentence)
    return re.sub(rf"\b({_PRESENT}|{_TYPE})\b", lambda found: found[0].lower(), sentence)


class _Reader:
    """Brings numbers into the units of what they are compared with, and fields to the left."""

    def __init__(self, fields: Mapping[str, Field], literals: Mapping[str, str]) -> None:
        self._fields, self._literals = fields, literals

    def read(self, node: Node) -> Node:
        if isinstance(node, Call):
            return self._call(node)
        if node == Ident(_TYPE):
            return Ident("type")
        if isinstance(node, Ident) and node.name in self._literals:
            raise BadExpression(f"{self._literals[node.name]} must be compared with a field, such as latency < 16ms")
        if isinstance(node, Const) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Const(terms.number_value(_PLAIN, node.value)[0] if node.value >= 0 else node.value)
        if isinstance(node, Select):
            return Select(self.read(node.operand), node.field, node.test)
        return Items(tuple(map(self.read, node.elements))) if isinstance(node, Items) else node

    def _call(self, node: Call) -> Node:
        if node.function in _COMPARISONS:
            made = self._comparison(node)
            if made is not None:
                return made
        if node.function == "@in" and isinstance(node.args[1], Items):
            field = self._field(node.args[0])
            values = [self._written(element) for element in node.args[1].elements]
            if field is not None and all(value is not None for value in values):
                return terms.one_of(field, [_fitting(field, value) for value in values])
        if node.function == _PRESENT and self._field(node.args[0]) is not None:
            return Call(PRESENT, None, (self.read(node.args[0]),))
        target = None if node.target is None else self.read(node.target)
        return Call(node.function, target, tuple(map(self.read, node.args)))

    def _comparison(self, node: Call) -> Node | None:
        """A field compared with something written; None for everything else."""
        left, right = node.args
        field, written, operator = self._field(left), self._written(right), node.function
        if field is None:
            field, written, operator = self._field(right), self._written(left), terms.TURNED[operator]
        if field is None or written is None:
            return None
        return terms.compare(field, operator, _fitting(field, written))

    def _field(self, node: Node) -> Field | None:
        if not isinstance(node, Ident):
            return None
        return self._fields.get("type" if node.name == _TYPE else node.name)

    def _written(self, node: Node) -> Any:
        """What stands there, if it is a number or text."""
        if isinstance(node, Ident) and node.name in self._literals:
            return Literal(self._literals[node.name])
        if isinstance(node, Call) and node.function == "quantity" and len(node.args) == 1:
            node = node.args[0]
        known = (
            isinstance(node, Const) and isinstance(node.value, str | int | float) and not isinstance(node.value, bool)
        )
        return node.value if known and isinstance(node, Const) else None


def _fitting(field: Field, written: Any) -> Any:
    if not field.is_number and not isinstance(written, str):
        raise BadExpression(f"{field.name} is text; compare it with text in quotes")
    return written


_PLAIN = Field("a number", Kind.NUMBER, "")
