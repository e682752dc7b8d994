"""The OpenAPI document holds what it says: schemathesis tries it from the outside, with the same examples in every run.

CONTINUO_EXAMPLES says how many for each operation; with more than a few it takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from broker.catalog.bench import OPERATOR, Bench, catalog, offer

EXAMPLES = int(os.environ.get("CONTINUO_EXAMPLES", "4"))
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
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    tried, operations = 0, 0
    for result in schema.get_all_operations():
        operation = result.ok()
        operations += 1
        who = _callers(operation.path)

        @hypothesis.given(case=operation.as_strategy(), caller=hypothesis.strategies.sampled_from(who))
        @quick
        def holds(case: Any, caller: str) -> None:
            nonlocal tried
            tried += 1
            headers = {"Authorization": f"Bearer {tokens[caller]}"} if tokens[caller] else {}
            if (case.method.upper(), case.path) == ("GET", "/api/v1/events"):
                begins_as_described(case, headers)
            else:
                case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
    described = sum(
        len(each) for each in requests.get(f"{bench.url}/openapi.json", timeout=10).json()["paths"].values()
    )
    assert operations == described, "all of them"
    assert tried > 20 * EXAMPLES


def begins_as_described(case: Any, headers: dict[str, str]) -> None:
    """Of a stream there is only a beginning to look at."""
    call = case.as_transport_kwargs(headers=headers)
    with requests.request(**call, stream=True, timeout=10) as answer:
        described = case.operation.definition.raw["responses"]
        assert str(answer.status_code) in described, (call, answer.status_code)
        kinds = described[str(answer.status_code)]["content"]
        assert answer.headers["Content-Type"].partition(";")[0] in kinds, call


def _callers(path: str) -> list[str]:
    """Those who get furthest; a revoked login would end the others' attempts."""
    if "revoke" in path or "accounts/" in path:
        return ["anybody", "operator"]
    if "contracts" in path:
        return ["lab", "green"]
    return ["green", "anybody", "operator"]
