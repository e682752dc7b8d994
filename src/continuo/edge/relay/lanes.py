"""The queue of one target: bounded, a lane for each sensor so that order is kept, the oldest dropped first. Pure."""

from __future__ import annotations

from collections import deque

from continuo.edge.relay.reading import Reading


class Entry:
    """One reading on its way to one target."""

    __slots__ = ("attempts", "live", "reading", "sensor")

    def __init__(self, reading: Reading, sensor: str, attempts: int = 0) -> None:
        self.reading, self.sensor, self.attempts = reading.hold(), sensor, attempts
        self.live = True


class _Lane:
    """What one sensor has waiting. While `busy` the first of them is under way, or waits for its next attempt."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Entry] = deque()
        self.busy = False


class Lanes:
    """All that waits for one target. Taken in turn from the sensors, one at a time from each."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._order: deque[Entry] = deque()
        """Everything in the order in which it came; what went meanwhile is taken out now and then."""
        self._count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def ready(self) -> int:
        """Sensors of which a reading can be taken."""
        return len(self._ready)

    def entries(self) -> list[Entry]:
        """What waits, the oldest first."""
        return [entry for entry in self._order if entry.live]

    def add(self, entry: Entry) -> list[Entry]:
        """Put it last; returns what had to go for it, oldest first."""
        lane = self._lanes.get(entry.sensor)
        if lane is None:
            lane = self._lanes[entry.sensor] = _Lane()
        lane.waiting.append(entry)
        if not lane.busy and len(lane.waiting) == 1:
            self._ready.append(entry.sensor)
        self._order.append(entry)
        self._count += 1
        self.bytes += len(entry.reading.body)
        dropped: list[Entry] = []
        while self._count > self._most or self.bytes > self._most_bytes:
            oldest = self.drop_oldest()
            if oldest is None:
                break
            dropped.append(oldest)
        return dropped

    def take(self) -> Entry | None:
        """The next one to send; its sensor has its turn again after `done` or `again`."""
        if not self._ready:
            return None
        lane = self._lanes[self._ready.popleft()]
        lane.busy = True
        return lane.waiting[0]

    def done(self, entry: Entry) -> None:
        """It is over with this one, whichever way."""
        if not entry.live:  # all was cleared while it was under way
            return
        lane = self._lanes[entry.sensor]
        lane.waiting.popleft()
        self._gone(entry)
        lane.busy = False
        if lane.waiting:
            self._ready.append(entry.sensor)
        else:
            del self._lanes[entry.sensor]

    def again(self, entry: Entry, *, first: bool = False) -> None:
        """It is to be sent once more: when its sensor's turn comes, or before all others."""
        if not entry.live:
            return
        self._lanes[entry.sensor].busy = False
        if first:
            self._ready.appendleft(entry.sensor)
        else:
            self._ready.append(entry.sensor)

    def drop_oldest(self) -> Entry | None:
        """Take out the oldest that is not under way; None if there is none."""
        for entry in self._order:
            if not entry.live:
                continue
            lane = self._lanes[entry.sensor]
            if not lane.busy:
                lane.waiting.popleft()
                if not lane.waiting:
                    del self._lanes[entry.sensor]
                    self._ready.remove(entry.sensor)
            elif lane.waiting[0] is not entry:
                del lane.waiting[1]
            else:
                continue
            self._gone(entry)
            return entry
        return None

    def keep(self, sensors: frozenset[str]) -> list[Entry]:
        """Drop what is of other sensors, but for what is under way; returns it."""
        dropped = []
        for sensor in [name for name in self._lanes if name not in sensors]:
            lane = self._lanes[sensor]
            while len(lane.waiting) > lane.busy:
                entry = lane.waiting.pop()
                self._gone(entry)
                dropped.append(entry)
            if not lane.waiting:
                del self._lanes[sensor]
                self._ready.remove(sensor)
        return dropped

    def clear(self) -> list[Entry]:
        """Drop everything, also what is under way; returns it, oldest first."""
        dropped = self.entries()
        for entry in dropped:
            entry.live = False
            entry.reading.release()
        self._lanes.clear()
        self._ready.clear()
        self._order.clear()
        self._count = self.bytes = 0
        return dropped

    def _gone(self, entry: Entry) -> None:
        entry.live = False
        entry.reading.release()
        self._count -= 1
        self.bytes -= len(entry.reading.body)
        while self._order and not self._order[0].live:
            self._order.popleft()
        if len(self._order) > 2 * self._count + 64:  # one that waits long holds up the others' removal
            self._order = deque(each for each in self._order if each.live)
