"""The way of every failure to a problem, for each of our FastAPI applications."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from continuo.resources.errors import ApiError
from continuo.server.problems import MEDIA_TYPE, TITLES, Problem, from_api

log = logging.getLogger(__name__)


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
