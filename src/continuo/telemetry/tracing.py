"""Traces, as thin as can be: a span is the child of the one around it, and where nobody traces there is none at all.

Whoever begins a trace (an HTTP request, a look at an orchestration) has a `Tracing`, made from the standard OTEL_*
variables; everything below only says `with span("...")`, which is one look at a context variable while nothing is traced.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, SpanContext
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer as OtelTracer

log = logging.getLogger(__name__)

ANNOTATION = "continuo.dev/traceparent"
"""On an orchestration: the trace of the request that it was last changed by."""
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
Attributes = Mapping[str, str | int | float | bool]


class Span:
    """One step of a trace that goes on. It is over when its block ends, also for tasks that were begun within it."""

    __slots__ = ("_inner", "_token", "_tracing", "ended", "trace_id", "traceparent")

    def __init__(self, tracing: Tracing, inner: OtelSpan) -> None:
        context = inner.get_span_context()
        self._tracing, self._inner, self.ended = tracing, inner, False
        self._token: Token[Span | None] | None = None
        self.trace_id = f"{context.trace_id:032x}"
        self.traceparent = f"00-{self.trace_id}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def sampled(self) -> bool:
        """Whether anybody will see it."""
        return self._inner.get_span_context().trace_flags.sampled

    def set(self, **attributes: str | int | float | bool) -> None:
        """Say more about the step; in names `_` becomes `.`, and `__` becomes `_`."""
        for name, value in attributes.items():
            self._inner.set_attribute("_".join(part.replace("_", ".") for part in name.split("__")), value)

    def rename(self, name: str) -> None:
        """Call it what is only known afterwards."""
        self._inner.update_name(name)

    def child(self, name: str, attributes: Attributes) -> Span:
        """A step within this one."""
        return self._tracing._begin(name, self._inner, attributes, ())

    def __enter__(self) -> Span:
        self._token = _current.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        from opentelemetry.trace import Status, StatusCode

        if self._token is not None:
            _current.reset(self._token)
        if error is not None:
            self._inner.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.ended = True
        _recent.set(self)
        self._inner.end()


_current: ContextVar[Span | None] = ContextVar("continuo_span", default=None)
_recent: ContextVar[Span | None] = ContextVar("continuo_recent_span", default=None)
"""The outermost step that ended last in this task: what measures it from outside asks for it afterwards."""
_NOTHING: AbstractContextManager[Span | None] = nullcontext()


def current() -> Span | None:
    """The step that this code is part of; None where nothing is traced."""
    found = _current.get()
    return None if found is None or found.ended else found


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span | None]:
    """A step within the current one, while the block runs."""
    parent = _current.get()
    if parent is None or parent.ended:
        return _NOTHING
    return parent.child(name, attributes or {})


def traceparent() -> str | None:
    """The current step as W3C Trace Context spells it, to be sent along; None where nothing is traced."""
    found = current()
    return found.traceparent if found is not None else None


def exemplar() -> dict[str, str] | None:
    """What an observation made now is an example of."""
    found = current()
    return {"trace_id": found.trace_id} if found is not None and found.sampled else None


def exemplar_of_last() -> dict[str, str] | None:
    """The same of the step that ended just now, for whoever measures it from outside."""
    found = _recent.get()
    return {"trace_id": found.trace_id} if found is not None and found.sampled else None


class Tracing:
    """Begins traces, and sends them away in a thread of its own."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: OtelTracer = provider.get_tracer("continuo")

    def root(
        self, name: str, attributes: Attributes | None = None, *, parent: str | None = None, linked: str | None = None
    ) -> Span:
        """A step that begins here, within the trace that `parent` (a traceparent) names, or in one of its own.

        `linked` names a trace that it has to do with but is no part of. What is no traceparent counts as none.
        """
        from opentelemetry.trace import Link, NonRecordingSpan

        above, beside = _context(parent), _context(linked)
        return self._begin(
            name, NonRecordingSpan(above) if above is not None else None, attributes or {},
            (Link(beside),) if beside is not None else (),
        )  # fmt: skip

    def _begin(self, name: str, parent: OtelSpan | None, attributes: Attributes, links: tuple[Link, ...]) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        around = set_span_in_context(parent, Context()) if parent is not None else Context()
        return Span(self, self._tracer.start_span(name, around, attributes=dict(attributes), links=links))

    def close(self) -> None:
        """Send what there is, within the exporter's timeout. Blocks."""
        self._provider.shutdown()


def root(
    tracing: Tracing | None, name: str, attributes: Attributes | None = None, *, parent: str | None = None,
    linked: str | None = None,
) -> AbstractContextManager[Span | None]:  # fmt: skip
    """`Tracing.root`, or nothing where nobody traces."""
    return _NOTHING if tracing is None else tracing.root(name, attributes, parent=parent, linked=linked)


def _context(said: str | None) -> SpanContext | None:
    from opentelemetry.trace import SpanContext, TraceFlags

    match = _TRACEPARENT.fullmatch(said.strip()) if said else None
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16)))


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment says where traces go."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def tracing_from(environment: Mapping[str, str], service: str) -> Tracing | None:
    """As the standard OTEL_* variables say (the exporter reads them itself): OTLP over HTTP; None where they say nothing.

    `service` is the name where OTEL_SERVICE_NAME is absent.
    """
    provider = provider_from(environment, service)
    if provider is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def provider_from(environment: Mapping[str, str], service: str) -> TracerProvider | None:
    """What makes spans, without anything that takes them; None where nobody asks for traces, or they cannot be made."""
    if not wanted(environment):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: F401  # who sends them, too
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ModuleNotFoundError as error:
        log.warning("traces are asked for, and %s is not installed: pip install 'continuo[tracing]'", error.name)
        return None
    if environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") != "http/protobuf":
        log.warning("traces are sent over HTTP (http/protobuf), whatever OTEL_EXPORTER_OTLP_PROTOCOL says")
    resource = Resource.create({"service.name": environment.get("OTEL_SERVICE_NAME") or service})
    return TracerProvider(resource=resource, shutdown_on_exit=False)
