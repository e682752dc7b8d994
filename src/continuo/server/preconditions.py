"""`If-Match`: change an application only if it is still declared as the caller saw it, so that no change undoes another.

A tag has two halves, one for what is declared and one for everything that is told of it. Only the first one counts here:
that a pod became ready in between is no reason to refuse a change.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.resources.meta import Object
from continuo.server.entries import Entry
from continuo.server.problems import Problem

# W/ is what a compressing proxy makes of a tag on the way; it says nothing about the declaration.
_TAG = r'\s*(?:W/)?"([^"]*)"\s*'
_TAGS = re.compile(rf"{_TAG}(?:,{_TAG})*")


def etag(entry: Entry, body: Object) -> str:
    """A strong validator of an application's view, `body`."""
    return f'"{_digest(entry.spec)}-{_digest(body)}"'


def tags_in(header: str) -> frozenset[str]:
    """What stands between the quotes of a list of entity tags."""
    return frozenset(re.findall(_TAG, header))


@dataclass(frozen=True, slots=True)
class IfMatch:
    """What the caller says about the application that it means to change."""

    tags: frozenset[str] | None = None
    """None: any will do."""

    @classmethod
    def read(cls, header: str | None) -> IfMatch:
        """The header's meaning; without one, and with `*`, there is no condition."""
        if header is None or header.strip() == "*":
            return cls()
        if not _TAGS.fullmatch(header):
            raise Problem(422, "parameter-invalid", 'If-Match: must be an ETag in its double quotes ("..."), or *')
        return cls(tags_in(header))

    def check(self, entry: Entry) -> None:
        """Raise the problem when the application was changed since."""
        now = _digest(entry.spec)
        if self.tags is not None and not any(tag.partition("-")[0] == now for tag in self.tags):
            detail = f"application {entry.handle} was changed since you looked at it: get it again, and decide anew"
            raise Problem(412, "changed-meanwhile", detail)


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:20]
