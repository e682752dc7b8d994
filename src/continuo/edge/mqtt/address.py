"""Where an MQTT broker is: `mqtt://[user:password@]host[:port]`, or `mqtts://` with TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

PORTS = {"mqtt": 1883, "mqtts": 8883}


class BadAddress(ValueError):
    """Not the URL of a broker; `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """A broker, and how to log in."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def options(self, proved: ssl.SSLContext | None = None) -> dict[str, Any]:
        """Keyword arguments for `aiomqtt.Client`. Blocks where certificates are to be read.

        `proved`: an identity's context, by which both ends show their SVIDs, and no host name matters.
        """
        context = (proved or ssl.create_default_context()) if self.tls else None
        return {
            "hostname": self.host, "port": self.port, "username": self.user, "password": self.password,
            "tls_context": context, "tls_insecure": True if context is not None and context is proved else None,
        }  # fmt: skip


def address(text: str) -> Address:
    """Read the URL of a broker; BadAddress says what is wrong with it."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadAddress("the broker's URL cannot be read: it should look like mqtt://host:1883") from None
    if parts.scheme not in PORTS or not host:
        raise BadAddress(f"{_shown(text)} is no broker: its URL should look like mqtt://host:1883 or mqtts://host:8883")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise BadAddress(f"{_shown(text)}: a broker's URL ends with its port; topics follow from the routes")
    user, password = parts.username, parts.password
    return Address(
        host, port or PORTS[parts.scheme], parts.scheme == "mqtts",
        unquote(user) if user else None, unquote(password) if password else None,
    )  # fmt: skip


def _shown(text: str) -> str:
    head, found, rest = text.partition("://")
    return repr(f"{head}{found}{rest.rpartition('@')[2]}"[:120])
