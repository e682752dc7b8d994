"""What a gateway shows to a relay, so that readings of its devices pass: looked at beside the loop, and then forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from continuo.edge.relay.gate import Held
from continuo.edge.relay.model import Delegated, Doubted, Proof
from continuo.edge.relay.reading import rfc3339
from continuo.edge.relay.relay import Relay
from continuo.trust.bundles import Bundles
from continuo.trust.delegation import BadDelegation, Delegation, verify_delegation
from continuo.trust.identity import Identity, Peer
from continuo.trust.ids import SpiffeId

MOST = 500
"""Delegations in one request."""
LARGEST = 2 * 1024 * 1024
"""Bytes of one request."""
_UNBELIEVED = "the delegation is not accepted: the key that has signed it was withdrawn just now"


class Shown(Struct, frozen=True):
    """What a gateway says."""

    delegations: Annotated[tuple[str, ...], Meta(max_length=MOST)]


class Prover:
    """Verifies what gateways show, one request after the other, so that they never take more than one thread."""

    def __init__(self, relay: Relay, identity: Identity) -> None:
        self._relay, self._identity = relay, identity
        self._turn = asyncio.Lock()

    async def prove(self, peer: Peer, shown: Shown) -> Proof:
        """Let the peer speak for those devices that it has proved to."""
        relay, own = self._relay, self._identity
        async with self._turn:
            now = datetime.fromtimestamp(relay.clock.wall(), UTC)
            looked = await asyncio.to_thread(_look, shown.delegations, peer, own.bundles, now, own.spiffe_id)
        accepted, refused = [], []
        for number, found in enumerate(looked):
            try:
                accepted.append(self._take(found))
            except BadDelegation as problem:
                refused.append(Doubted(number=number, detail=str(problem)))
        return Proof(instance=relay.instance, accepted=tuple(accepted), refused=tuple(refused))

    def _take(self, found: Delegation | BadDelegation) -> Delegated:
        if isinstance(found, BadDelegation):
            raise found
        if not found.still_believed(self._identity.bundles):
            raise BadDelegation(_UNBELIEVED)
        self._relay.vouch(found)
        return told(found)

    def all(self) -> list[Delegated]:
        """What holds now."""
        return [told(held.delegation) for held in sorted(self._relay.gate.all(), key=_by_device)]


def told(found: Delegation) -> Delegated:
    """A delegation as it may be shown."""
    until = rfc3339(found.until.timestamp())
    return Delegated(device=str(found.device), gateway=str(found.gateway), level=found.level.value, until=until)


def _by_device(held: Held) -> str:
    return str(held.delegation.device)


def _look(
    tokens: tuple[str, ...], peer: Peer, bundles: Bundles, now: datetime, audience: SpiffeId
) -> list[Delegation | BadDelegation]:
    found: list[Delegation | BadDelegation] = []
    for token in tokens:
        try:
            found.append(verify_delegation(token, peer, bundles, now, audience=audience))
        except BadDelegation as problem:
            found.append(problem)
    return found
