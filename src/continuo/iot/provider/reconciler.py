"""One kind, reconciled: what `decide` says, done; every answer of the cluster learned, every trouble said.

The order of writes is what makes it safe to die at any line. Before something is created outside, `create-pending` is written
with the version that was read: who read an older state writes nothing and creates nothing. What was created is written down
afterwards; where that did not happen, the external object is found by its marker.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from continuo.iot.provider import conditions, decide
from continuo.iot.provider.bucket import Bucket
from continuo.iot.provider.connections import Connections, Line, ObjectKey, config_name, object_key
from continuo.iot.provider.decide import Facts, Times
from continuo.iot.provider.external import (
    Conflicting,
    External,
    Managed,
    NotConnected,
    NotSent,
    NotYet,
    Observation,
    Refused,
    Unknown,
)
from continuo.iot.provider.marks import FAILED, FINALIZER, PENDING, SUCCEEDED, Marks, marks_of, stamp
from continuo.iot.provider.objects import Objects
from continuo.iot.provider.references import external_name, resolve
from continuo.iot.provider.usages import Usages
from continuo.iot.provider.world import Driver, World
from continuo.kube.port import Cluster
from continuo.resources.boards import EXTERNAL_NAME, decode_at
from continuo.resources.boards_types import Action
from continuo.resources.errors import ApiError, Conflict, NotFound
from continuo.resources.meta import Key, Object, annotations_of, deleting, key_of, labels_of
from continuo.runtime.controller import DONE, Result
from continuo.runtime.events import EventRecorder
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)
P = TypeVar("P", bound=Struct)
PASS = 60.0
"""Seconds that one pass may take."""
AFTERWARDS = 30.0
"""Seconds more to write down what happened."""


class Again(Exception):
    """A pass failed; it was said in the object, and is tried again after a backoff."""


@dataclass(slots=True)
class Tools:
    """What all kinds share."""

    cluster: Cluster
    world: World
    objects: Objects
    connections: Connections
    usages: Usages
    events: EventRecorder
    bucket: Bucket
    times: Times
    rng: random.Random


class Reconciler(Generic[P]):
    """The reconcile function of one kind."""

    def __init__(self, driver: Driver[P], informer: Informer, tools: Tools) -> None:
        self.driver, self._informer, self._tools = driver, informer, tools
        self._streaks: dict[Key, int] = {}
        """How often in a row an object was changed outside, without having settled."""

    async def reconcile(self, key: Key) -> Result:
        """Look at one object; raises Again where it has to be tried again."""
        obj = self._informer.cache.get(key)
        if obj is None:
            self._streaks.pop(key, None)
            await self._tools.connections.release(object_key(self.driver.kind, key))
            return DONE
        await self._tools.bucket.take()
        try:
            async with asyncio.timeout(PASS):
                return await self._look(self._informer.cache.get(key) or obj)
        except TimeoutError:
            await self._say(obj, [conditions.synced(False, conditions.ERROR, f"a pass took longer than {PASS:g} s")])
            raise Again(f"{self.driver.kind.kind} {key}: a pass took longer than {PASS:g} s") from None
        except Conflict as error:
            log.debug("%s %s changed meanwhile: %s", self.driver.kind.kind, key, error)
            return Result(0.1)
        except NotFound:
            return DONE  # it went while it was looked at

    async def _look(self, obj: Object) -> Result:
        facts = self._facts(obj)
        match decide.before(facts):
            case decide.Pause(message):
                self._event(obj, "Normal", "ReconciliationPaused", message)
                await self._say(obj, [conditions.synced(False, conditions.PAUSED, message)])
                return DONE
            case decide.BadPolicy(message):
                self._event(obj, "Warning", "CannotUseInvalidManagementPolicy", message)
                await self._say(obj, [conditions.synced(False, conditions.ERROR, message)])
                return DONE
            case decide.Release():
                await self._release(obj)
                return DONE
            case decide.Observe(allowed):
                return await self._outside(obj, facts, allowed)

    async def _outside(self, obj: Object, facts: Facts, allowed: frozenset[Action]) -> Result:
        trouble = "CannotResolveResourceReferences"
        try:
            if not facts.deleting and (fields := resolve(obj, self.driver.references, self._tools.objects)):
                obj = await self._write(obj, {"spec": {"forProvider": fields}})
            trouble = "CannotConnectToProvider"
            line = await self._connect(obj)
            external = self.driver.external(line, self._tools.world)
            trouble = "CannotObserveExternalResource"
            managed, begun = self._managed(obj, facts.marks, allowed), line.step
            seen = await external.observe(managed)
        except Exception as error:
            return await self._trouble(obj, trouble, error)
        line.concern(self._object_key(obj), managed.uid, seen.subjects, begun, facts.marks.poll)
        step = decide.after(facts, allowed, seen, self._tools.world.now(), self._tools.times)
        return await self._do(step, obj, facts, managed, seen, external)

    async def _do(
        self,
        step: decide.After,
        obj: Object,
        facts: Facts,
        managed: Managed[P],
        seen: Observation,
        external: External[P],
    ) -> Result:
        match step:
            case decide.Release():
                await self._release(obj)
                return DONE
            case decide.Fail(message):
                self._event(obj, "Warning", "CannotObserveExternalResource", message)
                await self._say(obj, [conditions.synced(False, conditions.ERROR, message)], seen)
                return self._poll(facts.marks, seen)
            case decide.Lost(message):
                lost = [conditions.ready(False, conditions.UNAVAILABLE, message), _well()]
                await self._say(obj, lost, seen)
                return self._poll(facts.marks, seen)
            case decide.Wait() as wait:
                return await self._wait(obj, wait, seen)
            case decide.Delete():
                return await self._delete(obj, managed, external)
            case decide.Adopt(name):
                log.info("%s %s: found again as %s", managed.kind.kind, managed.key, name)
                await self._named(obj, name)
                return Result(0.0)
            case decide.Create():
                return await self._create(await self._hold(obj), managed, external)
            case decide.Initialize():
                await self._write(await self._hold(obj), {"spec": {"forProvider": dict(seen.late)}})
                return Result(0.0)
            case decide.Update():
                return await self._update(await self._hold(obj), managed, seen, external)
            case decide.Settled():
                return await self._settled(await self._hold(obj), facts, managed, seen)

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _create(self, obj: Object, managed: Managed[P], external: External[P]) -> Result:
        now = self._tools.world.now()
        # The version that was read has to be the newest, or another pass has begun a creation that we do not know of.
        obj = await self._write(obj, {"metadata": {"annotations": {PENDING: stamp(now), EXTERNAL_NAME: None}}})
        try:
            made = await external.create(managed)
        except Conflicting as error:
            return await self._taken(obj, managed, external, error)
        except (Refused, NotSent, NotConnected, NotYet) as error:
            async with asyncio.timeout(AFTERWARDS):
                obj = await self._annotate(obj, {FAILED: stamp(self._tools.world.now())})
            return await self._trouble(obj, "CannotCreateExternalResource", error)
        except Exception as error:
            return await self._trouble(obj, "CannotCreateExternalResource", error)  # whether it is there nobody knows
        obj = await asyncio.shield(self._named(obj, made.external_name))
        self._event(obj, "Normal", "CreatedExternalResource", f"{managed.kind.kind} {made.external_name} was created")
        if made.details:
            await self._publish(obj, managed, made.details)
        creating = [conditions.ready(False, conditions.CREATING, "it was created and is not looked at yet"), _well()]
        await self._say(obj, creating)
        return Result(0.0)

    async def _taken(self, obj: Object, managed: Managed[P], external: External[P], error: Conflicting) -> Result:
        """Something is there already: ours, of a creation whose answer was lost, or somebody else's."""
        try:
            found = await external.observe(replace(managed, external_name="", uncertain=True))
        except Exception as trouble:
            return await self._trouble(obj, "CannotCreateExternalResource", trouble)
        if found.exists and found.external_name:
            await self._named(obj, found.external_name)
            return Result(0.0)
        obj = await self._annotate(obj, {FAILED: stamp(self._tools.world.now())})
        return await self._trouble(obj, "CannotCreateExternalResource", error)

    async def _update(self, obj: Object, managed: Managed[P], seen: Observation, external: External[P]) -> Result:
        try:
            changed = await external.update(managed, seen)
        except Exception as error:
            return await self._trouble(obj, "CannotUpdateExternalResource", error, seen)
        what = seen.difference or "it was not as declared"
        self._event(obj, "Normal", "UpdatedExternalResource", f"{what}: it was changed")
        details = {**seen.details, **changed.details}
        if details:
            await self._publish(obj, managed, details)
        await self._say(obj, [_readiness(seen), _well()], seen)
        return Result(self._soon(key_of(obj)))

    async def _delete(self, obj: Object, managed: Managed[P], external: External[P]) -> Result:
        going = [conditions.ready(False, conditions.DELETING)]
        try:
            await external.delete(managed)
        except Exception as error:
            return await self._trouble(obj, "CannotDeleteExternalResource", error, more=going)
        self._event(
            obj, "Normal", "DeletedExternalResource", f"{managed.kind.kind} {managed.external_name} was deleted"
        )
        await self._say(obj, [*going, _well()])
        return Result(self._soon(key_of(obj)))

    async def _settled(self, obj: Object, facts: Facts, managed: Managed[P], seen: Observation) -> Result:
        self._streaks.pop(key_of(obj), None)
        if seen.details:
            await self._publish(obj, managed, seen.details)
        await self._say(obj, [_readiness(seen), _well()], seen)
        return self._poll(facts.marks, seen)

    async def _wait(self, obj: Object, wait: decide.Wait, seen: Observation) -> Result:
        reason = conditions.DELETING if wait.deleting else conditions.CREATING
        well = _well() if wait.blocked or wait.deleting else conditions.synced(False, conditions.ERROR, wait.message)
        await self._say(obj, [conditions.ready(False, reason, wait.message), well], seen)
        return Result(wait.seconds)

    async def _release(self, obj: Object) -> None:
        left = [each for each in obj["metadata"].get("finalizers") or () if each != FINALIZER]
        if len(left) != len(obj["metadata"].get("finalizers") or ()):
            await self._write(obj, {"metadata": {"finalizers": left}})

    async def _hold(self, obj: Object) -> Object:
        """The object with our finalizer: it does not go before what it stands for."""
        finalizers = list(obj["metadata"].get("finalizers") or ())
        if FINALIZER in finalizers or deleting(obj):
            return obj
        return await self._write(obj, {"metadata": {"finalizers": [*finalizers, FINALIZER]}})

    # --- facts --------------------------------------------------------------------------------------------------------

    def _facts(self, obj: Object) -> Facts:
        spec, metadata = obj.get("spec") or {}, obj["metadata"]
        going, name = deleting(obj), external_name(obj)
        users = self._tools.objects.users(self.driver.kind, name) if going and name else ()
        return Facts(
            marks_of(obj), tuple(spec.get("managementPolicies", ("*",))), going, tuple(metadata.get("finalizers") or ()),
            tuple(users),
        )  # fmt: skip

    def _managed(self, obj: Object, marks: Marks, allowed: frozenset[Action]) -> Managed[P]:
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        named = (spec.get("writeConnectionSecretToRef") or {}).get("name") or ""
        if not named and self.driver.secret is not None:
            named = self.driver.secret(metadata["name"])
        return Managed(
            kind=self.driver.kind, namespace=metadata.get("namespace") or "", name=metadata["name"],
            uid=metadata.get("uid") or "", generation=metadata.get("generation") or 0, labels=labels_of(obj),
            external_name=annotations_of(obj).get(EXTERNAL_NAME, ""),
            parameters=decode_at(obj, "spec.forProvider", self.driver.parameters), deleting=deleting(obj),
            policies=allowed, status=(obj.get("status") or {}).get("atProvider") or {}, uncertain=marks.uncertain,
            secret=named,
        )  # fmt: skip

    async def _connect(self, obj: Object) -> Line:
        spec, metadata = obj.get("spec") or {}, obj["metadata"]
        config = config_name(spec.get("providerConfigRef"), metadata.get("namespace") or "")
        if not deleting(obj):
            await self._tools.usages.ensure(obj, self.driver.kind, config)
        line = await self._tools.connections.use(config, self._object_key(obj))
        requested = marks_of(obj).requested
        if requested and (obj.get("status") or {}).get("lastHandledReconcileAt") != requested:
            line.lists.forget()
            line.looks.forget()
            self._event(obj, "Normal", "ReconcileRequestHandled", "somebody asked for another look")
        return line

    def _object_key(self, obj: Object) -> ObjectKey:
        return object_key(self.driver.kind, key_of(obj))

    # --- writing and saying -------------------------------------------------------------------------------------------

    async def _named(self, obj: Object, name: str) -> Object:
        """Write down under which name it is outside; tried hard, since otherwise it has to be looked for."""
        marks = {EXTERNAL_NAME: name, SUCCEEDED: stamp(self._tools.world.now())}
        async with asyncio.timeout(AFTERWARDS):
            for attempt in range(5):
                try:
                    return await self._annotate(obj, marks)
                except NotFound:
                    raise
                except ApiError as error:
                    if attempt == 4:
                        raise
                    log.warning("%s %s: %s", self.driver.kind.kind, key_of(obj), error)
                    await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("not reached")

    async def _annotate(self, obj: Object, annotations: Mapping[str, str]) -> Object:
        return await self._patch(obj, {"metadata": {"annotations": dict(annotations), "uid": obj["metadata"]["uid"]}})

    async def _write(self, obj: Object, change: Mapping[str, Any]) -> Object:
        """Change what we read, and only that: raises Conflict where it changed meanwhile."""
        version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return await self._patch(obj, {**change, "metadata": {**change.get("metadata", {}), **version}})

    async def _patch(self, obj: Object, patch: Mapping[str, Any], subresource: str | None = None) -> Object:
        namespace, name = key_of(obj)
        answer = await self._tools.cluster.patch(self.driver.kind, name, patch, namespace, subresource=subresource)
        self._informer.learn(answer)
        return self._informer.cache.get(key_of(obj)) or answer

    async def _say(self, obj: Object, told: Sequence[Object], seen: Observation | None = None) -> None:
        requested = marks_of(obj).requested
        at_provider = seen.at_provider if seen is not None else None
        now = self._tools.world.now()
        patch = conditions.next_status(obj, list(told), at_provider, now, requested if seen is not None else "")
        if patch is not None:
            await self._patch(obj, {"status": patch}, "status")

    def _event(self, obj: Object, type_: Literal["Normal", "Warning"], reason: str, note: str) -> None:
        self._tools.events.record(obj, type_, reason, note)

    async def _trouble(
        self, obj: Object, what: str, error: Exception, seen: Observation | None = None, more: Sequence[Object] = ()
    ) -> Result:
        """Say what went wrong, and when it is tried again."""
        if isinstance(error, (Conflict, asyncio.CancelledError)):
            raise error
        sentence = str(error)
        if isinstance(error, NotConnected):
            reason = conditions.DELETING if deleting(obj) else conditions.UNAVAILABLE
            away = [conditions.ready(False, reason, sentence), _well()]
            await self._say(obj, away, seen)
            return self._poll(marks_of(obj), seen)
        if not isinstance(error, (Refused, Unknown, NotYet, ApiError)):
            sentence = f"{type(error).__name__}: {error}"
            log.exception("%s %s: %s", self.driver.kind.kind, key_of(obj), what, exc_info=error)
        self._event(obj, "Warning", what, sentence)
        said = list(more)
        if seen is not None:
            said.append(_readiness(seen))
        elif what == "CannotCreateExternalResource":
            said.append(conditions.ready(False, conditions.CREATING, sentence))
        await self._say(obj, [*said, conditions.synced(False, conditions.ERROR, sentence)], seen)
        raise Again(sentence) from None

    async def _publish(self, obj: Object, managed: Managed[P], details: Mapping[str, bytes]) -> None:
        try:
            await self._tools.world.publish(managed, details)
        except Refused as error:
            self._event(obj, "Warning", "CannotPublishConnectionDetails", str(error))
            await self._say(obj, [conditions.synced(False, conditions.ERROR, str(error))])
            raise Again(str(error)) from None

    # --- times --------------------------------------------------------------------------------------------------------

    def _poll(self, marks: Marks, seen: Observation | None) -> Result:
        times = self._tools.times
        poll = max(marks.poll or times.poll, times.least_poll) * (1.0 + times.jitter * self._tools.rng.random())
        again = seen.again if seen is not None else None
        return Result(poll if again is None else min(poll, again))

    def _soon(self, key: Key) -> float:
        """After a change: at once, and slower each time that it did not settle."""
        streak = self._streaks[key] = self._streaks.get(key, 0) + 1
        return min(self._tools.times.poll, 0.05 * 2.0 ** min(streak, 16))


def _well() -> Object:
    return conditions.synced(True, conditions.SUCCESS)


def _readiness(seen: Observation) -> Object:
    told = seen.readiness
    if told.ready:
        return conditions.ready(True, conditions.AVAILABLE)
    return conditions.ready(False, conditions.CREATING if told.creating else conditions.UNAVAILABLE, told.message)
