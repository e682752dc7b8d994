"""Where CloudCore's router posts readings, and where probes and Prometheus ask. Plain HTTP: CloudCore can do nothing better.

CloudCore opens a connection for each reading and never closes it, so answers to it end the connection.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote

from continuo.edge.relay.answers import Gone, Receive, Refused, Scope, Send, answer, body_of, refuse
from continuo.edge.relay.model import Source
from continuo.edge.relay.relay import NotSold, Relay
from continuo.edge.relay.sources import Doors
from continuo.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LARGEST = 1024 * 1024
"""Bytes of a reading."""
_PARTS = 6


class Intake:
    """The ASGI application for readings."""

    def __init__(self, relay: Relay, doors: Doors) -> None:
        self._relay, self._doors = relay, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        close = any(name == b"user-agent" and value.startswith(b"Go-http-client") for name, value in scope["headers"])
        try:
            if scope["path"] in ("/healthz", "/readyz"):
                await health(scope["path"], self._relay, send)
                return
            source = self._source(scope)
            if self._relay.stopping:
                raise Refused(503, "the relay is stopping; its readings go to the next one")
            body = await body_of(receive, LARGEST)
            if not body:
                raise Refused(400, "a reading without a body says nothing")
            self._relay.accept(source, body, "http")
            await answer(send, 202, close=close)
        except Refused as refused:
            await refuse(send, refused.status, refused.detail, close=close or refused.status == 413)
        except NotSold as nobody:
            await refuse(send, 404, str(nobody), close=close)
        except Gone:
            return
        except Exception:
            log.exception("a reading could not be taken")
            await refuse(send, 500, "the relay failed; its log says why", close=True)

    def _source(self, scope: Scope) -> Source:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        parts = [unquote(part) for part in raw.decode("latin-1").partition("?")[0].split("/")]
        if len(parts) != _PARTS or parts[0] or parts[1] != "ingest" or not all(parts[2:]):
            raise Refused(404, "nothing is here; readings are posted to /ingest/<token>/<namespace>/<node>/<rule>")
        _, _, token, namespace, node, rule = parts
        source = self._doors.source(token, namespace, node, rule, self._relay.sources_at(namespace, node))
        if source is None:
            self._relay.totals.unsold += 1
            raise Refused(404, f"rule {rule!r} of {namespace!r} at node {node!r} leads to no sensor that was bought")
        if source not in self._relay.sources_at(namespace, node):
            raise NotSold(f"nobody has bought what comes of {source.topic} at {source.node}")
        return source


class Monitor:
    """The ASGI application for probes and Prometheus."""

    def __init__(self, relay: Relay, metrics: Metrics) -> None:
        self._relay, self._metrics = relay, metrics

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] in ("/healthz", "/readyz"):
            await health(scope["path"], self._relay, send)
        elif scope["path"] == "/metrics":
            accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
            text, content_type = await self._metrics.told(accept)
            await answer(send, 200, text, content_type.encode())
        else:
            await refuse(send, 404, "nothing is here; there are /metrics, /healthz and /readyz")


async def health(path: str, relay: Relay, send: Send) -> None:
    """Answer a probe."""
    if path == "/readyz" and relay.stopping:
        await answer(send, 503, b"stopping\n", b"text/plain")
    else:
        await answer(send, 200, b"ok\n", b"text/plain")
