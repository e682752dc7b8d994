"""One allocation at a time: its endpoints are checked, its sources noted, its route told to the relay, and its state told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from continuo.edge.relay.model import Authentication, Route, Scheme, Source, Target
from continuo.edge.router.bought import Asked, Bought, Unusable, bought, contract_of, ends_at, is_over
from continuo.edge.router.delivery import Report, report
from continuo.edge.router.desk import FINALIZER, MANAGER, Desk
from continuo.edge.router.egress import Refused, pin
from continuo.edge.router.ledger import Entry
from continuo.resources import kinds
from continuo.resources.errors import Conflict, NotFound
from continuo.resources.meta import Key, Object, deleting, key_of
from continuo.runtime.controller import DONE, Result

AGAIN = 15.0
"""Seconds until a name that could not be resolved is asked for again."""


class Allocations:
    """Reconciles allocations; `changed` is called with the sources to be looked at, and `commands` with their namespaces."""

    def __init__(self, desk: Desk, changed: Callable[[Source], None], commands: Callable[[str], None]) -> None:
        self._desk, self._changed, self._commands = desk, changed, commands

    def note(self, allocation: Object) -> None:
        """Note at the start what an allocation may need, so that nothing of it is taken away before it has been judged."""
        desk = self._desk
        contract = desk.contracts.cache.get(contract_of(allocation))
        if contract is None or not desk.sold(contract) or is_over(allocation, contract, desk.now()):
            return
        try:
            asked = self._bought(contract)
        except Unusable:
            return
        desk.ledger.put(key_of(allocation), _entry(asked, approved=False))

    async def reconcile(self, key: Key) -> Result:
        """Bring one allocation one step on."""
        desk = self._desk
        allocation = desk.allocations.cache.get(key)
        if allocation is None:
            await self._withdraw(key, _route_of(key))
            return DONE
        contract = await self._contract(contract_of(allocation))
        if contract is not None and not desk.sold(contract):
            return DONE
        why = is_over(allocation, contract, desk.now())
        if why is not None:
            return await self._end(key, allocation, why)
        assert contract is not None
        try:
            asked = self._bought(contract)
            if not await self._has_finalizer(allocation):
                return DONE  # the watch brings it back with it
            self._note(key, asked)
            targets = await self._targets(asked)
        except (Unusable, Refused) as error:
            await self._withdraw(key, contract["metadata"]["name"])
            await self._tell(allocation, Report("Error", str(error)))
            return self._next(contract)
        except (OSError, TimeoutError) as error:
            await self._tell(allocation, Report("Provisioning", f"an endpoint's name cannot be resolved now: {error}"))
            return Result(requeue_after=AGAIN)
        self._approve(key, asked)
        await self._put(asked, targets)
        await self._tell(allocation, self._report(asked))
        return self._next(contract)

    async def show(self, key: Key) -> None:
        """Tell how an allocation's path is doing."""
        allocation = self._desk.allocations.cache.get(key)
        entry = self._desk.ledger.entry(key)
        if allocation is not None and entry is not None and entry.approved and not deleting(allocation):
            await self._tell(allocation, self._state(contract_of(allocation)[1], entry.sources))

    # --- what it needs ------------------------------------------------------------------------------------------------
    def _bought(self, contract: Object) -> Bought:
        return bought(contract, self._desk.flavor_of, self._desk.settings.rule_namespace)

    async def _contract(self, key: Key) -> Object | None:
        """The contract; asked for where the watch does not know it (yet), so that nothing ends which only began."""
        known = self._desk.contracts.cache.get(key)
        if known is not None or not key[1]:
            return known
        try:
            return await self._desk.cluster.get(kinds.FLUIDOS_CONTRACT, key[1], key[0])
        except NotFound:
            return None

    def _note(self, key: Key, asked: Bought) -> None:
        before = self._desk.ledger.entry(key)
        approved = before is not None and before.approved and before == _entry(asked, approved=True)
        self._set(key, _entry(asked, approved=approved))

    def _approve(self, key: Key, asked: Bought) -> None:
        self._set(key, _entry(asked, approved=True))

    def _set(self, key: Key, entry: Entry | None) -> None:
        before = self._desk.ledger.entry(key)
        for source in self._desk.ledger.put(key, entry):
            self._changed(source)
        if (before is not None and before.commands) or (entry is not None and entry.commands):
            self._commands(self._desk.settings.rule_namespace)

    async def _targets(self, asked: Bought) -> tuple[Target, ...]:
        secrets = await self._secrets(asked)
        return tuple([await self._target(number, each, secrets) for number, each in enumerate(asked.endpoints)])

    async def _target(self, number: int, asked: Asked, secrets: dict[str, str]) -> Target:
        endpoint, addresses = await pin(asked.url, self._desk.settings.policy, self._desk.resolve)
        proof = asked.authentication
        if proof.scheme in (Scheme.BEARER, Scheme.SIGNED):
            secret = secrets.get(str(number), "")
            if not secret:
                raise Unusable(
                    f"{endpoint.shown} asks for authentication {proof.scheme.value}, and nothing to do it with was given"
                )
            proof = Authentication(scheme=proof.scheme, secret=secret)
        if proof.scheme is Scheme.SPIFFE and not proof.spiffe_id:
            raise Unusable(f"{endpoint.shown} asks for authentication spiffe: its spiffeID must be named")
        return Target(url=endpoint.url, addresses=addresses, authentication=proof)

    async def _secrets(self, asked: Bought) -> dict[str, str]:
        """What endpoints are proved to with, by their number."""
        if not asked.secret:
            return {}
        try:
            found = await self._desk.cluster.get(kinds.SECRET, asked.secret, self._desk.settings.namespace)
        except NotFound:
            raise Unusable(f"secret {asked.secret}, which has what its endpoints ask for, is gone: buy anew") from None
        return {name: base64.b64decode(text).decode() for name, text in (found.get("data") or {}).items()}

    # --- the relay ----------------------------------------------------------------------------------------------------
    async def _put(self, asked: Bought, targets: tuple[Target, ...]) -> None:
        route = Route(name=asked.name, buyer=asked.buyer, flows=asked.flows, targets=targets, commands=asked.commands)
        desk, mark = self._desk, hash(msgspec.json.encode(route))
        if desk.told.get(route.name) == (desk.relay_instance, mark) and desk.relay_instance:
            return
        instance = desk.relay_instance
        await desk.relay.put_route(route)
        desk.told[route.name] = instance, mark

    async def _withdraw(self, key: Key, route: str) -> None:
        """Let the relay have no route, and nobody need its sources on this account."""
        await self._desk.relay.delete_route(route)
        self._desk.told.pop(route, None)
        self._desk.statuses.pop(route, None)
        self._set(key, None)

    async def _end(self, key: Key, allocation: Object, why: str) -> Result:
        await self._withdraw(key, contract_of(allocation)[1] or _route_of(key))
        if deleting(allocation):
            await self._release(allocation)
        elif not why.startswith("it is "):
            await self._tell(allocation, Report("Released", why))
        return DONE

    # --- the object ---------------------------------------------------------------------------------------------------
    async def _has_finalizer(self, allocation: Object) -> bool:
        """Whether the allocation waits for us when it is deleted; asks for that if not."""
        finalizers = allocation["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            return True
        await self._finalizers(allocation, [*finalizers, FINALIZER])
        return False

    async def _release(self, allocation: Object) -> None:
        finalizers = allocation["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            await self._finalizers(allocation, [each for each in finalizers if each != FINALIZER])

    async def _finalizers(self, allocation: Object, wanted: list[str]) -> None:
        metadata, (namespace, name) = allocation["metadata"], key_of(allocation)
        body = {"metadata": {"finalizers": wanted, "resourceVersion": metadata["resourceVersion"]}}
        try:
            await self._desk.cluster.patch(kinds.ALLOCATION, name, body, namespace, manager=MANAGER)
        except (NotFound, Conflict):
            return  # it changed meanwhile: the watch brings it back

    def _report(self, asked: Bought) -> Report:
        return self._state(asked.name, asked.sources)

    def _state(self, name: str, sources: Iterable[Source]) -> Report:
        for source in sorted(sources, key=lambda each: (each.node, each.topic)):
            trouble = self._desk.rule_trouble.get(source, "its rule is being made")
            if trouble:
                return Report("Provisioning", trouble)
        told = report(self._desk.statuses.get(name))
        narrow = "; ".join(filter(None, (self._narrow(node) for node in sorted({each.node for each in sources}))))
        return Report(told.state, f"{told.message}; {narrow}") if narrow else told

    def _narrow(self, node: str) -> str:
        """What is to be said where more was bought of an edge node than its connection lets through."""
        desk = self._desk
        if not desk.rules.served:
            return ""
        asked, most = desk.asked_at(node), desk.settings.budget
        if asked <= most:
            return ""
        return (
            f"edge node {node} sends {most:g} messages a second and {asked:g} were bought there, so readings will be "
            "late: raise modules.edgeHub.messageQPS"
        )

    async def _tell(self, allocation: Object, told: Report) -> None:
        status = allocation.get("status") or {}
        if (status.get("status"), status.get("message")) == (told.state, told.message):
            return
        namespace, name = key_of(allocation)
        at = datetime.fromtimestamp(self._desk.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: dict[str, Any] = {
            "metadata": {"uid": allocation["metadata"]["uid"]},
            "status": {"status": told.state, "message": told.message, "lastUpdateTime": at},
        }
        try:
            answer = await self._desk.cluster.patch(
                kinds.ALLOCATION, name, body, namespace, subresource="status", manager=MANAGER
            )
        except (NotFound, Conflict):
            return
        self._desk.allocations.learn(answer)

    def _next(self, contract: Object) -> Result:
        """When to look without being told: the names of endpoints may mean something else, and contracts end."""
        until, wait = ends_at(contract), self._desk.settings.recheck
        if until is not None:
            wait = min(wait, max(0.0, until - self._desk.now()) + 0.05)
        return Result(requeue_after=wait)


def _entry(asked: Bought, *, approved: bool) -> Entry:
    return Entry(asked.sources, frozenset(flow.sensor for flow in asked.flows), asked.commands, approved)


def _route_of(key: Key) -> str:
    """The route of an allocation that is gone: contracts are called alike, but have no dots."""
    return f"contract-{key[1].removeprefix('allocation-')}".replace(".", "-")
