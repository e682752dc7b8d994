"""Certificates that follow each other without a separator, as the Workload API sends them."""

from __future__ import annotations

_SEQUENCE = 0x30


def split(data: bytes) -> tuple[bytes, ...]:
    """Each certificate as it is, byte for byte; ValueError when the lengths do not add up."""
    found = []
    while data:
        size = _size(data)
        found.append(data[:size])
        data = data[size:]
    return tuple(found)


def _size(data: bytes) -> int:
    """How many bytes the first element has, with what stands before its content."""
    if len(data) < 2 or data[0] != _SEQUENCE:
        raise ValueError("this is no certificate in DER: it does not begin with a sequence")
    length, start = data[1], 2
    if length >= 0x80:
        start += length & 0x7F
        if start == 2 or start > 6:
            raise ValueError("this is no certificate in DER: its length is indefinite or absurd")
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("this certificate is cut off")
    return start + length
