"""One FastAPI application of the routers, and the way of every failure to a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request

from continuo.events.log import EventLog
from continuo.kube.port import Cluster
from continuo.placement.guards import Limits
from continuo.server.app_secrets import AppSecrets
from continuo.server.applications import Applications
from continuo.server.event_feed import EventFeed
from continuo.server.failures import handle_failures
from continuo.server.limits import BodyLimit
from continuo.server.orchestrations import Orchestrations
from continuo.server.routes.applications import applications_router
from continuo.server.routes.blueprints import blueprints_router
from continuo.server.routes.events import events_router
from continuo.server.routes.health import health_router
from continuo.server.routes.metrics import READERS, metrics_router
from continuo.server.routes.scheduler import scheduler_router
from continuo.server.scheduler.parts import SCHEDULERS, SchedulerParts, make_scheduler
from continuo.server.subjects import Gate, Subject
from continuo.telemetry.asgi import Watched
from continuo.telemetry.families import BLUEPRINT_PROBLEMS
from continuo.telemetry.metrics import Metrics
from continuo.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from continuo.server.catalog_face import CatalogParts


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application serves, made once per process."""

    applications: Applications
    scheduler: SchedulerParts
    events: EventFeed
    gate: Gate
    orchestrations: Orchestrations


def make_parts(
    cluster: Cluster,
    gate: Gate,
    *,
    namespace: str,
    orchestration: str | None = None,
    schedulers: frozenset[str] = frozenset((SCHEDULERS,)),
    log: EventLog | None = None,
    limits: Limits | None = None,
) -> Parts:
    """The services over one management cluster's namespace; members of `schedulers` may decide where things run.

    `log` keeps the events; one in memory where absent. `limits` are the guards', as the operator has them.
    """
    store = Orchestrations(cluster, namespace)
    applications = Applications(store, AppSecrets(cluster, namespace), gate.policy, orchestration)
    scheduler = make_scheduler(cluster, store, gate, groups=schedulers, default=orchestration, limits=limits)
    return Parts(applications, scheduler, EventFeed(store.informer, namespace, log), gate, store)


def create_app(
    parts: Parts, catalog: CatalogParts | None = None, metrics: Metrics | None = None, tracing: Tracing | None = None,
    *, readers: frozenset[str] = frozenset((READERS,)),
) -> FastAPI:  # fmt: skip
    """The whole face, with the catalog where there is one, which somebody else keeps running.

    Requests are measured in `metrics`, which administrators may read at `/metrics`, and `readers` (users and groups).
    Its lifespan follows the management cluster.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await parts.events.start()
        parts.applications.start()
        parts.scheduler.infrastructure.start()
        yield
        await parts.scheduler.infrastructure.stop()
        await parts.applications.stop()
        await parts.events.stop()

    def trouble() -> str:
        return (
            parts.applications.trouble()
            or parts.events.trouble()
            or (catalog.database.trouble if catalog is not None else "")
        )

    async def admit(request: Request) -> Subject:
        return await parts.gate.admit(request.headers.get("authorization"))

    # No page at /docs: FastAPI's loads its scripts from a public CDN, which management networks often cannot reach.
    app = FastAPI(
        title="Continuo", summary="Applications across the continuum, by TOSCA blueprint.", lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.include_router(health_router(trouble))
    app.include_router(applications_router(parts.applications, admit))
    app.include_router(blueprints_router(parts.applications, admit))
    app.include_router(scheduler_router(parts.scheduler))
    app.include_router(events_router(parts.events, parts.gate.policy, admit))
    if catalog is not None:
        from continuo.server.catalog_app import include_catalog

        include_catalog(app, catalog)
    told = metrics or Metrics()
    app.include_router(metrics_router(told, parts.gate, lambda: list(parts.orchestrations.informer.cache), readers))
    parts.applications.on_problems = _counting(told)
    handle_failures(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Watched, metrics=told, tracing=tracing)
    return app


def _counting(metrics: Metrics) -> Callable[[Iterable[str]], None]:
    """Count what is wrong with blueprints, by code."""
    found = metrics.counter(BLUEPRINT_PROBLEMS)

    def count(codes: Iterable[str]) -> None:
        for code in codes:
            found.labels(code).inc()

    return count
