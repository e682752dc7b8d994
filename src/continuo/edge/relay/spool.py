"""What is undelivered, made ready for the disk, and queued again. Pure but for the relay that it fills."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.edge.relay.lanes import Entry
from continuo.edge.relay.letters import Letter
from continuo.edge.relay.reading import Reading
from continuo.edge.relay.relay import Relay
from continuo.edge.relay.store import SPOOL_BYTES, SPOOL_READINGS, Kept, Spool, Waiting


def pack(
    undelivered: Iterable[tuple[str, str, Entry]], letters: Iterable[Letter], mono: float, wall: float, *,
    most: int = SPOOL_READINGS, most_bytes: int = SPOOL_BYTES,
) -> tuple[Spool, int]:  # fmt: skip
    """What is to be kept, and how many readings are left out because it would be too much: the oldest."""
    wanted = [
        (entry.reading, Waiting(0, route, url, entry.sensor, entry.attempts)) for route, url, entry in undelivered
    ]
    wanted += [
        (each.reading, Waiting(0, each.route, each.url, each.sensor, each.attempts, each.reason, each.at))
        for each in letters
    ]
    readings = {id(reading): reading for reading, _ in wanted}
    chosen: dict[int, int] = {}
    kept: list[Kept] = []
    size = 0
    for key, reading in sorted(readings.items(), key=lambda item: -item[1].sequence):
        size += len(reading.body)
        if len(kept) >= most or size > most_bytes:
            break
        chosen[key] = len(kept)
        kept.append(_kept(reading, mono))
    waiting = [
        Waiting(chosen[id(reading)], each.route, each.url, each.sensor, each.attempts, each.dead, each.at)
        for reading, each in wanted
        if id(reading) in chosen
    ]
    return Spool(wall, kept, waiting), len(readings) - len(kept)


def unpack(spool: Spool, relay: Relay) -> list[Reading]:
    """Queue it again; returns what is on its way. What has no route any more is left out."""
    away = max(0.0, relay.clock.wall() - spool.written)
    now = relay.clock.mono()
    readings = []
    for kept in spool.readings:
        reading = Reading(
            kept.source, kept.body, now - away - kept.age, kept.time, kept.identity, kept.sequence, relay.memory
        )
        reading.common = kept.common
        readings.append(reading)
    for each in spool.waiting:
        reading = readings[each.reading]
        if not each.dead:
            relay.resume(reading, each.route, each.url, each.sensor, each.attempts)
        elif each.route in relay.routes:
            relay.letters.add(Letter(each.route, each.url, each.sensor, reading, each.dead, each.attempts, each.at))
    return readings


def _kept(reading: Reading, mono: float) -> Kept:
    return Kept(
        reading.source,
        reading.body,
        reading.identity,
        reading.sequence,
        mono - reading.came,
        reading.time,
        reading.common,
    )
