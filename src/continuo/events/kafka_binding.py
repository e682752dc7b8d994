"""CloudEvents as Kafka messages and back, both modes of the binding. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.events.cloudevent import CONTENT_TYPE, JSON, Event, InvalidEvent, decode, from_attributes

LARGEST = 1 << 20
"""Bytes of a value that is read."""
_ATTRIBUTE, _TYPE = "ce_", "content-type"

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Message:
    """What a topic holds of one event."""

    key: bytes | None
    value: bytes | None
    """None strikes the key out of a compacted topic."""
    headers: tuple[tuple[str, bytes], ...] = ()


def to_message(event: Event, *, structured: bool = False) -> Message:
    """The message of an event; its key is the event's `partitionkey`, by which messages stay in order."""
    key = event.partitionkey.encode() if event.partitionkey is not None else None
    if structured:
        return Message(key, event.encode(), ((_TYPE, f"{CONTENT_TYPE}; charset=utf-8".encode()),))
    attributes = event.attributes()
    content = attributes.pop("datacontenttype", JSON)
    headers = [(_TYPE, content.encode())]
    headers += [(_ATTRIBUTE + name, value.encode()) for name, value in attributes.items()]
    value = b"" if event.data is None else msgspec.json.encode(event.data)
    return Message(key, value, tuple(headers))


def from_message(value: bytes | None, headers: Headers) -> Event:
    """The event in a message of either mode. Raises InvalidEvent with a sentence."""
    if value is not None and len(value) > LARGEST:
        raise InvalidEvent(f"the message has {len(value)} bytes; at most {LARGEST} are read")
    found = _texts(headers)
    content = found.get(_TYPE, "").partition(";")[0].strip().lower()
    if content == CONTENT_TYPE:
        return decode(value or b"")
    if f"{_ATTRIBUTE}specversion" not in found:
        raise InvalidEvent(
            f"this is no CloudEvent: neither is content-type {CONTENT_TYPE}, nor is there a header ce_id"
        )
    attributes: dict[str, Any] = {
        name.removeprefix(_ATTRIBUTE): text for name, text in found.items() if name.startswith(_ATTRIBUTE)
    }
    if content and content != JSON:  # which is what data is where nothing else is said
        attributes["datacontenttype"] = found[_TYPE]
    return from_attributes(attributes, _data(content, value))


def _texts(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower != _TYPE and not lower.startswith(_ATTRIBUTE):
            continue
        if lower in found:
            raise InvalidEvent(f"the header {lower[:80]} is there twice")
        try:
            found[lower] = (value or b"").decode()
        except UnicodeDecodeError:
            raise InvalidEvent(f"the header {lower[:80]} is no UTF-8 text") from None
    return found


def _data(content: str, value: bytes | None) -> Any:
    if not value:
        return None
    if content and content != JSON and not content.endswith("+json"):
        raise InvalidEvent(f"the data is {content}; only {JSON} is read")
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"the data is no JSON: {error}") from None
