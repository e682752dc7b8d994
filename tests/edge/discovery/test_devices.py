"""A board's SPIFFE ID: from its name and what its silicon is known by, on each of its Flavors."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.edge.discovery.boards import board_of
from continuo.edge.discovery.devices import DEVICE_ID, HARDWARE_ID, hardware_id, id_of
from continuo.edge.discovery.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of
from continuo.trust.ids import TrustDomain

from .edge_world import fork, world

pytestmark = pytest.mark.anyio
DOMAIN = TrustDomain("edge.example")


def device(mac: str = "", name: str = "board", **notes: str) -> Object:
    spec = {"protocol": {"protocolName": "bluetooth", "configData": {"macAddress": mac} if mac else {}}}
    return kinds.DEVICE.new(name, "default", metadata={"annotations": notes, "uid": "u"}, spec=spec)


@pytest.mark.parametrize(
    ("mac", "notes", "wanted"),
    [
        ("E9:90:6E:F2:09:A8", {}, "e9906ef209a8"),
        ("e9906ef209a8", {}, "e9906ef209a8"),
        ("E9:90:6E:F2:09:A8", {HARDWARE_ID: "0031003A 30355119-31323536"}, "0031003a3035511931323536"),
        ("", {HARDWARE_ID: "0031003A3035511931323536"}, "0031003a3035511931323536"),
        ("", {}, ""),
        ("E9:90:6E", {}, ""),
        ("", {HARDWARE_ID: "../../gw/1"}, ""),
        ("", {HARDWARE_ID: "a" * 65}, ""),
        ("", {HARDWARE_ID: "0031003A3035511931323536\n/x"}, ""),
    ],
)
def test_what_its_silicon_is_known_by(mac: str, notes: dict[str, str], wanted: str) -> None:
    board = board_of(device(mac, **notes))
    assert hardware_id(board) == wanted
    found = id_of(board, DOMAIN)
    assert str(found or "") == (f"spiffe://edge.example/led/board-{wanted}" if wanted else "")


async def flavor_notes(made: Any, test: Any) -> dict[str, str]:
    found = await made.flavors(lambda flavors: len(flavors) == 1 and test(annotations_of(flavors[0])))
    return dict(annotations_of(found[0]))


async def test_flavors_name_their_device_and_follow_it() -> None:
    async with world() as made, made.manager(Settings(trust_domain=DOMAIN)):
        await made.node("edge-a")
        await made.device("board", fork("s1"), **{HARDWARE_ID: "00112233445566778899aabb"})
        name = "spiffe://edge.example/led/board-00112233445566778899aabb"
        assert await flavor_notes(made, lambda notes: notes) == {DEVICE_ID: name}
        (flavor,) = await made.uids("s1")
        await made.hold(flavor["metadata"]["name"])
        patch = {"metadata": {"annotations": {HARDWARE_ID: "ffeeddccbbaa"}}}
        await made.cluster.patch(kinds.DEVICE, "board", patch, "default")
        notes = await flavor_notes(made, lambda notes: "ffeeddccbbaa" in notes.get(DEVICE_ID, ""))
        assert "rear.continuo.dev/holds" in notes
        patch = {"metadata": {"annotations": {HARDWARE_ID: None}}}
        await made.cluster.patch(kinds.DEVICE, "board", patch, "default")
        assert set(await flavor_notes(made, lambda notes: DEVICE_ID not in notes)) == {"rear.continuo.dev/holds"}


async def test_nobody_else_says_whose_readings_a_flavor_sells() -> None:
    async with world() as made, made.manager(Settings(trust_domain=DOMAIN)):
        await made.node("edge-a")
        await made.device("board", fork("s1"), **{HARDWARE_ID: "00112233445566778899aabb"})
        (flavor,) = await made.uids("s1")
        forged = {"metadata": {"annotations": {DEVICE_ID: "spiffe://edge.example/led/other-000000000000"}}}
        await made.cluster.patch(kinds.FLAVOR, flavor["metadata"]["name"], forged, "default")
        notes = await flavor_notes(
            made, lambda notes: notes.get(DEVICE_ID, "").endswith("board-00112233445566778899aabb")
        )
        assert len(notes) == 1


async def test_without_a_trust_domain_flavors_name_none() -> None:
    async with world() as made, made.manager():
        await made.node("edge-a")
        await made.device("board", fork("s1"), **{HARDWARE_ID: "00112233445566778899aabb"})
        (flavor,) = await made.uids("s1")
        assert annotations_of(flavor) == {}
