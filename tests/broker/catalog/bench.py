"""A catalog over real sockets, and clients of all kinds for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvicorn

from continuo.broker.catalog import accounts as accounts_module
from continuo.broker.catalog.peering import Peering
from continuo.server.catalog_app import create_catalog_app, make_catalog
from continuo.server.catalog_face import CatalogParts, running, token_operator
from continuo.server.sockets import FanOut

OPERATOR = "the-operators-token"
SUBPROTOCOL = "catalog.v2+json"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.body)


@dataclass
class Client:
    """Somebody who talks to the catalog."""

    http: aiohttp.ClientSession
    url: str
    token: str = ""
    refresh: str = ""
    secret: str = ""

    def headers(self, more: dict[str, str] | None = None) -> dict[str, str]:
        return {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(more or {})}

    async def ask(
        self, method: str, path: str, json: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> Answer:
        async with self.http.request(
            method, self.url + path, json=json, headers=self.headers(headers), **more
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, headers: dict[str, str] | None = None, **params: str) -> Answer:
        return await self.ask("GET", path, headers=headers, params=params)

    async def publish(self, id: str, offer: Any) -> Answer:
        return await self.ask("POST", f"/offer/{id}", offer)

    def stream(self, headers: dict[str, str] | None = None) -> Any:
        return self.http.ws_connect(
            f"{self.url}/api/v1/events", headers=self.headers(headers), protocols=(SUBPROTOCOL,), max_msg_size=0
        )


@dataclass
class Bench:
    """A running catalog."""

    parts: CatalogParts
    http: aiohttp.ClientSession
    url: str
    clock: Clock
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def anybody(self) -> Client:
        return Client(self.http, self.url)

    @property
    def operator(self) -> Client:
        return Client(self.http, self.url, OPERATOR)

    async def account(self, account: str, role: str, **more: Any) -> Client:
        """A new account, logged in."""
        secret = f"{account}-and-a-secret"
        body = {"role": role, "region": "eu-south" if role == "provider" else "", "secret": secret, **more}
        made = await self.operator.ask("PUT", f"/api/v1/accounts/{account}", body)
        assert made.status == 201, made.body
        self.passwords[account] = secret
        return await self.login(account)

    async def login(self, name: str) -> Client:
        given = {"account": name, "secret": self.passwords[name]}
        answer = await self.anybody.ask("POST", "/api/v1/tokens", given)
        assert answer.status == 200, answer.body
        told = answer.json
        return Client(self.http, self.url, told["access_token"], told["refresh_token"], given["secret"])

    async def provider(self, account: str = "green", **more: Any) -> Client:
        return await self.account(account, "provider", **more)

    async def consumer(self, account: str = "lab", **more: Any) -> Client:
        return await self.account(account, "consumer", **more)


@asynccontextmanager
async def catalog(
    storage: str,
    *,
    anonymous: bool = True,
    keep: int = 20_000,
    interval: float = 0.0,
    clock: Clock | None = None,
    peering: Peering | None = None,
    sockets: Any = FanOut,
) -> AsyncIterator[Bench]:
    """Serve a catalog from this storage on a free port."""
    clock = clock or Clock()
    parts = make_catalog(
        storage,
        token_operator(OPERATOR),
        anonymous=anonymous,
        keep=keep,
        interval=interval,
        clock=clock,
        peering=peering,
    )
    async with running(parts):
        listener = socket.create_server(("127.0.0.1", 0))
        app = create_catalog_app(parts, runs=True)
        config = uvicorn.Config(
            app, ws=sockets, lifespan="off", log_config=None, access_log=False, ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        loop = asyncio.create_task(server.main_loop())
        try:
            async with aiohttp.ClientSession() as http:
                yield Bench(parts, http, f"http://127.0.0.1:{listener.getsockname()[1]}", clock)
        finally:
            server.should_exit = True
            parts.catalog.feed.close()
            await loop
            await server.shutdown([listener])


def offer(name: str = "Storage", cost: str = "1.0", **more: Any) -> dict[str, Any]:
    """A small offer with one plan."""
    plan = {"planName": "plan-basic", "planID": "basic", "cost": cost, "resources": {"cpu": "1000m", "memory": "2G"}}
    return {"name": name, "type": "storage", "plans": {"basic": plan}, **more}


def cheap_hashes(monkeypatch: Any) -> None:
    """Secrets of tests need no slow hashes."""
    from continuo.broker.catalog import secrets

    assert accounts_module.hashed is secrets.hashed
    monkeypatch.setattr(secrets, "_COST", 16)
