"""The Workload API of an issuer, and its delegations, over gRPC on a unix socket."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from continuo.trust import wire
from continuo.trust.bundle_docs import public_jwk
from continuo.trust.ids import SpiffeId, parse_id
from continuo.trust.issuer.devices import Delegations, Refused
from continuo.trust.issuer.entries import Caller, Entries, Entry
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.svid import Svid
from continuo.trust.tokens import BadToken, verify_jwt

DELEGATIONS = "continuo.identity.v1.Delegations"
_NONE = "no identity is registered for this process"


class WorkloadService:
    """The five methods. `caller` tells whom a connection belongs to; None is nobody."""

    def __init__(self, issuer: Issuer, entries: Callable[[], Entries], caller: Callable[[str], Caller | None]) -> None:
        self._issuer = issuer
        self._entries = entries
        self._caller_of = caller

    async def FetchX509SVID(self, _request: Any, context: Any) -> AsyncIterator[Any]:
        """SVIDs and bundles, again whenever they change."""
        caller, held, last = await self._caller(context), dict[str, Svid](), None
        while True:
            seen = self._issuer.changes.count
            entries = await self._mine(caller, context)
            held = {one.id: self._svid(one, held.get(one.id)) for one in entries}
            message = self._x509_message(entries, held)
            if message != last:
                yield message
                last = message
            await self._pause(seen, min(svid.half_life for svid in held.values()))

    async def FetchX509Bundles(self, _request: Any, context: Any) -> AsyncIterator[Any]:
        async for bundles in self._bundles(context):
            found = {f"spiffe://{domain.name}": b"".join(sorted(ders)) for domain, ders in bundles.x509.items()}
            yield wire.MESSAGES["X509BundlesResponse"](bundles=found)

    async def FetchJWTBundles(self, _request: Any, context: Any) -> AsyncIterator[Any]:
        async for bundles in self._bundles(context):
            found = {f"spiffe://{domain.name}": _jwks(keys) for domain, keys in bundles.jwt.items()}
            yield wire.MESSAGES["JWTBundlesResponse"](bundles=found)

    async def FetchJWTSVID(self, request: Any, context: Any) -> Any:
        entries = await self._mine(await self._caller(context), context)
        if not request.audience:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a JWT-SVID needs an audience")
        wanted = [one for one in entries if request.spiffe_id in ("", one.spiffe_id)]
        if not wanted:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, _NONE)
        names = dict.fromkeys(one.spiffe_id for one in wanted)
        return wire.MESSAGES["JWTSVIDResponse"](
            svids=[
                wire.MESSAGES["JWTSVID"](
                    spiffe_id=name, svid=self._issuer.token(parse_id(name), list(request.audience))
                )
                for name in names
            ]
        )

    async def ValidateJWTSVID(self, request: Any, context: Any) -> Any:
        entries = await self._mine(await self._caller(context), context)
        bundles = self._issuer.bundles(entries[0].federates_with)
        try:
            found = verify_jwt(request.svid, request.audience, bundles, self._issuer.clock())
        except BadToken as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = wire.MESSAGES["ValidateJWTSVIDResponse"](spiffe_id=str(found.subject))
        answer.claims.update(found.claims)
        return answer

    # what they share

    async def gateways(self, context: Any) -> list[SpiffeId]:
        """The identities of whoever asks."""
        return [parse_id(one.spiffe_id) for one in await self._mine(await self._caller(context), context)]

    async def _caller(self, context: Any) -> Caller:
        if wire.HEADER not in {(key, value) for key, value in context.invocation_metadata() or ()}:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the header workload.spiffe.io: true is missing")
        caller = self._caller_of(context.peer())
        if caller is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this is not the socket for workloads")
        return caller  # type: ignore[return-value]

    async def _mine(self, caller: Caller, context: Any) -> list[Entry]:
        found = self._entries().matching(caller)
        if not found:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{_NONE} (uid {caller.uid}, gid {caller.gid})")
        return found

    def _svid(self, entry: Entry, old: Svid | None) -> Svid:
        return self._issuer.renewed(old, parse_id(entry.spiffe_id), _life(entry), entry.dns_names)

    def _x509_message(self, entries: list[Entry], held: Mapping[str, Svid]) -> Any:
        own = b"".join(sorted(self._issuer.bundle().x509))
        foreign = {}
        for entry in entries:
            for domain, bundle in self._issuer.federated(entry.federates_with).items():
                foreign[f"spiffe://{domain.name}"] = b"".join(sorted(bundle.x509))
        svids = []
        for entry in entries:
            svid = held[entry.id]
            made = wire.MESSAGES["X509SVID"](
                spiffe_id=entry.spiffe_id, x509_svid=b"".join(svid.chain), x509_svid_key=_pkcs8(svid.key), bundle=own
            )
            svids.append(made)
        return wire.MESSAGES["X509SVIDResponse"](svids=svids, federated_bundles=foreign)

    async def _bundles(self, context: Any) -> AsyncIterator[Any]:
        caller, last = await self._caller(context), None
        while True:
            seen = self._issuer.changes.count
            entries = await self._mine(caller, context)
            bundles = self._issuer.bundles(_names(entries))
            told = (bundles.x509, {domain: set(keys) for domain, keys in bundles.jwt.items()})
            if told != last:
                yield bundles
                last = told
            await self._pause(seen, None)

    async def _pause(self, seen: int, until: datetime | None) -> None:
        """Until something changes, or that moment."""
        left = None if until is None else max((until - self._issuer.clock()).total_seconds(), 0.05)
        try:
            async with asyncio.timeout(left):
                await self._issuer.changes.wait(seen)
        except TimeoutError:
            return


def _life(entry: Entry) -> timedelta | None:
    return None if entry.ttl is None else timedelta(seconds=entry.ttl)


def _names(entries: list[Entry]) -> list[str] | None:
    """The foreign trust domains of all these together; None: all that there are."""
    named: list[str] = []
    for entry in entries:
        if entry.federates_with is None:
            return None
        named += entry.federates_with
    return named


def _jwks(keys: Mapping[str, Any]) -> bytes:
    return json.dumps(
        {"keys": [{**public_jwk(key), "kid": kid, "use": "jwt-svid"} for kid, key in keys.items()]}
    ).encode()


def _pkcs8(pem: bytes) -> bytes:
    return serialization.load_pem_private_key(pem, None).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )


class DelegationService:
    """`Challenge` and `Delegate`, with JSON messages; whoever asks is known as in the Workload API."""

    def __init__(self, workloads: WorkloadService, delegations: Delegations) -> None:
        self._workloads = workloads
        self._delegations = delegations

    async def challenge(self, request: bytes, context: Any) -> bytes:
        """{device} -> {nonce, gateway}."""
        asked = await _fields(request, context, "device")
        gateway, nonce = await self._first(context, lambda one: self._delegations.challenge(one, asked["device"]))
        return json.dumps({"nonce": base64.b64encode(nonce).decode(), "gateway": str(gateway)}).encode()

    async def delegate(self, request: bytes, context: Any) -> bytes:
        """{device, audience, nonce?, session?, signature?} -> {token}."""
        asked = await _fields(request, context, "device", "audience")
        try:
            proof = {
                name: base64.b64decode(asked.get(name, ""), validate=True) for name in ("nonce", "session", "signature")
            }
        except (binascii.Error, TypeError, ValueError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "nonce, session and signature are base64")
        _, token = await self._first(
            context, lambda one: self._delegations.delegate(one, asked["device"], asked["audience"], **proof)
        )
        return json.dumps({"token": token}).encode()

    async def _first(self, context: Any, ask: Callable[[SpiffeId], Any]) -> tuple[SpiffeId, Any]:
        """The answer for that of the caller's identities that gets one; usually it has but one."""
        why = _NONE
        for gateway in await self._workloads.gateways(context):
            try:
                return gateway, ask(gateway)
            except Refused as error:
                why = str(error)
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
        raise AssertionError("abort raises")

    def handlers(self) -> Any:
        """What a gRPC server takes."""
        return grpc.method_handlers_generic_handler(
            DELEGATIONS,
            {
                "Challenge": grpc.unary_unary_rpc_method_handler(self.challenge),
                "Delegate": grpc.unary_unary_rpc_method_handler(self.delegate),
            },
        )


async def _fields(request: bytes, context: Any, *names: str) -> dict[str, str]:
    try:
        found = json.loads(request)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, f"the request is a JSON object with {' and '.join(names)}"
        )
    return {name: value for name, value in found.items() if isinstance(value, str)}
