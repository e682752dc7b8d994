"""A problem as one short text, so that a decision can carry what it was made from."""

from __future__ import annotations

import base64
import gzip
import zlib

import msgspec

from continuo.placement.model import Problem
from continuo.resources.errors import Invalid

LARGEST = 64 * 2**20
"""Bytes of a problem that is unpacked: what somebody else wrote shall not fill the memory."""


def canonical(problem: Problem) -> Problem:
    """The same problem in the order of its names."""
    return msgspec.structs.replace(
        problem,
        sites=tuple(sorted(problem.sites, key=lambda site: site.name)),
        parts=tuple(sorted(problem.parts, key=lambda part: part.id)),
        paths=tuple(sorted(problem.paths, key=lambda path: (path.a, path.b, msgspec.json.encode(path)))),
        talks=tuple(sorted(problem.talks, key=lambda talk: talk.name)),
        budgets=tuple(sorted(problem.budgets, key=lambda budget: (budget.owner, msgspec.json.encode(budget)))),
    )


def pack(problem: Problem) -> str:
    """Canonical JSON, gzip, base64: equal problems are equal texts."""
    text = msgspec.json.encode(canonical(problem), order="deterministic")
    return base64.b64encode(gzip.compress(text, compresslevel=9, mtime=0)).decode()


def unpack(text: str) -> Problem:
    """The problem that was packed; raises Invalid with a sentence where the text is none."""
    try:
        stream = zlib.decompressobj(wbits=31)
        data = stream.decompress(base64.b64decode(text, validate=True), LARGEST)
        if stream.unconsumed_tail or not stream.eof:
            raise Invalid(f"replay: a problem of more than {LARGEST} bytes, or one that was cut off")
        return msgspec.json.decode(data, type=Problem)
    except (ValueError, zlib.error, msgspec.DecodeError) as error:
        raise Invalid(f"replay: not a packed placement problem: {error}") from error
