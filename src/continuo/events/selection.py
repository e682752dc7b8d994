"""Which events somebody wants: patterns over orchestration, type and subject, and a time. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

from continuo.events.log import Entry
from continuo.events.types import GAP, PREFIX, VERSION

MOST_PATTERNS, LONGEST_PATTERN = 32, 256
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Unclear(ValueError):
    """A filter that cannot be understood; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter. What is None does not matter; events about missing events pass all but the orchestration."""

    source: re.Pattern[str] | None = None
    type: re.Pattern[str] | None = None
    subject: re.Pattern[str] | None = None
    since: datetime.datetime | None = None
    tenant: str | None = None
    """Only what is about this owner's applications; None: whatever it is about."""

    def takes(self, entry: Entry) -> bool:
        """Whether an event is wanted."""
        if self.tenant is not None and entry.tenant != self.tenant:
            return False
        if self.source is not None and not self.source.fullmatch(entry.source):
            return False
        if entry.type == GAP:
            return True
        return (
            (self.type is None or self.type.fullmatch(entry.type) is not None)
            and (self.subject is None or self.subject.fullmatch(entry.subject) is not None)
            and (self.since is None or _later(entry.time, self.since))
        )


def selection(
    *,
    orchestration: Sequence[str] = (),
    types: Sequence[str] = (),
    subjects: Sequence[str] = (),
    since: str | None = None,
    now: datetime.datetime,
    namespace: str,
    tenant: str | None = None,
) -> Selection:
    """The filter of some texts, each perhaps several with commas between; raises Unclear.

    Types may leave out what all have in common, so that `app.*` are all that speak of applications; `*` is anything.
    """
    return Selection(
        source=_pattern([_source(name, namespace) for name in _words("orchestration", orchestration)]),
        type=_pattern([form for text in _words("type", types) for form in _types(text)]),
        subject=_pattern(_words("subject", subjects)),
        since=None if since is None else _time(since, now),
        tenant=tenant,
    )


def _words(name: str, texts: Sequence[str]) -> list[str]:
    found = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    if len(found) > MOST_PATTERNS:
        raise Unclear(f"{name}: {len(found)} patterns are too many; at most {MOST_PATTERNS} are taken")
    for word in found:
        if len(word) > LONGEST_PATTERN or word.count("*") > 4:
            raise Unclear(f"{name}: {word[:40]!r} is too long a pattern, or has more than four stars")
    return found


def _pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    """One pattern for all; only `*` is special."""
    if not words:
        return None
    return re.compile("|".join(translate(re.sub(r"([\[?])", r"[\1]", word)) for word in words))


def _types(text: str) -> tuple[str, ...]:
    """`app.deploy.failed` and `app.*` mean ours; `*.failed` too; a whole name is itself."""
    if text.startswith(PREFIX):
        return (text,)
    inner = f"{PREFIX}{text}"
    return (text, inner, f"{inner}.{VERSION}") if text.endswith("*") else (text, f"{inner}.{VERSION}", f"{inner}.*")


def _source(text: str, namespace: str) -> str:
    """`shop` is of the namespace at hand, `prod/shop` of another."""
    return f"/orchestrations/{text}" if "/" in text else f"/orchestrations/{namespace}/{text}"


def _time(text: str, now: datetime.datetime) -> datetime.datetime:
    """A time (RFC 3339) or how long ago: `10m`."""
    if (ago := _DURATION.fullmatch(text)) is not None:
        try:
            return now - datetime.timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        except OverflowError:
            raise Unclear(f"since: {text!r} is longer ago than there is time") from None
    try:
        found = datetime.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Unclear(
            f"since: {text[:40]!r} is neither a time such as 2026-01-31T09:00:00Z nor a while such as 10m"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def _later(time: str, since: datetime.datetime) -> bool:
    try:
        found = datetime.datetime.fromisoformat(time)
    except ValueError:
        return True  # an event without a time may be of any
    return (found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)) >= since
