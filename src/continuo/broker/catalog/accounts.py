"""Who may do what: providers' and consumers' accounts, their secrets, and the families of tokens made from them.

A family begins with a login. Its refresh token is good once: the second use of the same one means that somebody stole it,
and ends the family, access tokens included. An account that is disabled, deleted or given a new secret has no families.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets as random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from continuo.broker.catalog.catalog import Refused
from continuo.broker.catalog.secrets import digest, hashed, make_secret, matches
from continuo.broker.catalog.tokens import BadToken, Claims, Signer
from continuo.storage.database import Database, Session

REFRESH_LIFETIME = 30 * 24 * 3600
_TRIES, _WINDOW = 10, 60.0
_HASHES = 2

SCOPES: Mapping[str, frozenset[str]] = {
    "provider": frozenset(("offers:read", "offers:write", "contracts:read", "tokens:review")),
    "consumer": frozenset(("offers:read", "contracts:read", "contracts:write")),
}
"""What accounts of a role may be allowed at most."""


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider or a consumer. What proves it is kept elsewhere, and only as a hash."""

    id: str
    role: Literal["provider", "consumer"]
    name: str = ""
    region: str = ""
    scopes: tuple[str, ...] = ()
    cluster_id: str = ""
    auth_url: str = ""
    disabled: bool = False


class NotKnown(Refused):
    """The secret does not prove the account."""

    code = "not-authenticated"


class TooMany(Refused):
    """Too many wrong secrets."""

    code = "too-many-attempts"


class NoSuchAccount(Refused):
    """There is no such account."""

    code = "account-unknown"


@dataclass(frozen=True, slots=True)
class Login:
    """What a successful login, or a refresh, hands out."""

    access: str
    refresh: str
    scopes: frozenset[str]


@dataclass(slots=True)
class _Family:
    account: str
    scopes: frozenset[str]
    current: str
    expires: float


class Accounts:
    """All accounts, and the families of tokens that are alive."""

    def __init__(self, database: Database, signer: Signer, clock: Callable[[], float]) -> None:
        self._database, self._signer, self._clock = database, signer, clock
        self._accounts: dict[str, tuple[Account, str]] = {}
        self._families: dict[str, _Family] = {}
        self._failures: dict[str, list[float]] = {}
        self._hashing = asyncio.Semaphore(_HASHES)

    async def load(self) -> None:
        """Take over what the database holds."""
        now = self._clock()

        def read(session: Session) -> tuple[list[Any], list[Any]]:
            session.run("DELETE FROM families WHERE expires < ? OR revoked = 1", now)
            accounts = session.all("SELECT secret, body FROM accounts")
            return accounts, session.all("SELECT id, account, current, scope, expires FROM families")

        accounts, families = await self._database.do(read)
        for secret, body in accounts:
            account = msgspec.json.decode(bytes(body), type=Account)
            self._accounts[account.id] = (account, secret)
        for id, owner, current, scope, expires in families:
            self._families[id] = _Family(owner, frozenset(scope.split()), current, expires)

    def get(self, id: str) -> Account | None:
        """An account."""
        found = self._accounts.get(id)
        return found[0] if found else None

    def all(self) -> list[Account]:
        """Every account, by id."""
        return [account for _, (account, _) in sorted(self._accounts.items())]

    async def put(self, account: Account, secret: str | None = None) -> str | None:
        """Create or change an account; returns the secret that was made for a new one that brought none."""
        known = self._accounts.get(account.id)
        made = make_secret() if known is None and secret is None else None
        new = secret or made
        kept = await self._hash(new) if new is not None else known[1] if known else ""
        body = msgspec.json.encode(account)

        def write(session: Session) -> None:
            session.run("DELETE FROM accounts WHERE id = ?", account.id)
            session.run("INSERT INTO accounts VALUES (?, ?, ?, ?)", account.id, account.role, kept, body)

        await self._database.do(write, lambda _: self._accounts.__setitem__(account.id, (account, kept)))
        if known is not None and (new is not None or account.disabled or account.scopes != known[0].scopes):
            await self.revoke_all(account.id)
        return made

    async def renew_secret(self, id: str) -> str:
        """A new secret; whatever was made from the old one ends."""
        account = self.need(id)
        made = make_secret()
        await self.put(account, made)
        return made

    def need(self, id: str) -> Account:
        """An account that is there; raises NoSuchAccount."""
        account = self.get(id)
        if account is None:
            raise NoSuchAccount(f"there is no account {id}")
        return account

    async def delete(self, id: str) -> None:
        """Remove an account; its tokens end with it."""
        self.need(id)
        await self._database.run("DELETE FROM accounts WHERE id = ?", id, then=lambda: self._accounts.pop(id, None))
        await self.revoke_all(id)

    async def login(self, id: str, secret: str, wanted: frozenset[str] | None = None) -> Login:
        """Prove an account by its secret; raises NotKnown, TooMany."""
        self._slow_down(id)
        known = self._accounts.get(id)
        async with self._hashing:
            right = await asyncio.to_thread(matches, secret, known[1] if known else "")
        if known is None or not right or known[0].disabled:
            self._failures.setdefault(id, []).append(self._clock())
            raise NotKnown("the account and its secret do not belong together")
        self._failures.pop(id, None)
        account = known[0]
        allowed = frozenset(account.scopes or SCOPES[account.role])
        scopes = allowed if wanted is None else wanted & allowed
        if wanted is not None and wanted - allowed:
            raise NotKnown(f"the account {id} has no scope {', '.join(sorted(wanted - allowed))}")
        return await self._begin(account, scopes)

    async def _begin(self, account: Account, scopes: frozenset[str]) -> Login:
        id, refresh = random.token_hex(16), make_secret()
        family = _Family(account.id, scopes, digest(refresh), self._clock() + REFRESH_LIFETIME)
        values = (id, account.id, family.current, " ".join(sorted(scopes)), family.expires)
        await self._database.run(
            "INSERT INTO families VALUES (?, ?, ?, ?, ?, 0)", *values,
            then=lambda: self._families.__setitem__(id, family),
        )  # fmt: skip
        return Login(self._signer.issue(account.id, account.role, scopes, id), f"{id}.{refresh}", scopes)

    async def refresh(self, token: str) -> Login:
        """New tokens for a refresh token, which is good once; raises NotKnown."""
        id, _, secret = token.partition(".")
        family = self._families.get(id)
        account = self.get(family.account) if family else None
        if family is None or account is None or account.disabled or family.expires <= self._clock():
            raise NotKnown("the refresh token is not known, or has expired; authenticate again")
        if not hmac.compare_digest(family.current, digest(secret)):
            await self.revoke(id)
            raise NotKnown(
                "the refresh token was used before; all tokens of this login are revoked, authenticate again"
            )
        fresh = make_secret()
        family.current = digest(fresh)  # before anything waits: of two that come at once, the second is a reuse
        current = family.current
        await self._database.run("UPDATE families SET current = ? WHERE id = ?", current, id)
        access = self._signer.issue(account.id, account.role, family.scopes, id)
        return Login(access, f"{id}.{fresh}", family.scopes)

    def believe(self, token: str) -> Claims:
        """Who a valid access token stands for; raises BadToken."""
        claims = self._signer.believe(token)
        family = self._families.get(claims.family)
        account = self.get(claims.account)
        if family is None or account is None or account.disabled or account.role != claims.role:
            raise BadToken("the access token was revoked; authenticate again")
        return claims

    def alive(self, family: str) -> bool:
        """Whether tokens of this family are still good."""
        return family in self._families

    async def revoke(self, family: str) -> None:
        """End a login: its access and refresh tokens."""
        self._families.pop(family, None)
        await self._database.run("UPDATE families SET revoked = 1 WHERE id = ?", family)

    async def revoke_all(self, account: str) -> None:
        """End every login of an account."""
        self._families = {id: family for id, family in self._families.items() if family.account != account}
        await self._database.run("UPDATE families SET revoked = 1 WHERE account = ?", account)

    async def _hash(self, secret: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(hashed, secret)

    def _slow_down(self, id: str) -> None:
        since = self._clock() - _WINDOW
        if len(self._failures) > 10_000:
            self._failures = {key: times for key, times in self._failures.items() if times[-1] > since}
        recent = [at for at in self._failures.get(id, ()) if at > since]
        if recent:
            self._failures[id] = recent
        if len(recent) >= _TRIES:
            raise TooMany(f"too many wrong secrets for {id[:128]}; wait a minute")
