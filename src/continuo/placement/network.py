"""What is known of the network between sites."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.placement.model import Path, Talk
from continuo.placement.reasons import Cause, Refusal, age, milliseconds, rate

Pair = tuple[str, str]


def pair(a: str, b: str) -> Pair:
    """Both directions are one pair."""
    return (a, b) if a < b else (b, a)


class Network:
    """Paths by pair of sites; of several for one pair, the worst figures."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths: dict[Pair, Path] = {}
        for path in paths:
            if path.a != path.b:
                key = pair(path.a, path.b)
                known = self.paths.get(key)
                self.paths[key] = path if known is None else _worse(known, path)

    def between(self, a: str, b: str) -> Path | None:
        """What is known between two different sites."""
        return self.paths.get(pair(a, b))

    def latency(self, a: str, b: str) -> float | None:
        """Round trip in milliseconds: 0 on one site, None where nobody knows."""
        if a == b:
            return 0.0
        path = self.between(a, b)
        return None if path is None else path.latency_ms

    def refused(self, talk: Talk, here: str, there: str, *, lenient: bool = False) -> Refusal | None:
        """Why two members of a talk may not be on these sites, as far as latency and jitter go.

        `lenient` passes what is not known: two parts that run there already are not torn apart for want of a measurement.
        """
        if here == there:
            return None
        path = self.between(here, there)
        for cause, bound, is_ in (
            (Cause.LATENCY, talk.latency_ms, None if path is None else path.latency_ms),
            (Cause.JITTER, talk.jitter_ms, None if path is None else path.jitter_ms),
        ):
            if bound is None or (is_ is None and lenient):
                continue
            if is_ is None:
                return Refusal(Cause.NOT_MEASURED, _unknown(cause, here, there, f"{milliseconds(bound)}"), None)
            if is_ > bound:
                said = f"{cause} to {there} is {milliseconds(is_)}, and {talk.name} allows {milliseconds(bound)}"
                return Refusal(cause, said + _how(path, old := None if path is None else path.age_seconds), old)
        return None

    def room(self, here: str, there: str) -> int | None:
        """Bits per second between two different sites, or None where nobody knows."""
        path = self.between(here, there)
        return None if path is None else path.bandwidth_bps

    def narrow(self, talk: str, here: str, there: str, wanted: int, used: int) -> Refusal | None:
        """Why so much bandwidth more does not fit beside what is used; None where it does."""
        has = self.room(here, there)
        if has is None:
            return Refusal(Cause.NOT_MEASURED, _unknown(Cause.BANDWIDTH, here, there, rate(wanted)), None)
        if used + wanted <= has:
            return None
        path = self.between(here, there)
        said = f"bandwidth to {there} is {rate(has)}, {rate(used)} of it taken, and {talk} needs {rate(wanted)}"
        return Refusal(Cause.BANDWIDTH, said + _how(path, old := _old(path)), old)


def _unknown(what: Cause, here: str, there: str, bound: str) -> str:
    return f"{what} to {there} is not measured from {here}, so {bound} cannot be promised"


def _old(path: Path | None) -> float | None:
    """The age of a bandwidth."""
    if path is None:
        return None
    return path.age_seconds if path.bandwidth_age_seconds is None else path.bandwidth_age_seconds


def _how(path: Path | None, seconds: float | None) -> str:
    if path is None:
        return ""
    return f" ({'measured' if path.measured else 'declared'}{age(seconds)})"


def _worse(one: Path, other: Path) -> Path:
    def worst(first: float | None, second: float | None) -> float | None:
        return first if second is None else second if first is None else max(first, second)

    rates = [path.bandwidth_bps for path in (one, other) if path.bandwidth_bps is not None]
    return Path(
        a=one.a,
        b=one.b,
        latency_ms=worst(one.latency_ms, other.latency_ms),
        jitter_ms=worst(one.jitter_ms, other.jitter_ms),
        bandwidth_bps=min(rates, default=None),
        measured=one.measured and other.measured,
        age_seconds=worst(one.age_seconds, other.age_seconds),
        bandwidth_age_seconds=worst(one.bandwidth_age_seconds, other.bandwidth_age_seconds),
    )
