"""One version of an offer as it is read: encoded once, flattened once, shared by every answer and every stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from continuo.broker.catalog.rows import Row, rows_of
from continuo.broker.offers.model import Offer, thesis_form


class Entry(msgspec.Struct, gc=False, eq=False):
    """An offer, its revision, and what was measured of its provider at that revision.

    Nothing in it points back to it, so the collector of cycles need not look at a hundred thousand of them.
    """

    offer: Offer
    revision: int
    updated: float
    measured: Mapping[str, float]
    rows: tuple[Row, ...] = ()
    _body: bytes | None = None
    _thesis: bytes | None = None

    @classmethod
    def of(cls, offer: Offer, revision: int, updated: float, measured: Mapping[str, float]) -> Entry:
        """A version, flattened."""
        return cls(offer, revision, updated, measured, rows_of(offer, measured))

    @property
    def body(self) -> bytes:
        """The modern form's JSON."""
        if self._body is None:
            more = {"measured": self.measured} if self.measured else {}
            self._body = msgspec.json.encode(
                {
                    **msgspec.structs.asdict(self.offer), **more,
                    "revision": self.revision, "updated": instant(self.updated),
                }
            )  # fmt: skip
        return self._body

    @property
    def thesis(self) -> bytes:
        """The first catalog's JSON."""
        if self._thesis is None:
            self._thesis = msgspec.json.encode(thesis_form(self.offer))
        return self._thesis

    @property
    def etag(self) -> str:
        """A strong tag of this version."""
        return f'"{self.offer.id}-{self.revision}"'


class Change(msgspec.Struct, gc=False, eq=False):
    """One step of the catalog: what an offer was before, and is after; None where it was not or is no more."""

    revision: int
    id: str
    provider: str
    before: Entry | None
    after: Entry | None
    forgotten: bool = False
    """What was before is not kept any more: somebody may have seen it."""
    _told: bytes | None = None
    _told_gone: bytes | None = None

    def encoded(self, gone: bool) -> bytes:
        """The change as one JSON object; `gone` for those who may see what was before and not what is now."""
        if gone or self.after is None:
            if self._told_gone is None:
                self._told_gone = b"%b}" % self._head("deleted")
            return self._told_gone
        if self._told is None:
            self._told = b'%b,"offer":%b}' % (self._head("upserted"), self.after.body)
        return self._told

    def _head(self, what: str) -> bytes:
        return f'{{"revision":{self.revision},"type":"offer.{what}","id":"{self.id}"'.encode()


def instant(at: float) -> str:
    """A time as RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
