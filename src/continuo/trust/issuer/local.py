"""An identity from an issuer in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from continuo.trust.holder import Holder
from continuo.trust.ids import SpiffeId
from continuo.trust.svid import Svid

if TYPE_CHECKING:
    from continuo.trust.issuer.issuer import Issuer


class LocalIdentity(Holder):
    """Good at once; entered (`async with`), it also rotates at half life until it is left."""

    def __init__(self, issuer: Issuer, spiffe_id: SpiffeId, life: timedelta | None = None) -> None:
        super().__init__(f"{spiffe_id} has no SVID yet", clock=issuer.clock)
        self._issuer = issuer
        self._id = spiffe_id
        self._life = life
        self._timer: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._held: Svid | None = None
        self.renew()

    def renew(self) -> None:
        """Take what the issuer says now."""
        self._held = self._issuer.renewed(self._held, self._id, self._life)
        self.take(self._held, self._issuer.bundles())

    def rotate(self) -> None:
        """A new SVID, at once."""
        self._held = None
        self.renew()

    async def jwt(self, audience: str) -> str:
        """A JWT-SVID for that audience. A secret."""
        return self._issuer.token(self._id, [audience])

    async def __aenter__(self) -> LocalIdentity:
        self._unsubscribe = self._issuer.changes.subscribe(self._again)
        self._again()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self.renew()
        if self._timer is not None:
            self._timer.cancel()
        left = (self.svid.half_life - self._clock()).total_seconds()
        self._timer = asyncio.get_running_loop().call_later(max(left, 0.05), self._again)
