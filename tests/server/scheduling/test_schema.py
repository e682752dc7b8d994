"""The OpenAPI document of the scheduler's routes holds what it says: schemathesis tries it from the outside."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error

import documents
from documents import described, in_a_thread, same_examples
from scheduling.bench import Bench, running

EXAMPLES = int(os.environ.get("CONTINUO_EXAMPLES", "6"))
CHECKS = [not_a_server_error, *documents.CHECKS]
CALLERS = {"scheduler": "ai-token", "somebody": "ann-token", "anybody": "", "administrator": "root-token"}


@pytest.fixture
def served() -> Iterator[Bench]:
    @asynccontextmanager
    async def serve() -> AsyncIterator[Bench]:
        async with running() as bench:
            yield bench

    with in_a_thread(serve()) as thing:
        yield thing


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from references(each)


def test_the_document_holds(served: Bench) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    tried, operations = 0, 0
    for result in schema.get_all_operations():
        operation = result.ok()
        operations += 1

        @hypothesis.given(case=operation.as_strategy(), caller=hypothesis.strategies.sampled_from(sorted(CALLERS)))
        @same_examples(EXAMPLES)
        def holds(case: Any, caller: str) -> None:
            nonlocal tried
            tried += 1
            headers = {"Authorization": f"Bearer {CALLERS[caller]}"} if CALLERS[caller] else {}
            watched = str((case.query or {}).get("watch")).lower() in ("true", "1")
            if watched and caller in ("scheduler", "administrator"):
                documents.begins_as_described(case, headers)
            else:
                case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
    assert operations == described(served.url), "all of them"
    document = requests.get(f"{served.url}/openapi.json", timeout=10).json()
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document["paths"])) <= named and "#/components/schemas/State" in named
    assert tried >= operations * min(EXAMPLES, 4) - 8
