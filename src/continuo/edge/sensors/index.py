"""Many flavors, to be asked for often: each is flattened once, and a query is one pass over those of its type."""

from __future__ import annotations

from typing import Any

from continuo.edge.sensors import units
from continuo.edge.sensors.criteria import Criteria, compiled
from continuo.edge.sensors.model import K8SLICE, SENSOR, BadSensor, Problem
from continuo.edge.sensors.reading import sensor_of
from continuo.edge.sensors.rows import SensorRow, SliceRow, sensor_row, slice_row
from continuo.resources.meta import Key, Object, key_of

Row = SensorRow | SliceRow


class Index:
    """Flavor objects by key. Told of changes by whoever watches them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bool], dict[Key, Row]] = {}
        """By type, and whether it is available."""
        self._places: dict[Key, tuple[str, bool]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def put(self, flavor: Object) -> Problem | None:
        """Take in the state of a flavor. One that cannot be read is not found by any query, and why is returned."""
        key = key_of(flavor)
        try:
            kind, row = _row(flavor)
        except BadSensor as problem:
            self.drop(key)
            return Problem(problem.where, problem.sentence)
        place = kind, bool(flavor["spec"].get("availability"))
        if self._places.get(key, place) != place:
            self.drop(key)
        self._places[key] = place
        self._rows.setdefault(place, {})[key] = row
        return None

    def drop(self, key: Key) -> None:
        """Forget a flavor."""
        place = self._places.pop(key, None)
        if place is not None:
            self._rows[place].pop(key, None)

    def find(self, criteria: Criteria, *, available: bool | None = True) -> list[Object]:
        """The flavors that match: those that are available, those that are not, or (None) both."""
        wanted = (True, False) if available is None else (available,)
        chunks = [rows.values() for one in wanted if (rows := self._rows.get((criteria.flavor_type, one)))]
        return [row.item for row in compiled(criteria)(chunks)]


def matches_flavor(criteria: Criteria, flavor: Object) -> bool:
    """Whether a flavor is of the type that is asked for, and matches; one that cannot be read does not."""
    try:
        kind, row = _row(flavor)
    except BadSensor:
        return False
    return kind == criteria.flavor_type and bool(compiled(criteria)([[row]]))


def _row(flavor: Object) -> tuple[str, Row]:
    kind: Any = flavor["spec"].get("flavorType") or {}
    identifier = str(kind.get("typeIdentifier"))
    if identifier == SENSOR:
        return SENSOR, sensor_row(sensor_of(kind.get("typeData")), flavor)
    if identifier == K8SLICE:
        return K8SLICE, slice_row(kind.get("typeData"), flavor)
    raise BadSensor("flavorType.typeIdentifier", f"is {units.brief(identifier)}; there are {SENSOR} and {K8SLICE}")
