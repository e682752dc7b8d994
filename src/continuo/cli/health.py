"""A long-running command's probes and metrics: `/healthz` while its loop turns, `/readyz` once it can work, `/metrics`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import click

from continuo.cli.failures import Failed

if TYPE_CHECKING:
    from continuo.telemetry.metrics import Metrics
    from continuo.telemetry.tracing import Tracing


@asynccontextmanager
async def health_served(
    port: int | None, trouble: Callable[[], str], metrics: Metrics | None = None, *, metrics_port: int | None = None
) -> AsyncIterator[None]:
    """Serve while the block runs; nothing when no port is given. With `metrics_port` metrics are there alone.

    `trouble` says in one sentence why the process cannot work, or nothing.
    """
    async with AsyncExitStack() as stack:
        beside = metrics_port if metrics_port != port else None
        if port is not None:
            told = metrics if beside is None else None
            await stack.enter_async_context(listening("--health-port", "0.0.0.0", port, trouble, told))
        if beside is not None:
            opened = listening("--metrics-port", "0.0.0.0", beside, trouble, metrics, probes=port is None)
            await stack.enter_async_context(opened)
        yield


@asynccontextmanager
async def listening(
    option: str, host: str, port: int, trouble: Callable[[], str], metrics: Metrics | None, *, probes: bool = True
) -> AsyncIterator[None]:
    """Serve on one address while the block runs; raises Failed, naming the option, when it cannot be used."""
    from continuo.telemetry.served import served

    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(served(host, port, trouble, metrics, probes=probes))
        except OSError as error:
            where = port if host == "0.0.0.0" else f"{host}:{port}"
            raise Failed(f"{option} {where} cannot be used: {error.strerror}; choose another") from error
        yield


@asynccontextmanager
async def traced(service: str) -> AsyncIterator[Tracing | None]:
    """Traces as the OTEL_* variables ask for them, while the block runs; what is left is sent at its end."""
    from continuo.telemetry.tracing import tracing_from

    tracing = tracing_from(os.environ, service)
    try:
        yield tracing
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


@asynccontextmanager
async def traced_command(name: str) -> AsyncIterator[None]:
    """A command as the first step of a trace, or as a step of the one that TRACEPARENT names, while the block runs."""
    from continuo.telemetry.commands import kept_from
    from continuo.telemetry.tracing import root

    kept = kept_from(os.environ, "continuo-cli")
    try:
        with root(kept.tracing if kept is not None else None, name, parent=os.environ.get("TRACEPARENT")):
            yield
    finally:
        if kept is not None and not await asyncio.to_thread(kept.send):
            click.echo(
                "the trace of this command is lost: no collector took it; see OTEL_EXPORTER_OTLP_ENDPOINT", err=True
            )
