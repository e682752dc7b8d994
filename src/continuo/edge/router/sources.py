"""One Rule for each source that somebody bought: made after its endpoints, removed before them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from continuo.edge.relay.model import Source
from continuo.edge.router import rules
from continuo.edge.router.desk import MANAGER, Desk
from continuo.edge.router.pulse import AGAIN, Pulse
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, ApiError, NotFound
from continuo.resources.meta import Key, Object, annotations_of, deleting, is_true, key_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Result

log = logging.getLogger(__name__)

RENEWALS = Backoff(base=30.0, cap=900.0)
"""Seconds between two attempts to wake a silent source: a sensor may as well have nothing to say."""
CHANGES = Backoff(base=1.0, cap=300.0)
"""Seconds between two attempts to make a Rule anew that does not stay as it was made."""


_SECOND = len("2026-01-01T00:00:00")


class Sources:
    """Reconciles sources; `changed` is called with the allocations that are waiting for one of them."""

    def __init__(self, desk: Desk, changed: Callable[[Key], None]) -> None:
        self._desk, self._changed = desk, changed
        self._pulse = Pulse(desk.cluster)
        self._renew: dict[Source, str] = {}
        self._silences: dict[Source, tuple[int, float]] = {}
        """How often a silent source's Rule was made anew, and when it may be again."""
        self._changes: dict[Key, tuple[int, float]] = {}
        """How often a Rule was made anew because somebody had changed it, and when it was last."""
        self._making: set[Key] = set()
        """Rules that are being made and may not be seen yet."""
        self._dropped: set[str] = set()
        """UIDs of endpoints whose deletion was asked for, which may be seen still."""

    def renew_silent(self, source: Source, at: float) -> bool:
        """Let a silent source's Rule be made anew, unless that was tried lately. `at`: seconds, monotonic."""
        count, due = self._silences.get(source, (0, 0.0))
        if at < due:
            return False
        pause = min(RENEWALS.base * 2**count, RENEWALS.cap)
        self._silences[source] = count + 1, at + pause
        self._renew[source] = "nothing has come from its source for long"
        return True

    def heard(self, source: Source) -> None:
        """Readings come: there is nothing to be made anew."""
        self._silences.pop(source, None)

    async def reconcile(self, source: Source) -> Result:
        """Bring one source's Rule one step on."""
        desk, ledger = self._desk, self._desk.ledger
        if not desk.rules.served:
            self._tell(source, "")  # no KubeEdge: the relay takes readings straight from the edge's broker
            return DONE
        if not ledger.needs(source) and ledger.claims(source):
            return DONE  # nobody knows yet whether it will be needed
        there = desk.rules.cache.get((source.namespace, rules.rule_name(source)))
        wanted = await self._wanted(source) if ledger.needs(source) else None
        if wanted is not None and await self._endpoints(source.namespace, rules.ENDPOINTS):
            self._tell(source, self._trouble(source, wanted, there, None))
            return DONE  # they are being made; their watch brings us back
        node = desk.node(source.node)
        step = rules.decide(
            wanted, there, self._others(source), desk.settings.instance, renew=self._renew.get(source, ""),
            silent=there is not None and self._silent_since(source, there),
            away=node is not None and not is_true(node, "Ready"),
        )  # fmt: skip
        pause = self._pause(step)
        if pause:
            times, name = self._changes[source.namespace, rules.rule_name(source)][0], rules.rule_name(source)
            self._tell(source, f"somebody changes rule {name} whenever it is made, {times} times by now: it is left so")
            return Result(requeue_after=pause)
        if wanted is None and isinstance(step, rules.Remove) and not await self._is_heard(source):
            return Result(requeue_after=AGAIN)
        self._pulse.forget(source)
        await self._act(source, step)
        self._tell(source, self._trouble(source, wanted, there, step))
        if wanted is None and there is None:
            self._silences.pop(source, None)
            await self._drop_endpoints(source.namespace)
        return DONE

    async def _is_heard(self, source: Source) -> bool:
        """Whether the edge node will learn that a Rule goes; one that no CloudCore holds has nothing to learn."""
        node = self._desk.node(source.node)
        if node is None or "cloudcore" not in annotations_of(node):
            return True
        return await self._pulse.felt(source, source.node)

    async def commands(self, namespace: str) -> Result:
        """Bring the Rule that leads to the edge one step on."""
        desk = self._desk
        if not desk.rules.served:
            return DONE
        there = desk.rules.cache.get((namespace, rules.COMMANDS))
        wanted = rules.command_rule(namespace, desk.settings.instance) if desk.ledger.commands(namespace) else None
        if wanted is not None and await self._endpoints(namespace, rules.COMMAND_ENDPOINTS):
            return DONE
        step = rules.decide(wanted, there, [], desk.settings.instance)
        if isinstance(step, rules.Blocked):
            log.warning("commands cannot be brought to the edge: %s", step.why)
        if pause := self._pause(step):
            return Result(requeue_after=pause)
        await self._do(step)
        if wanted is None and there is None:
            await self._drop_endpoints(namespace)
        return DONE

    async def _wanted(self, source: Source) -> Object:
        desk = self._desk
        url = await desk.relay.ingest_url(source, rules.rule_name(source))
        node = desk.node(source.node)
        connection, heartbeat = rules.connection_of(node), rules.heartbeat_of(node)
        return rules.rule_for(source, url, desk.settings.instance, connection, heartbeat)

    def _silent_since(self, source: Source, rule: Object) -> bool:
        """Whether the relay is known to have got nothing since the second in which the Rule was made."""
        last, made = self._desk.last_reading(source), rule["metadata"].get("creationTimestamp") or ""
        return last is not None and last[:_SECOND] <= made[:_SECOND]

    def _others(self, source: Source) -> list[Object]:
        found = self._desk.rules.cache.by_index("source", source)
        return [rule for rule in found if rule["metadata"]["name"] != rules.rule_name(source)]

    async def _act(self, source: Source, step: rules.Step | None) -> None:
        await self._do(step)
        if isinstance(step, rules.Remove):
            self._renew.pop(source, None)

    def _pause(self, step: rules.Step | None) -> float:
        """Seconds until a changed Rule may be made anew; 0: now. Whoever changes each one would keep us busy for ever."""
        if not isinstance(step, rules.Remove) or not step.changed:
            return 0.0
        metadata, now = step.rule["metadata"], asyncio.get_running_loop().time()
        key = metadata["namespace"], metadata["name"]
        count, last = self._changes.get(key, (0, now - CHANGES.cap))
        if now - last >= 2 * CHANGES.cap:
            count = 0
        due = last + min(CHANGES.base * 2 ** min(count - 1, 16), CHANGES.cap) if count else now
        if now < due:
            log.warning("rule %s/%s is changed whenever it is made; again in %.0f s", *key, due - now)
            return due - now
        self._changes[key] = count + 1, now
        return 0.0

    async def _do(self, step: rules.Step | None) -> None:
        desk = self._desk
        match step:
            case rules.Create(rule):
                key = rule["metadata"]["namespace"], rule["metadata"]["name"]
                self._making.add(key)
                try:
                    desk.rules.learn(await desk.cluster.create(rule, manager=MANAGER))
                except AlreadyExists:
                    return  # the watch is about to tell of it
                finally:
                    self._making.discard(key)
            case rules.Remove(rule, why):
                namespace, name = rule["metadata"]["namespace"], rule["metadata"]["name"]
                log.info("rule %s/%s goes: %s", namespace, name, why)
                try:
                    await desk.cluster.delete(kinds.KUBEEDGE_RULE, name, namespace, uid=rule["metadata"]["uid"])
                except NotFound:
                    return

    def _trouble(self, source: Source, wanted: Object | None, there: Object | None, step: rules.Step | None) -> str:
        if wanted is None:
            return ""
        if isinstance(step, rules.Blocked):
            return step.why
        node = self._desk.node(source.node)
        if node is None:
            return f"there is no node {source.node}"
        if not is_true(node, "Ready"):
            return f"edge node {source.node} is not ready: its readings are waited for"
        return "" if there is not None and step is None and not deleting(there) else "its rule is being made"

    def _tell(self, source: Source, trouble: str) -> None:
        before = self._desk.rule_trouble.get(source)
        if trouble == (before or "") and (before is not None or source in self._desk.rule_trouble):
            return
        self._desk.rule_trouble[source] = trouble
        for key in self._desk.ledger.users(source):
            self._changed(key)
        if not self._desk.ledger.claims(source):
            self._desk.rule_trouble.pop(source, None)

    # --- endpoints ----------------------------------------------------------------------------------------------------
    async def _endpoints(self, namespace: str, wanted: dict[str, str]) -> bool:
        """Make the endpoints that are missing; True when some were, and are waited for: CloudCore looks for them once."""
        desk = self._desk
        missing = [name for name in wanted if not self._is_there(namespace, name)]
        for name in missing:
            made = rules.endpoint(name, wanted[name], namespace, desk.settings.instance)
            try:
                await desk.cluster.create(made, manager=MANAGER)
            except AlreadyExists:
                continue
        return bool(missing)

    def _is_there(self, namespace: str, name: str) -> bool:
        found = self._desk.endpoints.cache.get((namespace, name))
        return found is not None and found["metadata"]["uid"] not in self._dropped

    def endpoint_gone(self, uid: str) -> None:
        """The watch tells of its end."""
        self._dropped.discard(uid)

    async def _drop_endpoints(self, namespace: str) -> None:
        """Remove those of our endpoints that no Rule uses: a Rule whose source goes first would go on delivering."""
        desk = self._desk
        if any(each.namespace == namespace for each in desk.ledger.sources) or any(
            map(self._is_path, desk.rules.cache)
        ):
            return
        if any(space == namespace for space, _ in self._making):
            return  # who makes it comes back when it is there
        used = {rule["spec"][end] for rule in desk.rules.cache for end in ("source", "target")}
        for key in [key_of(found) for found in desk.endpoints.cache]:
            found = desk.endpoints.cache.get(key)  # which may have gone with one before it
            if found is not None and desk.is_ours(found) and not deleting(found) and key[1] not in used:
                await self._drop(found)

    async def _drop(self, endpoint: Object) -> None:
        """From now on it is not there, for whoever is about to make a Rule."""
        uid, (namespace, name) = endpoint["metadata"]["uid"], key_of(endpoint)
        self._dropped.add(uid)
        try:
            await self._desk.cluster.delete(kinds.RULE_ENDPOINT, name, namespace, uid=uid)
        except NotFound:
            return
        except ApiError:
            self._dropped.discard(uid)
            raise

    def _is_path(self, rule: Object) -> bool:
        return self._desk.is_ours(rule) and rules.source_of(rule) is not None
