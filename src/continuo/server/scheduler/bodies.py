"""From the body of a request to a decision; what is wrong with it is a problem, in one sentence."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from continuo.placement.guards import Limits
from continuo.server.problems import Problem

MOST_PRIORITY = 100
LONGEST_REASON = 1024
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class AskedAction(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One action as it was sent."""

    op: str
    component: str | None = None
    app: str | None = None
    cluster: str | None = None
    other: str | None = None
    replicas: int | None = None
    workers: int | None = None
    template: dict[str, Any] | None = None


class Asked(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A decision as it was sent."""

    decision_id: str
    orchestration: str | None = None
    based_on: str
    ttl_seconds: int = 300
    priority: int = 0
    reason: str
    confidence: float | None = None
    all_or_nothing: bool = False
    dry_run: bool = False
    actions: list[AskedAction]

    @property
    def digest(self) -> str:
        """The same for the same decision, however it was written."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def read_decision(media_type: str, body: bytes, limits: Limits) -> Asked:
    """The decision; raises the problem when the body is none, or is one that nobody may send."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "media-type", f"send application/json, not {kind or 'a body without Content-Type'}")
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        path = where.rstrip("`").lstrip(".") or "the body"
        raise Problem(422, "body-invalid", f"{path}: {what[:1].lower()}{what[1:]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "json-invalid", f"the body is not JSON: {error}") from None
    _check(asked, limits)
    return asked


def _check(asked: Asked, limits: Limits) -> None:
    if not _ID.fullmatch(asked.decision_id):
        said = "letters, digits, dots, colons, dashes and underscores, 128 at most"
        raise Problem(422, "decision-id-invalid", f"decisionId {asked.decision_id[:64]!r} must be {said}")
    if asked.ttl_seconds <= 0:
        said = f"ttlSeconds is {asked.ttl_seconds}: the decision is void already, so say how long it may wait"
        raise Problem(422, "ttl-expired", said)
    if asked.ttl_seconds > limits.longest_ttl:
        said = f"ttlSeconds is {asked.ttl_seconds}: a decision may wait for {limits.longest_ttl} seconds at most"
        raise Problem(422, "ttl-too-long", said)
    if abs(asked.priority) > MOST_PRIORITY:
        said = f"priority is {asked.priority}: it must be between -{MOST_PRIORITY} and {MOST_PRIORITY}"
        raise Problem(422, "priority-out-of-range", said)
    if asked.confidence is not None and not 0 <= asked.confidence <= 1:
        said = f"confidence is {asked.confidence}: it must be between 0 and 1"
        raise Problem(422, "confidence-out-of-range", said)
    if not asked.reason.strip() or len(asked.reason) > LONGEST_REASON:
        raise Problem(422, "reason-required", f"reason must say why in a sentence of 1 to {LONGEST_REASON} characters")
    if not asked.actions:
        raise Problem(422, "no-actions", "actions is empty: say at least one thing to do")
    if len(asked.actions) > limits.actions:
        said = f"actions has {len(asked.actions)} entries: a decision has at most {limits.actions}, so send several"
        raise Problem(422, "too-many-actions", said)
