"""Decisions from outside: judged by the guards on the newest state, and kept as Decision objects that the operator enacts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from continuo.kube.port import Cluster
from continuo.placement.guards import Limits, Rejection, read_action
from continuo.resources.errors import AlreadyExists
from continuo.resources.loop import DECISION, DecidedAction, DecisionSpec, decode_decision
from continuo.resources.meta import Object, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.problems import Problem
from continuo.server.scheduler.bodies import Asked
from continuo.server.scheduler.following import Infrastructure
from continuo.server.scheduler.items import stamp
from continuo.server.scheduler.judging import Case, Picture, Verdicts, judged, picture, since
from continuo.server.scheduler.log import UnknownVersion
from continuo.server.scheduler.past import EXTERNAL, Accepted, Answer, Past, request_of
from continuo.server.subjects import Subject

MANAGER = "continuo-scheduler"
_LONGEST_SOURCE = 128


class Decisions:
    """What schedulers may decide; every method names who calls."""

    def __init__(
        self, infrastructure: Infrastructure, cluster: Cluster, limits: Limits | None = None, default: str | None = None
    ) -> None:
        self.limits = limits or Limits()
        self._infrastructure, self._cluster, self._default = infrastructure, cluster, default
        self._past = Past(self.limits.decisions_per_minute)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- asking -------------------------------------------------------------------------------------------------------
    async def decide(self, subject: Subject, asked: Asked) -> tuple[int, Object]:
        """(HTTP status, body). Raises the problem when the decision as a whole cannot be judged."""
        self._infrastructure.must_know()
        name = self._orchestration(asked.orchestration)
        async with self._locks.setdefault(name, asyncio.Lock()):
            before = await self._before(subject, asked)
            if before is not None:
                return before.status, before.body
            self._past.count(subject.name, self._infrastructure.clock())
            answer = await self._judged(subject, asked, name)
        if not asked.dry_run and answer.status != 429:
            self._past.remember(subject.name, asked.decision_id, answer)
        return answer.status, answer.body

    async def _before(self, subject: Subject, asked: Asked) -> Answer | None:
        """The answer to the same decision, had it been sent before."""
        known = self._past.answer(subject.name, asked.decision_id)
        if known is None:
            obj = self._cached(decision_name(subject, asked.decision_id))
            known = _kept_answer(obj) if obj is not None else None
        if known is None:
            return None
        if known.digest != asked.digest:
            said = f"decisionId {asked.decision_id} was used for another decision: give every decision an id of its own"
            raise Problem(409, "decision-id-reused", said)
        return known

    async def _judged(self, subject: Subject, asked: Asked, name: str) -> Answer:
        """The answer. The decision is judged on one moment, which may be over when the verdicts are there: the operator
        judges again.
        """
        self._infrastructure.flush()
        seen, version = self._look(name), self._version(asked.based_on)
        actions = [read_action(msgspec.structs.asdict(action)) for action in asked.actions]
        log, current = self._infrastructure.log, self._infrastructure.log.current
        case = Case(
            seen, actions, asked.priority, self._past.accepted(name), since(log, version, name, actions), self.limits
        )
        verdicts = await asyncio.to_thread(judged, case)
        body = _body(asked, name, verdicts, seen.now, current)
        if not verdicts.accepted or (asked.all_or_nothing and len(verdicts.accepted) < len(actions)):
            return _refused(asked, body, verdicts.of)
        if not asked.dry_run:
            body["decision"] = decision_name(subject, asked.decision_id)
            return await self._keep(subject, asked, seen, verdicts.accepted, body)
        return Answer(asked.digest, 200, body)

    # --- keeping ------------------------------------------------------------------------------------------------------
    async def _keep(
        self, subject: Subject, asked: Asked, seen: Picture, accepted: Sequence[DecidedAction], body: Object
    ) -> Answer:
        """Write the Decision. One of that name is there only if somebody was quicker with the same id."""
        answer = Answer(asked.digest, 200, body)
        obj = _decision(subject, asked, seen, accepted, answer)
        try:
            written = await self._cluster.create(obj, manager=MANAGER)
        except AlreadyExists:
            found = await self._cluster.get(DECISION, obj["metadata"]["name"], obj["metadata"]["namespace"])
            kept = _kept_answer(found)
            if kept is None or kept.digest != asked.digest:
                said = f"decisionId {asked.decision_id} was used for another decision: give every decision an id of its own"
                raise Problem(409, "decision-id-reused", said) from None
            return kept
        self._infrastructure.decisions.learn(written)
        about = obj["spec"]["orchestration"]
        self._past.accept(Accepted(obj["metadata"]["name"], seen.now, about, tuple(accepted)), seen.now)
        return answer

    # --- looking ------------------------------------------------------------------------------------------------------
    def get(self, subject: Subject, handle: str, *, everybody: bool) -> Object:
        """How far a decision is: by the caller's id, or by its object's name. Somebody else's does not exist."""
        self._infrastructure.must_know()
        for name in (decision_name(subject, handle), handle):
            obj = self._cached(name)
            if obj is None:
                continue
            spec = decode_decision(obj)
            if everybody or spec.source == source_of(subject):
                return _shown(obj, spec)
        raise Problem(404, "decision-unknown", f"you have made no decision {handle[:128]}, or it is no longer kept")

    def _cached(self, name: str) -> Object | None:
        return self._infrastructure.decisions.cache.get((self._infrastructure.namespace, name))

    def _orchestration(self, said: str | None) -> str:
        names = sorted(obj["metadata"]["name"] for obj in self._infrastructure.orchestrations.cache)
        if said is None:
            if self._default is not None or len(names) == 1:
                return self._default or names[0]
            known = ", ".join(names[:5]) or "there is none"
            raise Problem(422, "orchestration-required", f"say which orchestration the decision is about: {known}")
        namespace, _, name = said.rpartition("/")
        if namespace and namespace != self._infrastructure.namespace:
            here = self._infrastructure.namespace
            raise Problem(
                403, "namespace-foreign", f"decisions here are about namespace {here}, not about {namespace[:64]}"
            )
        return name

    def _look(self, name: str) -> Picture:
        seen = picture(self._infrastructure, name)
        if seen is None:
            raise Problem(404, "orchestration-unknown", f"there is no orchestration {name[:64]} here")
        return seen

    def _version(self, said: str) -> int:
        log = self._infrastructure.log
        try:
            return log.read(said)
        except UnknownVersion as error:
            raise Problem(409, "state-version-unknown", f"basedOn: {error}", {"stateVersion": log.current}) from None


def decision_name(subject: Subject, decision_id: str) -> str:
    """The Decision object's name: the same for the same id of the same caller."""
    both = "\0".join((subject.name, decision_id))
    return f"external-{hashlib.sha256(both.encode()).hexdigest()[:20]}"


def source_of(subject: Subject) -> str:
    """Who decided, as Decisions say it."""
    said = f"{EXTERNAL}/{subject.name}"
    if len(said) <= _LONGEST_SOURCE:
        return said
    return f"{said[: _LONGEST_SOURCE - 13]}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _body(asked: Asked, name: str, verdicts: Verdicts, now: datetime, version: str) -> Object:
    return {
        "decisionId": asked.decision_id,
        "decision": None,
        "orchestration": name,
        "stateVersion": version,
        "approval": verdicts.approval,
        "expires": stamp(now + timedelta(seconds=asked.ttl_seconds)),
        "actions": [_verdict(action.op, verdict) for action, verdict in zip(asked.actions, verdicts.of, strict=True)],
    }


def _decision(
    subject: Subject, asked: Asked, seen: Picture, accepted: Sequence[DecidedAction], answer: Answer
) -> Object:
    namespace, name = key_of(seen.object)
    kept = {
        "decisionId": asked.decision_id, "priority": asked.priority, "received": stamp(seen.now),
        "digest": answer.digest, "answer": answer.body,
    }  # fmt: skip
    spec = DecisionSpec(
        orchestration=name,
        source=source_of(subject),
        based_on=asked.based_on[:128],
        reason=asked.reason,
        confidence=asked.confidence,
        expires=answer.body["expires"],
        approval=answer.body["approval"],
        actions=tuple(accepted),
        explanation={EXTERNAL: kept},
    )
    owner = {
        "apiVersion": LOW_LEVEL_ORCHESTRATION.api_version, "kind": LOW_LEVEL_ORCHESTRATION.kind,
        "name": name, "uid": seen.object["metadata"]["uid"],
    }  # fmt: skip
    return DECISION.new(
        decision_name(subject, asked.decision_id), namespace, metadata={"ownerReferences": [owner]},
        spec=msgspec.to_builtins(spec),
    )  # fmt: skip


def _verdict(op: str, rejection: Rejection | None) -> Object:
    if rejection is None:
        return {"op": op, "result": "accepted"}
    return {"op": op, "result": "rejected", "code": rejection.code.value, "message": rejection.message}


def _refused(asked: Asked, body: Object, verdicts: Sequence[Rejection | None]) -> Answer:
    """The problem of a decision of which nothing is done: look again (409), later (429), or never like this (422)."""
    found = [(n, verdict) for n, verdict in enumerate(verdicts) if verdict is not None]
    status = next((code for code in (409, 429) if any(v.status == code for _, v in found)), 422)
    number, worst = next((n, v) for n, v in found if v.status == status)
    for verdict in body["actions"]:
        if verdict["result"] == "accepted":
            verdict |= {"result": "rejected", "code": "all-or-nothing", "message": "another action was refused"}
    where = f"action {number}: " if len(asked.actions) > 1 else ""
    problem = Problem(
        status, worst.code.value, f"{where}{worst.message}",
        {"decisionId": asked.decision_id, "stateVersion": body["stateVersion"], "actions": body["actions"]},
    )  # fmt: skip
    return Answer(asked.digest, status, problem.to_dict())


def _kept_answer(obj: Object) -> Answer | None:
    kept = request_of(decode_decision(obj))
    return Answer(str(kept["digest"]), 200, kept["answer"]) if "digest" in kept and "answer" in kept else None


def _shown(obj: Object, spec: DecisionSpec) -> Object:
    status: dict[str, Any] = obj.get("status") or {}
    kept = request_of(spec)
    actions = (kept.get("answer") or {}).get("actions")
    return {
        "decisionId": str(kept.get("decisionId") or obj["metadata"]["name"]),
        "decision": obj["metadata"]["name"],
        "orchestration": spec.orchestration,
        "source": spec.source,
        "stage": status.get("stage") or "Received",
        "message": status.get("message") or "",
        "decidedAt": status.get("decidedAt") or kept.get("received"),
        "finishedAt": status.get("finishedAt"),
        "effect": status.get("effect") or {},
        "actions": actions or [_verdict(action.op.value, None) for action in spec.actions],
    }
