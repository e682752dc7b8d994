"""`/api/v1/providers/ID/measurements`: what was measured, beside what was claimed; and the keys that prove it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from continuo.broker.catalog.entries import instant
from continuo.broker.measurements.effective import boldest, effective
from continuo.broker.measurements.records import jwk_set
from continuo.broker.measurements.store import HISTORY, Signed
from continuo.server.catalog_face import Caller, CatalogParts
from continuo.server.catalog_openapi import json_answer, parameter
from continuo.server.problems import Problem
from continuo.server.routes.catalog_offers import bodies

KEYS = "/.well-known/continuo-measurement-keys.json"
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_MEASUREMENT: dict[str, Any] = {
    "type": "object",
    "required": ["metric"],
    "properties": {
        "metric": _TEXT, "value": _NUMBER, "unit": _TEXT, "at": _TEXT, "until": _TEXT, "by": _TEXT,
        "sequence": {"type": "integer"}, "samples": {"type": "integer"}, "coverage": _NUMBER,
        "fresh": {"type": "boolean"}, "age": _NUMBER, "signed": _TEXT, "claim": {"type": "object"},
        "gap": {"type": "object"}, "effective": {"type": "object"},
    },
}  # fmt: skip
_LIST = {
    "type": "object",
    "required": ["provider", "items"],
    "properties": {"provider": _TEXT, "items": {"type": "array", "items": _MEASUREMENT}},
}
_KEYS = {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array"}}}


def measurements_router(parts: CatalogParts) -> APIRouter:
    """Measurements for those who may read offers; keys for everybody."""
    router = APIRouter(tags=["measurements"])
    measurements = parts.measured.measurements

    @router.get(KEYS, **json_answer(_KEYS))
    async def keys() -> Response:
        """The public keys of the broker's records, old ones too, so that anybody can check a record."""
        return bodies(jwk_set(measurements.keys), headers={"Cache-Control": "public, max-age=300"})

    @router.post("/api/v1/measurement-keys:rotate", **json_answer({"type": "object"}, 401, 403))
    async def rotate(request: Request) -> Response:
        """Sign records with a new key. Placed probes are told it; those that somebody else runs have to be."""
        (await parts.caller(request)).only("operator", "managing keys")
        return bodies({"kid": await measurements.rotate()})

    @router.get("/api/v1/providers/{id}/measurements", **json_answer(_LIST, 401, 403, 404))
    async def newest(id: str, request: Request) -> Response:
        """The newest record of each metric, with the boldest claim of the provider's offers beside it."""
        _allowed(await parts.caller(request), id)
        records = measurements.newest(id)
        claims = boldest(entry.offer for entry in parts.catalog.index.of_provider(id))
        if not records and not parts.catalog.index.of_provider(id):
            raise Problem(
                404, "provider-unknown", f"nothing was measured of a provider {id[:128]}, and it offers nothing"
            )
        now = measurements.clock()
        metrics = sorted(records.keys() | claims.keys())
        items = [_item(metric, records.get(metric), claims.get(metric), now) for metric in metrics]
        return bodies({"provider": id, "items": items})

    @router.get(
        "/api/v1/providers/{id}/measurements/{metric}",
        openapi_extra={"parameters": [parameter("limit", f"At most so many, from 1 to {HISTORY}.", _LIMIT)]},
        **json_answer(_LIST, 400, 401, 403, 404),
    )
    async def history(id: str, metric: str, request: Request) -> Response:
        """The kept records of one metric, the newest first."""
        _allowed(await parts.caller(request), id)
        if metric not in measurements.newest(id):
            raise Problem(404, "provider-unknown", f"no {metric[:63]} was measured of a provider {id[:128]}")
        found = await measurements.history(id, metric, _limit(request))
        now = measurements.clock()
        return bodies({"provider": id, "items": [_told(one, now) for one in found]})

    def _allowed(caller: Caller, id: str) -> None:
        if (only := parts.sees(caller)) and only != id:
            raise Problem(404, "provider-unknown", f"there is no provider {id[:128]} that you may see")

    return router


_LIMIT = {"type": "integer", "minimum": 1, "maximum": HISTORY}


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= HISTORY:
        raise Problem(400, "query-invalid", f"limit: must be a whole number from 1 to {HISTORY}, not {text[:32]!r}")
    return int(text)


def _told(one: Signed, now: float) -> dict[str, Any]:
    record = one.record
    return {
        "metric": record.metric, "value": record.value, "unit": record.unit, "at": instant(record.at / 1000),
        "until": instant(record.until / 1000), "by": record.by, "sequence": record.sequence, "samples": record.samples,
        "coverage": round(record.coverage, 4), "fresh": record.fresh(now), "age": round(max(0.0, now - record.at / 1000), 3),
        "signed": one.text,
    }  # fmt: skip


def _item(metric: str, one: Signed | None, claim: tuple[float, str] | None, now: float) -> dict[str, Any]:
    """A record, the claim, how far apart they are, and which of the two counts."""
    item: dict[str, Any] = {"metric": metric} if one is None else _told(one, now)
    if claim is not None:
        item["claim"] = {"value": claim[0], "offer": claim[1]}
    value = effective(metric, None if claim is None else claim[0], None if one is None else one.record, now)
    if value is not None:
        item["effective"] = {"value": value.value, "source": value.source}
        if value.gap is not None:
            item["gap"] = {"absolute": value.gap.absolute, "relative": value.gap.relative, "holds": value.gap.holds}
    return item
