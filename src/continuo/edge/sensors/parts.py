"""Parts of a description, read one by one: text of a sensible size, lists that run in parallel, keys in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from continuo.edge.sensors import units
from continuo.edge.sensors.model import BadSensor

LONGEST = 253
LONGEST_TOPIC = 1024


class Entry:
    """An object of a description, with the place where it stands."""

    __slots__ = ("_keys", "data", "where")

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, Mapping):
            raise BadSensor(where, f"must be an object, and is {units.brief(data)}")
        self.data, self.where = data, where
        self._keys: dict[str, Any] | None = None

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def _own(self, key: str) -> Any:
        """The key as it is written."""
        if key in self.data:
            return key
        if self._keys is None:
            self._keys = {str(own).casefold(): own for own in self.data}
        return self._keys.get(key.casefold(), key)

    def get(self, key: str) -> Any:
        """What is under a key, in whatever case it is written; None when there is nothing."""
        return self.data.get(self._own(key))

    def at(self, key: str) -> str:
        """The place of a key."""
        own = self._own(key)
        return f"{self.where}.{own}" if self.where else str(own)

    def entry(self, key: str) -> Entry:
        """The object under a key; an empty one when there is nothing."""
        found = self.get(key)
        return Entry({} if found is None else found, self.at(key))

    def entry_or_empty(self, key: str) -> Entry:
        """The object under a key; an empty one when there is something else."""
        found = self.get(key)
        return Entry(found if isinstance(found, Mapping) else {}, self.at(key))

    def entry_or_value(self, key: str) -> Entry:
        """The object under a key; what is no object is taken for the `value` of one."""
        found = self.get(key)
        if found is None or isinstance(found, Mapping):
            return Entry(found or {}, self.at(key))
        return Entry({"value": found}, self.where)

    def text(self, key: str, *, required: bool = False, longest: int = LONGEST) -> str:
        """Text under a key, without the blanks around it."""
        found = self.get(key)
        if found is None or found == "":
            if required:
                raise BadSensor(self.at(key), "is missing; every sensor needs it")
            return ""
        return text_of(found, self.at(key), longest)

    def texts(self, key: str, *, empty: bool = False) -> tuple[str, ...]:
        """A list of text under a key, of which entries may be `empty`; one text counts as a list of it."""
        values = self.values(key)
        return tuple("" if empty and value in ("", None) else text_of(value, where) for value, where in values)

    def values(self, key: str) -> list[tuple[Any, str]]:
        """The values of a list under a key, each with its place; one value counts as a list of it."""
        found, where = self.get(key), self.at(key)
        if found is None or found == "":
            return []
        if isinstance(found, Sequence) and not isinstance(found, str):
            return [(value, f"{where}[{number}]") for number, value in enumerate(found)]
        return [(found, where)]

    def number(self, key: str, dimension: units.Dimension, unit: str) -> Decimal | None:
        """A number under a key, in the unit of its dimension; None when there is nothing, or no power but a current."""
        found = self.get(key)
        return None if found is None or found == "" else number_of(found, self.at(key), dimension, unit)


def text_of(value: Any, where: str, longest: int = LONGEST) -> str:
    """Text that a name can be: not empty, of one line, not too long. Numbers are taken as they are written."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadSensor(where, f"must be text, and is {units.brief(value)}")
    text = value.strip()
    if not text:
        raise BadSensor(where, "must not be empty")
    if len(text) > longest:
        raise BadSensor(where, f"has {len(text)} characters; at most {longest} are allowed")
    if not text.isprintable():
        raise BadSensor(where, "must be of one line without control characters")
    return text


def number_of(value: Any, where: str, dimension: units.Dimension, unit: str) -> Decimal | None:
    """A number of a dimension; None for a current, which is no power unless the voltage is known."""
    try:
        if dimension is units.CONSUMPTION and units.is_current(units.split(value)[1] or unit):
            return None
        return units.read(value, dimension, unit).value
    except units.BadNumber as problem:
        raise BadSensor(where, str(problem)) from problem


def parallel(values: list[Any], wanted: int, where: str, what: str) -> list[Any]:
    """As many values as there are quantities; none, or one for all, will do as well."""
    if not values:
        return [None] * wanted
    if len(values) == 1:
        return values * wanted
    if len(values) != wanted:
        raise BadSensor(where, f"has {len(values)} entries for {wanted} quantities; give one for each, {what}")
    return values


def topic_of(text: str, where: str) -> str:
    """A topic that KubeEdge's router can carry: no wildcard, no slash at its ends."""
    if any(sign in text for sign in "+#"):
        raise BadSensor(where, f"{units.brief(text)} has a wildcard; a topic must name one stream of readings")
    if text != text.strip("/") or "//" in text:
        raise BadSensor(where, f"{units.brief(text)} must neither begin nor end with a slash, nor have two in a row")
    return text
