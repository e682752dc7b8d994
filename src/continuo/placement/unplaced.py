"""Why a part fits nowhere, in one sentence."""

from __future__ import annotations

from collections import Counter

from continuo.placement.reasons import Cause, Refusal
from continuo.placement.tally import Tally

PAIRS = 100_000
"""Parts times sites that are looked at for sentences; beyond, they only say that there is no place."""

SAID = {
    Cause.UNAVAILABLE: ("takes nothing", "take nothing"),
    Cause.PINNED: ("is not the one that it is pinned to", "are not the one that it is pinned to"),
    Cause.HINT: ("is of another tier", "are of another tier"),
    Cause.LABELS: ("has other labels", "have other labels"),
    Cause.LOCATION: ("stands elsewhere", "stand elsewhere"),
    Cause.LINK: ("cannot be linked with its home", "cannot be linked with its home"),
    Cause.CPU: ("has too little cpu", "have too little cpu"),
    Cause.MEMORY: ("has too little memory", "have too little memory"),
    Cause.GPU: ("has too few gpus", "have too few gpus"),
    Cause.BESIDE: ("is not where its company is", "are not where its company is"),
    Cause.APART: ("runs what it stays apart from", "run what it stays apart from"),
    Cause.SPREAD: ("has too many of its group", "have too many of its group"),
    Cause.LATENCY: ("is too far from what it talks to", "are too far from what it talks to"),
    Cause.JITTER: ("has too unsteady a path", "have too unsteady paths"),
    Cause.BANDWIDTH: ("has too narrow a path", "have too narrow paths"),
    Cause.NOT_MEASURED: ("has a path that nobody measured", "have paths that nobody measured"),
    Cause.COST: ("is too dear", "are too dear"),
    Cause.CARBON: ("emits too much", "emit too much"),
    Cause.FIXED: ("is not where it stays", "are not where it stays"),
}


def sentence(tally: Tally, part: str) -> str:
    """Why a part without a place has none, as far as one reason for each site says."""
    counts: Counter[Cause] = Counter()
    example: dict[Cause, tuple[str, Refusal]] = {}
    for name in sorted(tally.sites):
        found = next(tally.refusals(part, name), None)
        if found is not None:
            counts[found.cause] += 1
            example.setdefault(found.cause, (name, found))
    total = len(tally.sites)
    if not total:
        return "there is no cluster that could take it"
    if sum(counts.values()) < total:
        return f"fits on none of {_clusters(total)} together with what has to be with it"
    told = []
    for cause, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        name, found = example[cause]
        told.append(f"{count} {SAID[cause][count > 1]} ({name}: {found.message})")
    return f"fits on none of {_clusters(total)}: {'; '.join(told)}"


def sentences(tally: Tally, parts: list[str]) -> dict[str, str]:
    """For each part that has no place; the tally has places for the others."""
    told = PAIRS // max(1, len(tally.sites))
    short = f"fits on none of {_clusters(len(tally.sites))}"
    return {part: sentence(tally, part) if number < told else short for number, part in enumerate(sorted(parts))}


def _clusters(count: int) -> str:
    return f"{count} cluster{'s' if count != 1 else ''}"
