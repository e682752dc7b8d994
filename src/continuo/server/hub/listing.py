"""Lists as IoTronic pages, sorts and narrows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from continuo.iot.hub.model import Json, Record
from continuo.iot.hub.refusals import bad

R = TypeVar("R", bound=Record)
MOST = 1000
_UNSORTED = ("extra", "location", "config", "links", "connectivity", "parameters", "security_groups")

QUERY: list[dict[str, Any]] = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}},
    {"name": "marker", "in": "query", "schema": {"type": "string"}},
    {"name": "sort_key", "in": "query", "schema": {"type": "string"}},
    {"name": "sort_dir", "in": "query", "schema": {"type": "string", "enum": ["asc", "desc"]}},
    {"name": "fields", "in": "query", "schema": {"type": "string"}},
]
FIELDS_QUERY = QUERY[-1:]


def listed(
    request: Request, key: str, rows: Sequence[R], view: Callable[[R], Json], short: Sequence[str] = (),
    marker: Callable[[R], str] = lambda row: row.uuid,
) -> Json:  # fmt: skip
    """One page: `{key: [...]}`, with `next` where there is more. `short`: the fields unless others are asked for."""
    query = request.query_params
    limit = _limit(query.get("limit"))
    ordered = _sorted(rows, view, query.get("sort_key") or "id", query.get("sort_dir") or "asc")
    start = _start(ordered, query.get("marker"), marker)
    page = ordered[start : start + limit]
    chosen = query.get("fields")
    told = [narrowed(view(row), chosen, short) for row in page]
    if start + limit >= len(ordered):
        return {key: told}
    again = {name: value for name, value in query.items() if name != "marker"}
    following = urlencode({**again, "limit": str(limit), "marker": marker(page[-1])})
    return {key: told, "next": f"{str(request.url).partition('?')[0]}?{following}"}


def narrowed(told: Json, chosen: str | None, short: Sequence[str] = ()) -> Json:
    """Only the fields that were asked for; raises Refused for one that there is not."""
    if chosen:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        if unknown := [name for name in names if name not in told]:
            raise bad(f"fields: {', '.join(unknown)}: no such field; there are {', '.join(sorted(told))}")
        return {name: told[name] for name in (*names, "links") if name in told}
    if short:
        return {name: told[name] for name in (*short, "links") if name in told}
    return told


def _limit(said: str | None) -> int:
    if said is None:
        return MOST
    if not said.isascii() or not said.isdigit() or int(said[:9]) < 1:
        raise bad(f"limit: {said!r} is no whole number of at least 1")
    return min(int(said[:9]), MOST)


def _sorted(rows: Sequence[R], view: Callable[[R], Json], key: str, direction: str) -> Sequence[R]:
    if direction not in ("asc", "desc"):
        raise bad(f"sort_dir: {direction!r} is neither asc nor desc")
    backwards = direction == "desc"
    if key == "id":
        return rows[::-1] if backwards else rows
    if key in _UNSORTED:
        raise bad(f"sort_key: {key} cannot be sorted by")
    told = [(view(row), row) for row in rows]
    if told and key not in told[0][0]:
        raise bad(f"sort_key: there is no field {key!r}")
    return [row for _, row in sorted(told, key=lambda pair: _order(pair[0][key]), reverse=backwards)]


def _order(value: Any) -> tuple[int, Any]:
    """Nothing first, then numbers, then texts."""
    if value is None:
        return 0, 0
    if isinstance(value, bool | int | float):
        return 1, value
    return 2, str(value)


def _start(rows: Sequence[R], said: str | None, marker: Callable[[R], str]) -> int:
    if not said:
        return 0
    for place, row in enumerate(rows):
        if marker(row) == said:
            return place + 1
    raise bad(f"marker: {said!r} is none of the list's")
