"""Traces of a command: kept until it ends, then sent at once, so that a collector that is away costs a moment and no more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from continuo.telemetry.tracing import Tracing, provider_from

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SECONDS = 3.0
"""How long a user waits for a collector at most."""


class Kept:
    """The steps of one command."""

    def __init__(self, tracing: Tracing, spans: InMemorySpanExporter) -> None:
        self.tracing, self._spans = tracing, spans

    def send(self) -> bool:
        """Send all of them within `SECONDS`; whether the collector took them. Blocks."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult

        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # the one sentence is the caller's
        exporter = OTLPSpanExporter(timeout=SECONDS)
        try:
            return exporter.export(self._spans.get_finished_spans()) is SpanExportResult.SUCCESS
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]
            self.tracing.close()


def kept_from(environment: Mapping[str, str], service: str) -> Kept | None:
    """As the standard OTEL_* variables say; None where they ask for no traces."""
    provider = provider_from(environment, service)
    if provider is None:
        return None
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Kept(Tracing(provider), spans)
