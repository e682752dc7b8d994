"""The hub's REST interface, as somebody uses it who is let in by a token."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from continuo.cli.failures import Failed

_PATIENCE = aiohttp.ClientTimeout(20)


class HubClient:
    """Asks it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self.url = http, url

    async def get(self, path: str) -> Any:
        """What is there; raises Failed."""
        try:
            async with self._http.get(f"{self.url}/v1/{path}") as answer:
                said = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Failed(f"the hub does not answer GET /v1/{path}: {error or 'it took too long'}") from error
        if answer.status != 200:
            raise Failed(f"the hub answers {answer.status} to GET /v1/{path}: {said}")
        return said


@asynccontextmanager
async def asking(url: str, ca: Path, token: str) -> AsyncIterator[HubClient]:
    """A client that trusts this authority alone."""
    context = ssl.create_default_context(cafile=str(ca))
    headers = {"X-Auth-Token": token}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=_PATIENCE, trust_env=False) as http:
        yield HubClient(http, url)


async def page(host: str, port: int) -> str | None:
    """What a public address answers over HTTP; None: nobody listens there, or does not answer."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5), trust_env=False) as http,
            http.get(f"http://{host}:{port}/") as answer,
        ):
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return None
