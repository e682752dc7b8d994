"""The set algebra on nested field sets against plain sets of paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from continuo.embedded.machinery.fieldsets import LEAF, SELF, FieldSet, difference, intersection, paths, union

Path = tuple[str, ...]
some_paths = st.frozensets(
    st.lists(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']), min_size=1, max_size=3).map(tuple), max_size=8
)


def nested(members: frozenset[Path]) -> FieldSet:
    root: FieldSet = {}
    for path in sorted(members):
        node = root
        for step in path:
            node = node.setdefault(step, {})
    return marked(root, members, ())


def marked(node: FieldSet, members: frozenset[Path], path: Path) -> FieldSet:
    out = {step: marked(child, members, (*path, step)) for step, child in node.items()}
    if out and path in members:
        out[SELF] = LEAF
    return out


def members_of(node: FieldSet, path: Path = ()) -> frozenset[Path]:
    found = {path} if path and (not node or SELF in node) else set()
    for step, child in node.items():
        if step != SELF:
            found |= members_of(child, (*path, step))
    return frozenset(found)


@given(some_paths, some_paths)
def test_operations_are_those_of_sets_of_paths(a: frozenset[Path], b: frozenset[Path]) -> None:
    one, other = nested(a), nested(b)
    assert members_of(one) == a
    assert members_of(union(one, other)) == a | b
    assert members_of(difference(one, other)) == a - b
    assert members_of(intersection(one, other)) == a & b


@given(some_paths, some_paths)
def test_spelling_is_unique(a: frozenset[Path], b: frozenset[Path]) -> None:
    """Whatever way a set came about, it is written in one way only."""
    one, other = nested(a), nested(b)
    assert difference(one, other) == nested(a - b)
    assert intersection(one, other) == nested(a & b)
    assert union(one, other) == nested(a | b)


@given(some_paths)
def test_operations_share_what_they_keep(a: frozenset[Path]) -> None:
    one = nested(a)
    assert union(one, one) is one
    assert difference(one, LEAF) is one


def test_paths_read_like_in_messages() -> None:
    items = {'k:{"name":"x","port":80}': {SELF: LEAF, "f:image": LEAF}}
    root = {"f:spec": {"f:items": items, "f:set": {'v:"a"': LEAF}}}
    assert list(paths(root)) == [
        '.spec.items[name="x",port=80]',
        '.spec.items[name="x",port=80].image',
        '.spec.set[="a"]',
    ]
