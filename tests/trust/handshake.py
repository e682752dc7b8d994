"""A TLS handshake in memory: two ends, no socket, no loop."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any


@dataclass
class Ended:
    """How it went at either end, and the two ends."""

    client: ssl.SSLObject
    server: ssl.SSLObject
    client_error: ssl.SSLError | None
    server_error: ssl.SSLError | None

    @property
    def refused(self) -> bool:
        return self.client_error is not None or self.server_error is not None


def shake(client: ssl.SSLContext, server: ssl.SSLContext) -> Ended:
    """Until both ends are done or have failed."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(down, up, server_side=False, server_hostname="whatever.example")
    other = server.wrap_bio(up, down, server_side=True)
    errors: dict[Any, ssl.SSLError | None] = {}
    for _ in range(10):
        for end in (one, other):
            if end in errors:
                continue
            try:
                end.do_handshake()
                errors[end] = None
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                errors[end] = error
    return Ended(one, other, errors.get(one, ssl.SSLError("not done")), errors.get(other, ssl.SSLError("not done")))
