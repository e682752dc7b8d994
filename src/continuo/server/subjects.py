"""Who calls: a subject behind a bearer token, and what it may do.

Authentication is a chain of authenticators; the first that knows the token says who it is. What a blueprint writes about
its author never matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from continuo.server.problems import Problem

MAX_NAME = 253
"""How long an application's owner may be."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An authenticated caller."""

    name: str
    groups: frozenset[str] = frozenset()


class Authenticator(Protocol):
    """Knows some tokens."""

    async def identify(self, token: str) -> Subject | None:
        """Who the token belongs to; None when it is not known here."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may use the API, and who may see everybody's applications."""

    groups: frozenset[str] = frozenset()
    """Members of any of these may use it; empty: everyone who is authenticated."""
    admin_groups: frozenset[str] = frozenset(("system:masters",))

    def admin(self, subject: Subject) -> bool:
        """Whether the subject sees and manages the applications of all owners."""
        return not self.admin_groups.isdisjoint(subject.groups)

    def require(self, subject: Subject) -> None:
        """Raises the problem when the subject may not use the API."""
        if not subject.name or len(subject.name) > MAX_NAME:
            raise Problem(
                403, "subject-unusable", f"the caller's name must have 1 to {MAX_NAME} characters to own anything"
            )
        if self.groups and self.groups.isdisjoint(subject.groups) and not self.admin(subject):
            allowed = ", ".join(sorted(self.groups))
            raise Problem(
                403, "not-allowed", f"{subject.name} is in none of the groups that may use this API: {allowed}"
            )


class Gate:
    """From an `Authorization` header to a subject that may use the API."""

    def __init__(self, authenticators: Sequence[Authenticator], policy: Policy) -> None:
        self.policy = policy
        self._authenticators = tuple(authenticators)

    def narrowed(self, groups: frozenset[str]) -> Gate:
        """The same tokens for another part of the API, which only members of these groups may use, and administrators."""
        return Gate(self._authenticators, Policy(groups, self.policy.admin_groups))

    async def admit(self, authorization: str | None) -> Subject:
        """The caller, who may use the API; raises the problem (401, 403, or 503 when tokens cannot be checked now)."""
        subject = await self.identify(authorization)
        self.policy.require(subject)
        return subject

    async def identify(self, authorization: str | None) -> Subject:
        """The caller, whatever it may do; raises the problem (401, or 503 when tokens cannot be checked now)."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > 16384:
            raise _unauthenticated("send the header `Authorization: Bearer TOKEN`")
        for authenticator in self._authenticators:
            subject = await authenticator.identify(token)
            if subject is not None:
                return subject
        raise _unauthenticated("the bearer token is not valid here")


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="continuo"'})
