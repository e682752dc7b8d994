"""Frames in a stream, and what is read of one: whatever comes, it is a frame that we carry or a reason why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.frames import Arp, Decoder, Ip, Ipv6, Malformed, encode, parse
from iot.networks.packets import ALL, arp, ethernet, icmp, ip, ipv4, mac, tcp, udp

ONE, OTHER = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
A, B = "10.5.0.1", "10.5.0.2"
FRAMES = st.lists(st.binary(max_size=1414), max_size=20)


@given(FRAMES, st.lists(st.integers(1, 3000), max_size=30))
def test_frames_come_out_as_they_went_in_whatever_the_pieces(frames: list[bytes], cuts: list[int]) -> None:
    stream, decoder, came = encode(frames), Decoder(1400), []
    for cut in [*cuts, len(stream)]:
        came += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert came == frames


def test_a_frame_longer_than_the_mtu_ends_the_stream() -> None:
    assert Decoder(1400).feed(encode([b"x" * 1414])) == [b"x" * 1414]
    with pytest.raises(Malformed, match="too long"):
        Decoder(1400).feed((1415).to_bytes(2, "big"))


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_no_stream_makes_the_decoder_hold_more_than_a_frame(pieces: list[bytes]) -> None:
    decoder = Decoder(1400)
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert len(frame) <= 1414
            assert len(decoder._rest) < 1416
    except Malformed as error:
        assert str(error) == "too long"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_reason(data: bytes) -> None:
    reason_or_frame(data)


@given(
    st.sampled_from([0x0800, 0x0806, 0x86DD]),
    st.binary(max_size=120),
    st.sampled_from([b"", b"\x45\x00\x00\x28", b"\x46\x00\x00\x30", b"\x60\0\0\0", b"\0\x01\x08\0\x06\x04\0\x01"]),
)
def test_any_packet_is_read_or_a_reason(kind: int, rest: bytes, start: bytes) -> None:
    reason_or_frame(ethernet(OTHER, ONE, kind, start + rest))


def reason_or_frame(data: bytes) -> None:
    try:
        header = parse(data)
    except Malformed as error:
        assert 0 < len(str(error)) < 20
        return
    assert (header.destination, header.source) == (data[:6], data[6:12])
    if isinstance(header.carried, Ip):
        assert header.carried.payload <= len(data)


@given(st.sampled_from(["tcp", "udp", "icmp", "arp"]), st.data())
def test_a_frame_that_is_cut_or_changed_never_breaks_the_reader(kind: str, data: st.DataObject) -> None:
    whole = {
        "tcp": ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, tcp(1, 2))),
        "udp": ethernet(OTHER, ONE, 0x0800, ipv4(17, A, B, udp(1, 2, b"words"))),
        "icmp": ethernet(OTHER, ONE, 0x0800, ipv4(1, A, B, icmp(8))),
        "arp": ethernet(ALL, ONE, 0x0806, arp(1, ONE, A, B)),
    }[kind]
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(0, len(changed) - 1)), max_size=4)):
        if changed:
            changed[at] = data.draw(st.integers(0, 255))
    reason_or_frame(bytes(changed))


def test_what_is_read() -> None:
    header = parse(ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, tcp(1000, 80, flags=0x12))))
    assert header.carried == Ip(6, ip(A), ip(B), (1000, 80), 34, None, 0x12)
    assert not header.group
    assert parse(ethernet(OTHER, ONE, 0x0800, ipv4(1, A, B, icmp(3, 1)))).carried == Ip(
        1, ip(A), ip(B), (3, 1), 34, None
    )
    later = parse(ethernet(OTHER, ONE, 0x0800, ipv4(17, A, B, b"rest", number=7, offset=8)))
    assert later.carried == Ip(17, ip(A), ip(B), None, 34, 7)
    asked = parse(ethernet(ALL, ONE, 0x0806, arp(1, ONE, A, B)))
    assert asked.group and asked.carried == Arp(1, mac(ONE), ip(A), ip(B))
    six = bytes.fromhex("6000000000003a40") + bytes(15) + b"\x01" + bytes(15) + b"\x02"
    assert parse(ethernet(OTHER, ONE, 0x86DD, six)).carried == Ipv6(0x3A, bytes(15) + b"\x01", bytes(15) + b"\x02")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\0" * 13, "too short"),
        (ethernet(OTHER, ALL, 0x0800, ipv4(6, A, B, tcp(1, 2))), "source is a group"),
        (ethernet(OTHER, ONE, 0x8100, b"\0\x05" + b"\x08\x00" + ipv4(6, A, B, tcp(1, 2))), "vlan"),
        (ethernet(OTHER, ONE, 0x88A8, b"\0" * 50), "vlan"),
        (ethernet(OTHER, ONE, 0x88CC, b"\0" * 50), "ethertype"),
        (ethernet(OTHER, ONE, 0x0020, b"\0" * 50), "ethertype"),
        (ethernet(OTHER, ONE, 0x0806, arp(1, ONE, A, B)[:27]), "bad arp"),
        (ethernet(OTHER, ONE, 0x0806, arp(3, ONE, A, B)), "bad arp"),
        (ethernet(OTHER, ONE, 0x0800, b"\x65" + ipv4(6, A, B, tcp(1, 2))[1:]), "bad ipv4"),
        (ethernet(OTHER, ONE, 0x0800, b"\x44" + ipv4(6, A, B, tcp(1, 2))[1:]), "bad ipv4"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, tcp(1, 2))[:-1]), "bad ipv4"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, tcp(1, 2)[:19])), "bad tcp"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, tcp(1, 2)[:8], more=True)), "bad tcp"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(6, A, B, b"\0" * 20, offset=1)), "bad ipv4"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(17, A, B, b"\0" * 7)), "bad udp"),
        (ethernet(OTHER, ONE, 0x0800, ipv4(1, A, B, b"\0" * 7)), "bad icmp"),
        (ethernet(OTHER, ONE, 0x86DD, b"\x60" + b"\0" * 38), "bad ipv6"),
        (ethernet(OTHER, ONE, 0x86DD, b"\x60\0\0\0\0\x09" + b"\0" * 34), "bad ipv6"),
    ],
)
def test_what_is_not_carried(frame: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=f"^{reason}$"):
        parse(frame)
