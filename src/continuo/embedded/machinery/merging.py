"""The two value operations of server-side apply: laying a configuration over an object, and taking fields away.

Both share every subtree that they do not change with the object they were given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from continuo.embedded.machinery.fieldsets import LEAF, FieldSet, field, is_member
from continuo.embedded.machinery.typed import MergeType, is_list, is_map, item_key, same


def merge(kind: MergeType, live: Any, applied: Any) -> Any:
    """The live value with the applied one laid over it; the live object itself when that changes nothing."""
    if is_map(kind, live) and (is_map(kind, applied) or applied is None):
        return _merge_maps(kind, live, applied or {})
    if is_list(kind, live) and (is_list(kind, applied) or applied is None):
        return _merge_lists(kind, live, applied or [])
    return live if same(live, applied) else applied


def _merge_maps(kind: MergeType, live: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    out = live
    for name, value in applied.items():
        if name not in live:
            merged = value
        else:
            merged = merge(kind.child(name), live[name], value)
            if merged is live[name]:
                continue
        if out is live:
            out = dict(live)
        out[name] = merged
    return out


def _merge_lists(kind: MergeType, live: list[Any], applied: list[Any]) -> list[Any]:
    """Shared items take the applied order; what only the live list has stays between its former neighbours."""
    known = {item_key(kind, item): item for item in live}
    wanted = {item_key(kind, item): item for item in applied}
    shared = iter([key for key in wanted if key in known])
    turn = next(shared, None)
    rest = iter(wanted.items())
    out: list[Any] = []
    for live_key, item in zip([item_key(kind, item) for item in live], live, strict=True):
        if live_key not in wanted:
            out.append(item)
        elif live_key == turn:
            out += _up_to(turn, rest, kind, known)
            turn = next(shared, None)
    out += _up_to(None, rest, kind, known)
    return live if len(out) == len(live) and all(a is b for a, b in zip(out, live, strict=True)) else out


def _up_to(last: str | None, rest: Iterator[tuple[str, Any]], kind: MergeType, known: dict[str, Any]) -> Iterator[Any]:
    """The applied items up to one of them (None: all), each merged with its live counterpart."""
    for key, item in rest:
        yield merge(kind.element, known[key], item) if key in known else item
        if key == last:
            return


def withdraw(kind: MergeType, value: Any, last: FieldSet, owned: FieldSet) -> Any:
    """Take away what the manager applied last (`last`) and nobody claims now (`owned`, its new claim included)."""
    if is_map(kind, value):
        return _withdraw_fields(kind, value, last, owned)
    if is_list(kind, value):
        return _withdraw_items(kind, value, last, owned)
    return value


def _withdraw_fields(kind: MergeType, value: dict[str, Any], last: FieldSet, owned: FieldSet) -> dict[str, Any]:
    out = value
    for name, child in value.items():
        key = field(name)
        node = last.get(key)
        if node is None:
            continue
        keep = owned.get(key)
        declared = kind.declared(name)
        gone, rest = _decide(declared or kind.element, child, node, keep, declared is not None)
        if gone or rest is not child:
            out = dict(value) if out is value else out
            if gone:
                del out[name]
            else:
                out[name] = rest
    return out


def _withdraw_items(kind: MergeType, value: list[Any], last: FieldSet, owned: FieldSet) -> list[Any]:
    out: list[Any] = []
    changed = False
    for item in value:
        key = item_key(kind, item)
        node = last.get(key)
        gone, rest = (False, item) if node is None else _decide(kind.element, item, node, owned.get(key), False)
        changed = changed or gone or rest is not item
        if not gone:
            out.append(rest)
    return out if changed else value


def _decide(kind: MergeType, value: Any, last: FieldSet, keep: FieldSet | None, declared: bool) -> tuple[bool, Any]:
    """(is it taken away, what is left of it). A declared field counts as claimed with anything in it.

    A list that loses its last item goes too; a map stays, empty.
    """
    claimed = keep is not None and (declared or is_member(keep))
    if not claimed and (declared or is_member(last)):
        return True, None
    rest = withdraw(kind, value, last, keep or LEAF)
    return rest == [] and rest is not value, rest
