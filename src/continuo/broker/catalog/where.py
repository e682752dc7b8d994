"""`where` expressions: CEL over one plan of one offer, compiled to one Python comprehension over all of them.

What is kept is what is *definitely true*: in CEL a label that is not there makes an error, `error && false` is false and
`error || true` is true. So negations are pushed down to the comparisons, and a comparison with something absent is not
true, negated or not; `and` and `or` of Python then give exactly CEL's set of true rows.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import CodeType
from typing import Any, TypeAlias

from continuo.broker.catalog.bounds import Bounds, price_bounds
from continuo.broker.catalog.rows import Row
from continuo.broker.offers.amounts import BadAmount, quantity
from continuo.expressions.tree import BadExpression, Call, Const, Ident, Items, Node, Other, Select, parse

Filter: TypeAlias = Callable[[Iterable[Any]], list[Row]]

NUMBER, TEXT, NUMBERS, TEXTS, LIST, BOOL = (
    "a number",
    "text",
    "a map of numbers",
    "a map of text",
    "a list",
    "a condition",
)
TYPES: dict[str, str] = {
    "offer": TEXT, "plan": TEXT, "provider": TEXT, "region": TEXT, "kind": TEXT, "name": TEXT, "currency": TEXT,
    "unit": TEXT, "price": NUMBER, "resources": NUMBERS, "labels": TEXTS, "measured": NUMBERS,
    "claimed": NUMBERS, "effective": NUMBERS,
}  # fmt: skip

_DEEPEST = 32
_MOST = 256
_COMPARE: dict[str, tuple[type[ast.cmpop], type[ast.cmpop]]] = {
    "_<_": (ast.Lt, ast.GtE), "_<=_": (ast.LtE, ast.Gt), "_>_": (ast.Gt, ast.LtE), "_>=_": (ast.GtE, ast.Lt),
    "_==_": (ast.Eq, ast.NotEq), "_!=_": (ast.NotEq, ast.Eq),
}  # fmt: skip
_ARITHMETIC: dict[str, type[ast.operator]] = {"_+_": ast.Add, "_-_": ast.Sub, "_*_": ast.Mult}
_TEXT_TESTS = {"startsWith": "startswith", "endsWith": "endswith", "contains": "__contains__"}


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


def compile_where(text: str) -> Filter:
    """The rows of entries of which the expression is true; raises BadExpression."""
    return _compiled(text)[0]


def bounds_of(text: str) -> Bounds:
    """The prices that the expression allows; raises BadExpression."""
    return _compiled(text)[1]


@lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[Filter, Bounds]:
    tree = parse(text, tuple(TYPES), {"quantity": quantity})
    condition = _Compiler().condition(tree, negated=False, depth=0)
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
    made: Filter = eval(code, {"__builtins__": {"len": len}, "ABSENT": ABSENT})
    return made, price_bounds(tree)


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _field(name: str) -> ast.expr:
    return ast.Attribute(_load("r"), name, ast.Load())


class _Compiler:
    """One walk over the tree. Everything is typed, so that a comparison that can never be true is refused at once."""

    def __init__(self) -> None:
        self._nodes = 0

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > _MOST or depth > _DEEPEST:
            raise BadExpression(f"the expression is too large; at most {_MOST} parts and {_DEEPEST} levels are allowed")

    def condition(self, node: Node, *, negated: bool, depth: int) -> ast.expr:
        """An expression that is true where the node is definitely true (or definitely false, when negated)."""
        self._count(depth)
        if isinstance(node, Const) and isinstance(node.value, bool):
            return ast.Constant(node.value is not negated)
        if isinstance(node, Select) and node.test:
            return self._has(node, negated)
        if not isinstance(node, Call):
            raise BadExpression(f"{_named(node)} is not a condition; compare it with something")
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
            raise BadExpression(f"has() asks for a key of resources, labels or measured, not of {_named(node.operand)}")
        return ast.Compare(ast.Constant(node.field), [ast.NotIn() if negated else ast.In()], [operand])

    def _test(self, node: Call, negated: bool, depth: int) -> ast.expr:
        if node.function in _COMPARE:
            return self._comparison(node, negated, depth)
        if node.function == "@in":
            return self._membership(node, negated, depth)
        if node.function in _TEXT_TESTS and node.target is not None and len(node.args) == 1:
            return self._text_test(node, negated, depth)
        raise BadExpression(
            f"{_named(node)} cannot be used here; there are comparisons, &&, ||, !, ?:, in, has(), "
            "startsWith, endsWith, contains, size, quantity, + - *"
        )

    def _comparison(self, node: Call, negated: bool, depth: int) -> ast.expr:
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
            raise BadExpression("`in` wants a list, or text and a map such as labels, on its right side")
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
        found = ast.Call(ast.Attribute(text, _TEXT_TESTS[node.function], ast.Load()), [part], [])
        if not negated:
            return found
        there = ast.Compare(text, [ast.Eq()], [text])  # nothing absent equals itself
        return ast.BoolOp(ast.And(), [there, ast.UnaryOp(ast.Not(), found)])

    def _value(self, node: Node, depth: int) -> tuple[ast.expr, str]:
        """A value and its type."""
        self._count(depth)
        if isinstance(node, Const):
            return _constant(node.value)
        if isinstance(node, Ident):
            return _field(node.name), TYPES[node.name]
        if isinstance(node, Select) and not node.test:
            return self._entry(node.operand, Const(node.field), depth)
        if isinstance(node, Call):
            return self._computed(node, depth)
        raise BadExpression(f"{_named(node)} cannot be used here")

    def _entry(self, operand: Node, key: Node, depth: int) -> tuple[ast.expr, str]:
        mapping, kind = self._value(operand, depth + 1)
        if kind not in (NUMBERS, TEXTS) or not isinstance(key, Const) or not isinstance(key.value, str):
            raise BadExpression("only resources, labels and measured have entries, by names in quotes")
        found = ast.Call(ast.Attribute(mapping, "get", ast.Load()), [ast.Constant(key.value), _load("ABSENT")], [])
        return found, NUMBER if kind == NUMBERS else TEXT

    def _computed(self, node: Call, depth: int) -> tuple[ast.expr, str]:
        if node.function == "_[_]":
            return self._entry(node.args[0], node.args[1], depth)
        if node.function == "quantity":
            return _quantity(node), NUMBER
        if node.function == "-_":
            return ast.UnaryOp(ast.USub(), self._of(node.args[0], NUMBER, "-", depth)), NUMBER
        if node.function == "size":
            held = node.target if node.target is not None else node.args[0]
            mapping, kind = self._value(held, depth + 1)
            if kind not in (NUMBERS, TEXTS):
                raise BadExpression("size is for resources, labels and measured")
            return ast.Call(_load("len"), [mapping], []), NUMBER
        if node.function in _ARITHMETIC:
            left, right = (self._of(arg, NUMBER, node.function.strip("_"), depth) for arg in node.args)
            return ast.BinOp(left, _ARITHMETIC[node.function](), right), NUMBER
        raise BadExpression(f"{_named(node)} cannot be used as a value here")

    def _of(self, node: Node, wanted: str, operator: str, depth: int) -> ast.expr:
        value, kind = self._value(node, depth + 1)
        if kind != wanted:
            raise BadExpression(f"{operator} is for numbers, not for {kind}")
        return value


def _constant(value: Any) -> tuple[ast.expr, str]:
    if isinstance(value, bool) or value is None or isinstance(value, bytes):
        raise BadExpression("true, false, null and bytes are no values of offers; compare numbers or text")
    return ast.Constant(value), TEXT if isinstance(value, str) else NUMBER


def _quantity(node: Call) -> ast.expr:
    if len(node.args) != 1 or not isinstance(node.args[0], Const) or node.target is not None:
        raise BadExpression("quantity takes one text in quotes, such as quantity('16Gi')")
    try:
        return ast.Constant(float(quantity(node.args[0].value)))
    except BadAmount as problem:
        raise BadExpression(f"quantity: {problem}") from problem


def _named(node: Node) -> str:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Call):
        return f"`{node.function.strip('_@').replace('_', ' ')}`"
    if isinstance(node, Other):
        return node.what
    if isinstance(node, Const):
        return repr(node.value)
    return f"`.{node.field}`" if isinstance(node, Select) else "a list"
