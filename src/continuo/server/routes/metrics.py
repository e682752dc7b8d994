"""`/metrics` and where clusters' Prometheus are: for Prometheus. They tell of everybody, so only some may read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from continuo.resources.meta import Object
from continuo.server.problems import Problem
from continuo.server.subjects import Gate
from continuo.telemetry.metrics import Metrics
from continuo.telemetry.scraping import places, targets

READERS = "continuo:metrics"


def metrics_router(
    metrics: Metrics, gate: Gate, orchestrations: Callable[[], Iterable[Object]], readers: frozenset[str]
) -> APIRouter:
    """The routes. `readers` are names of users and groups who may read these, as administrators may."""
    router = APIRouter(tags=["health"])

    async def admit(request: Request) -> None:
        subject = await gate.identify(request.headers.get("authorization"))
        if not gate.policy.admin(subject) and readers.isdisjoint({subject.name, *subject.groups}):
            raise Problem(
                403, "not-allowed",
                f"{subject.name} is no administrator and no --metrics-reader: metrics tell of everybody's requests",
            )  # fmt: skip

    @router.get("/metrics", response_class=Response, include_in_schema=False)
    async def told(request: Request) -> Response:
        """Requests by route, their durations, problems of blueprints: Prometheus' text format, or OpenMetrics."""
        await admit(request)
        body, content_type = await metrics.told(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    @router.get("/monitoring/v1/targets")
    async def found(request: Request) -> list[dict[str, Any]]:
        """The Prometheus of each workload cluster, for `http_sd_configs`."""
        await admit(request)
        return targets(places(orchestrations(), {}))

    return router
