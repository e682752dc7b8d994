"""JSON of a provider -> an Offer, or every problem at once. Both spellings of plans that are around are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from continuo.broker.offers.amounts import BadAmount, brief, price, quantity
from continuo.broker.offers.model import Offer, Plan, Resources

IDENTITY = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]{0,126}[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_LARGEST = 10**24
_CURRENCY = re.compile(r"[A-Z]{3}")
_UNITS = ("hour", "day", "month")
_FIELDS = frozenset(
    {"id", "name", "type", "description", "region", "currency", "unit", "labels", "claims", "plans", "provider"}
)
_PLAN_FIELDS = frozenset({"id", "planID", "name", "planName", "cost", "resources"})
_MANY = 64
_DEPTH = 16

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class BadOffer(ValueError):
    """What was sent is no offer; `problems` are sentences, each of which names its field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def decode(body: bytes) -> Any:
    """JSON with exact numbers; raises BadOffer."""
    if _depth(body) > _DEPTH:
        raise BadOffer([f"the body nests deeper than {_DEPTH} levels, which no offer needs"])
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise BadOffer([f"the body is not JSON: {error}"]) from error


def _depth(body: bytes) -> int:
    opened = body.count(b"{") + body.count(b"[")
    if opened <= _DEPTH:
        return opened
    deepest = level = 0
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', body):
        level += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
        deepest = max(deepest, level)
    return deepest


def read_offer(value: Any, *, id: str, provider: str, region: str = "") -> Offer:
    """The offer in decoded JSON, under the id of its address; raises BadOffer."""
    return _Reader().offer(value, id, provider, region)


class _Reader:
    """Collects problems while it reads."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    def offer(self, value: Any, id: str, provider: str, region: str) -> Offer:
        if not IDENTITY.fullmatch(id):
            self._problems.append(
                f"offer id {brief(id)}: must be 1 to 128 letters, digits, dots, dashes and underscores"
            )
        if not isinstance(value, dict):
            raise BadOffer([*self._problems, f"an offer must be a JSON object, not {brief(value)}"])
        self._unknown("", value, _FIELDS)
        if value.get("id", id) != id:
            self._problems.append(f"id: must be {id} as in the address, or absent, not {brief(value['id'])}")
        offer = Offer(
            id=id,
            provider=provider,
            name=self._text(value, "name", required=True),
            type=self._text(value, "type", required=True),
            plans=self._plans(value.get("plans")),
            description=self._text(value, "description", most=4096),
            region=self._text(value, "region") or region,
            currency=self._match(value, "currency", "EUR", _CURRENCY, "three capital letters such as EUR"),
            unit=self._unit(value),
            labels=self._labels(value.get("labels")),
            claims=self._claims(value.get("claims")),
        )
        if self._problems:
            raise BadOffer(self._problems)
        return offer

    def _unknown(self, where: str, value: Mapping[str, Any], known: frozenset[str]) -> None:
        for key in value:
            if key not in known:
                self._problems.append(f"{where}{brief(key)[1:-1]}: is not known; known are {', '.join(sorted(known))}")

    def _text(self, value: Mapping[str, Any], field: str, *, required: bool = False, most: int = 255) -> str:
        text = value.get(field)
        if text is None and not required:
            return ""
        if not isinstance(text, str) or (required and not text.strip()):
            said = "is missing" if field not in value else f"must be text, not {brief(text)}"
            self._problems.append(f"{field}: {said}")
            return ""
        return self._clean(field, text, most)

    def _clean(self, where: str, text: str, most: int = 255) -> str:
        if len(text) > most:
            self._problems.append(f"{where}: has {len(text)} characters; at most {most} are allowed")
        if any(ord(char) < 32 and char not in "\n\t" for char in text) or "\x7f" in text:
            self._problems.append(f"{where}: has control characters; only printable text is allowed")
        return text

    def _match(self, value: Mapping[str, Any], field: str, default: str, pattern: re.Pattern[str], right: str) -> str:
        text = value.get(field, default)
        if not isinstance(text, str) or not pattern.fullmatch(text):
            self._problems.append(f"{field}: must be {right}, not {brief(text)}")
            return default
        return text

    def _unit(self, value: Mapping[str, Any]) -> str:
        unit = value.get("unit", "hour")
        if unit not in _UNITS:
            self._problems.append(f"unit: must be one of {', '.join(_UNITS)}, not {brief(unit)}")
            return "hour"
        return str(unit)

    def _labels(self, value: Any) -> dict[str, str]:
        labels = self._mapping("labels", value, required=False)
        for key, text in labels.items():
            if not isinstance(text, str):
                self._problems.append(f"labels.{key}: must be text, not {brief(text)}")
            else:
                self._clean(f"labels.{key}", text)
        return labels

    def _claims(self, value: Any) -> dict[str, float]:
        claims: dict[str, float] = {}
        for metric, number in self._mapping("claims", value, required=False).items():
            if not _METRIC.fullmatch(metric):
                self._problems.append(f"claims.{metric[:63]}: must be named with letters, digits and underscores")
            if not _is_number(number):
                self._problems.append(f"claims.{metric[:63]}: must be a number, not {brief(number)}")
                continue
            claims[metric] = float(number)
        return claims

    def _mapping(self, where: str, value: Any, *, required: bool = True) -> dict[str, Any]:
        if value is None and not required:
            return {}
        if not isinstance(value, dict) or (required and not value):
            what = brief(value) if value or not isinstance(value, dict) else "an empty one"
            self._problems.append(f"{where}: must be an object with entries, not {what}")
            return {}
        if len(value) > _MANY:
            self._problems.append(f"{where}: has {len(value)} entries; at most {_MANY} are allowed")
            return {}
        for key in value:
            if not _KEY.fullmatch(key):
                self._problems.append(
                    f"{where}: key {brief(key)} must be a Kubernetes name such as cpu or example.com/gpu"
                )
        return value

    def _plans(self, value: Any) -> tuple[Plan, ...]:
        if isinstance(value, list):  # the modern form, in which the order is the provider's
            value = self._by_id(value)
            if value is None:
                return ()
        plans = [self._plan(key, plan) for key, plan in self._mapping("plans", value).items()]
        seen: set[str] = set()
        for plan in plans:
            if plan.id in seen:
                self._problems.append(f"plans: two plans have the id {plan.id}")
            seen.add(plan.id)
        return tuple(plans)

    def _by_id(self, plans: list[Any]) -> dict[str, Any] | None:
        """The plans of a list by their ids, in either spelling; None where one has none, which has been told then."""
        keys: dict[str, Any] = {}
        told = len(self._problems)
        for at, plan in enumerate(plans):
            key = plan.get("id", plan.get("planID")) if isinstance(plan, dict) else None
            if not isinstance(key, str) or key in keys:
                self._problems.append(f"plans[{at}].id: must be text of its own, not {brief(key)}")
                continue
            keys[key] = plan
        return keys if len(self._problems) == told else None

    def _plan(self, key: str, value: Any) -> Plan:
        where = f"plans.{key}"
        if not isinstance(value, dict):
            self._problems.append(f"{where}: must be an object, not {brief(value)}")
            return Plan(key, key, "0", {})
        self._unknown(f"{where}.", value, _PLAN_FIELDS)
        plan_id = self._either(where, value, ("planID", "id"), key)
        if plan_id and not IDENTITY.fullmatch(plan_id):
            self._problems.append(f"{where}.planID: must be letters, digits, dots, dashes, not {brief(plan_id)}")
        name = self._either(where, value, ("planName", "name"), key)
        return Plan(plan_id, name, self._cost(where, value), self._resources(where, value.get("resources")))

    def _either(self, where: str, value: Mapping[str, Any], fields: tuple[str, str], default: str) -> str:
        """One value with two spellings; both may be there if they agree."""
        given = {field: value[field] for field in fields if field in value}
        if len(given) == 2 and len(set(map(str, given.values()))) == 2:
            self._problems.append(f"{where}: {fields[0]} and {fields[1]} are the same thing but differ; leave one out")
        for field, text in given.items():
            if not isinstance(text, str) or not text.strip():
                self._problems.append(f"{where}.{field}: must be text, not {brief(text)}")
                return default
            return self._clean(f"{where}.{field}", text)
        return default

    def _cost(self, where: str, value: Mapping[str, Any]) -> str:
        if "cost" not in value:
            self._problems.append(f'{where}.cost: is missing; a free plan says "0"')
            return "0"
        try:
            return price(value["cost"])
        except BadAmount as problem:
            self._problems.append(f"{where}.cost: {problem}")
            return "0"

    def _resources(self, where: str, value: Any) -> Resources:
        where = f"{where}.resources"
        resources: Resources = {}
        for key, amount in self._mapping(where, value).items():
            if amount is True or amount == "true":
                resources[key] = True
                continue
            try:
                quantity(amount)
            except BadAmount as problem:
                self._problems.append(f"{where}.{key}: {problem}")
            resources[key] = str(amount)
        return resources


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | Decimal) and abs(Decimal(value)) <= _LARGEST
