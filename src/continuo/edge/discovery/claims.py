"""Which Device describes which sensors. Two that describe the same one: the oldest has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from continuo.edge.discovery.boards import Board
from continuo.edge.sensors.annotation import decode
from continuo.edge.sensors.model import Decoded, Problem, Sensor
from continuo.resources.meta import Key

_NOTHING = Decoded(())


@dataclass(frozen=True, slots=True)
class Claim:
    """A Device and what it describes."""

    board: Board
    decoded: Decoded

    @property
    def age(self) -> tuple[str, str]:
        """The oldest sorts first; the uid decides between those of one second."""
        return self.board.created, self.board.uid


class Claims:
    """All Devices, by key, node and the uids of their sensors, so that nobody has to scan."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._nodes: dict[str, dict[Key, None]] = {}
        self._uids: dict[str, dict[Key, None]] = {}

    def get(self, key: Key) -> Claim | None:
        """What is known of a Device."""
        return self._claims.get(key)

    def keys(self) -> Iterable[Key]:
        """All Devices."""
        return self._claims.keys()

    def on_node(self, node: str) -> list[Key]:
        """The Devices of a node, and those that describe the same sensors as one of them."""
        found: dict[Key, None] = {}
        for key in self._nodes.get(node, ()):
            found[key] = None
            found.update(dict.fromkeys(self.rivals(key)))
        return list(found)

    def put(self, board: Board) -> set[Key] | None:
        """Take in a Device; returns the others that it matters to, or None where it is as it was."""
        old = self._claims.get(board.key)
        if old is not None and old.board == board:
            return None
        same = old is not None and old.board.annotation == board.annotation
        claim = Claim(board, old.decoded if same and old is not None else _decoded(board))
        touched = self.drop(board.key)
        self._claims[board.key] = claim
        self._nodes.setdefault(board.node, {})[board.key] = None
        for sensor in claim.decoded.sensors:
            self._uids.setdefault(sensor.uid, {})[board.key] = None
        return touched | set(self.rivals(board.key))

    def drop(self, key: Key) -> set[Key]:
        """Forget a Device; returns the others that it matters to."""
        touched = set(self.rivals(key))
        claim = self._claims.pop(key, None)
        if claim is not None:
            _unindex(self._nodes, claim.board.node, key)
            for sensor in claim.decoded.sensors:
                _unindex(self._uids, sensor.uid, key)
        return touched

    def rivals(self, key: Key) -> Iterator[Key]:
        """The other Devices that describe one of its sensors."""
        claim = self._claims.get(key)
        for sensor in claim.decoded.sensors if claim is not None else ():
            yield from (other for other in self._uids[sensor.uid] if other != key)

    def granted(self, key: Key, sells: Callable[[Board], bool]) -> tuple[list[Sensor], list[Problem]]:
        """The sensors that are this Device's to sell, and what is wrong with the others. `sells`: who counts as a rival."""
        claim = self._claims[key]
        sensors, problems = [], list(claim.decoded.problems)
        for sensor in claim.decoded.sensors:
            others = (self._claims[other] for other in self._uids[sensor.uid] if other != key)
            first = min((other for other in others if sells(other.board)), key=lambda other: other.age, default=claim)
            if claim.age <= first.age:
                sensors.append(sensor)
            else:
                problems.append(_conflict(sensor, first.board))
        return sensors, problems


def _conflict(sensor: Sensor, other: Board) -> Problem:
    namespace, name = other.key
    return Problem(
        "sensors", f"uid {sensor.uid!r} is that of a sensor of the older Device {namespace}/{name}; give each its own"
    )


def _decoded(board: Board) -> Decoded:
    return _NOTHING if board.annotation is None else decode(board.annotation, device=board.key[1])


def _unindex(index: dict[str, dict[Key, None]], value: str, key: Key) -> None:
    keys = index.get(value)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[value]
