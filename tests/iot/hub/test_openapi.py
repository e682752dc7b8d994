"""The OpenAPI document holds what it says: schemathesis tries it from the outside, with the same examples in every run.

CONTINUO_EXAMPLES says how many for each operation; with more than a few it takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error

from documents import CHECKS, begins_as_described, described, in_a_thread, same_examples
from iot.hub.bench import hub

EXAMPLES = int(os.environ.get("CONTINUO_EXAMPLES", "2"))
_UNCONFIGURED = "/webservices"
"""501 is a server's error, and what these are for."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A hub in a thread of its own, with a board that is online; its URL, and names of what is there."""

    @asynccontextmanager
    async def serve() -> AsyncIterator[tuple[str, dict[str, str]]]:
        async with hub(str(tmp_path / "h.sqlite"), no_auth=True, patience=0.2) as bench:
            lab = bench.anybody
            fleet = await lab.made("fleets", name="all")
            board, agent = await bench.online(lab, "one", fleet="all")
            agent.answers["WorkloadLogs"] = "a line\n"
            for name in ("hello", "other"):
                await lab.plugin(name)
            await lab.ask("PUT", "/v1/boards/one/plugins", {"plugin": "hello"})
            await lab.made("services", name="ssh", port=22, protocol="TCP")
            await lab.made("networks", name="lan", cidr="10.1.0.0/24")
            port = await lab.ask("PUT", "/v1/boards/one/ports", {"network": "lan"})
            await lab.ask("POST", "/v1/boards/one/workloads", {"name": "web", "command": ["serve"]})
            yield bench.url, {
                "board": "one", "fleet": fleet["uuid"], "plugin": "hello", "service": "ssh", "network": "lan",
                "port": port.headers["Iotronic-Object-Uuid"], "workload": "web", "where": board["uuid"],
                "asked": port.headers["Iotronic-Request-Uuid"], "name": "key", "token": "none", "webservice": "none",
            }  # fmt: skip

    with in_a_thread(serve()) as thing:
        yield thing


def test_the_document_holds(served: tuple[str, dict[str, str]]) -> None:
    url, names = served
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried, operations = 0, 0
    statuses: set[int] = set()
    found = sorted((result.ok() for result in schema.get_all_operations()), key=lambda each: each.method == "delete")
    for operation in found:
        operations += 1

        @hypothesis.given(case=operation.as_strategy(), there=hypothesis.strategies.booleans())
        @same_examples(EXAMPLES)
        def holds(case: Any, there: bool) -> None:
            nonlocal tried
            tried += 1
            if there:  # what there is, as far as the document's parameters name it
                case.path_parameters = {name: names[name] for name in case.path_parameters}
            if case.path == "/v1/events" or "follow" in (case.query or {}):
                begins_as_described(case)
                return
            checks = CHECKS if _UNCONFIGURED in case.path else [*CHECKS, not_a_server_error]
            statuses.add(case.call_and_validate(checks=checks).status_code)

        holds()
    assert operations == described(url), "all of them"
    assert tried >= 2 * operations
    assert {200, 201, 204, 400, 404} <= statuses, "it got further than to the door"
