"""Two real clusters with real Liqo and an operator of this process, for benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.cluster_api import MISSING, working
from continuo.cli.host import local_operator
from continuo.testbed.bed import MANAGEMENT, Bed, Plan, no_containers
from continuo.testbed.liqo import PROGRAMS
from continuo.testbed.tools import CONTROL_PLANE, find_tools

CLUSTERS = ("a", "b")


def missing() -> str:
    """Why real Liqo cannot run here; empty when it can."""
    tools = find_tools()
    if lacking := tools.missing((*CONTROL_PLANE, *PROGRAMS)):
        return MISSING % ", ".join(lacking)
    reason = no_containers(tools)
    return f"real containers cannot run here: {reason}" if reason else ""


@asynccontextmanager
async def real_liqo() -> AsyncIterator[Bed]:
    """Everything started, with nothing linked yet; ended and forgotten afterwards."""
    with tempfile.TemporaryDirectory(prefix="continuo-benchmark-") as folder:
        bed = await Bed.start(Path(folder), Plan(CLUSTERS, containers=True, liqo=True))
        try:
            async with working(local_operator(bed.kubeconfig(MANAGEMENT))):
                yield bed
        finally:
            await bed.stop()
