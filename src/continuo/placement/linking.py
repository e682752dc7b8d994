"""Which sites no link can join as they are; not those whose link is merely not up yet, or down for a while."""

from __future__ import annotations

from typing import Protocol


class End(Protocol):
    """What has a name and may be one end of a link."""

    @property
    def name(self) -> str: ...

    @property
    def unlinkable(self) -> str:
        """Why it can be linked with no other, after its name; empty where it can."""
        ...

    @property
    def shared_id(self) -> str:
        """What it and another call themselves in Liqo, where they call themselves the same."""
        ...


def severed(one: End, other: End) -> str:
    """Why no link can join the two, until somebody changes something; empty where one can, and of one and itself."""
    if one.name == other.name:
        return ""
    for end in (one, other):
        if end.unlinkable:
            return f"{end.name} {end.unlinkable}"
    same = one.shared_id and one.shared_id == other.shared_id
    return f"both call themselves {one.shared_id!r} in Liqo" if same else ""
