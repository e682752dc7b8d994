"""Commands: the other way, from a buyer to the device that it bought, over CloudCore's router or an MQTT broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

import aiohttp
import aiomqtt

from continuo.edge.relay.answers import Refused
from continuo.edge.relay.model import Source
from continuo.edge.relay.mqtt import Subscription
from continuo.edge.relay.relay import Live, Relay

PREFIX = "commands"
"""First level of the topic at the edge; the source's topic follows."""
LARGEST = 64 * 1024
TIMEOUT = 30.0


def command_topic(source: Source) -> str:
    """The MQTT topic on which a device hears commands."""
    return f"{PREFIX}/{source.topic}"


class Carrier(Protocol):
    """A way to the edge."""

    name: str

    async def send(self, source: Source, body: bytes) -> None:
        """Bring it there; Refused (502, 503, 504) says in one sentence why not."""
        ...


class CloudCore:
    """The REST source of KubeEdge's router. It tries up to three times, so devices may hear a command more than once."""

    name = "cloudcore"

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self._base, self._http = base.rstrip("/"), http

    async def send(self, source: Source, body: bytes) -> None:
        path = "/".join(quote(part, safe="/") for part in (source.node, source.namespace, PREFIX, source.topic))
        try:
            async with self._http.post(
                f"{self._base}/{path}", data=body, timeout=aiohttp.ClientTimeout(TIMEOUT), allow_redirects=False
            ) as answer:
                if answer.status == 200:
                    return
                said = (await answer.content.read(300)).decode(errors="replace").strip()
        except TimeoutError:
            raise Refused(504, f"CloudCore did not answer within {TIMEOUT:g} s; the device may have heard it") from None
        except aiohttp.ClientError as error:
            raise Refused(502, f"CloudCore cannot be reached: {error}") from None
        raise Refused(502, f"CloudCore did not deliver it to node {source.node!r}: {answer.status} {said}")


class Broker:
    """An MQTT broker that the relay is connected to."""

    name = "mqtt"

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = subscriptions

    async def send(self, source: Source, body: bytes) -> None:
        trouble = f"no MQTT broker of node {source.node!r} is known here"
        for subscription in self._subscriptions:
            if not subscription.serves(source):
                continue
            try:
                await subscription.publish(command_topic(source), body)
                return
            except aiomqtt.MqttError as error:
                trouble = str(error)
        raise Refused(502, f"the command was not published: {trouble}")


async def command(
    relay: Relay, carrier: Carrier | None, caller: str | None, route: str, sensor: str, body: bytes
) -> Source:
    """Carry one command; Refused says why not. `caller` None: nobody has to prove anything here."""
    live = relay.routes.get(route)
    if live is None or (caller is not None and caller != live.route.buyer):
        raise Refused(404, f"there is no route {route!r} of yours")  # that another has one is nobody's business
    source = _allowed(live, sensor)
    if carrier is None:
        raise Refused(503, "this relay has no way to the edge: start it with --cloudcore or --mqtt")
    if not body:
        raise Refused(400, "a command without a body says nothing")
    await carrier.send(source, body)
    return source


def _allowed(live: Live, sensor: str) -> Source:
    if not live.route.commands:
        raise Refused(
            403, f"contract {live.route.name!r} allows no commands; its configuration has to say commands: true"
        )
    flow = live.flows.get(sensor)
    if flow is None:
        raise Refused(404, f"contract {live.route.name!r} has no sensor {sensor!r}")
    return flow.flow.source
