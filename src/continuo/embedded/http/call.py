"""One resource request with everything that its handler needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from continuo.embedded.http.auth import Tokens
from continuo.embedded.http.hub import Hub
from continuo.embedded.http.options import invalid_option, unsupported
from continuo.embedded.http.paging import Pages
from continuo.embedded.http.paths import Target
from continuo.embedded.http.rbac import Authorizer
from continuo.embedded.http.wire import Request
from continuo.embedded.port import Api, ResourceType, Write
from continuo.embedded.standins.workload.usage import Metering
from continuo.resources.meta import Kind, Object

Logs = Callable[[Api, Object], Iterable[str]]
_VALIDATION: Mapping[str, Literal["Strict", "Warn", "Ignore"]] = {
    "": "Warn", "Strict": "Strict", "Warn": "Warn", "Ignore": "Ignore",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Context:
    """What one cluster's handlers share."""

    api: Api
    tokens: Tokens
    authorizer: Authorizer
    hub: Hub
    pages: Pages
    logs: Logs
    metering: Metering
    now: Callable[[], float]
    random: Random


@dataclass(frozen=True, slots=True)
class Call:
    """One request for a resource."""

    context: Context
    request: Request
    target: Target
    resource: ResourceType
    verb: str

    @property
    def api(self) -> Api:
        return self.context.api

    @property
    def kind(self) -> Kind:
        return self.resource.kind

    def write(self) -> Write:
        """The parameters of a write; warnings are gathered in it."""
        query = self.request.query
        validation = _VALIDATION.get(query.get("fieldValidation", ""))
        if validation is None:
            given = f'"{query["fieldValidation"]}"'
            raise unsupported(self.verb, "fieldValidation", given, "", "Ignore", "Strict", "Warn")
        return Write(self._manager(), self.dry_run(), validation, self.request.flag("force"))

    def dry_run(self) -> bool:
        """Whether nothing is to be stored; raises Invalid for values other than All."""
        value = self.request.query.get("dryRun", "")
        if value not in ("", "All"):
            raise unsupported(self.verb, "dryRun", f'["{value}"]', "All")
        return bool(value)

    def _manager(self) -> str:
        """The field manager: as given, else the client's name from its User-Agent."""
        given = self.request.query.get("fieldManager", "")
        if len(given) > 128:
            text = "Too long: may not be more than 128 bytes"
            raise invalid_option(self.verb, "fieldManager", "FieldValueTooLong", text)
        return given or self.request.header(b"user-agent").partition("/")[0][:128] or "unknown"
