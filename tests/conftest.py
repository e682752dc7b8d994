"""Properties are tried with the same examples in every run, and how long one takes fails nothing.

What a handler of changes raises is only logged, so that it stops nobody; here it fails the test in which it was raised.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("continuo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("continuo")


class _Raised(logging.Handler):
    """Keeps what was logged with an exception."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.records.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@pytest.fixture(autouse=True)
def no_handler_fails(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail where a handler of an informer raised, unless the test is about that (mark `handlers_may_fail`)."""
    raised, log = _Raised(), logging.getLogger("continuo.runtime.informer")
    log.addHandler(raised)
    yield
    log.removeHandler(raised)
    if request.node.get_closest_marker("handlers_may_fail") is None:
        assert raised.records == []
