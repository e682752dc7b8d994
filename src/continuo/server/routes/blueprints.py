"""`/amf/v1/blueprints:validate`: what a blueprint would become, before anything happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from continuo.resources.meta import Object
from continuo.server.applications import Applications
from continuo.server.models import Verdict
from continuo.server.subjects import Subject
from continuo.server.submissions import OPENAPI_BODY, receive
from continuo.tosca.convert import Conversion


def verdict(conversion: Conversion) -> Object:
    """A conversion for its author: findings, and the application's entry. Secrets are named, never shown."""
    body: Object = {
        "valid": conversion.app is not None,
        "problems": [problem.to_dict() for problem in conversion.problems],
    }
    if conversion.app is not None:
        components = conversion.app["components"]
        body |= {
            "preview": conversion.app,
            "placement": {component["name"]: component["cluster-selector"] for component in components},
            "secrets": [secret["metadata"]["name"] for secret in conversion.secrets],
        }
    return body


def blueprints_router(applications: Applications, admit: Callable[[Request], Awaitable[Subject]]) -> APIRouter:
    """The routes; `admit` says who calls."""
    router = APIRouter(prefix="/amf/v1", tags=["blueprints"])
    authenticated = Depends(admit)

    @router.post("/blueprints:validate", response_model=Verdict, openapi_extra=OPENAPI_BODY)
    async def validate(request: Request, subject: Subject = authenticated) -> Response:
        """Check a blueprint against an orchestration's clusters. Never changes anything."""
        received = await receive(request)
        return JSONResponse(verdict(await applications.validate(subject, received.submission)))

    return router
