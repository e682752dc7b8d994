"""Values that are handed over and never shown again: whoever knows a value can tell that it is there, nobody can read it.

What is shown instead of a value is a seal of it. It is made slowly on purpose, and with the workload's own id, so that a
value that a person chose is not found by trying many, nor once for all workloads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

_COST = 2**14
"""About 16 MiB and 40 ms."""


@lru_cache(maxsize=4096)
def seal(owner: str, name: str, value: str) -> str:
    """What is shown of a value; `owner` is the id of what has it. Slow: call it in a thread."""
    salt = f"continuo-sealed-v1\0{owner}\0{name}".encode("utf-8", "surrogatepass")
    made = hashlib.scrypt(value.encode("utf-8", "surrogatepass"), salt=salt, n=_COST, r=8, p=1, dklen=24)
    return f"sealed:{made.hex()}"


def seals(owner: str, values: Mapping[str, str]) -> dict[str, str]:
    """The same of several, by name."""
    return {name: seal(owner, name, value) for name, value in values.items()}
