"""What scenarios of closed loops ask of an orchestration's status, and of its decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from continuo.resources.loop import DECISION
from continuo.resources.meta import Object

from .beds import PATIENCE, Bed
from .specs import item

Test = Callable[[Object], Any]


def loop(obj: Object | None, name: str) -> Object:
    """What is told of a loop; empty when nothing is."""
    return next((e for e in ((obj or {}).get("status") or {}).get("loops") or () if e["name"] == name), {})


def place(obj: Object | None, path: str = "shop/web") -> tuple[str, str]:
    """Where a component is, and its phase."""
    found = item(obj, "component", path)
    return found.get("cluster", ""), found.get("phase", "")


def staged(stage: str) -> Test:
    """Whether a decision is in that stage."""
    return lambda decision: (decision.get("status") or {}).get("stage") == stage


async def only(bed: Bed, test: Test) -> Object:
    """The first Decision for which the test holds."""
    seen: list[Object] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                listing = await bed.api.list(DECISION, "default")
                seen += listing.items
                if (found := next((d for d in listing.items if test(d)), None)) is not None:
                    return found
                async for change in bed.api.watch(DECISION, "default", since=listing.resource_version):
                    seen.append(change.object)
                    if change.type != "BOOKMARK" and test(change.object):
                        return change.object
    except TimeoutError:
        told = [(d["metadata"].get("name"), d.get("status")) for d in seen]
        raise AssertionError(f"no such decision; seen: {told}") from None


async def verdict(bed: Bed, decision: Object, said: str) -> None:
    """Approve or deny a decision that waits for it."""
    await bed.api.patch(DECISION, decision["metadata"]["name"], {"spec": {"verdict": said}}, "default")
