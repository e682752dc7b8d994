"""How `continuo catalog` talks to a catalog: where it is, who one is there, and refusals as sentences."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from continuo.cli import places
from continuo.cli.failures import BadInput, Failed


@dataclass(frozen=True, slots=True)
class Where:
    """Which catalog, and as whom."""

    url: str
    folder: Path
    operator: bool

    def session_file(self) -> Path:
        """Where the tokens of a login are kept, for this catalog."""
        return self.folder / f"session-{urlsplit(self.url).netloc.replace(':', '-')}.json"


def catalog_folder() -> Path:
    """Where a catalog on this machine, and logins of this user, are kept."""
    return places.default_data() / "catalog"


def catalog_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--url and --operator, handed over as `where`."""

    @click.option("--url", envvar="CONTINUO_CATALOG", help="The catalog; by default the one that runs on this machine.")
    @click.option("--operator", is_flag=True, help="Act as the operator of the catalog on this machine, or with "
                  "$CONTINUO_OPERATOR_TOKEN.")  # fmt: skip
    def wrapped(url: str | None, operator: bool, **kwargs: Any) -> Any:
        return command(where=Where(_find(url), catalog_folder(), operator), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped


def _find(url: str | None) -> str:
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise BadInput(f"--url must begin with http:// or https://, not {url!r}")
        return url.rstrip("/")
    running = catalog_folder() / "running.json"
    try:
        found: str = json.loads(running.read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError):
        raise BadInput(
            "no catalog runs on this machine; name one with --url, or run `continuo catalog serve`"
        ) from None
    return found


class Unavailable(Failed):
    """The catalog cannot do it now; later it may."""


class CatalogClient:
    """Requests with the right token, refreshed when it is about to expire."""

    def __init__(self, http: Any, where: Where) -> None:
        self._http, self._where = http, where

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        """One request; the decoded answer."""
        _, _, body = await self.exchange(method, path, **more)
        return json.loads(body) if body else None

    async def exchange(self, method: str, path: str, **more: Any) -> tuple[int, Any, bytes]:
        """One request: status, headers and body; refusals raise."""
        headers = {**await self.headers(), **more.pop("headers", {})}
        return await self._send(method, path, headers, **more)

    async def _send(self, method: str, path: str, headers: dict[str, str], **more: Any) -> tuple[int, Any, bytes]:
        import aiohttp

        try:
            async with self._http.request(method, self._where.url + path, headers=headers, **more) as answer:
                body = await answer.read()
                if answer.status >= 400:
                    raise _refusal(answer.status, body)
                return answer.status, answer.headers, body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(
                f"the catalog at {self._where.url} does not answer: {error or type(error).__name__}"
            ) from error

    async def headers(self) -> dict[str, str]:
        """The Authorization header, or nothing."""
        if self._where.operator:
            return {"Authorization": f"Bearer {self._operator_token()}"}
        try:
            session = json.loads(self._where.session_file().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if session["expires"] - 30 < time.time():
            session = await self._refresh(session["refresh_token"])
        return {"Authorization": f"Bearer {session['access_token']}"}

    def _operator_token(self) -> str:
        token = os.environ.get("CONTINUO_OPERATOR_TOKEN")
        try:
            return token or (self._where.folder / "operator-token").read_text(encoding="utf-8").strip()
        except OSError:
            raise BadInput(
                "no operator's token: run this where the catalog runs, or set CONTINUO_OPERATOR_TOKEN"
            ) from None

    async def login(self, account: str, secret: str) -> dict[str, Any]:
        """Log in, and keep the tokens."""
        _, _, body = await self._send("POST", "/api/v1/tokens", {}, json={"account": account, "secret": secret})
        return self._keep(json.loads(body))

    async def logout(self) -> None:
        """Revoke the tokens, and forget them."""
        await self.exchange("POST", "/api/v1/tokens:revoke")
        self._where.session_file().unlink(missing_ok=True)

    async def _refresh(self, token: str) -> dict[str, Any]:
        _, _, body = await self._send("POST", "/api/v1/tokens:refresh", {}, json={"refresh_token": token})
        return self._keep(json.loads(body))

    def _keep(self, tokens: dict[str, Any]) -> dict[str, Any]:
        session = {**tokens, "expires": time.time() + tokens["expires_in"]}
        write_secret(self._where.session_file(), json.dumps(session))
        return session

    async def events(self, subscription: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The frames of the change stream, until the catalog ends it."""
        import aiohttp

        url = self._where.url.replace("http", "ws", 1) + "/api/v1/events"
        try:
            async with self._http.ws_connect(
                url, headers=await self.headers(), protocols=("catalog.v2+json",), max_msg_size=0, heartbeat=30
            ) as socket:
                await socket.send_json(subscription)
                async for message in socket:
                    frame = json.loads(message.data)
                    if frame["op"] == "error":
                        raise BadInput(frame["detail"])
                    yield frame
                if socket.close_code == 4401:
                    raise Failed("the catalog wants to know who you are; log in with `continuo catalog login ACCOUNT`")
        except aiohttp.ClientError as error:
            raise Failed(f"the catalog at {self._where.url} ended the stream: {error}") from error


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner reads; it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    temporary.replace(path)


def _refusal(status: int, body: bytes) -> click.ClickException:
    try:
        problem = json.loads(body)
        said = "\n  ".join(problem.get("problems") or [problem["detail"]])
    except (ValueError, KeyError, TypeError):
        said = f"the catalog answered with HTTP status {status}"
    if status == 401:
        said += "; on the command line: `continuo catalog login ACCOUNT`"
    if status in (400, 404, 412, 415, 422, 428):
        return BadInput(said)
    return Unavailable(said) if status == 429 or status >= 500 else Failed(said)


@asynccontextmanager
async def client(where: Where) -> AsyncIterator[CatalogClient]:
    """A client, closed at the end."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield CatalogClient(http, where)
