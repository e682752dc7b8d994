"""Lists in pages: every page shows the state at the version of the first one.

A continue token holds that version and the last key. The state at that version is rebuilt by undoing the later changes
of the log, so tokens need no memory on the server, survive a restart, and expire exactly when the log was trimmed.
The few most recent snapshots are kept, because pages are asked for in a row.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from continuo.embedded.http.wire import decode_json, encode
from continuo.embedded.port import Api
from continuo.resources.errors import BadRequest, Expired
from continuo.resources.meta import Key, Kind, Object, key_of

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter."
)
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects of one kind at one version, in key order."""

    version: int
    objects: list[Object]
    keys: list[Key]


@dataclass(slots=True)
class Pages:
    """Cuts the lists of one cluster into pages."""

    api: Api
    _recent: OrderedDict[tuple[Kind, str, int], Snapshot] = field(default_factory=OrderedDict)

    def at(self, kind: Kind, namespace: str, version: int) -> Snapshot:
        """The state at a version; raises Expired when the log no longer reaches back to it."""
        key = (kind, namespace, version)
        found = self._recent.get(key)
        if found is None:
            found = self._rebuild(kind, namespace, version)
            self._recent[key] = found
            while len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return found

    def forget(self, kind: Kind, namespace: str, version: int) -> None:
        """The last page was served."""
        self._recent.pop((kind, namespace, version), None)

    def _rebuild(self, kind: Kind, namespace: str, version: int) -> Snapshot:
        state = {key_of(obj): obj for obj in self.api.list(kind, namespace)}
        if version < self.api.version:
            for change in reversed(list(self.api.changes(version, kind, namespace))):
                key = key_of(change.object)
                if change.previous is None:
                    state.pop(key, None)
                else:
                    state[key] = change.previous
        keys = sorted(state)
        return Snapshot(version, [state[key] for key in keys], keys)


def start_after(snapshot: Snapshot, key: Key) -> int:
    """The index of the first object after the key."""
    return bisect_right(snapshot.keys, key)


def make_token(version: int, key: Key) -> str:
    """The continue token for the page after `key`."""
    return base64.urlsafe_b64encode(encode({"v": version, "k": key})).decode()


def read_token(token: str) -> tuple[int, Key]:
    """Version and last key of a continue token; raises BadRequest when it is none of ours."""
    try:
        content = decode_json(base64.urlsafe_b64decode(token))
        namespace, name = content["k"]
        return int(content["v"]), (str(namespace), str(name))
    except (ValueError, TypeError, KeyError, binascii.Error, msgspec.DecodeError):
        raise BadRequest(
            "invalid continue token: continue key is not valid: take it from metadata.continue of the page before"
        ) from None


def too_old() -> Expired:
    """The error for a token whose snapshot can no longer be rebuilt."""
    return Expired(_TOO_OLD)
