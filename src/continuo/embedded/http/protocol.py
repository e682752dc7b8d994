"""What our server can do beside ASGI: cut a connection, and send a complete answer in one piece.

ASGI sends head and body apart, which over TLS are two records, for the client to take apart as well.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import ref

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from continuo.embedded.http.wire import ABORT, WHOLE


class Protocol(HttpToolsProtocol):
    """uvicorn's, with these two extensions in the scope of every request."""

    def on_message_begin(self) -> None:
        """Let the application cut the connection: that is how an unreachable API looks to its clients."""
        super().on_message_begin()
        transport: Any = self.transport
        self.scope["extensions"] = {ABORT: transport.abort}

    def on_headers_complete(self) -> None:
        """Let the application send its answer whole."""
        super().on_headers_complete()
        extensions: Any = self.scope["extensions"]
        # Not the request itself, which has these extensions: it would be there until the garbage is collected.
        extensions[WHOLE] = partial(_send_whole, ref(self.cycle))


def _send_whole(request: ref[RequestResponseCycle], status: int, content_type: bytes, body: bytes) -> bool:
    """Send a complete answer; False when it has to go the way of all others: a client that is slow, gone, or has seen a
    part already.
    """
    cycle = request()
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    head = b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body))
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(STATUS_LINE[status] + head + end + (b"" if cycle.scope["method"] == "HEAD" else body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
