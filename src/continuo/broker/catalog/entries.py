"""One version of an offer as it is read: encoded once, flattened once, shared by every answer and every stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property

import msgspec

from continuo.broker.catalog.rows import Row, rows_of
from continuo.broker.offers.model import Offer, thesis_form


class Entry:
    """An offer, its revision, and what was measured of its provider at that revision."""

    def __init__(self, offer: Offer, revision: int, updated: float, measured: Mapping[str, float]) -> None:
        self.offer, self.revision, self.updated, self.measured = offer, revision, updated, measured
        self.rows: tuple[Row, ...] = rows_of(offer, measured)

    @cached_property
    def body(self) -> bytes:
        """The modern form's JSON."""
        more = {"measured": self.measured} if self.measured else {}
        return msgspec.json.encode(
            {
                **msgspec.structs.asdict(self.offer), **more,
                "revision": self.revision, "updated": instant(self.updated),
            }
        )  # fmt: skip

    @cached_property
    def thesis(self) -> bytes:
        """The first catalog's JSON."""
        return msgspec.json.encode(thesis_form(self.offer))

    @property
    def etag(self) -> str:
        """A strong tag of this version."""
        return f'"{self.offer.id}-{self.revision}"'


class Change:
    """One step of the catalog: what an offer was before, and is after; None where it was not or is no more."""

    __slots__ = ("_encoded", "after", "before", "forgotten", "id", "provider", "revision")

    def __init__(
        self, revision: int, id: str, provider: str, before: Entry | None, after: Entry | None, forgotten: bool = False
    ) -> None:
        self.revision, self.id, self.provider = revision, id, provider
        self.before, self.after = before, after
        self.forgotten = forgotten
        """What was before is not kept any more: somebody may have seen it."""
        self._encoded: list[bytes | None] = [None, None]

    def encoded(self, gone: bool) -> bytes:
        """The change as one JSON object; `gone` for those who may see what was before and not what is now."""
        found = self._encoded[gone]
        if found is None:
            head = f'{{"revision":{self.revision},"type":"offer.{"deleted" if gone else "upserted"}","id":"{self.id}"'
            if gone or self.after is None:
                found = f"{head}}}".encode()
            else:
                found = b"%b,%b%b}" % (head.encode(), b'"offer":', self.after.body)
            self._encoded[gone] = found
        return found


def instant(at: float) -> str:
    """A time as RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
