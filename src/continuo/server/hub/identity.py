"""Who asks, and what they may: IoTronic's policy as one table, with the checks that it lacks on ports and web services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from continuo.iot.hub.refusals import Refused, bad
from continuo.iot.hub.registry import Registry, is_uuid

NOBODY = "00000000-0000-0000-0000-000000000000"
"""User and project of who says neither, where everybody is trusted."""
ADMIN, OWNER_ROLE, MANAGER, USER = "admin", "admin_iot_project", "manager_iot_project", "user_iot"
ROLES = (OWNER_ROLE, MANAGER, USER, ADMIN)
_ADMINS = frozenset({ADMIN, "administrator"})
_MEMBERS = frozenset({OWNER_ROLE, MANAGER, USER})
_LEADERS = frozenset({OWNER_ROLE, MANAGER})

Check = Callable[["Caller", object], bool]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a role in a project."""

    user: str
    project: str
    roles: frozenset[str]
    trusted: bool = False
    """Nobody is asked for anything: for tests, on the loopback interface."""

    @property
    def admin(self) -> bool:
        """Whether all projects are theirs."""
        return bool(self.roles & _ADMINS)

    @property
    def scope(self) -> str | None:
        """The project within which they see things; None: all."""
        return None if self.admin else self.project


def _admin_or_member(caller: Caller, _: object) -> bool:
    return caller.admin or bool(caller.roles & _MEMBERS)


def _member(caller: Caller, _: object) -> bool:
    return bool(caller.roles & _MEMBERS)


def _founder(caller: Caller, _: object) -> bool:
    return OWNER_ROLE in caller.roles


def _admin_or_leader(caller: Caller, _: object) -> bool:
    return caller.admin or bool(caller.roles & _LEADERS)


def _admin(caller: Caller, _: object) -> bool:
    return caller.admin


def _admin_or_owner(caller: Caller, thing: object) -> bool:
    """Those who lead a project own what is in it; users own what they made."""
    if caller.admin:
        return True
    if getattr(thing, "project", None) != caller.project:
        return False
    return bool(caller.roles & _LEADERS) or getattr(thing, "owner", None) == caller.user


POLICY: Mapping[str, tuple[Check, str]] = {
    "iot:board:create": (_founder, OWNER_ROLE),
    "iot:board:get": (_admin_or_member, "admin or a member of the project"),
    "iot:board:update": (_admin_or_leader, f"admin, {OWNER_ROLE} or {MANAGER}"),
    "iot:board:delete": (_admin_or_leader, f"admin, {OWNER_ROLE} or {MANAGER}"),
    "iot:board:act": (_admin_or_owner, "admin or who owns the board"),
    "iot:thing:get": (_admin_or_member, "admin or a member of the project"),
    "iot:thing:create": (_member, "a member of the project"),
    "iot:thing:change": (_admin_or_owner, "admin or who owns it"),
    "iot:network:create": (_admin_or_leader, f"admin, {OWNER_ROLE} or {MANAGER}"),
    "iot:port:change": (_admin_or_owner, "admin or who owns the board"),
    "iot:webservice:change": (_admin_or_owner, "admin or who owns the board"),
    "iot:policy:get": (_admin_or_member, "admin or a member of a project"),
    "iot:policy:change": (_admin, "admin"),
    "iot:token:change": (_admin, "admin"),
}


def allow(caller: Caller, rule: str, thing: object = None) -> None:
    """Raise Refused (403) where the rule does not let them."""
    check, whom = POLICY[rule]
    if not caller.trusted and not check(caller, thing):
        has = ", ".join(sorted(caller.roles)) or "no role"
        raise Refused(403, f"Policy doesn't allow {rule} to be performed: it is for {whom}, and you have {has}.")


class Doorkeeper:
    """Finds out who asks."""

    def __init__(self, registry: Registry, no_auth: bool) -> None:
        self._registry, self._no_auth = registry, no_auth

    def __call__(self, request: Request) -> Caller:
        """Who it is; raises Refused (401)."""
        if self._no_auth:
            return _believed(request)
        secret = request.headers.get("X-Auth-Token")
        if not secret:
            raise Refused(401, "X-Auth-Token is missing: make a token with `continuo hub token add`.")
        token = self._registry.token(secret)
        if token is None:
            raise Refused(401, "X-Auth-Token is none of this hub's tokens.")
        return Caller(token.user, token.project, frozenset({token.role}))


def _believed(request: Request) -> Caller:
    user, project = (request.headers.get(name, NOBODY) for name in ("X-User-Id", "X-Project-Id"))
    wrong = [
        f"{name} {value!r} is no uuid" for name, value in (("X-User-Id", user), ("X-Project-Id", project))
        if not is_uuid(value)
    ]  # fmt: skip
    if wrong:
        raise bad(wrong)
    said = request.headers.get("X-Roles")
    roles = OWNER_ROLE if said is None else said
    return Caller(user, project, frozenset(role.strip() for role in roles.split(",") if role.strip()), trusted=True)
