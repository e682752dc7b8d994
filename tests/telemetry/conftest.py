from __future__ import annotations

import pytest

from .prometheus import prometheus_folder

__all__ = ["prometheus_folder"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
