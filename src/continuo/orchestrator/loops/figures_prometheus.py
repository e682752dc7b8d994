"""Figures by query, from the one Prometheus that the operator's owner named: users write queries, never addresses."""

from __future__ import annotations

import asyncio
import math
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from continuo.orchestrator.loops.figures import Unanswered

MOST = 1 << 20
"""Bytes of an answer: more is no single number."""
LONGEST_SAID = 200
"""Characters of what Prometheus says that are passed on."""


class Prometheus:
    """`/api/v1/query` of one server."""

    def __init__(
        self,
        url: str,
        *,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        timeout: float = 4.0,
    ) -> None:
        """Raises ValueError for a URL that is none, OSError or ssl.SSLError for a CA file that cannot be read."""
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError(
                f"{url!r} is no address of a Prometheus; it should look like https://prometheus.example:9090"
            )
        self.url = url.rstrip("/")
        self._token_file, self._timeout = token_file, timeout
        self._tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        self._http: aiohttp.ClientSession | None = None

    async def ask(self, query: str, oldest: timedelta) -> tuple[float, datetime]:
        """The one number that a query returns, and the time that it is of; raises Unanswered with a sentence."""
        # Servers that know `lookback_delta` leave out what is older; others look back five minutes.
        form = {"query": query, "timeout": f"{self._timeout:g}s", "lookback_delta": f"{int(oldest.total_seconds())}s"}
        try:
            async with asyncio.timeout(self._timeout):
                return one_number(await self._post(form))
        except TimeoutError:
            raise Unanswered(f"Prometheus has not answered within {self._timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise Unanswered(f"Prometheus at {self.url} cannot be asked: {error or type(error).__name__}") from None
        except OSError as error:
            raise Unanswered(f"the token for Prometheus cannot be read: {error}") from None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _post(self, form: dict[str, str]) -> Any:
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8, ssl=self._tls))
        headers = {"Accept": "application/json"}
        if self._token_file is not None:  # read each time: tokens are renewed
            token = await asyncio.to_thread(self._token_file.read_text)
            headers["Authorization"] = f"Bearer {token.strip()}"
        request = self._http.post(f"{self.url}/api/v1/query", data=form, headers=headers, allow_redirects=False)
        async with request as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST:
                    raise Unanswered("the query returned more than one number; add sum(...) or another aggregation")
            return _decoded(response.status, bytes(body))


def _decoded(status: int, body: bytes) -> Any:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Unanswered(f"Prometheus answered {status} and no JSON") from None
    if not isinstance(answer, dict) or answer.get("status") != "success" or status != 200:
        said = str(answer.get("error") or "")[:LONGEST_SAID] if isinstance(answer, dict) else ""
        raise Unanswered(f"Prometheus refused the query ({status}){': ' + said if said else ''}")
    return answer.get("data")


def one_number(data: Any) -> tuple[float, datetime]:
    """The number of a scalar, or of a vector with one element; raises Unanswered where there is none, or several."""
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if kind == "vector" and isinstance(result, list):
        if not result:
            raise Unanswered("the query returned nothing; add `or vector(0)` if that means 0")
        if len(result) > 1:
            raise Unanswered(f"the query returned {len(result)} series; add sum(...) or another aggregation")
        result = result[0].get("value") if isinstance(result[0], dict) else None
    elif kind != "scalar":
        raise Unanswered(f"the query returned a {kind or 'thing'}, not one number")
    return _pair(result)


def _pair(pair: Any) -> tuple[float, datetime]:
    try:
        at, text = pair
        value, when = float(text), datetime.fromtimestamp(float(at), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Unanswered("Prometheus answered something that is no number with a time") from None
    if not math.isfinite(value):
        raise Unanswered(f"the query returned {text}, which is no number to scale by")
    return value, when
