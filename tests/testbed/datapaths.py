"""A data path for tests: two providers whose pods have the same addresses, a broker, and two consumers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from continuo.testbed.datapath.plan import End, Link, Member, Plan
from continuo.testbed.datapath.spaces import impossible
from continuo.testbed.tools import find_tools

PODS, EXTERNAL = "10.0.0.0/16", "10.70.0.0/16"
POD = "10.0.3.4"


def plan() -> Plan:
    """Rome calls milan and turin through the broker, and milan directly too; so does oslo."""
    members = (
        Member("milan"), Member("turin"), Member("rome"), Member("oslo"),
        Member("broker", PODS, EXTERNAL, {"10.1.3.4": "10.70.0.5", "10.2.3.4": "10.70.0.6"}),
    )  # fmt: skip
    links = (
        Link(End("broker", "10.1.0.0/16"), End("milan", "10.61.0.0/16", "10.62.0.0/16")),
        Link(End("broker", "10.2.0.0/16"), End("turin", "10.61.0.0/16", "10.62.0.0/16")),
        Link(End("rome", "10.71.0.0/16", "10.72.0.0/16"), End("broker", "10.73.0.0/16")),
        Link(End("rome", "10.20.0.0/16"), End("milan", "10.63.0.0/16")),
        Link(End("milan", "10.64.0.0/16"), End("oslo", "10.30.0.0/16")),
    )
    return Plan(members, links)


def why_not() -> str | None:
    """Why this machine cannot have the path in the kernel."""
    return asyncio.run(impossible(plan(), find_tools()))


@contextmanager
def registry() -> Iterator[Path]:
    """A registry of its own, with a short path: sockets are kept in it."""
    with tempfile.TemporaryDirectory(prefix="dp-") as folder:
        yield Path(folder) / "r"
