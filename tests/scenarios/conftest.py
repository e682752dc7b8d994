"""The embedded engine with the operator beside it, at many times the speed; or real engines, where there are some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from continuo.cli.host import Host, local_worker
from continuo.cli.outside import Outside
from continuo.embedded.standins.settings import Settings
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.settings import Settings as OperatorSettings

from .beds import REAL, Bed
from .real_bed import RealBed

SETTINGS = OperatorSettings(lost_after=0.5, retry_first=0.2)
REAL_SETTINGS = OperatorSettings(retry_first=0.5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On real engines, what only the embedded one can show is skipped, with the reason that the scenario gives."""
    if not REAL:
        return
    for item in items:
        if (mark := item.get_closest_marker("embedded_only")) is not None:
            item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))


@asynccontextmanager
async def _embedded(*, tls: bool = False) -> AsyncIterator[Host]:
    host = Host(None, standins=Settings(speed=10.0), seed=1, tls=tls)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


@asynccontextmanager
async def _working(operator: Operator) -> AsyncIterator[None]:
    task = asyncio.create_task(operator.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()


@asynccontextmanager
async def _on_the_embedded_engine(*, tls: bool) -> AsyncIterator[Bed]:
    async with _embedded(tls=tls) as host:
        bed = Bed(host)
        await bed.credentials()
        try:
            yield bed
        finally:
            await bed.close()


@asynccontextmanager
async def _on_real_engines(**marks: bool) -> AsyncIterator[Bed]:
    text = await asyncio.to_thread(Path(REAL).read_text, encoding="utf-8")
    bed = await RealBed.open(text, **marks)
    try:
        await _clear(bed)
        await bed.credentials()
        yield bed
        await _clear(bed)
    finally:
        await bed.close()


async def _clear(bed: RealBed) -> None:
    """What a scenario left, or one before this run, goes only while an operator works."""
    async with operating(bed):
        await bed.clear()


@asynccontextmanager
async def operating(bed: Bed, outside: Outside | None = None) -> AsyncIterator[None]:
    """An operator, from nothing to nothing; it may speak to others beside the bed's clusters."""
    settings = REAL_SETTINGS if REAL else SETTINGS
    async with AsyncExitStack() as stack:
        operator, _ = local_worker(bed.kubeconfig, settings, None, outside or Outside(), stack)
        await stack.enter_async_context(_working(operator))
        yield


@pytest.fixture
async def engine() -> AsyncIterator[Host]:
    """The embedded engine without an operator."""
    async with _embedded() as host:
        yield host


@pytest.fixture
async def idle(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    """Something to declare to, without an operator."""
    marks = {mark: request.node.get_closest_marker(mark) is not None for mark in ("creates", "links", "loses")}
    tls = request.node.get_closest_marker("kubectl") is not None
    async with _on_real_engines(**marks) if REAL else _on_the_embedded_engine(tls=tls) as bed:
        yield bed


@pytest.fixture
async def bed(idle: Bed) -> AsyncIterator[Bed]:
    """Something to declare to, with its operator."""
    async with operating(idle):
        yield idle
