"""Commands of others, against the embedded engine's API: what they write, and what is refused with which sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from continuo.cli.host import Host
from continuo.events.cloudevent import Event
from continuo.events.refused import Refused
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.orchestrator.backend.control import Control
from continuo.resources.errors import ServiceUnavailable
from continuo.resources.loop import DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

pytestmark = pytest.mark.anyio

NOW, LATER, BEFORE = 1_767_225_600.0, "2026-01-01T00:01:00Z", "2025-12-31T23:59:59Z"
ACTION = {"op": "scaleComponent", "component": "shop/web", "replicas": 3}


@pytest.fixture
async def api(anyio_backend: str) -> AsyncIterator[Any]:
    host = Host(None, seed=1)
    await host.start()
    client = connect(host.engine.kubeconfig("management"), name="management", transports=Transports())
    await client.apply(LOW_LEVEL_ORCHESTRATION.new("shop", "default", spec={}), manager="test")
    spec = {"orchestration": "shop", "source": "policy/web", "reason": "load", "approval": True, "actions": [ACTION]}
    await client.apply(DECISION.new("shop-1", "default", spec=spec), manager="test")
    yield client
    await client.close()
    await host.stop()


def asked(verb: str, **data: Any) -> Event:
    said = {"expiresAt": LATER, **data}
    return Event(id="1", source="/desk", type=f"dev.continuo.command.{verb}.requested.v1", data=said)


async def spec_of(api: Any, kind: Any, name: str) -> Object:
    found: Object = (await api.get(kind, name, "default"))["spec"]
    return found


async def test_pause_and_resume_as_often_as_one_likes(api: Any) -> None:
    control = Control(api, clock=lambda: NOW)
    for verb, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        await control.take(asked(verb, orchestration="shop"))
        assert (await spec_of(api, LOW_LEVEL_ORCHESTRATION, "shop"))["paused"] is paused


@pytest.mark.parametrize(("verb", "other", "verdict"), [("approve", "deny", "Approved"), ("deny", "approve", "Denied")])
async def test_a_verdict_is_given_once_and_stays(api: Any, verb: str, other: str, verdict: str) -> None:
    control = Control(api, clock=lambda: NOW)
    await control.take(asked(verb, decision="shop-1"))
    await control.take(asked(verb, decision="shop-1"))
    with pytest.raises(Refused, match=f"Decision default/shop-1 is {verdict} already, and stays so"):
        await control.take(asked(other, decision="shop-1"))
    assert (await spec_of(api, DECISION, "shop-1"))["verdict"] == verdict


REFUSED = [
    (asked("stop", orchestration="shop"), "dev.continuo.command.stop.requested.v1 is no command; there are dev"),
    (Event(id="1", source="/desk", type="com.example.hello", data={}), "com.example.hello is no command"),
    (asked("pause", orchestration="nowhere"), "there is no LowLevelOrchestration default/nowhere"),
    (asked("approve", decision="nowhere"), "there is no Decision default/nowhere"),
    (asked("pause"), "missing required field `orchestration`"),
    (asked("pause", orchestration="shop", force=True), "unknown field `force`"),
    (asked("pause", orchestration="shop", expiresAt="tomorrow"), "expiresAt: 'tomorrow' is no time"),
    (asked("pause", orchestration="shop", expiresAt=BEFORE), f"it was void from {BEFORE}"),
    (Event(id="1", source="/desk", type="dev.continuo.command.pause.requested.v1"), "does not fit"),
]


@pytest.mark.parametrize(("event", "said"), REFUSED, ids=[said for _, said in REFUSED])
async def test_what_is_refused_says_why(api: Any, event: Event, said: str) -> None:
    with pytest.raises(Refused, match=said):
        await Control(api, clock=lambda: NOW).take(event)
    assert not (await spec_of(api, LOW_LEVEL_ORCHESTRATION, "shop")).get("paused")


async def test_what_is_for_backends_is_passed_over(api: Any) -> None:
    await Control(api, clock=lambda: NOW).take(Event(id="1", source="/o", type="dev.continuo.step.run.requested.v1"))


class Shaky:
    """Fails so many times before it works."""

    def __init__(self, patch: Callable[..., Awaitable[Any]], failures: int) -> None:
        self._patch, self.failures = patch, failures

    async def patch(self, *args: Any, **kwargs: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise ServiceUnavailable("try again")
        return await self._patch(*args, **kwargs)


async def test_a_passing_failure_is_tried_again_until_it_expires(api: Any) -> None:
    shaky: Any = Shaky(api.patch, 2)
    await Control(shaky, clock=lambda: NOW).take(asked("pause", orchestration="shop"))
    assert (await spec_of(api, LOW_LEVEL_ORCHESTRATION, "shop"))["paused"] is True
    times = iter((NOW, NOW, NOW + 61, NOW + 61))
    never: Any = Shaky(api.patch, 99)
    with pytest.raises(Refused, match=f"it was void from {LATER}; before that: try again"):
        await Control(never, clock=lambda: next(times)).take(asked("pause", orchestration="shop"))
