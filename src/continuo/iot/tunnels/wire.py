"""How the ends of a reverse tunnel speak: wstun's protocol, and what our own ends say beside it.

The board opens a *control* WebSocket that names a public port. For each connection to that port the server says `NC:<id>` on
it, and the board opens a *data* WebSocket with that id, whose binary frames are the connection's bytes; who closes one end
closes the other. Our own ends agree on a second subprotocol and then also say where one direction has ended (`EOF`), what was
reset (a close code), and that the board's service could not be reached (`NO:<id>`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

WSTUN = "tunnel-protocol"
OURS = "continuo-tunnel.1"
OFFERED = (OURS, WSTUN)

END = "EOF"
"""Text on a data connection: nothing more comes in this direction."""
RESET = 4000
"""Close code of a data connection whose TCP side was reset."""
REPLACED = 4001
"""Close code of a control connection whose board has opened a newer one."""
CLOSED = 4002
"""Close code of everything in a tunnel that is no more."""

CHUNK = 64 * 1024
"""Bytes in a frame, at most, as we send them."""
LARGEST = 1024 * 1024
"""Bytes in a frame, at most, as we take them."""


@dataclass(frozen=True, slots=True)
class Control:
    """A board opens its end of a public port."""

    port: int
    board: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A board answers one connection."""

    id: str


def control_path(port: int, board: str | None = None, host: str = "localhost") -> str:
    """What a control connection asks for."""
    return f"/?dst={quote(host)}:{port}" + (f"&uuid={quote(board)}" if board else "")


def data_path(identifier: str) -> str:
    """What a data connection asks for."""
    return f"/?id={quote(identifier)}"


def asked(path: str) -> Control | Data | None:
    """What a WebSocket asks for; None: nothing of ours. Raises ValueError with a sentence where it is malformed."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True, max_num_fields=8)
    if "id" in query:
        return Data(query["id"][0])
    if "dst" not in query:
        return None
    port = query["dst"][0].rpartition(":")[2]
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError(f"dst={query['dst'][0][:80]} names no public port: dst=HOST:PORT with a port from 1 to 65535")
    return Control(int(port), query["uuid"][0] if "uuid" in query else None)


def opened(identifier: str) -> str:
    """What the server says on a control connection: there is a connection for you."""
    return f"NC:{identifier}"


def refused(identifier: str) -> str:
    """What the board says on a control connection: my service took no such connection."""
    return f"NO:{identifier}"


def told(text: str | bytes) -> tuple[str, str] | None:
    """What a text on a control connection says: `NC` or `NO` and an id; None: nothing that we know."""
    if not isinstance(text, str):
        return None
    word, _, identifier = text.partition(":")
    return (word, identifier) if word in ("NC", "NO") and identifier else None


def bearer(token: str) -> dict[str, str]:
    """The header by which our boards show a tunnel's token."""
    return {"Authorization": f"Bearer {token}"}
