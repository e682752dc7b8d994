"""Somebody else's reader, asked over gRPC.

What it said is kept for as long as its stream of changes is up and silent, so that reading costs a call only after a
change. When it does not answer, what it said last is used for a while, and after that nothing is: an offer that nobody
stands behind is none.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio

from continuo.broker.offers.amounts import BadAmount
from continuo.broker.readers import wire
from continuo.broker.readers.amounts import parse
from continuo.broker.readers.port import Bell, Changes, Resources
from continuo.broker.readers.security import ClientSecurity, address
from continuo.resources.errors import Unreachable
from continuo.runtime.backoff import Backoff

log = logging.getLogger(__name__)
_AFTER = 0.01
"""Seconds after which a value that has become too old is surely seen to be."""

_OPTIONS = (
    ("grpc.max_receive_message_length", 1024 * 1024),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_retries", 0),
)


_LASTED = 5.0
"""Seconds after which a stream that ends was a good one."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may take, in seconds."""

    deadline: float = 3.0
    """For one answer."""
    bound: float = 60.0
    """For which a last known value is used while no newer one can be had."""
    backoff: Backoff = field(default_factory=lambda: Backoff(base=0.2, cap=15.0))


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, when it was asked for, and how many changes had been told by then."""

    resources: Resources
    at: float
    change: int


class External:
    """A reader at an address. `start` before use, `stop` after."""

    def __init__(
        self,
        at: str,
        security: ClientSecurity | None = None,
        *,
        patience: Patience | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._security, self._at = security or ClientSecurity(), address(at)
        self._credentials = self._security.credentials(self._at)
        self._patience, self._random = patience or Patience(), rng or random.Random()
        self._bell = Bell()
        self._known: dict[str, _Known] = {}
        self._changes = 0
        self._following = False
        self._failures, self._not_before = 0, 0.0
        self._why = ""
        self._expiry: asyncio.TimerHandle | None = None
        self._channel: Any = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Be ready to ask, without following changes."""
        if self._credentials is None:
            self._channel = grpc.aio.insecure_channel(self._at.text, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(self._at.text, self._credentials, options=_OPTIONS)

    async def start(self) -> None:
        """Be ready to ask, and follow changes in a task of the running loop."""
        await self.open()
        self._task = asyncio.create_task(self._follow(), name=f"changes of reader {self._at.text}")

    async def stop(self) -> None:
        """Let go of the connection."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    # --- the reader ---------------------------------------------------------------------------------------------------
    async def read(self, originator: str) -> Resources:
        """What it says, or said not too long ago."""
        now, known = self._now(), self._known.get(originator)
        if known is not None and self._following and known.change == self._changes:
            return known.resources
        if now < self._not_before:
            return self._last(originator)
        change = self._changes
        try:
            answer = await self._call(wire.READ, wire.ReadRequest(originator=originator))
            resources = parse(dict(answer.resources))
        except BadAmount as error:
            return self._after_failure(originator, f"reader {self._at.text} answered what cannot be used: {error}")
        except grpc.aio.AioRpcError as error:
            return self._after_failure(originator, self._sentence(error))
        self._failures, self._not_before = 0, 0.0
        self._known[originator] = _Known(resources, now, change)
        return resources

    def age(self, originator: str) -> float | None:
        """How many seconds old what is known for that cluster may be; None when nothing is."""
        known = self._known.get(originator)
        if known is None:
            return None
        fresh = self._following and known.change == self._changes
        return 0.0 if fresh else self._now() - known.at

    async def remove(self, cluster: str) -> None:
        """Forget it here and there."""
        self._known.pop(cluster, None)
        try:
            await self._call(wire.REMOVE, wire.RemoveRequest(cluster=cluster))
        except grpc.aio.AioRpcError as error:
            raise Unreachable(self._sentence(error)) from None

    def subscribe(self) -> Changes:
        """Its changes; also when it comes back, and when what it said last became too old."""
        return self._bell.subscribe()

    # --- failing ------------------------------------------------------------------------------------------------------
    def _after_failure(self, originator: str, why: str) -> Resources:
        self._failed(why)
        return self._last(originator)

    def _failed(self, why: str) -> None:
        if why != self._why:
            log.info("%s", why)
        self._why, self._failures = why, self._failures + 1
        self._not_before = self._now() + self._patience.backoff.delay(self._failures, self._random)
        self._watch_expiry()

    def _last(self, originator: str) -> Resources:
        known, bound = self._known.get(originator), self._patience.bound
        if known is None:
            raise Unreachable(self._why)
        age = self._now() - known.at
        if age > bound:
            raise Unreachable(f"{self._why}; what it said {age:.0f} s ago is no longer used after {bound:.0f} s")
        return known.resources

    def _watch_expiry(self) -> None:
        """Ring when the oldest value that is still used becomes too old: readers behind us do not look by themselves."""
        loop = asyncio.get_running_loop()
        if self._expiry is not None:
            self._expiry.cancel()
            if self._expiry.when() - _AFTER <= loop.time():
                self._expired()  # it was due: what is cancelled now would be told by nobody
            self._expiry = None
        now, bound = self._now(), self._patience.bound
        left = [known.at + bound - now for known in self._known.values() if known.at + bound >= now]
        if left:
            self._expiry = loop.call_later(min(left) + _AFTER, self._expired)

    def _expired(self) -> None:
        self._expiry = None
        if not self._following:
            self._bell.ring()
            self._watch_expiry()

    # --- the wire -----------------------------------------------------------------------------------------------------
    async def _call(self, method: str, request: Any) -> Any:
        return await self._method(method, self._channel.unary_unary)(
            request, timeout=self._patience.deadline, metadata=self._security.metadata()
        )

    def _method(self, name: str, kind: Callable[..., Any]) -> Any:
        _, answer = wire.METHODS[name]
        return kind(
            f"/{wire.SERVICE}/{name}", request_serializer=wire.encode, response_deserializer=wire.decoder(answer)
        )

    async def _follow(self) -> None:
        """Follow the stream of changes for ever."""
        failures = 0
        while True:
            began = self._now()
            call = self._method(wire.SUBSCRIBE, self._channel.unary_stream)(
                wire.SubscribeRequest(), metadata=self._security.metadata()
            )
            try:
                why = await self._listen(call)
            except grpc.aio.AioRpcError as error:
                why = self._sentence(error)
            finally:
                call.cancel()
            self._deaf(why)
            failures = 1 if self._now() - began >= _LASTED else failures + 1
            await asyncio.sleep(self._patience.backoff.delay(failures, self._random))

    async def _listen(self, call: Any) -> str:
        # Some servers send their headers with the first change only: until then reading asks each time.
        await call.initial_metadata()
        if not call.done():
            self._following, self._why = True, ""
            self._failures, self._not_before = 0, 0.0
            self._changed()  # what changed before we listened was told to nobody
        async for _ in call:
            self._changed()
        return f"reader {self._at.text} ended its stream of changes"

    def _changed(self) -> None:
        self._changes += 1
        self._bell.ring()

    def _deaf(self, why: str) -> None:
        """The stream is down: what was current until now begins to age."""
        if self._following:
            log.info("%s", why)
            now = self._now()
            for originator, known in self._known.items():
                if known.change == self._changes:
                    self._known[originator] = replace(known, at=now)
        self._following, self._why = False, why
        self._watch_expiry()

    def _sentence(self, error: grpc.aio.AioRpcError) -> str:
        said = (error.details() or "").strip() or "no reason given"
        return f"reader {self._at.text}: {error.code().name.replace('_', ' ').lower()}: {said}"

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
