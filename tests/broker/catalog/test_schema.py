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

import documents
from broker.catalog.bench import OPERATOR, Bench, catalog, offer
from documents import begins_as_described, described, in_a_thread, same_examples

EXAMPLES = int(os.environ.get("CONTINUO_EXAMPLES", "4"))
CHECKS = [not_a_server_error, *documents.CHECKS]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Bench, dict[str, str]]]:
    """A catalog in a thread of its own, with a provider, a consumer and an offer; their tokens."""

    @asynccontextmanager
    async def serve() -> AsyncIterator[tuple[Bench, dict[str, str]]]:
        async with catalog(str(tmp_path / "c.sqlite")) as bench:
            green, lab = await bench.provider(), await bench.consumer()
            await green.publish("there", offer())
            tokens = {"green": green.token, "lab": lab.token, "operator": OPERATOR, "anybody": ""}
            yield bench, tokens

    with in_a_thread(serve()) as thing:
        yield thing


def test_the_document_holds(served: tuple[Bench, dict[str, str]]) -> None:
    bench, tokens = served
    schema = schemathesis.openapi.from_url(f"{bench.url}/openapi.json")
    tried, operations = 0, 0
    for result in schema.get_all_operations():
        operation = result.ok()
        operations += 1
        who = _callers(operation.path)

        @hypothesis.given(case=operation.as_strategy(), caller=hypothesis.strategies.sampled_from(who))
        @same_examples(EXAMPLES)
        def holds(case: Any, caller: str) -> None:
            nonlocal tried
            tried += 1
            headers = {"Authorization": f"Bearer {tokens[caller]}"} if tokens[caller] else {}
            if (case.method.upper(), case.path) == ("GET", "/api/v1/events"):
                begins_as_described(case, headers)
            else:
                case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
    assert operations == described(bench.url), "all of them"
    assert tried > 20 * EXAMPLES


def _callers(path: str) -> list[str]:
    """Those who get furthest; a revoked login would end the others' attempts."""
    if "revoke" in path or "accounts/" in path:
        return ["anybody", "operator"]
    if "contracts" in path:
        return ["lab", "green"]
    return ["green", "anybody", "operator"]
