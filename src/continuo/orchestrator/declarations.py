"""What the operator writes to orchestrations themselves: its finalizer, their status with the Events of its changes."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable

from continuo.events.publisher import Publisher
from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.transitions import transitions
from continuo.resources.decoding import same
from continuo.resources.errors import Conflict, Invalid, NotFound
from continuo.resources.meta import Key, Object, annotations_of, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.resources.orchestration_status import Status
from continuo.runtime.events import EventRecorder
from continuo.runtime.informer import Informer


class Declarations:
    """The orchestrations of one management cluster, as objects that are written to."""

    def __init__(
        self, management: Cluster, informer: Informer, events: EventRecorder, publisher: Publisher,
        add: Callable[[Key], None], now: Callable[[], datetime.datetime],
    ) -> None:  # fmt: skip
        """`informer` learns what was written; `add` asks for another look."""
        self._management, self._informer, self._events, self._publisher = management, informer, events, publisher
        self._add, self._now = add, now

    async def hold(self, obj: Object, adopted: dict[str, str]) -> Object:
        """Our finalizer, so that deletion waits for the clean-up, and the adopted clusters that there is to clean up."""
        namespace, name = key_of(obj)
        said = annotations_of(obj).get(naming.ADOPTED)
        text = json.dumps(adopted, sort_keys=True) if adopted else None
        if text == said and naming.FINALIZER in (obj["metadata"].get("finalizers") or ()):
            return obj
        metadata: Object = {"finalizers": [naming.FINALIZER]}
        if text is not None:
            metadata["annotations"] = {naming.ADOPTED: text}
        body = LOW_LEVEL_ORCHESTRATION.new(name, namespace, metadata=metadata)
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        held = await self._management.apply(body, manager="continuo-finalizer")
        self._informer.learn(held)
        return held

    async def _release(self, obj: Object) -> None:
        namespace, name = key_of(obj)
        left = [entry for entry in obj["metadata"].get("finalizers") or () if entry != naming.FINALIZER]
        patch = {"metadata": {"finalizers": left, "resourceVersion": obj["metadata"]["resourceVersion"]}}
        try:
            await self._management.patch(LOW_LEVEL_ORCHESTRATION, name, patch, namespace)
        except NotFound:
            return
        except Conflict:
            self._add((namespace, name))  # somebody wrote meanwhile: look again with the newer object

    async def write_status(self, obj: Object, status: Object) -> Object | None:
        """The object with that status; None where somebody else wrote it, or it went, since we saw it."""
        if same(Status, status, obj.get("status") or {}):
            return obj
        namespace, name = key_of(obj)
        patch = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": status}
        try:
            written = await self._management.patch(
                LOW_LEVEL_ORCHESTRATION, name, patch, namespace, subresource="status", manager=naming.MANAGER
            )
        except (NotFound, Conflict):
            return None
        self._informer.learn(written)
        for event in transitions(obj.get("status") or {}, status):
            self._events.record(obj, event.type, event.reason, event.note)
        return written

    async def leave(self, obj: Object) -> float | None:
        """Let go of an orchestration of which nothing is left; seconds to wait while not everybody has its last events."""
        if (wait := self._publisher.pending(obj)) is not None:
            return wait
        await self._release(obj)
        return None

    async def report_invalid(self, obj: Object, error: Invalid) -> None:
        """An object that came in before our CRD: say so and wait for a change."""
        generation = obj["metadata"].get("generation", 0)
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": type_, "status": value, "reason": "InvalidSpec", "message": str(error),
             "observedGeneration": generation, "lastTransitionTime": now}
            for type_, value in (("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True"))
        ]  # fmt: skip
        status = {"observedGeneration": generation, "phase": "Failed", "conditions": conditions}
        if (obj.get("status") or {}).get("observedGeneration") != generation:
            await self.write_status(obj, status)
