"""What holds for all tests: properties, errors that are only logged, and which files go first.

Properties are tried with the same examples in every run, and how long one takes fails nothing.

What a handler of changes raises is only logged, so that it stops nobody; here it fails the test in which it was raised.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from continuo.cli.tuning import settle

settle()  # collecting thousands of tests makes nothing that is garbage

settings.register_profile("continuo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("continuo")

LONGEST_FIRST = (
    "chaos/test_sensor_market.py",
    "broker/station/test_chaos.py",
    "messaging/test_processes.py",
    "chaos/test_boards.py",
    "chaos/test_kill.py",
    "scenarios/test_story.py",
    "chaos/test_loops.py",
    "iot/test_demo.py",
    "chaos/test_outbox.py",
    "broker/station/test_shut.py",
    "cli/test_sensors_demo.py",
    "edge/rear/test_race.py",
    "chaos/test_engine_kill.py",
    "scenarios/test_loops.py",
    "scenarios/test_home_lost.py",
    "scenarios/test_placing.py",
    "broker/station/test_station.py",
    "edge/slices/test_networks.py",
    "scenarios/test_lifecycle.py",
    "cli/test_catalog_commands.py",
    "broker/station/test_keeper.py",
    "testbed/test_datapath.py",
    "iot/agent/test_plugins.py",
    "iot/networks/test_boards.py",
    "iot/hub/test_rest.py",
    "edge/scenario/test_sensors.py",
    "scenarios/test_scheduler.py",
    "placement/test_properties.py",
    "placement/test_exact.py",
    "scenarios/test_moving.py",
    "edge/slices/test_slices.py",
)
"""Files that take more than ten seconds; begun last, each would be waited for by workers that have nothing to do.

Those that have tests with the mark `long` are before the others: each of the two suites has its own longest first.
"""


def pytest_collection_finish() -> None:
    """All tests and what they import stay: looking at them again and again would be a sixth of what tests cost."""
    settle()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first, the others in their order."""
    folder = Path(__file__).parent
    places = {folder / file: place for place, file in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


class _Raised(logging.Handler):
    """Keeps what was logged with an exception."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.records.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything runs on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_handler_fails(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail where a handler of an informer raised, unless the test is about that (mark `handlers_may_fail`)."""
    raised, log = _Raised(), logging.getLogger("continuo.runtime.informer")
    log.addHandler(raised)
    yield
    log.removeHandler(raised)
    if request.node.get_closest_marker("handlers_may_fail") is None:
        assert raised.records == []
