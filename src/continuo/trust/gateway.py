"""A gateway asks the issuer for delegations, over the same socket that it has its identity from."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import jwt as pyjwt

from continuo.trust import wire
from continuo.trust.holder import utc_now
from continuo.trust.ids import SpiffeId, parse_id
from continuo.trust.workload_api import endpoint

_DEADLINE = 10.0
_SERVICE = "continuo.identity.v1.Delegations"

Answer = Callable[[bytes, SpiffeId, SpiffeId, bytes], Awaitable[bytes]]
"""Lets a device sign: nonce, gateway, device, the link's session; the signature in DER."""


class NoDelegation(Exception):
    """The issuer gives none; `str()` is one sentence."""


class Delegated:
    """Delegations of one gateway's devices, kept for half their life. Close it when it is no longer needed."""

    def __init__(self, address: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`address` as in SPIFFE_ENDPOINT_SOCKET."""
        self._address = address
        self._channel = grpc.aio.insecure_channel(endpoint(address), options=(("grpc.use_local_subchannel_pool", 1),))
        self._clock = clock
        self._held: dict[tuple[str, str], tuple[str, datetime]] = {}

    async def close(self) -> None:
        await self._channel.close()

    async def token(
        self, device: SpiffeId, audience: SpiffeId, *, answer: Answer | None = None, session: bytes = b""
    ) -> str:
        """What lets this gateway speak for the device to that audience. `answer` is needed at level L1. A secret."""
        held = self._held.get((str(device), str(audience)))
        if held is not None and held[1] > self._clock():
            return held[0]
        asked = {"device": str(device), "audience": str(audience)}
        if answer is not None:
            challenge = await self._ask("Challenge", {"device": str(device)})
            nonce = base64.b64decode(challenge["nonce"])
            signature = await answer(nonce, parse_id(challenge["gateway"]), device, session)
            parts = {"nonce": nonce, "session": session, "signature": signature}
            asked |= {name: base64.b64encode(part).decode() for name, part in parts.items()}
        token: str = (await self._ask("Delegate", asked))["token"]
        now = self._clock()
        until = pyjwt.decode(token, options={"verify_signature": False})["exp"]
        self._held[str(device), str(audience)] = (token, now + timedelta(seconds=(until - now.timestamp()) / 2))
        return token

    def forget(self, device: SpiffeId, audience: SpiffeId) -> None:
        """Ask the issuer anew the next time: what it gave was not taken."""
        self._held.pop((str(device), str(audience)), None)

    async def _ask(self, method: str, fields: dict[str, str]) -> dict[str, Any]:
        call: Any = self._channel.unary_unary(f"/{_SERVICE}/{method}")
        try:
            answer = await call(json.dumps(fields).encode(), metadata=(wire.HEADER,), timeout=_DEADLINE)
        except grpc.aio.AioRpcError as error:
            why = error.details() or error.code().name
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                why = "it gives identities only (delegations are given by `continuo identity serve`)"
            raise NoDelegation(f"{self._address} gives no delegation for {fields['device']}: {why}") from None
        found: dict[str, Any] = json.loads(answer)
        return found
