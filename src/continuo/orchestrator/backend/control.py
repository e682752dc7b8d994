"""What others ask for through the topic of commands: pause, resume, approve, deny, turned into writes of what is declared.

Whoever may write on that topic may ask for these: its access control is the authorisation. A command says until when it
holds, and asking twice is as asking once, so it may come again after a crash.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from continuo.events.cloudevent import Event
from continuo.events.refused import Refused
from continuo.events.types import parts_of
from continuo.kube.port import Cluster
from continuo.orchestrator.backend.messages import STEP, Unreadable, seconds
from continuo.resources.errors import ApiError, Conflict, NotFound
from continuo.resources.loop import DECISION, Verdict
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.trust.backoff import Backoff

log = logging.getLogger(__name__)

MANAGER = "continuo-commands"
COMMAND, REQUESTED = "command.", "requested"
_PASSING = (408, 409, 429, 500, 502, 503, 504)
"""Answers of an API server that another try may change."""

Name = Annotated[str, Meta(min_length=1, max_length=253)]
_T = TypeVar("_T")


class AboutOrchestration(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What `pause` and `resume` say."""

    namespace: Name = "default"
    orchestration: Name
    expires_at: Name


class AboutDecision(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What `approve` and `deny` say."""

    namespace: Name = "default"
    decision: Name
    expires_at: Name


_PAUSED: Mapping[str, bool] = {"pause": True, "resume": False}
_VERDICTS: Mapping[str, Verdict] = {"approve": Verdict.APPROVED, "deny": Verdict.DENIED}


class Control:
    """Carries out commands of others."""

    def __init__(
        self, management: Cluster, *, clock: Callable[[], float] = time.time, rng: random.Random | None = None
    ) -> None:
        self._management, self._clock, self._random = management, clock, rng or random.Random()

    async def take(self, event: Event) -> None:
        """Carry it out, trying again until it expires. Raises Refused with a sentence."""
        operation, outcome = parts_of(event.type) or ("", "")
        if operation == STEP:
            return  # for backends
        verb = operation.removeprefix(COMMAND)
        if not operation.startswith(COMMAND) or outcome != REQUESTED or verb not in {*_PAUSED, *_VERDICTS}:
            there = ", ".join(f"dev.continuo.command.{verb}.requested.v1" for verb in (*_PAUSED, *_VERDICTS))
            raise Refused(f"{event.type} is no command; there are {there}")
        about = _read(event, AboutOrchestration) if verb in _PAUSED else _read(event, AboutDecision)
        try:
            until = seconds(about.expires_at)
        except Unreadable as error:
            raise Refused(f"expiresAt: {error}") from None
        await self._until(until, about, verb)

    async def _until(self, until: float, about: AboutOrchestration | AboutDecision, verb: str) -> None:
        backoff, last = Backoff(0.2, 5.0, self._random), ""
        while self._clock() < until:
            try:
                await self._write(about, verb)
            except ApiError as error:
                if error.code not in _PASSING and not isinstance(error, Conflict):
                    raise Refused(str(error)) from None
                last = str(error)
            else:
                return
            await asyncio.sleep(min(backoff.next(), max(0.0, until - self._clock())))
        raise Refused(f"it was void from {about.expires_at}" + (f"; before that: {last}" if last else ""))

    async def _write(self, about: AboutOrchestration | AboutDecision, verb: str) -> None:
        if isinstance(about, AboutOrchestration):
            await self._patch(LOW_LEVEL_ORCHESTRATION, about.orchestration, about.namespace, {"paused": _PAUSED[verb]})
            log.info("%s %s/%s, as a command asked", verb, about.namespace, about.orchestration)
            return
        wanted = _VERDICTS[verb]
        decision = await self._decision(about)
        said = (decision.get("spec") or {}).get("verdict")
        if said is not None and said != wanted:
            raise Refused(f"Decision {about.namespace}/{about.decision} is {said} already, and stays so")
        await self._patch(
            DECISION, about.decision, about.namespace, {"verdict": str(wanted)}, decision["metadata"]["resourceVersion"]
        )
        log.info("%s %s/%s, as a command asked", verb, about.namespace, about.decision)

    async def _decision(self, about: AboutDecision) -> Object:
        """By a list of one, as the operator's rights allow."""
        found = await self._management.list(DECISION, about.namespace, fields=f"metadata.name={about.decision}")
        if not found.items:
            raise Refused(f"there is no Decision {about.namespace}/{about.decision}")
        return found.items[0]

    async def _patch(self, kind: Kind, name: str, namespace: str, spec: Object, version: str | None = None) -> None:
        patch: Object = {"spec": spec}
        if version is not None:
            patch["metadata"] = {"resourceVersion": version}  # two verdicts at once: the second one sees the first
        try:
            await self._management.patch(kind, name, patch, namespace, manager=MANAGER)
        except NotFound:
            raise Refused(f"there is no {kind.kind} {namespace}/{name}") from None


def _read(event: Event, to: type[_T]) -> _T:
    try:
        return msgspec.convert(event.data, to)
    except msgspec.ValidationError as error:
        raise Refused(f"the data of {event.type} does not fit: {error}") from None
