"""One FastAPI application of the routers, and the way of every failure to a problem."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from continuo.kube.port import Cluster
from continuo.resources.errors import ApiError
from continuo.server.app_secrets import AppSecrets
from continuo.server.applications import Applications
from continuo.server.limits import BodyLimit
from continuo.server.orchestrations import Orchestrations
from continuo.server.problems import MEDIA_TYPE, TITLES, Problem, from_api
from continuo.server.routes.applications import applications_router
from continuo.server.routes.blueprints import blueprints_router
from continuo.server.routes.health import health_router
from continuo.server.subjects import Gate, Subject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application serves, made once per process."""

    applications: Applications
    gate: Gate


def make_parts(cluster: Cluster, gate: Gate, *, namespace: str, orchestration: str | None = None) -> Parts:
    """The services over one management cluster's namespace."""
    store = Orchestrations(cluster, namespace)
    applications = Applications(store, AppSecrets(cluster, namespace), gate.policy, orchestration)
    return Parts(applications, gate)


def create_app(parts: Parts) -> FastAPI:
    """The whole face. Its lifespan follows the management cluster."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.applications.start()
        yield
        await parts.applications.stop()

    async def admit(request: Request) -> Subject:
        return await parts.gate.admit(request.headers.get("authorization"))

    # No page at /docs: FastAPI's loads its scripts from a public CDN, which management networks often cannot reach.
    app = FastAPI(
        title="Continuo", summary="Applications across the continuum, by TOSCA blueprint.", lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.include_router(health_router(parts.applications.trouble))
    app.include_router(applications_router(parts.applications, admit))
    app.include_router(blueprints_router(parts.applications, admit))
    handle_failures(app)
    app.add_middleware(BodyLimit)
    return app


def handle_failures(app: FastAPI) -> None:
    """Every refusal of the application becomes application/problem+json."""

    @app.exception_handler(Problem)
    async def refused(_: Request, problem: Problem) -> JSONResponse:
        return _answer(problem)

    @app.exception_handler(ApiError)
    async def cluster_refused(request: Request, error: ApiError) -> JSONResponse:
        problem = from_api(error)
        if problem.status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        return _answer(problem)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _answer(Problem(422, "parameter-invalid", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> JSONResponse:
        code = TITLES.get(error.status_code, "failed").lower().replace(" ", "-")
        return _answer(Problem(error.status_code, code, str(error.detail), headers=error.headers or {}))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
        return _answer(Problem(500, "internal-error", "the server failed to handle the request; its log says why"))


def _answer(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.to_dict(), problem.status, dict(problem.headers), MEDIA_TYPE)
