"""What tests of OpenAPI documents have in common: a service in a thread of its own, and how schemathesis tries it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import hypothesis
import requests
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

T = TypeVar("T")
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@contextmanager
def in_a_thread(service: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What the service says it is, while a loop in another thread keeps it; its failure is raised here."""
    entered, made, failed = threading.Event(), list[T](), list[BaseException]()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with service as thing:
            made.append(thing)
            entered.set()
            await over.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()
            entered.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert entered.wait(60), "the service did not begin"
        if failed:
            raise failed[0]
        yield made[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)
        thread.join()
    if failed:
        raise failed[0]


def same_examples(count: int) -> hypothesis.settings:
    """So many for each operation, the same in every run."""
    return hypothesis.settings(
        max_examples=count, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip


def described(url: str) -> int:
    """How many operations the document has."""
    paths = requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]
    return sum(len(each) for each in paths.values())


def begins_as_described(case: Any, headers: dict[str, str] | None = None) -> None:
    """Of a stream there is only a beginning to look at."""
    call = case.as_transport_kwargs(headers=headers)
    with requests.request(**call, stream=True, timeout=10) as answer:
        responses = case.operation.definition.raw["responses"]
        assert str(answer.status_code) in responses, (call, answer.status_code)
        kinds = responses[str(answer.status_code)]["content"]
        assert answer.headers["Content-Type"].partition(";")[0] in kinds, call
