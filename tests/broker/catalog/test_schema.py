"""The OpenAPI document holds what it says: schemathesis tries it from the outside, with the same examples in every run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from broker.catalog.bench import OPERATOR, Bench, catalog, offer

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Bench, dict[str, str]]]:
    """A catalog in a thread of its own, with a provider, a consumer and an offer; their tokens."""
    ready, over = threading.Event(), threading.Event()
    made: dict[str, Any] = {}

    async def serve() -> None:
        async with catalog(str(tmp_path / "c.sqlite")) as bench:
            green, lab = await bench.provider(), await bench.consumer()
            await green.publish("there", offer())
            tokens = {"green": green.token, "lab": lab.token, "operator": OPERATOR, "anybody": ""}
            made.update(bench=bench, tokens=tokens)
            ready.set()
            while not over.is_set():  # noqa: ASYNC110 - the test is another thread
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    yield made["bench"], made["tokens"]
    over.set()
    thread.join()


def test_the_document_holds(served: tuple[Bench, dict[str, str]]) -> None:
    bench, tokens = served
    schema = schemathesis.openapi.from_url(f"{bench.url}/openapi.json")
    quick = hypothesis.settings(
        max_examples=4, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) == ("GET", "/api/v1/events"):
            continue  # a stream has no end to wait for
        who = _callers(operation.path)

        @hypothesis.given(case=operation.as_strategy(), caller=hypothesis.strategies.sampled_from(who))
        @quick
        def holds(case: Any, caller: str) -> None:
            nonlocal tried
            tried += 1
            headers = {"Authorization": f"Bearer {tokens[caller]}"} if tokens[caller] else {}
            case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
    assert tried > 80


def _callers(path: str) -> list[str]:
    """Those who get furthest; a revoked login would end the others' attempts."""
    if "revoke" in path or "accounts/" in path:
        return ["anybody", "operator"]
    if "contracts" in path:
        return ["lab", "green"]
    return ["green", "anybody", "operator"]
