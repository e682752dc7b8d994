"""`/amf/v1/applications`: submit, list, look at, replace and delete applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from continuo.resources.meta import Object
from continuo.server.applications import Applications
from continuo.server.entries import Entry, summary, view
from continuo.server.models import Accepted, ApplicationLine, ApplicationState, ProblemBody, Verdict
from continuo.server.openapi import inlined
from continuo.server.preconditions import IfMatch, etag, tags_in
from continuo.server.routes.blueprints import verdict
from continuo.server.subjects import Subject
from continuo.server.submissions import OPENAPI_BODY, receive
from continuo.tosca.convert import Conversion

PREFIX = "/amf/v1/applications"
IfMatchHeader = Annotated[
    str | None,
    Header(alias="If-Match", description="Refuse with 412 unless the application is declared as under that ETag."),
]
Admit = Callable[[Request], Awaitable[Subject]]


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of refusals."""
    content = {"application/problem+json": {"schema": inlined(ProblemBody)}}
    return {code: {"description": "Refused; `code` says why.", "content": content} for code in codes}


def applications_router(applications: Applications, admit: Admit) -> APIRouter:
    """The routes; `admit` says who calls."""
    router = APIRouter(prefix=PREFIX, tags=["applications"])
    authenticated = Depends(admit)

    @router.post(
        "", status_code=202, response_model=Accepted, openapi_extra=OPENAPI_BODY,
        responses={200: {"model": Verdict, "description": "A dry run."}, **problems(401, 404, 409, 413, 415, 422, 503)},
    )  # fmt: skip
    async def submit(request: Request, subject: Subject = authenticated) -> Response:
        """Declare an application by its TOSCA blueprint. The same content again gives the same answer."""
        received = await receive(request)
        if received.dry_run:
            return JSONResponse(verdict(await applications.rehearse(subject, received.submission)))
        return _accepted(*await applications.submit(subject, received.submission))

    @router.get("", response_model=list[ApplicationLine], responses=problems(401, 503))
    async def listing(subject: Subject = authenticated, owner: str | None = None) -> Response:
        """The caller's applications; administrators see everybody's, or with `owner` one owner's."""
        return JSONResponse([summary(entry) for entry in applications.list(subject, owner)])

    @router.get("/{handle}", response_model=ApplicationState, responses=problems(401, 404, 503))
    async def one(handle: str, request: Request, subject: Subject = authenticated) -> Response:
        """State, reasons, places and addresses of one application."""
        entry = applications.get(subject, handle)
        body = view(entry)
        tag = etag(entry, body)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if tag.strip('"') in tags_in(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        return JSONResponse(body, headers=headers)

    @router.put(
        "/{handle}", status_code=202, response_model=Accepted, openapi_extra=OPENAPI_BODY,
        responses=problems(401, 404, 409, 412, 413, 415, 422, 503),
    )  # fmt: skip
    async def replace(
        handle: str, request: Request, subject: Subject = authenticated, if_match: IfMatchHeader = None
    ) -> Response:
        """Give an application a new blueprint, in place."""
        seen = IfMatch.read(if_match)
        received = await receive(request)
        return _accepted(*await applications.replace(subject, handle, received.submission, seen))

    @router.delete("/{handle}", status_code=202, response_model=Accepted, responses=problems(401, 404, 412, 422, 503))
    async def delete(handle: str, subject: Subject = authenticated, if_match: IfMatchHeader = None) -> Response:
        """Remove an application. The answer is the same while it goes; afterwards it is unknown."""
        entry = await applications.delete(subject, handle, IfMatch.read(if_match))
        return JSONResponse(_reference(entry, "Undeploying"), 202)

    return router


def _accepted(entry: Entry, conversion: Conversion) -> JSONResponse:
    body = _reference(entry, summary(entry)["state"])
    if conversion.warnings:
        body["warnings"] = [problem.to_dict() for problem in conversion.warnings]
    return JSONResponse(body, 202, headers={"Location": body["links"]["self"]})


def _reference(entry: Entry, status: str) -> Object:
    return {
        "id": entry.handle,
        "name": entry.name,
        "owner": entry.owner,
        "orchestration": entry.orchestration["metadata"]["name"],
        "status": status,
        "links": {"self": f"{PREFIX}/{quote(entry.handle, safe='')}"},
    }
