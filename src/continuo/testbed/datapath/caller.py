"""The calling side: requests over one connection that is kept, each followed by a round trip of one byte on the same way.

It blocks, because a loop between the socket and the clock would be measured too.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter_ns

Address = tuple[str, int]

SECONDS = 5.0
"""How long one answer may take."""
_MOST = 65_536
_NETWORK = 0x40000000
"""The kernel's CLONE_NEWNET."""


class NoAnswer(Exception):
    """The other side did not answer as it should; the message is a sentence."""


@contextmanager
def within(space: str | None) -> Iterator[None]:
    """Be in a network namespace, which sockets keep that are made there.

    So one process calls from all places: two would differ from each other by more than what is to be measured.
    """
    if space is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as home, Path(space).open("rb") as there:
        _enter(libc, there.fileno(), space)
        try:
            yield
        finally:
            _enter(libc, home.fileno(), "its own network namespace")


def _enter(libc: ctypes.CDLL, file: int, what: str) -> None:
    if libc.setns(file, _NETWORK) != 0:  # Python itself has it from 3.12
        raise NoAnswer(f"the caller cannot enter {what}: {os.strerror(ctypes.get_errno())}")


def measure(
    page: Address, echo: Address, source: str | None, requests: int, warm_up: int = 20, host: str = ""
) -> dict[str, object]:
    """Nanoseconds of so many requests and of as many round trips, taken in turn; and the last answer."""
    asked = f"GET / HTTP/1.1\r\nHost: {host or page[0]}\r\nAccept: */*\r\n\r\n".encode()
    times, raw, answer = list[int](), list[int](), b""
    with ExitStack() as open_ones:
        pages, echoes = (open_ones.enter_context(_connect(at, source)) for at in (page, echo))
        gc.disable()
        try:
            for _ in range(warm_up + requests):
                began = perf_counter_ns()
                answer = _get(pages, asked)
                between = perf_counter_ns()
                _ping(echoes)
                raw.append(perf_counter_ns() - between)
                times.append(between - began)
        finally:
            gc.enable()
    return {"times": times[warm_up:], "raw": raw[warm_up:], **_read(answer)}


def _connect(address: Address, source: str | None) -> socket.socket:
    try:
        found = socket.create_connection((address[0], address[1]), SECONDS, (source, 0) if source else None)
    except OSError as error:
        raise NoAnswer(f"{address[0]}:{address[1]} does not answer: {error}") from error
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _get(connection: socket.socket, asked: bytes) -> bytes:
    """One request and its whole answer."""
    try:
        connection.sendall(asked)
        answer = connection.recv(_MOST)
        while not _whole(answer):
            if not (more := connection.recv(_MOST)):
                raise NoAnswer("the connection ended in the middle of an answer")
            answer += more
    except OSError as error:
        raise NoAnswer(f"no answer came: {error}") from error
    if not answer.startswith(b"HTTP/1.1 200 "):
        status = answer.partition(b"\r\n")[0].decode(errors="replace")
        raise NoAnswer(f"the answer is {status!r}, and 200 was due")
    return answer


def _whole(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = answer.find(b"Content-Length: ", 0, head)
    if length < 0:
        raise NoAnswer("the answer does not say how long it is")
    return len(answer) - head - 4 >= int(answer[length + 16 : answer.find(b"\r\n", length)])


def _ping(connection: socket.socket) -> None:
    try:
        connection.sendall(b"x")
        back = connection.recv(1)
    except OSError as error:
        raise NoAnswer(f"the echo did not come back: {error}") from error
    if back != b"x":
        raise NoAnswer("the echo did not come back")


def _read(answer: bytes) -> dict[str, object]:
    """Who answered, and as whom it saw us."""
    head, _, body = answer.decode().partition("\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    return {"served_by": fields["Served-By"], "seen_from": fields["Seen-From"], "body": body}
