"""`/metrics`: how the server does, for Prometheus. It tells what others ask for, so only administrators may read it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.server.problems import Problem
from continuo.server.subjects import Gate
from continuo.telemetry.metrics import Metrics


def metrics_router(metrics: Metrics, gate: Gate) -> APIRouter:
    """The route, in Prometheus' text format, or in OpenMetrics where `Accept` asks for it."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response, include_in_schema=False)
    async def told(request: Request) -> Response:
        """Requests by route, their durations, problems of blueprints."""
        subject = await gate.admit(request.headers.get("authorization"))
        if not gate.policy.admin(subject):
            raise Problem(
                403, "not-allowed", f"{subject.name} is no administrator: metrics tell of everybody's requests"
            )
        body, content_type = await metrics.told(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return router
