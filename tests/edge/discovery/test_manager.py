"""Flavors appear, change and go with what the cluster says; whoever is killed in between leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from continuo.edge.discovery.manager import EdgeResourceManager
from continuo.edge.discovery.settings import NODE_LABEL, Settings
from continuo.edge.sensors.reading import sensor_of_flavor
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, condition
from continuo.runtime.following import until
from seeding import seeds

from .edge_world import Mortal, World, fork, introduce, uid_of, world

pytestmark = pytest.mark.anyio
SAMPLES = Path(__file__).parents[3] / "docs/samples/edge"


def decoded(device: Object) -> str:
    return (condition(device, "SensorsDecoded") or {}).get("status", "")


def device_of(flavor: Object) -> str:
    return str(flavor["metadata"]["labels"]["continuo.dev/device"])


def trouble(device: Object) -> str:
    return str((condition(device, "SensorsDecoded") or {}).get("message"))


async def test_a_sensor_is_offered_from_its_device_to_its_flavor() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a", **{"sensors.continuo.dev/location-city": "Catania"})
        device = await made.device("board", fork("s1"), fork("s2", model="LPS22HH"), **{
            "sensors.continuo.dev/price-amount": "0.02",
        })  # fmt: skip
        first, second = await made.uids("s1", "s2", available=True)
        assert first["metadata"]["name"].startswith("provider.eu-sensor-")
        assert first["metadata"]["namespace"] == "default"
        assert first["metadata"]["labels"] == {"continuo.dev/device": "board", "continuo.dev/node": "edge-a"}
        assert [owner["uid"] for owner in first["metadata"]["ownerReferences"]] == [device["metadata"]["uid"]]
        spec = first["spec"]
        assert spec["owner"] == {"domain": "provider.eu", "nodeID": "node-1", "ip": "192.0.2.1:30001"}
        assert (spec["price"]["amount"], spec["location"]) == ("0.02", {"city": "Catania"})
        said = second["spec"]["flavorType"]["typeData"]["characteristics"]
        assert (said["model"], said["node"], said["name"]) == ("lps22hh", "edge-a", "HTS")
        assert said["access"]["resource"] == {"topic": "sensor/board/lps22hh", "node": "edge-a"}
        assert sensor_of_flavor(first).latency == 14


async def test_a_change_is_made_in_place_and_what_is_described_no_more_goes() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"), fork("s2"))
        before = await made.uids("s1", "s2")
        await made.cluster.patch(
            kinds.DEVICE,
            "board",
            {"metadata": {"annotations": {"sensors": json.dumps([fork("s1", latency="7")])}}},
            "default",
        )
        (after,) = await made.flavors(
            lambda found: len(found) == 1 and sensor_of_flavor(found[0]).latency == Decimal(7)
        )
        assert after["metadata"]["uid"] == before[0]["metadata"]["uid"]


@pytest.mark.parametrize("what", ["node", "label", "value", "annotation", "device", "moved"])
async def test_flavors_go_and_come_back(what: str) -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.node("edge-b", None)
        await made.device("board", fork("s1"))
        (before,) = await made.uids("s1")
        cluster = made.cluster
        if what == "node":
            await cluster.delete(kinds.NODE, "edge-a")
        elif what in ("label", "value"):
            patch = {"metadata": {"labels": {NODE_LABEL: None if what == "label" else "True"}}}
            await cluster.patch(kinds.NODE, "edge-a", patch)
        elif what == "annotation":
            await made.annotate("board", None)
        elif what == "device":
            await cluster.delete(kinds.DEVICE, "board", "default")
        else:
            await cluster.patch(kinds.DEVICE, "board", {"spec": {"nodeName": "edge-b"}}, "default")
        await made.uids()
        if what in ("label", "value"):
            await cluster.patch(kinds.NODE, "edge-a", {"metadata": {"labels": {NODE_LABEL: "true"}}})
            (after,) = await made.uids("s1")
            assert after["metadata"]["name"] == before["metadata"]["name"]
        if what == "moved":
            await cluster.patch(kinds.NODE, "edge-b", {"metadata": {"labels": {NODE_LABEL: "true"}}})
            (after,) = await made.uids("s1")
            assert after["metadata"]["labels"]["continuo.dev/node"] == "edge-b"


async def test_an_offline_device_is_not_available() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        await made.uids("s1", available=True)
        status = kinds.DEVICE_STATUS.new("board", "default", status={"state": "offline"})
        await made.cluster.create(status)
        await made.uids("s1", available=False)
        await made.cluster.patch(kinds.DEVICE_STATUS, "board", {"status": {"state": "online"}}, "default")
        await made.uids("s1", available=True)
        await made.cluster.delete(kinds.DEVICE_STATUS, "board", "default")
        await made.cluster.patch(kinds.DEVICE, "board", {"status": {"state": "disconnected"}}, "default")
        await made.uids("s1", available=False)


async def test_a_hold_is_kept_and_an_exclusive_one_is_no_offer() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        (flavor,) = await made.uids("s1", available=True)
        name = flavor["metadata"]["name"]
        await made.hold(name, exclusive=True)
        (held,) = await made.uids("s1", available=False)
        await made.annotate("board", json.dumps([fork("s1", latency="3")]))
        (held,) = await made.flavors(lambda found: sensor_of_flavor(found[0]).latency == 3)
        assert held["spec"]["availability"] is False
        assert "rear.continuo.dev/holds" in annotations_of(held)
        await made.hold(name, exclusive=False)
        await made.uids("s1", available=True)


async def test_a_held_flavor_is_marked_when_its_sensor_goes_and_good_again_when_it_is_back() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        (flavor,) = await made.uids("s1")
        await made.hold(flavor["metadata"]["name"])
        await made.annotate("board", None)
        (marked,) = await made.uids("s1", available=False)
        assert annotations_of(marked)["continuo.dev/withdrawn"] == "Device default/board describes no sensors any more"
        await made.annotate("board", json.dumps([fork("s1")]))
        (back,) = await made.uids("s1", available=True)
        assert "continuo.dev/withdrawn" not in annotations_of(back)
        await made.cluster.delete(kinds.DEVICE, "board", "default")
        (left,) = await made.uids("s1", available=False)
        assert annotations_of(left)["continuo.dev/withdrawn"] == "Device default/board is gone"


async def test_what_somebody_changed_or_deleted_is_mended() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        (flavor,) = await made.uids("s1")
        name, cluster = flavor["metadata"]["name"], made.cluster
        changes = (
            {"spec": {"price": {"amount": "9"}}},
            {"spec": {"availability": False}},
            {"metadata": {"labels": {"continuo.dev/device": None}, "ownerReferences": None}},
            {"spec": {"flavorType": {"typeData": {"characteristics": {"latency": "1", "more": "x"}}}}},
        )
        for change in changes:
            changed = await cluster.patch(kinds.FLAVOR, name, change, "default")
            assert changed["metadata"]["resourceVersion"] != flavor["metadata"]["resourceVersion"]
            (mended,) = await made.flavors(lambda found: same(found[0], flavor))
        await cluster.delete(kinds.FLAVOR, name, "default")
        (again,) = await made.flavors(
            lambda found: len(found) == 1 and found[0]["metadata"]["uid"] != mended["metadata"]["uid"]
        )
        assert same(again, flavor)


def same(one: Object, other: Object) -> bool:
    def told(flavor: Object) -> tuple[object, ...]:
        metadata = flavor["metadata"]
        return flavor["spec"], metadata.get("labels"), metadata.get("ownerReferences"), metadata["name"]

    return told(one) == told(other)


async def test_a_broken_annotation_is_told_once_and_cleared_when_it_is_mended() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"), fork("s2", latency="soon"))
        await made.device("other", fork("s3"))
        await made.uids("s1", "s3")
        device = await made.says("board", lambda one: decoded(one) == "False")
        assert trouble(device) == (
            "1 sensor can be sold, but sensors[1].latency: must be a number, perhaps with a unit, not 'soon'"
        )
        events = await until(made.cluster, kinds.EVENT, bool, "default", timeout=20)
        assert [(event["reason"], event["regarding"]["name"], event["note"]) for event in events] == [
            ("BadAnnotation", "board", trouble(device))
        ]
        await made.annotate("board", json.dumps([fork("s1"), fork("s2")]))
        await made.uids("s1", "s2", "s3")
        await made.says("board", lambda one: decoded(one) == "True")
        events = await until(made.cluster, kinds.EVENT, lambda found: len(found) == 2, "default", timeout=20)
        assert all("series" not in event for event in events)
        other = await made.cluster.get(kinds.DEVICE, "other", "default")
        assert condition(other, "SensorsDecoded") is None, "what was never wrong is not written to"


async def test_where_the_api_server_keeps_no_conditions_an_annotation_says_it() -> None:
    async with world() as made:
        name = kinds.DEVICE.resource
        definition = await made.cluster.get(kinds.CUSTOM_RESOURCE_DEFINITION, name)
        for version in definition["spec"]["versions"]:
            properties = version["schema"]["openAPIV3Schema"]["properties"]
            properties["status"] = {"type": "object", "properties": {"state": {"type": "string"}}}
            version["schema"]["openAPIV3Schema"].pop("x-kubernetes-preserve-unknown-fields", None)
        await made.cluster.replace(definition)
        async with made.manager():
            await made.node("edge-a")
            await made.device("board", {"uid": "s1"})
            key = "continuo.dev/sensors-decoded"
            device = await made.says("board", lambda one: key in annotations_of(one))
            assert json.loads(annotations_of(device)[key])["status"] == "False"
            await made.annotate("board", json.dumps([fork("s1")]))
            await made.says("board", lambda one: key not in annotations_of(one))


async def test_of_two_devices_with_one_uid_the_older_has_it() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.node("edge-b", None)
        first = await made.device("zz-first", fork("s1"))
        await made.uids("s1")
        made.clock.skipped += 1.0  # creation times have seconds
        await made.device("aa-second", fork("s1"), fork("s2"))
        flavors = await made.uids("s1", "s2")
        assert flavors[0]["metadata"]["ownerReferences"][0]["uid"] == first["metadata"]["uid"]
        device = await made.says("aa-second", lambda one: decoded(one) == "False")
        assert "uid 's1' is that of a sensor of the older Device default/zz-first" in trouble(device)
        await made.cluster.patch(kinds.DEVICE, "zz-first", {"spec": {"nodeName": "edge-b"}}, "default")
        await made.flavors(lambda found: [device_of(one) for one in found] == ["aa-second"] * 2)
        await made.says("aa-second", lambda one: decoded(one) == "True")


@pytest.mark.parametrize("status", ["Unknown", "False"])
async def test_sensors_behind_a_node_that_is_not_ready_cannot_be_bought_until_it_is(status: str) -> None:
    """Unknown is what Kubernetes says when a node's lease has run out."""

    def ready(status: str) -> Object:
        return {"status": {"conditions": [{"type": "Ready", "status": status, "reason": "r", "message": "m"}]}}

    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.node("edge-b")
        await made.device("board", fork("s1"))
        await made.device("other", fork("s2"), node="edge-b")
        await made.uids("s1", "s2", available=True)
        await made.hold((await made.uids("s1", "s2"))[0]["metadata"]["name"])

        def available(found: list[Object]) -> dict[str, bool]:
            return {uid_of(one): one["spec"]["availability"] for one in found}

        for said, wanted in ((status, False), ("True", True), (status, False)):
            await made.cluster.patch(kinds.NODE, "edge-a", ready(said), subresource="status")
            found = await made.flavors(lambda found, wanted=wanted: available(found) == {"s1": wanted, "s2": True})
        (sold,) = (one for one in found if uid_of(one) == "s1")
        assert "contract-1" in annotations_of(sold)["rear.continuo.dev/holds"], "who bought it keeps it"


async def test_more_readings_sold_than_the_node_sends_are_told() -> None:
    async with world() as made, made.manager(Settings(budget=15)):
        await made.node("edge-a")
        await made.device("one", fork("s1"))
        await made.device("two", fork("s2"))
        await made.device("three", fork("s3"))
        flavors = await made.uids("s1", "s2", "s3")
        await made.hold(flavors[0]["metadata"]["name"])
        await made.hold(flavors[1]["metadata"]["name"])

        def status(device: Object) -> str:
            return (condition(device, "RateWithinBudget") or {}).get("status", "")

        device = await made.says("one", lambda one: status(one) == "False")
        await made.says("two", lambda one: status(one) == "False")
        found = condition(device, "RateWithinBudget")
        assert found is not None
        assert found["message"].startswith(
            "20 readings a second were sold of sensors behind node edge-a, which sends 15"
        )
        await made.hold(flavors[1]["metadata"]["name"], contract="")
        await made.says("one", lambda one: status(one) == "True")
        assert status(await made.cluster.get(kinds.DEVICE, "three", "default")) == ""


async def test_nothing_is_offered_before_it_is_known_who_sells() -> None:
    async with world(identity=False) as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        await until(made.cluster, kinds.DEVICE, bool, timeout=20)
        assert (await made.cluster.list(kinds.FLAVOR)).items == []
        await introduce(made)
        await made.uids("s1")


async def test_a_device_without_a_node_is_told_so() -> None:
    async with world() as made, made.manager():
        await made.device("board", fork("s1"), node="")
        device = await made.says("board", lambda one: decoded(one) == "False")
        assert "spec.nodeName: is missing" in trouble(device)


@pytest.mark.parametrize("sample", ["stwin-v1beta1.yaml", "stwin-v1alpha2.yaml"])
@pytest.mark.parametrize("pruned", [False, True])
async def test_the_samples_work_unchanged(sample: str, pruned: bool) -> None:
    objects = [obj for obj in yaml.safe_load_all((SAMPLES / sample).read_text(encoding="utf-8")) if obj]
    async with world() as made, made.manager():
        await made.node("edge-a")
        for obj in objects:
            if pruned and obj["kind"] == "Device":  # what a real API server leaves of it, and what kubectl notes
                obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(obj)
                obj["spec"] = {"deviceModelRef": obj["spec"]["deviceModelRef"], "protocol": {}}
            await made.cluster.create(obj)
        flavors = await made.flavors(lambda found: len(found) == (2 if "beta" in sample else 1))
        (sensor,) = (found for found in map(sensor_of_flavor, flavors) if found.model == "hts221")
        mac = "001122AABBCC" if "beta" in sample else "001122AABBCD"
        assert sensor.topic == f"sensor/{mac}/00140000000111e1ac360002a5d5c51b/hts221"
        assert (sensor.manufacturer, sensor.topic_node, sensor.types) == (
            "STMicroelectronics", "edge-a", ("Temperature", "Humidity"),
        )  # fmt: skip
        if "alpha" in sample:
            assert (sensor.uid, sensor.sampling_rate) == ("stwinkt1b-001122aabbcd-hts221", 12)


async def quiet(manager: EdgeResourceManager) -> None:
    """Return when nothing is left to look at."""
    async with asyncio.timeout(20):
        for _ in range(1_000_000):
            if manager.controller.queue.idle:
                return
            await asyncio.sleep(0)


async def test_it_idles_without_asking() -> None:
    async with world() as made, made.manager() as manager:
        await made.node("edge-a")
        for number in range(5):
            await made.device(f"board-{number}", *(fork(f"s{number}-{at}") for at in range(4)))
        await made.flavors(lambda found: len(found) == 20)
        await quiet(manager)
        before = manager.controller.stats.reconciles, [one.lists for one in manager.followed.informers]
        await made.cluster.patch(kinds.DEVICE, "board-0", {"status": {"twins": [{"propertyName": "x"}]}}, "default")
        await until(
            made.cluster, kinds.DEVICE, lambda found: any("twins" in (one.get("status") or {}) for one in found)
        )
        assert (manager.controller.stats.reconciles, [one.lists for one in manager.followed.informers]) == before
        assert all(lists <= 1 for lists in before[1])


@pytest.mark.parametrize("seed", seeds(2))
async def test_killed_at_any_write_the_next_one_ends_at_the_same(seed: int) -> None:
    rng = random.Random(seed)
    async with world() as made:
        await made.node("edge-a")
        await made.device("board", fork("s1"), fork("s2"), fork("s3", latency="soon"))
        await made.device("other", fork("s4"))
        for writes in range(1, 8):
            fate = Mortal(made.client(), writes, rng.random() < 0.5)
            async with made.manager(cluster=fate):
                if writes == 4:
                    await made.annotate("board", json.dumps([fork("s1", latency="5"), fork("s5"), {"uid": "x"}]))
                settled = asyncio.create_task(_settled(made, writes >= 4))
                dead = asyncio.create_task(fate.dead.wait())
                await asyncio.wait({settled, dead}, return_when=asyncio.FIRST_COMPLETED)
                for task in (settled, dead):
                    task.cancel()
                await asyncio.gather(settled, dead, return_exceptions=True)
        async with made.manager():
            await _settled(made, True)
        flavors = (await made.cluster.list(kinds.FLAVOR)).items
        assert len({flavor["metadata"]["name"] for flavor in flavors}) == len(flavors) == 3
        assert all(flavor["spec"]["availability"] for flavor in flavors)


async def _settled(made: World, changed: bool) -> None:
    wanted = ("s1", "s4", "s5") if changed else ("s1", "s2", "s4")
    await made.uids(*wanted)
    said = "sensors[2].model" if changed else "sensors[2].latency"
    await made.says("board", lambda one: said in trouble(one))
    if changed:
        await made.flavors(
            lambda found: any(uid_of(one) == "s1" and sensor_of_flavor(one).latency == 5 for one in found)
        )


async def test_a_held_flavor_that_is_deleted_comes_back_when_its_name_is_free() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"))
        (flavor,) = await made.uids("s1", available=True)
        name = flavor["metadata"]["name"]
        await made.hold(name)
        await made.cluster.delete(kinds.FLAVOR, name, "default")
        (marked,) = await made.uids("s1", available=False)
        assert annotations_of(marked)["continuo.dev/withdrawn"] == "it was deleted"
        release = {"metadata": {"annotations": {"rear.continuo.dev/holds": None}, "finalizers": []}}
        await made.cluster.patch(kinds.FLAVOR, name, release, "default")
        (again,) = await made.uids("s1", available=True)
        assert (again["metadata"]["name"], "continuo.dev/withdrawn" in annotations_of(again)) == (name, False)
        assert again["metadata"]["uid"] != flavor["metadata"]["uid"]


async def test_kubeedge_that_serves_v1alpha2_alone_and_is_upgraded() -> None:
    async with world() as made:
        definition = await made.cluster.get(kinds.CUSTOM_RESOURCE_DEFINITION, kinds.DEVICE.resource)
        older, newer = definition["spec"]["versions"]
        older["storage"], newer["served"], newer["storage"] = True, False, False
        changed = await made.cluster.replace(definition)
        async with made.manager() as manager:
            await made.node("edge-a")
            (sample,) = yaml.safe_load_all((SAMPLES / "stwin-v1alpha2.yaml").read_text(encoding="utf-8"))
            await made.cluster.create(sample)
            await made.uids("stwinkt1b-001122aabbcd-hts221", available=True)
            assert manager.followed.device_kind == kinds.DEVICE_V1ALPHA2
            changed["spec"]["versions"][1]["served"] = True
            await made.cluster.replace(changed)
            manager.followed.informers[0].wake()
            await made.device("board", fork("s1"))
            await made.uids("s1", "stwinkt1b-001122aabbcd-hts221", available=True)
            assert manager.followed.device_kind == kinds.DEVICE
