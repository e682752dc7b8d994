"""A provider between a real HTTP cluster and an IoTronic that fails on demand; it can be killed and started again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

from broker.mortal import Life, Mortal
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.iot.provider.decide import Times
from continuo.iot.provider.kinds import DRIVERS
from continuo.iot.provider.provider import Provider, Settings
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG, EXTERNAL_NAME, boards_crds
from continuo.resources.meta import Kind, Object, annotations_of, condition
from continuo.runtime.backoff import Backoff

from .fake import Fake, served

FAST = Settings(
    times=Times(grace=0.2, poll=0.5, jitter=0.0, least_poll=0.1), rate=2000.0, workers=8,
    backoff=Backoff(base=0.05, cap=0.5),
)  # fmt: skip
SLOW = Settings(times=Times(grace=0.2, poll=600.0), rate=2000.0, backoff=Backoff(base=0.05, cap=0.5))
"""Where only events bring another look in time."""


class Bench:
    """The cluster `m`, the fake, and a provider."""

    def __init__(self, engine: EmbeddedEngine, server: Server, fake: Fake) -> None:
        self._server, self.fake, self.settings = server, fake, FAST
        self.api = engine.create_cluster("m")
        for definition in boards_crds():
            self.api.create(definition, Write(manager="test", trusted=True))
        self.cluster = self.client()
        self._clients: list[Any] = []
        self.life = Life()
        self.provider: Provider | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def kubeconfig(self) -> str:
        return self._server.kubeconfig(self._server.url("m"), "m")

    def client(self) -> Any:
        return connect(self.kubeconfig, name="m")

    async def configure(self, name: str = "default", **spec: Any) -> None:
        said = {"endpoint": self.fake.url, "authType": "noauth", **spec}
        await self.cluster.create(CLUSTER_PROVIDER_CONFIG.new(name, spec=said))

    async def start(self, life: Life | None = None, rng: int = 1) -> Provider:
        """A new process, as it were."""
        self.life = life or Life()
        client = self.client()
        self._clients.append(client)
        cluster = cast(Cluster, Mortal(client, self.life))
        self.provider = Provider(cluster, DRIVERS, settings=self.settings, rng=Random(rng), environ={})
        self._task = asyncio.create_task(self.provider.run())
        if life is None:
            async with asyncio.timeout(10):
                waiting = asyncio.create_task(self.provider.ready.wait())
                await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if self._task.done():
                    self._task.result()
        return self.provider

    async def kill(self) -> None:
        """End it at whatever line it is."""
        self.life.end()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        while self._clients:
            await self._clients.pop().close()

    async def over(self, life: Life, seconds: float) -> None:
        """Until that process is dead, or so many seconds have passed in which it needed nothing more."""
        try:
            async with asyncio.timeout(seconds):
                await life.over.wait()
        except TimeoutError:
            return

    async def make(self, kind: Kind, name: str, fields: Object | None = None, **more: Any) -> Object:
        """An object; `more` goes to its spec, but for labels and annotations."""
        metadata = {key: more.pop(key) for key in ("labels", "annotations") if key in more}
        made: Object = await self.cluster.create(
            kind.new(name, "default", metadata=metadata, spec={"forProvider": fields or {}, **more})
        )
        return made

    async def change(self, kind: Kind, name: str, **patch: Any) -> Object:
        changed: Object = await self.cluster.patch(kind, name, patch, "default")
        return changed

    def get(self, kind: Kind, name: str) -> Object:
        return self.api.get(kind, name, "default")

    def external(self, kind: Kind, name: str) -> str:
        return annotations_of(self.get(kind, name)).get(EXTERNAL_NAME, "")

    async def until(self, kind: Kind, test: Callable[[list[Object]], bool], timeout: float = 15.0) -> list[Object]:
        """Ask again and again: what is tested may be outside of the cluster, where nothing tells of changes."""
        try:
            async with asyncio.timeout(timeout):
                while not _holds(test, found := self.api.list(kind, "default")):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return found
        except TimeoutError:
            states = [(each["metadata"]["name"], each.get("status")) for each in self.api.list(kind, "default")]
            raise AssertionError(f"waited {timeout:g} s in vain; {states}; {self.fake.log[-10:]}") from None

    async def until_ready(self, kind: Kind, *names: str, status: str = "True", type_: str = "Ready") -> None:
        await self.until(kind, lambda found: said(found, names, type_, status))

    async def until_gone(self, kind: Kind, *names: str) -> None:
        await self.until(kind, lambda found: not {each["metadata"]["name"] for each in found} & set(names))

    async def secret(self, name: str, **data: str) -> None:
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self.cluster.apply(kinds.SECRET.new(name, "default", data=coded), manager="test")

    async def board(self, name: str, *, online: bool = True, labels: dict[str, str] | None = None) -> str:
        """A Board whose agent came, perhaps."""
        from continuo.resources.boards import BOARD

        await self.make(BOARD, name, labels=labels or {})
        await self.until(BOARD, lambda found: any(named(each, name) and external(each) for each in found))
        uuid = self.external(BOARD, name)
        if online:
            self.fake.connect(uuid)
        return uuid

    def events(self) -> list[tuple[str, str]]:
        """(reason, note) of all events."""
        return [(each["reason"], each.get("note", "")) for each in self.api.list(kinds.EVENT)]


def _holds(test: Callable[[list[Object]], bool], found: list[Object]) -> bool:
    """What a test asks of what is not there yet does not hold."""
    try:
        return test(found)
    except (IndexError, KeyError):
        return False


def named(obj: Object, name: str) -> bool:
    return bool(obj["metadata"]["name"] == name)


def external(obj: Object) -> str:
    return annotations_of(obj).get(EXTERNAL_NAME, "")


def said(found: Iterable[Object], names: Iterable[str], type_: str, status: str) -> bool:
    states = {each["metadata"]["name"]: (condition(each, type_) or {}).get("status") for each in found}
    return all(states.get(name) == status for name in names)


@asynccontextmanager
async def provider_world(
    *, events: bool = True, settings: Settings = FAST, started: bool = True
) -> AsyncIterator[Bench]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    async with served(Fake(events=events)) as fake:
        bench = Bench(engine, server, fake)
        bench.settings = settings
        try:
            await bench.configure()
            if started:
                await bench.start()
            yield bench
        finally:
            await bench.kill()
            await bench.cluster.close()
            await server.stop()
            await engine.stop()
