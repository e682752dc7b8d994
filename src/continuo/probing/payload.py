"""The bytes of a transfer: no cache can know them, nothing can compress them, both ends can make them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 64 * 1024


def blocks(seed: str, size: int) -> Iterator[bytes]:
    """`size` bytes that only the seed decides, in blocks."""
    key = hashlib.sha256(seed.encode()).digest()
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    zeros = bytes(BLOCK)
    while size > 0:
        block = stream.update(zeros[: min(size, BLOCK)])
        size -= len(block)
        yield block


def digest(seed: str, size: int) -> bytes:
    """SHA-256 of these bytes."""
    whole = hashlib.sha256()
    for block in blocks(seed, size):
        whole.update(block)
    return whole.digest()
