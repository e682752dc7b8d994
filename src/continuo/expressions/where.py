"""`where` expressions: CEL over the fields of rows, compiled to one Python comprehension over all of them.

What is kept is what is *definitely true*: in CEL something that is not there makes an error, `error && false` is false
and `error || true` is true. So negations are pushed down to the comparisons, and a comparison with something absent is
not true, negated or not; `and` and `or` of Python then give exactly CEL's set of true rows.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import CodeType
from typing import Any, TypeAlias

from continuo.expressions.tree import BadExpression, Call, Const, Ident, Items, Node, Other, Select

Filter: TypeAlias = Callable[[Iterable[Iterable[Any]]], list[Any]]
"""From chunks of rows to the rows that match."""
Test: TypeAlias = Callable[[Any], Any]

NUMBER, TEXT, NUMBERS, TEXTS, LIST, BOOL = (
    "a number",
    "text",
    "a map of numbers",
    "a map of text",
    "a list",
    "a condition",
)
PRESENT = "@present"
"""A function of one field, true where it is not absent; for languages whose fields may be."""

_DEEPEST = 32
_MOST = 256
_COMPARE: dict[str, tuple[type[ast.cmpop], type[ast.cmpop]]] = {
    "_<_": (ast.Lt, ast.GtE), "_<=_": (ast.LtE, ast.Gt), "_>_": (ast.Gt, ast.LtE), "_>=_": (ast.GtE, ast.Lt),
    "_==_": (ast.Eq, ast.NotEq), "_!=_": (ast.NotEq, ast.Eq),
}  # fmt: skip
_ARITHMETIC: dict[str, type[ast.operator]] = {"_+_": ast.Add, "_-_": ast.Sub, "_*_": ast.Mult}
_TEXT_TESTS = {"startsWith": "startswith", "endsWith": "endswith", "contains": "__contains__"}
_MATCHES = "matches"


class Absent:
    """Stands for a value that is not there: nothing is true of it, and whatever is made of it is absent too."""

    def _never(self, _: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _never
    __hash__ = object.__hash__

    def _self(self, *_: object) -> Absent:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _self

    def __bool__(self) -> bool:
        return False

    def text_test(self, *_: object) -> bool:
        """No text test holds."""
        return False

    startswith = endswith = __contains__ = text_test


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Language:
    """What rows have, and what may be asked of them."""

    fields: Mapping[str, str]
    """By name: NUMBER, TEXT, NUMBERS or TEXTS. Rows have attributes of these names."""
    things: str
    """What rows are of, in the plural, for sentences."""
    maps: tuple[str, ...] = ()
    """The fields with entries that sentences name."""
    functions: Mapping[str, tuple[Callable[[str], Any], str]] = field(default_factory=dict)
    """What makes a number of one text, with an example; what it raises is a ValueError whose text ends a sentence."""
    sized: bool = True
    """Whether `size` says how many entries those have."""
    flags: tuple[str, ...] = ()
    """The maps of numbers in which true is a value, too: it is any number above nothing."""
    pattern: Callable[[str], Test] | None = None
    """What makes a test of a regular expression, in time linear in the text; None: there is no `matches`."""

    def listed(self, word: str) -> str:
        """The fields with entries, as a sentence lists them."""
        *first, last = self.maps or ("none",)
        return f"{', '.join(first)} {word} {last}" if first else last


def compile_tree(tree: Node, language: Language) -> Filter:
    """The rows of chunks of which the expression is true; raises BadExpression."""
    compiler = _Compiler(language)
    condition = compiler.condition(tree, negated=False, depth=0)
    rows = ast.Name("rows", ast.Load())
    body = ast.ListComp(
        ast.Name("r", ast.Load()),
        [
            ast.comprehension(ast.Name("rows", ast.Store()), ast.Name("chunks", ast.Load()), [], 0),
            ast.comprehension(ast.Name("r", ast.Store()), rows, [condition], 0),
        ],
    )
    arguments = ast.arguments([], [ast.arg("chunks")], None, [], [], None, [])
    code: CodeType = compile(ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body))), "<where>", "eval")
    made: Filter = eval(code, {"__builtins__": {"len": len}, "ABSENT": ABSENT, **compiler.constants})
    return made


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


class _Compiler:
    """One walk over the tree. Everything is typed, so that a comparison that can never be true is refused at once."""

    def __init__(self, language: Language) -> None:
        self.constants: dict[str, Any] = {}
        """What cannot be written in a syntax tree, by the name that stands for it there."""
        self._language = language
        self._nodes = 0

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > _MOST or depth > _DEEPEST:
            raise BadExpression(f"the expression is too large; at most {_MOST} parts and {_DEEPEST} levels are allowed")

    def _held(self, value: Any) -> ast.expr:
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return _load(name)

    def condition(self, node: Node, *, negated: bool, depth: int) -> ast.expr:
        """An expression that is true where the node is definitely true (or definitely false, when negated)."""
        self._count(depth)
        if isinstance(node, Const) and isinstance(node.value, bool):
            return ast.Constant(node.value is not negated)
        if isinstance(node, Select) and node.test:
            return self._has(node, negated)
        if self._is_flag(node):
            return self._flag(node, negated, depth)
        if not isinstance(node, Call):
            raise BadExpression(f"{named(node)} is not a condition; compare it with something")
        if node.function in ("_&&_", "_||_"):
            both = (node.function == "_&&_") is not negated
            parts = [self.condition(arg, negated=negated, depth=depth + 1) for arg in node.args]
            return ast.BoolOp(ast.And() if both else ast.Or(), parts)
        if node.function == "!_":
            return self.condition(node.args[0], negated=not negated, depth=depth + 1)
        if node.function == "_?_:_":
            return self._choice(node, negated, depth)
        return self._test(node, negated, depth)

    def _choice(self, node: Call, negated: bool, depth: int) -> ast.expr:
        asked, then, other = node.args
        yes = [
            self.condition(asked, negated=False, depth=depth + 1),
            self.condition(then, negated=negated, depth=depth + 1),
        ]
        no = [
            self.condition(asked, negated=True, depth=depth + 1),
            self.condition(other, negated=negated, depth=depth + 1),
        ]
        return ast.BoolOp(ast.Or(), [ast.BoolOp(ast.And(), yes), ast.BoolOp(ast.And(), no)])

    def _has(self, node: Select, negated: bool) -> ast.expr:
        operand, kind = self._value(node.operand, 1)
        if kind not in (NUMBERS, TEXTS):
            where = self._language.listed("or")
            raise BadExpression(f"has() asks for a key of {where}, not of {named(node.operand)}")
        return ast.Compare(ast.Constant(node.field), [ast.NotIn() if negated else ast.In()], [operand])

    def _is_flag(self, node: Node) -> bool:
        """Whether the node is an entry that may be true: `resources['example.com/redis']`."""
        held = node.operand if isinstance(node, Select) and not node.test else None
        if isinstance(node, Call) and node.function == "_[_]":
            held = node.args[0]
        return isinstance(held, Ident) and held.name in self._language.flags

    def _flag(self, node: Node, negated: bool, depth: int) -> ast.expr:
        value, _ = self._value(node, depth + 1)
        return ast.Compare(value, [ast.LtE() if negated else ast.Gt()], [ast.Constant(0)])

    def _test(self, node: Call, negated: bool, depth: int) -> ast.expr:
        if node.function in _COMPARE:
            return self._comparison(node, negated, depth)
        if node.function == "@in":
            return self._membership(node, negated, depth)
        if node.function == PRESENT:
            value, _ = self._value(node.args[0], depth + 1)
            there = ast.Compare(value, [ast.Eq()], [value])  # nothing absent equals itself
            return ast.UnaryOp(ast.Not(), there) if negated else there
        if node.function in self._text_tests() and node.target is not None and len(node.args) == 1:
            return self._text_test(node, negated, depth)
        raise BadExpression(f"{named(node)} cannot be used here; there are {self._offered()}")

    def _text_tests(self) -> tuple[str, ...]:
        return (*_TEXT_TESTS, _MATCHES) if self._language.pattern is not None else tuple(_TEXT_TESTS)

    def _offered(self) -> str:
        words = [*self._text_tests(), *(["size"] if self._language.sized else []), *self._language.functions]
        return f"comparisons, &&, ||, !, ?:, in, has(), {', '.join(words)}, + - *"

    def _comparison(self, node: Call, negated: bool, depth: int) -> ast.expr:
        if node.function in ("_==_", "_!=_"):
            for flag, said in (node.args, node.args[::-1]):
                if isinstance(said, Const) and isinstance(said.value, bool) and self._is_flag(flag):
                    return self._flag(flag, (said.value is (node.function == "_!=_")) is not negated, depth)
        (left, left_kind), (right, right_kind) = (self._value(arg, depth + 1) for arg in node.args)
        if left_kind != right_kind or left_kind not in (NUMBER, TEXT):
            raise BadExpression(f"{left_kind} cannot be compared with {right_kind}; compare numbers or text")
        return ast.Compare(left, [_COMPARE[node.function][negated]()], [right])

    def _membership(self, node: Call, negated: bool, depth: int) -> ast.expr:
        item, item_kind = self._value(node.args[0], depth + 1)
        if isinstance(node.args[1], Items):
            return self._in_list(item, item_kind, node.args[1], negated, depth)
        container, kind = self._value(node.args[1], depth + 1)
        if kind not in (NUMBERS, TEXTS) or item_kind != TEXT:
            maps = f", or text and a map such as {self._language.maps[-1]}," if self._language.maps else ""
            raise BadExpression(f"`in` wants a list{maps} on its right side")
        return ast.Compare(item, [ast.NotIn() if negated else ast.In()], [container])

    def _in_list(self, item: ast.expr, kind: str, items: Items, negated: bool, depth: int) -> ast.expr:
        """`x in ['a', 'b']`, as comparisons: what is absent must be in no list, nor out of it."""
        if not items.elements:
            return ast.Constant(negated)
        parts: list[ast.expr] = []
        for element in items.elements:
            value, value_kind = self._value(element, depth + 1)
            if value_kind != kind:
                raise BadExpression(f"{kind} is never in a list with {value_kind}")
            parts.append(ast.Compare(item, [ast.NotEq() if negated else ast.Eq()], [value]))
        return ast.BoolOp(ast.And() if negated else ast.Or(), parts) if len(parts) > 1 else parts[0]

    def _text_test(self, node: Call, negated: bool, depth: int) -> ast.expr:
        assert node.target is not None
        (text, kind), (part, part_kind) = self._value(node.target, depth + 1), self._value(node.args[0], depth + 1)
        if kind != TEXT or part_kind != TEXT or not isinstance(node.args[0], Const):
            raise BadExpression(f"{node.function} is for text and takes text in quotes")
        if node.function == _MATCHES:
            assert self._language.pattern is not None
            found = ast.Call(self._held(self._language.pattern(node.args[0].value)), [text], [])
        else:
            found = ast.Call(ast.Attribute(text, _TEXT_TESTS[node.function], ast.Load()), [part], [])
        if not negated:
            return found
        there = ast.Compare(text, [ast.Eq()], [text])  # nothing absent equals itself
        return ast.BoolOp(ast.And(), [there, ast.UnaryOp(ast.Not(), found)])

    def _value(self, node: Node, depth: int) -> tuple[ast.expr, str]:
        """A value and its type."""
        self._count(depth)
        if isinstance(node, Const):
            return self._constant(node.value)
        if isinstance(node, Ident):
            return ast.Attribute(_load("r"), node.name, ast.Load()), self._language.fields[node.name]
        if isinstance(node, Select) and not node.test:
            return self._entry(node.operand, Const(node.field), depth)
        if isinstance(node, Call):
            return self._computed(node, depth)
        raise BadExpression(f"{named(node)} cannot be used here")

    def _constant(self, value: Any) -> tuple[ast.expr, str]:
        if isinstance(value, bool) or value is None or isinstance(value, bytes):
            what = self._language.things
            raise BadExpression(f"true, false, null and bytes are no values of {what}; compare numbers or text")
        if isinstance(value, Decimal):
            return self._held(value), NUMBER
        return ast.Constant(value), TEXT if isinstance(value, str) else NUMBER

    def _entry(self, operand: Node, key: Node, depth: int) -> tuple[ast.expr, str]:
        mapping, kind = self._value(operand, depth + 1)
        if kind not in (NUMBERS, TEXTS) or not isinstance(key, Const) or not isinstance(key.value, str):
            raise BadExpression(f"only {self._language.listed('and')} have entries, by names in quotes")
        found = ast.Call(ast.Attribute(mapping, "get", ast.Load()), [ast.Constant(key.value), _load("ABSENT")], [])
        return found, NUMBER if kind == NUMBERS else TEXT

    def _computed(self, node: Call, depth: int) -> tuple[ast.expr, str]:
        if node.function == "_[_]":
            return self._entry(node.args[0], node.args[1], depth)
        if node.function in self._language.functions:
            return self._made(node), NUMBER
        if node.function == "-_":
            return ast.UnaryOp(ast.USub(), self._of(node.args[0], NUMBER, "-", depth)), NUMBER
        if node.function == "size" and self._language.sized:
            held = node.target if node.target is not None else node.args[0]
            mapping, kind = self._value(held, depth + 1)
            if kind not in (NUMBERS, TEXTS):
                raise BadExpression(f"size is for {self._language.listed('and')}")
            return ast.Call(_load("len"), [mapping], []), NUMBER
        if node.function in _ARITHMETIC:
            left, right = (self._of(arg, NUMBER, node.function.strip("_"), depth) for arg in node.args)
            return ast.BinOp(left, _ARITHMETIC[node.function](), right), NUMBER
        raise BadExpression(f"{named(node)} cannot be used as a value here")

    def _of(self, node: Node, wanted: str, operator: str, depth: int) -> ast.expr:
        value, kind = self._value(node, depth + 1)
        if kind != wanted:
            raise BadExpression(f"{operator} is for numbers, not for {kind}")
        return value

    def _made(self, node: Call) -> ast.expr:
        make, example = self._language.functions[node.function]
        if len(node.args) != 1 or not isinstance(node.args[0], Const) or node.target is not None:
            raise BadExpression(f"{node.function} takes one text in quotes, such as {example}")
        try:
            return self._constant(make(node.args[0].value))[0]
        except ValueError as problem:
            raise BadExpression(f"{node.function}: {problem}") from problem


def named(node: Node) -> str:
    """A part of an expression, as a sentence can carry it."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Call):
        return f"`{node.function.strip('_@').replace('_', ' ')}`"
    if isinstance(node, Other):
        return node.what
    if isinstance(node, Const):
        return repr(node.value)
    return f"`.{node.field}`" if isinstance(node, Select) else "a list"
