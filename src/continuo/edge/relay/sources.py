"""Where readings may come from: addresses that nobody guesses, and the same reading known when it comes two ways."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable
from urllib.parse import quote

from continuo.edge.relay.model import Source

WINDOW, MOST = 600.0, 100_000
"""Seconds for which a reading is remembered, and how many are."""
CACHED = 10_000


class Doors:
    """The addresses of sources: each has a token made with the relay's key, so no list of them has to be kept."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: OrderedDict[tuple[str, str, str, str], Source] = OrderedDict()

    def path(self, source: Source, rule: str) -> str:
        """Where the readings of a source are posted: the path of the URL."""
        parts = (self._token(source, rule), source.namespace, source.node, rule)
        return "/ingest/" + "/".join(quote(part, safe="") for part in parts)

    def source(self, token: str, namespace: str, node: str, rule: str, of: Iterable[Source]) -> Source | None:
        """Which of these sources an address belongs to; None: it is none of ours."""
        key = (token, namespace, node, rule)
        found = self._known.get(key)
        if found is not None:
            return found
        for source in of:
            if hmac.compare_digest(self._token(source, rule).encode(), token.encode()):
                self._known[key] = source
                if len(self._known) > CACHED:
                    self._known.popitem(last=False)
                return source
        return None

    def _token(self, source: Source, rule: str) -> str:
        text = "\0".join((source.namespace, source.node, source.topic, rule))
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:16].hex()


class Doubles:
    """Knows a reading that came before: by another way, or, if it says time and sequence, by any.

    Readings that say neither may be equal and yet two. Each way brings each of them once, so the one that comes for the
    third time in all, but for the second time this way, is new: it is the second one.
    """

    def __init__(self, window: float = WINDOW, most: int = MOST) -> None:
        self._window, self._most = window, most
        self._seen: OrderedDict[bytes, tuple[float, dict[str, int]]] = OrderedDict()

    def known(self, source: Source, body: bytes, way: str, *, numbered: bool, now: float) -> bool:
        """Whether this reading has been here; it is remembered."""
        self._expire(now)
        place = "\0".join((source.namespace, source.node, source.topic)).encode()
        key = hashlib.blake2b(b"%b\0%b" % (place, body), digest_size=16).digest()
        found = self._seen.get(key)
        if found is None:
            self._seen[key] = (now, {way: 1})
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
            return False
        ways = found[1]
        before = max(ways.values())
        ways[way] = ways.get(way, 0) + 1
        if numbered:
            return True
        self._seen[key] = (now, ways)
        self._seen.move_to_end(key)
        return ways[way] <= before

    def _expire(self, now: float) -> None:
        while self._seen:
            at, _ = next(iter(self._seen.values()))
            if now - at <= self._window:
                return
            self._seen.popitem(last=False)
