"""How `continuo events --server` asks: pages of what is kept, or the stream, taken up again where it broke off."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from continuo.cli.failures import BadInput, Failed

if TYPE_CHECKING:
    from continuo.cli.events import Wish

PAGE = 500
QUIET = 60.0
"""Seconds after which a stream that says nothing at all is given up: a server that lives says so every quarter minute."""
FIRST, LONGEST = 0.5, 15.0
"""Seconds until a stream that broke off is asked for again."""


@dataclass(frozen=True, slots=True)
class Server:
    """Which server, and as whom."""

    url: str
    token: str
    tls: ssl.SSLContext | None

    @classmethod
    def named(cls, url: str, token_file: Path | None, ca_file: Path | None) -> Server:
        """From the options; raises BadInput."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"--server must be a URL such as https://continuo.example.org, not {url!r}")
        if token_file is None:
            raise BadInput("--server needs --token-file: a file with your bearer token")
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read {token_file}: {getattr(error, 'strerror', '') or 'it is no text'}") from error
        if not token or not token.isascii() or any(char.isspace() for char in token):
            raise BadInput(f"{token_file} does not hold a bearer token: one word of ASCII, nothing else")
        try:
            tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        except ssl.SSLError as error:
            raise BadInput(f"{ca_file} holds no certificates: {error}") from error
        return cls(url.rstrip("/"), token, tls)


async def from_server(server: Server, wish: Wish) -> AsyncIterator[dict[str, Any]]:
    """The events that the server keeps; then, if asked for, what comes."""
    import aiohttp

    connector = aiohttp.TCPConnector(ssl=server.tls if server.tls is not None else True)
    async with aiohttp.ClientSession(connector=connector) as http:
        found = _stream(http, server, wish) if wish.follow else _pages(http, server, wish)
        async for event in found:
            yield event


def _query(wish: Wish) -> list[tuple[str, str]]:
    asked = [("orchestration", name) for name in wish.orchestrations]
    asked += [("type", text) for text in wish.types] + [("subject", text) for text in wish.subjects]
    return asked + ([("since", wish.since)] if wish.since else [])


def _headers(server: Server, accept: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}", "Accept": accept, **more}


async def _pages(http: Any, server: Server, wish: Wish) -> AsyncIterator[dict[str, Any]]:
    import aiohttp

    after: list[tuple[str, str]] = []
    more = True
    while more:
        params = [*_query(wish), ("limit", str(PAGE)), *after]
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            headers = _headers(server, "application/json")
            async with http.get(f"{server.url}/events", params=params, headers=headers, timeout=timeout) as answer:
                await _accepted(answer)
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Failed(f"{server.url} does not answer: {error or type(error).__name__}") from error
        for event in body["items"]:
            yield event
        after, more = [("after", body["last"])], body["more"]


async def _stream(http: Any, server: Server, wish: Wish) -> AsyncIterator[dict[str, Any]]:
    """The stream; when it breaks off it is asked for again, from the last event on."""
    import aiohttp

    last, wait, begun = "", FIRST, False
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=QUIET)
    while True:
        more = {"Last-Event-ID": last} if last else {}
        headers = _headers(server, "text/event-stream", **more)
        try:
            async with http.get(
                f"{server.url}/events", params=_query(wish), headers=headers, timeout=timeout
            ) as answer:
                await _accepted(answer)
                begun, wait = True, FIRST
                async for id_, data in _messages(answer.content):
                    last = id_ or last
                    if data:
                        yield json.loads(data)
            why = "it ended the stream"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            if not begun:
                raise Failed(f"{server.url} does not answer: {why}") from error
        click.echo(f"continuo: {server.url}: {why}; asking again in {wait:g} s", err=True)
        await asyncio.sleep(wait)
        wait = min(LONGEST, 2 * wait)


async def _messages(content: Any) -> AsyncIterator[tuple[str, str]]:
    """(id, data) of each server-sent message; data is empty where only the place is told."""
    id_, data = "", ""
    async for line in content:
        text = line.decode().rstrip("\r\n")
        if not text:
            if id_ or data:
                yield id_, data
            id_, data = "", ""
        elif text.startswith("id:"):
            id_ = text[3:].strip()
        elif text.startswith("data:"):
            data += text[5:].removeprefix(" ")


async def _accepted(answer: Any) -> None:
    """Raise what the server says it refuses."""
    if answer.status < 400:
        return
    try:
        said = str((await answer.json(content_type=None))["detail"])
    except (ValueError, KeyError, TypeError):
        said = f"it answers {answer.status}"
    raise (BadInput if answer.status == 400 else Failed)(f"{answer.url.origin()}: {said}")
