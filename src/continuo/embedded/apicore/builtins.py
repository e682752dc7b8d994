"""Bring the built-in kinds into a cluster."""

from __future__ import annotations

from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.strategies import PLAIN, Strategy
from continuo.embedded.registry import EVENT_TABLE, builtin_types

STRATEGIES: dict[tuple[str, str], Strategy] = {}


def serve(state: State) -> None:
    """Serve every built-in kind."""
    for type_ in builtin_types():
        kind = type_.kind
        key = EVENT_TABLE if kind.kind == "Event" else (kind.group, kind.plural)
        table = state.table(*key, kind.namespaced)
        state.serve(Served(type_, table, strategy=STRATEGIES.get(key, PLAIN)))
