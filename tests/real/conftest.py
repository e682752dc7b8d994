"""Tests against real engines. They take minutes: `make test-real` runs them, `make test` passes them by."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

os.environ.setdefault("CONTINUO_PATIENCE", "600")  # read when the scenarios' waiting is imported, below

from continuo.testbed.bed import no_containers
from continuo.testbed.capi import PROGRAMS
from continuo.testbed.tools import CONTROL_PLANE, Tools, find_tools

from .lifecycle import LifecycleBed, lifecycle_bed
from .liqo_bed import LiqoBed, liqo_bed, missing

ASKED = os.environ.get("CONTINUO_TEST_REAL", "")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def asked_for() -> Tools:
    """This machine's tools; skips when nobody asked for tests against real engines."""
    if not ASKED:
        pytest.skip("real engines are only tested when asked for: make test-real")
    return find_tools()


def _tools() -> Tools:
    tools = asked_for()
    if missing := tools.missing((*CONTROL_PLANE[:3], *PROGRAMS)):
        pytest.skip(f"{', '.join(missing)} missing on this machine: make testbed")
    return tools


@pytest.fixture(scope="module")
async def bed(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LifecycleBed]:
    """A management cluster with real Cluster API and an operator."""
    tools = _tools()
    async with lifecycle_bed(tmp_path_factory.mktemp("capi"), tools) as bed:
        yield bed


@pytest.fixture(scope="session")
async def liqo(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiqoBed]:
    """Two clusters with real Liqo and an operator, for all tests that link."""
    tools = asked_for()
    if lacking := missing(tools):
        pytest.skip(f"{', '.join(lacking)} missing on this machine: make testbed")
    if reason := no_containers(tools):
        pytest.skip(f"real containers cannot run here: {reason}")
    async with liqo_bed(tmp_path_factory.mktemp("liqo"), tools) as bed:
        yield bed


@pytest.fixture(scope="module")
async def three(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiqoBed]:
    """A third cluster beside the two."""
    tools = asked_for()
    if lacking := missing(tools):
        pytest.skip(f"{', '.join(lacking)} missing on this machine: make testbed")
    if reason := no_containers(tools):
        pytest.skip(f"real containers cannot run here: {reason}")
    async with liqo_bed(tmp_path_factory.mktemp("three"), tools, more=("c",)) as bed:
        yield bed


@pytest.fixture
async def clean(liqo: LiqoBed) -> AsyncIterator[None]:
    """Leaves nothing declared behind, also when a test fails."""
    yield
    await liqo.clear()
