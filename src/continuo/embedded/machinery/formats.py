"""The value formats that a structural schema can name. Unknown formats are ignored, as a real API server does."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from typing import Any

_DATE_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_DURATION = re.compile(r"^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$")
_HOSTNAME = re.compile(
    r"^(?=.{1,255}$)[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*\.?$"
)
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")
_URI = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S*$|^/\S*$")
_MAC = re.compile(r"^([0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2}$")


def _text(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, str) or pattern.match(value) is not None


def _parses(parse: Callable[[str], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, str):
            return True
        try:
            parse(value)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


INTEGERS = {bits: (-(1 << (width - 1)), (1 << (width - 1)) - 1) for bits, width in (("int32", 32), ("int64", 64))}
"""Number format -> its lowest and highest value."""

FORMATS: dict[str, Callable[[Any], bool]] = {
    "date-time": _text(_DATE_TIME),
    "datetime": _text(_DATE_TIME),
    "date": _text(_DATE),
    "duration": _text(_DURATION),
    "hostname": _text(_HOSTNAME),
    "email": _text(_EMAIL),
    "uri": _text(_URI),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(lambda text: ipaddress.ip_network(text, strict=False)),
    "mac": _text(_MAC),
    "uuid": _parses(uuid.UUID),
    "byte": _parses(lambda text: base64.b64decode(text, validate=True)),
}
"""Format name -> whether the value has it."""
