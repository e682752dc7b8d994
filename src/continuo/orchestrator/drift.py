"""Does the live object still say what was declared? Pure comparison, tolerant of what others add.

Server-side apply leaves foreign fields alone, so they are no drift. Drift is: the object is missing, a declared field has
another value, or the hash of the declaration changed (then a field may have to go that is no longer declared).

What a server merely spells differently is no drift either, or it would be applied again for ever: quantities (`0.5` is
kept as `500m`), empty values (left out), and whatever an admission webhook makes of our declaration (`accepted`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from continuo.federation.quantities import same_quantity
from continuo.orchestrator import naming
from continuo.resources.meta import Object, annotations_of

_ITEM_KEYS = ("name", "containerPort", "port", "mountPath", "ip", "key", "type")


_AMOUNTS = frozenset({"requests", "limits", "sizeLimit"})
"""Fields that hold quantities, or maps of them."""


def differences(desired: Any, live: Any, path: str = "", *, amounts: bool = False) -> Iterator[str]:
    """The paths of declared fields whose live value differs."""
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            yield path or "."
            return
        for key, value in desired.items():
            if key in live:
                yield from differences(value, live[key], f"{path}.{key}", amounts=amounts or key in _AMOUNTS)
            elif not _empty(value):
                yield f"{path}.{key}"
    elif isinstance(desired, list):
        yield from _list_differences(desired, live, path)
    elif desired != live and not (amounts and same_quantity(desired, live)):
        yield path


def _empty(value: Any) -> bool:
    """Servers do not keep these; zero and false they do."""
    return value is None or value == "" or value == {} or value == []


def _list_differences(desired: list[Any], live: Any, path: str) -> Iterator[str]:
    if not isinstance(live, list):
        yield path
        return
    key = _key_of(desired)
    if key is None:
        if len(desired) != len(live):
            yield path
            return
        for index, (ours, theirs) in enumerate(zip(desired, live, strict=True)):
            yield from differences(ours, theirs, f"{path}[{index}]")
        return
    by_key = {item.get(key): item for item in live if isinstance(item, dict)}
    for item in desired:
        found = by_key.get(item[key])
        if found is None:
            yield f"{path}[{item[key]}]"
        else:
            yield from differences(item, found, f"{path}[{item[key]}]")


def accepted(desired: Any, answer: Any) -> Any:
    """The declaration as the server took it, told by its answer to our own apply: what to compare with from then on.

    Only declared fields; with the server's values where it changed ours, without those that it dropped.
    """
    if isinstance(desired, dict) and isinstance(answer, dict):
        return {key: accepted(value, answer[key]) for key, value in desired.items() if key in answer}
    if isinstance(desired, list) and isinstance(answer, list):
        key = _key_of(desired)
        if key is not None:
            by_key = {item.get(key): item for item in answer if isinstance(item, dict)}
            return [accepted(item, by_key[item[key]]) for item in desired if item[key] in by_key]
        if len(desired) == len(answer):
            return [accepted(ours, theirs) for ours, theirs in zip(desired, answer, strict=True)]
    return answer


def _key_of(items: list[Any]) -> str | None:
    """The field that tells the list's items apart, if they are objects that have one."""
    for key in _ITEM_KEYS:
        keyed = bool(items) and all(isinstance(item, dict) and key in item for item in items)
        if keyed and len({item[key] for item in items}) == len(items):
            return key
    return None


def drift(desired: Object, live: Object | None) -> tuple[str, ...]:
    """Why the declared object has to be applied (at most five paths), or nothing.

    `missing`: it is not there; `declaration`: what is declared changed; else the paths that somebody edited.
    """
    if live is None:
        return ("missing",)
    if annotations_of(live).get(naming.APPLIED) != annotations_of(desired).get(naming.APPLIED):
        return ("declaration",)
    found = differences(desired, live)
    return tuple(path for path, _ in zip(found, range(5), strict=False))
