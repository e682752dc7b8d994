"""The request by which a board's port opens its connection: HTTP/1.1, upgraded to frames. Pure.

A WebSocket would mask every byte that a board sends and frame what is framed already; after this one request the
connection is a stream of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from continuo.iot.frames import PATH, UPGRADE

LONGEST = 8192
"""Bytes of a request, all headers together."""
ACCEPTED = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n".encode()
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    426: "Upgrade Required",
    503: "Service Unavailable",
}


class Refused(Exception):
    """The request is none that we take: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status

    def answer(self) -> bytes:
        """As it is sent."""
        text = f"{self}\n".encode()
        lines = [
            f"HTTP/1.1 {self.status} {_TITLES[self.status]}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(text)}",
            "Connection: close",
        ]
        if self.status == 426:
            lines.append(f"Upgrade: {UPGRADE}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants in, with which token."""

    port: str
    token: str


def read(head: bytes) -> Request:
    """Read a request up to its empty line; raises Refused."""
    try:
        first, *lines = head.decode("ascii").split("\r\n")
        method, path, version = first.split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
        }
    except ValueError:
        raise Refused(400, "This is no HTTP/1.1 request.") from None
    if version != "HTTP/1.1" or method != "GET":
        raise Refused(400, "A port is opened by GET in HTTP/1.1.")
    if not path.startswith(PATH) or "/" in path[len(PATH) :]:
        raise Refused(404, f"There is nothing here but {PATH}<the port's uuid>.")
    if headers.get("upgrade", "").lower() != UPGRADE or "upgrade" not in headers.get("connection", "").lower():
        raise Refused(426, f"Ask with Connection: Upgrade and Upgrade: {UPGRADE}.")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "Authorization: Bearer <the port's token> is missing.")
    return Request(path[len(PATH) :], token)
