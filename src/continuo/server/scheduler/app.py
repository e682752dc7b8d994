"""The scheduler's interface on its own: one FastAPI application of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from continuo.server.failures import handle_failures
from continuo.server.limits import BodyLimit
from continuo.server.routes.health import health_router
from continuo.server.routes.scheduler import scheduler_router
from continuo.server.scheduler.parts import SchedulerParts


def create_scheduler_app(parts: SchedulerParts) -> FastAPI:
    """The application; its lifespan follows the management cluster."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.infrastructure.start()
        yield
        await parts.infrastructure.stop()

    app = FastAPI(
        title="Continuo: scheduler", summary="The infrastructure out, decisions in.", lifespan=lifespan, docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.include_router(health_router(parts.infrastructure.trouble))
    app.include_router(scheduler_router(parts))
    handle_failures(app)
    app.add_middleware(BodyLimit)
    return app
