"""CloudEvents 1.0: the one form in which Continuo tells of what happened, wherever it is told.

Structured JSON here; other forms (binary, over Kafka) are made of `attributes()` and `data`. Names of extensions are
lower-case letters and digits, as the standard has it. What comes in is validated: a wrong event is a sentence.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

CONTENT_TYPE = "application/cloudevents+json"
JSON = "application/json"
SPEC_VERSION = "1.0"
LARGEST_ATTRIBUTE, MOST_ATTRIBUTES = 4096, 64
"""Characters of one attribute, and how many there may be in all: what comes in is bounded."""

_NAME = re.compile(r"[a-z0-9]{1,64}")
_SOURCE = re.compile(r"[^\s<>\"{}|\\^`\x00-\x20\x7f]+")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class InvalidEvent(ValueError):
    """What came in is no CloudEvent; `str()` is a sentence."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. Two with the same `source` and `id` are the same event, told twice."""

    id: str
    source: str
    type: str
    time: str | None = None
    """RFC 3339."""
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    partitionkey: str | None = None
    """Events of one key stay in order."""
    taskid: str | None = None
    sequence: str | None = None
    """Counts the events of one task; with zeros in front, so that it sorts as text."""
    correlationid: str | None = None
    """The declaration that it serves: UID and generation."""
    causationid: str | None = None
    tenant: str | None = None
    """Whose application it is about."""
    traceparent: str | None = None
    more: dict[str, str] = {}
    """Extensions of others."""
    data: Any = None

    def attributes(self) -> dict[str, str]:
        """Every context attribute by its name, `data` apart."""
        found = {"specversion": SPEC_VERSION}
        for name in _CONTEXT:
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        return found | self.more

    def to_json(self) -> dict[str, Any]:
        """The structured form, as plain JSON."""
        found: dict[str, Any] = dict(self.attributes())
        if self.data is not None:
            found["data"] = self.data
        return found

    def encode(self) -> bytes:
        """The structured form, as bytes of `application/cloudevents+json`."""
        return msgspec.json.encode(self.to_json())


_CONTEXT = tuple(name for name in Event.__struct_fields__ if name not in ("more", "data"))


def from_attributes(attributes: Mapping[str, Any], data: Any = None) -> Event:
    """The event with these context attributes (`specversion` among them). Raises InvalidEvent with a sentence."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise InvalidEvent(f"an event has {len(attributes)} attributes; at most {MOST_ATTRIBUTES} are taken")
    if attributes.get("specversion") != SPEC_VERSION:
        raise InvalidEvent(f"specversion is {attributes.get('specversion')!r}; only {SPEC_VERSION!r} is understood")
    known: dict[str, Any] = {}
    more: dict[str, str] = {}
    for name, value in attributes.items():
        if name == "specversion" or value is None:
            continue
        (known if name in _CONTEXT else more)[name] = _value(name, value)
    for name in ("id", "source", "type"):
        if not known.get(name):
            raise InvalidEvent(f"an event needs a non-empty {name}")
    event = Event(**known, more=more, data=data)
    _check(event)
    return event


def decode(body: bytes | str) -> Event:
    """The event of a structured JSON body. Raises InvalidEvent with a sentence."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"an event is a JSON object, and this is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidEvent(f"an event is a JSON object, and this is {type(found).__name__}")
    data, encoded = found.pop("data", None), found.pop("data_base64", None)
    if encoded is not None:
        data = _from_base64(data, encoded)
    return from_attributes(found, data)


def decode_many(body: bytes) -> list[Event]:
    """The events of a batch (a JSON array). Raises InvalidEvent with a sentence that names the first wrong one."""
    try:
        found = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"a batch of events is a JSON array: {error}") from None
    events: list[Event] = []
    for index, entry in enumerate(found):
        try:
            events.append(decode(bytes(entry)))
        except InvalidEvent as error:
            raise InvalidEvent(f"event {index}: {error}") from None
    return events


def _value(name: str, value: Any) -> str:
    """An attribute's value as text: integers and booleans have a canonical form, everything else is none."""
    if not _NAME.fullmatch(name):
        raise InvalidEvent(f"attribute {name[:80]!r}: a name is made of lower-case letters and digits only")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise InvalidEvent(
            f"attribute {name} is {type(value).__name__}; it has to be a string, an integer or a boolean"
        )
    if len(value) > LARGEST_ATTRIBUTE:
        raise InvalidEvent(f"attribute {name} has {len(value)} characters; at most {LARGEST_ATTRIBUTE} are taken")
    if _CONTROLS.search(value):
        raise InvalidEvent(f"attribute {name} holds control characters")
    return value


def _check(event: Event) -> None:
    """What the standard says of single attributes."""
    if not _SOURCE.fullmatch(event.source):
        raise InvalidEvent(f"source {event.source!r} is no URI reference, such as /orchestrations/default/shop")
    if event.subject == "":
        raise InvalidEvent("subject is empty; leave it out")
    if event.time is not None:
        _check_time(event.time)
    if event.traceparent is not None and not _TRACEPARENT.fullmatch(event.traceparent):
        raise InvalidEvent(f"traceparent {event.traceparent!r} is none; it looks like 00-TRACE-SPAN-01, in hexadecimal")


def _check_time(text: str) -> None:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None or "T" not in text.upper():
        raise InvalidEvent(f"time {text!r} is no RFC 3339 time, such as 2026-01-31T09:00:00Z")


def _from_base64(data: Any, encoded: Any) -> Any:
    """Binary data that is JSON all the same; other data is not what Continuo reads."""
    if data is not None:
        raise InvalidEvent("an event has data or data_base64, not both")
    try:
        return msgspec.json.decode(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError, binascii.Error, msgspec.DecodeError):
        raise InvalidEvent("data_base64 does not hold JSON") from None
