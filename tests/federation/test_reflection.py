"""The reflection engine: its decisions, and the whole of it between two API servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.federation.reflection import objects, pods
from continuo.federation.reflection.engine import Reflection, Settings, identity
from continuo.federation.reflection.pod_reflector import WORKERS
from continuo.federation.reflection.twin import ORIGIN, TWIN_UID, VIRTUAL_NODE, Twin
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.errors import BadRequest, Conflict, NotFound
from continuo.resources.meta import Kind, Object, is_true
from continuo.runtime.informer import Informer, Watch

pytestmark = pytest.mark.anyio
NODE, SPACE = "far", "shop"
TWIN = Twin(NODE, "origin-uid", "remote-uid", frozenset({SPACE}), remote_pods="10.1.0.0/16", home_pods="10.2.0.0/16")
RUNNING = {
    "phase": "Running", "podIP": "10.200.3.4", "podIPs": [{"ip": "10.200.3.4"}], "hostIP": "192.0.2.1",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "main", "image": "i", "imageID": "", "ready": True, "restartCount": 0}],
}  # fmt: skip


def pod(uid: str = "u1", *, namespace: str = SPACE, status: Object | None = None, **metadata: object) -> Object:
    spec = {
        "nodeName": NODE,
        "containers": [
            {"name": "main", "image": "i", "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/t"}]}
        ],
        "volumes": [{"name": "kube-api-access-x"}, {"name": "data"}],
        "tolerations": [{"key": VIRTUAL_NODE, "operator": "Exists"}, {"key": "other"}],
        "affinity": {"nodeAffinity": {}},
    }
    made = kinds.POD.new("p", namespace, metadata={"uid": uid, "labels": {"app": "x"}, **metadata}, spec=spec)
    return {**made, "status": status or {"phase": "Pending"}}


def copy_of(original: Object, status: Object | None = None, **metadata: object) -> Object:
    made = pods.copy_of(TWIN, original)
    return {**made, "metadata": {**made["metadata"], "uid": "c1", **metadata}, "status": status or {}}


# --- decisions --------------------------------------------------------------------------------------------------------
def test_a_pod_is_sent_without_its_place_and_its_token() -> None:
    step = pods.decide(TWIN, pod(), None)
    assert isinstance(step, pods.Send)
    spec, metadata = step.copy["spec"], step.copy["metadata"]
    assert "nodeName" not in spec and "affinity" not in spec
    assert spec["volumes"] == [{"name": "data"}] and spec["containers"][0]["volumeMounts"] == []
    assert spec["tolerations"] == [{"key": "other"}]
    assert metadata["labels"] == {"app": "x", **TWIN.marks} and metadata["annotations"] == {TWIN_UID: "u1"}


def test_its_status_comes_back_with_the_address_that_home_sees() -> None:
    here = pod(status={"phase": "Pending", "reason": "OffloadingBackOff", "qosClass": "BestEffort",
                       "conditions": [{"type": "PodScheduled", "status": "True"}]})  # fmt: skip
    step = pods.decide(TWIN, here, copy_of(here, RUNNING))
    assert isinstance(step, pods.Tell)
    assert step.status["phase"] == "Running" and step.status["podIP"] == "10.1.3.4"
    assert step.status["reason"] is None and "qosClass" not in step.status and "hostIP" not in step.status
    assert [entry["type"] for entry in step.status["conditions"]] == ["Ready", "PodScheduled"]
    after = {**here, "status": {name: value for name, value in {**here["status"], **step.status}.items() if value}}
    assert pods.decide(TWIN, after, copy_of(here, RUNNING)) is None


def test_that_it_was_only_scheduled_there_is_not_told_but_that_it_cannot_be_is() -> None:
    def scheduled(status: str) -> Object:
        return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": status}]}

    assert pods.decide(TWIN, pod(), copy_of(pod(), scheduled("True"))) is None
    assert isinstance(pods.decide(TWIN, pod(), copy_of(pod(), scheduled("False"))), pods.Tell)


def test_a_time_that_one_cluster_writes_as_null_and_the_other_leaves_out_is_told_once() -> None:
    ready_there = {"type": "Ready", "status": "True", "lastProbeTime": None}
    there_now = {**RUNNING, "conditions": [ready_there]}
    step = pods.decide(TWIN, pod(), copy_of(pod(), there_now))
    assert isinstance(step, pods.Tell)
    kept = {**step.status, "conditions": [{name: value for name, value in ready_there.items() if value is not None}]}
    assert pods.decide(TWIN, pod(status=kept), copy_of(pod(), there_now)) is None
    broken = {**there_now, "conditions": [{**ready_there, "status": "False"}]}
    news = pods.decide(TWIN, pod(status=kept), copy_of(pod(), broken))
    assert isinstance(news, pods.Tell) and news.status == {"conditions": broken["conditions"]}


def test_that_a_copy_was_given_a_node_leads_to_nothing() -> None:
    fresh = copy_of(pod(), {"phase": "Pending"})
    bound = copy_of(pod(), {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]})
    runs = copy_of(pod(), RUNNING)
    relabelled = {**bound, "metadata": {**bound["metadata"], "labels": {**bound["metadata"]["labels"], "more": "x"}}}
    assert pods.only_taken(fresh, bound)
    for old, new in ((None, bound), (fresh, None), (fresh, runs), (runs, bound), (fresh, relabelled)):
        assert not pods.only_taken(old, new)


def test_the_copy_ends_before_the_pod() -> None:
    leaving = pod(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=7)
    assert pods.decide(TWIN, leaving, copy_of(leaving)) == pods.Recall(copy_of(leaving), 7)
    assert pods.decide(TWIN, leaving, copy_of(leaving, deletionTimestamp="2026-01-01T00:00:00Z")) is None
    assert pods.decide(TWIN, leaving, None) == pods.Finish(leaving)
    assert pods.decide(TWIN, None, copy_of(leaving)) == pods.Recall(copy_of(leaving))


def test_a_pod_made_anew_gets_a_new_copy() -> None:
    old = copy_of(pod("u1"))
    assert pods.decide(TWIN, pod("u2"), old) == pods.Recall(old)
    assert isinstance(pods.decide(TWIN, pod("u2"), None), pods.Send)


def test_an_ended_pod_is_not_started_again() -> None:
    assert pods.decide(TWIN, pod(status={"phase": "Succeeded"}), None) is None


def test_labels_follow() -> None:
    changed = pod(labels={"app": "y"})
    step = pods.decide(TWIN, changed, copy_of(pod(labels={"app": "x", "old": "1"})))
    assert isinstance(step, pods.Relabel) and step.labels == {"app": "y", "old": None}


def test_a_namespace_that_is_not_reflected_is_named() -> None:
    step = pods.decide(TWIN, pod(namespace="other"), None)
    assert isinstance(step, pods.Tell) and "namespace other is not reflected" in step.status["message"]
    told = pod(namespace="other", status={"phase": "Pending", **step.status})
    assert pods.decide(TWIN, told, None) is None


def test_endpoints_at_home_are_told_and_those_there_are_not() -> None:
    slice_ = {
        **kinds.ENDPOINT_SLICE.new("s", SPACE, metadata={"labels": {"kubernetes.io/service-name": "web"}}),
        "addressType": "IPv4", "ports": [],
        "endpoints": [{"addresses": ["10.200.0.9"], "nodeName": "n1"}, {"addresses": ["10.1.0.9"], "nodeName": NODE}],
    }  # fmt: skip
    copy = objects.copy_of(TWIN, kinds.ENDPOINT_SLICE, slice_)
    assert copy is not None and copy["endpoints"] == [{"addresses": ["10.2.0.9"]}]
    assert copy["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] != "endpointslice-controller.k8s.io"
    only_there = {**slice_, "endpoints": slice_["endpoints"][1:]}
    assert objects.copy_of(TWIN, kinds.ENDPOINT_SLICE, only_there) is None


def test_what_came_from_there_is_not_sent_back() -> None:
    theirs = kinds.CONFIG_MAP.new("c", SPACE, metadata={"labels": {ORIGIN: "remote-uid"}})
    assert objects.decide(TWIN, kinds.CONFIG_MAP, theirs, None) is None
    onwards = kinds.CONFIG_MAP.new("c", SPACE, metadata={"labels": {ORIGIN: "third-uid"}})
    assert isinstance(objects.decide(TWIN, kinds.CONFIG_MAP, onwards, None), objects.Create)


def test_tokens_and_certificates_of_home_stay() -> None:
    token = {**kinds.SECRET.new("t", SPACE), "type": "kubernetes.io/service-account-token"}
    assert objects.decide(TWIN, kinds.SECRET, token, None) is None
    assert objects.decide(TWIN, kinds.CONFIG_MAP, kinds.CONFIG_MAP.new("kube-root-ca.crt", SPACE), None) is None


# --- between two API servers ------------------------------------------------------------------------------------------
class Ends:
    """Two clusters, and a reflection between them that can be killed and started."""

    def __init__(self, engine: EmbeddedEngine, home: KubeCluster, remote: KubeCluster) -> None:
        self.engine, self.home, self.remote = engine, home, remote
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        settings = Settings(NODE, frozenset({SPACE}), {"cpu": "4", "pods": "9"})
        reflection = Reflection(self.home, self.remote, settings, beat=0.1, while_away=0.1)
        self._task = asyncio.create_task(reflection.run())
        ready = asyncio.create_task(reflection.ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            self._task.result()

    async def kill(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def remote_runs(self, name: str) -> None:
        """Play the remote cluster's kubelet."""
        await self.remote.patch(kinds.POD, name, {"status": RUNNING}, SPACE, subresource="status")


@asynccontextmanager
async def ends() -> AsyncIterator[Ends]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    made = []
    for name in ("home", "remote"):
        engine.create_cluster(name)
        made.append(connect(server.kubeconfig(server.url(name), name), name=name))
        made[-1].RETRIES = 1  # a cluster that is away is known to be after a second
    both = Ends(engine, *made)
    try:
        await both.home.create(kinds.NAMESPACE.new(SPACE))
        yield both
    finally:
        await both.kill()
        for cluster in made:
            await cluster.close()
        await server.stop()
        await engine.stop()


async def seen(cluster: KubeCluster, kind: Kind, name: str, test: Callable[[Object | None], bool]) -> Object | None:
    """Follow one object until the test holds."""
    namespace = SPACE if kind.namespaced else ""
    informer, changed = Informer(cluster, Watch(kind, namespace or None)), asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    informer.start()
    try:
        async with asyncio.timeout(15):
            await informer.synced.wait()
            while not test(informer.cache.get((namespace, name))):
                changed.clear()
                await changed.wait()
        return informer.cache.get((namespace, name))
    finally:
        await informer.stop()


def new_pod(name: str) -> Object:
    return kinds.POD.new(name, SPACE, spec={"nodeName": NODE, "containers": [{"name": "main", "image": "i"}]})


def there(obj: Object | None) -> bool:
    return obj is not None


def gone(obj: Object | None) -> bool:
    return obj is None


def ready(obj: Object | None) -> bool:
    return obj is not None and is_true(obj, "Ready")


async def test_a_pod_runs_there_is_ready_here_and_ends() -> None:
    async with ends() as both:
        await both.start()
        node = await both.home.get(kinds.NODE, NODE)
        assert is_true(node, "Ready") and node["status"]["allocatable"] == {"cpu": "4", "pods": "9"}
        assert (await both.home.get(kinds.LEASE, NODE, "kube-node-lease"))["spec"]["holderIdentity"] == NODE
        await both.home.create(new_pod("p"))
        await seen(both.remote, kinds.POD, "p", there)
        await both.remote_runs("p")
        here = await seen(both.home, kinds.POD, "p", ready)
        assert here is not None and here["status"]["podIP"] == "10.200.3.4"
        await both.home.delete(kinds.POD, "p", SPACE)
        await seen(both.remote, kinds.POD, "p", gone)
        await seen(both.home, kinds.POD, "p", gone)


async def test_a_pod_that_runs_is_told_of_before_others_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    many, names = 6 * WORKERS, list[str]()
    asked, allowed = asyncio.Semaphore(0), asyncio.Semaphore(0)
    async with ends() as both:
        create = both.remote.create

        async def when_allowed(obj: Object, *, manager: str | None = None) -> Object:
            if obj["kind"] == kinds.POD.kind:
                names.append(obj["metadata"]["name"])
                asked.release()
                await allowed.acquire()
            return await create(obj, manager=manager)

        monkeypatch.setattr(both.remote, "create", when_allowed)
        await both.start()
        for number in range(many):
            await both.home.create(new_pod(f"p-{number}"))
        for _ in range(WORKERS):
            await asked.acquire()
        first, sends = names[0], 1  # every worker is sending now, and most pods wait
        allowed.release()
        await seen(both.remote, kinds.POD, first, there)
        await both.remote_runs(first)
        told = asyncio.create_task(seen(both.home, kinds.POD, first, ready))
        while not told.done():
            sends += 1
            allowed.release()
            another = asyncio.create_task(asked.acquire())
            await asyncio.wait({told, another}, return_when=asyncio.FIRST_COMPLETED)
            another.cancel()
        await told
        assert sends < many / 2


async def test_it_takes_up_after_a_kill_what_happened_meanwhile() -> None:
    async with ends() as both:
        await both.start()
        for name in ("stays", "goes"):
            await both.home.create(new_pod(name))
            await seen(both.remote, kinds.POD, name, there)
        await both.kill()
        await both.home.delete(kinds.POD, "goes", SPACE, grace_seconds=0)
        await both.home.create(new_pod("comes"))
        await both.remote_runs("stays")
        await both.start()
        await seen(both.remote, kinds.POD, "comes", there)
        await seen(both.remote, kinds.POD, "goes", gone)
        await seen(both.home, kinds.POD, "stays", ready)


async def test_what_pods_need_follows_and_what_others_have_is_left_alone() -> None:
    async with ends() as both:
        await both.remote.create(kinds.NAMESPACE.new(SPACE))
        await both.remote.create(kinds.CONFIG_MAP.new("theirs", SPACE, data={"x": "there"}))
        await both.remote.create(new_pod("theirs"))
        for name in ("theirs", "ours"):
            await both.home.create(kinds.CONFIG_MAP.new(name, SPACE, data={"x": "home", "y": "1"}))
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        await both.home.create(kinds.SERVICE.new("web", SPACE, spec={"selector": {"app": "x"}, "ports": ports}))
        await both.start()
        await both.home.create(new_pod("theirs"))
        await seen(both.remote, kinds.SERVICE, "web", there)
        await seen(both.remote, kinds.CONFIG_MAP, "ours", there)
        web = await both.remote.get(kinds.SERVICE, "web", SPACE)
        labels = {**web["metadata"]["labels"], "kubernetes.io/service-name": "web"}  # as its own controller does
        own = kinds.ENDPOINT_SLICE.new("web-x", SPACE, metadata={"labels": labels}, addressType="IPv4", endpoints=[])
        await both.remote.create(own)
        await both.home.patch(kinds.CONFIG_MAP, "ours", {"data": {"y": None}}, SPACE)
        await seen(both.remote, kinds.CONFIG_MAP, "ours", lambda obj: obj is not None and obj["data"] == {"x": "home"})
        refused = await seen(
            both.home, kinds.POD, "theirs", lambda obj: bool((obj or {}).get("status", {}).get("message"))
        )
        assert refused is not None and "not ours" in refused["status"]["message"]
        assert (await both.remote.get(kinds.CONFIG_MAP, "theirs", SPACE))["data"] == {"x": "there"}
        await both.home.delete(kinds.CONFIG_MAP, "ours", SPACE)
        await seen(both.remote, kinds.CONFIG_MAP, "ours", gone)
        assert await both.remote.get(kinds.ENDPOINT_SLICE, "web-x", SPACE)


async def test_while_the_remote_is_away_its_pods_are_left_alone_and_then_taken_up() -> None:
    async with ends() as both:
        await both.start()
        await both.home.create(new_pod("p"))
        await seen(both.remote, kinds.POD, "p", there)
        both.engine.cluster("remote").outage = "unavailable"
        node = await seen(both.home, kinds.NODE, NODE, lambda obj: obj is not None and not is_true(obj, "Ready"))
        assert node is not None and "unavailable" in node["status"]["conditions"][0]["message"]
        await both.home.create(new_pod("later"))
        await both.home.delete(kinds.POD, "p", SPACE)
        both.engine.cluster("remote").outage = None
        await seen(both.home, kinds.NODE, NODE, ready)
        await seen(both.remote, kinds.POD, "later", there)
        await seen(both.home, kinds.POD, "p", gone)
        with pytest.raises(NotFound):
            await both.remote.get(kinds.POD, "p", SPACE)


async def test_a_copy_that_somebody_deletes_comes_back() -> None:
    async with ends() as both:
        await both.start()
        await both.home.create(new_pod("p"))
        first = await seen(both.remote, kinds.POD, "p", there)
        assert first is not None
        await both.remote.delete(kinds.POD, "p", SPACE, grace_seconds=0)
        uid = first["metadata"]["uid"]
        await seen(both.remote, kinds.POD, "p", lambda obj: obj is not None and obj["metadata"]["uid"] != uid)


async def test_a_cluster_is_no_node_of_itself_and_other_nodes_are_refused() -> None:
    async with ends() as both:
        with pytest.raises(BadRequest, match="the same cluster"):
            await Reflection(both.home, both.home, Settings(NODE, frozenset({SPACE}))).run()
        await both.home.create(kinds.NODE.new(NODE))
        with pytest.raises(Conflict, match="choose another name"):
            await both.start()
        with pytest.raises(NotFound):
            await both.home.get(kinds.LEASE, NODE, "kube-node-lease")
        assert await identity(both.home) != await identity(both.remote)
