"""What is known of clusters that fail: since when, since when they are well again, and how often they did that lately."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import ClusterView, Past
from continuo.orchestrator.loops.policies.room import well
from continuo.resources.loop import Operation

LATELY = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=1)
MOVES = frozenset({Operation.MIGRATE_COMPONENT, Operation.MOVE_HOME})


def trouble(cluster: ClusterView) -> str:
    """What is wrong with a cluster, as half a sentence: nothing while it is well, or only on its way."""
    if cluster.lost_since is not None:
        return "does not answer"
    capacity = cluster.capacity
    if capacity is None or cluster.spec is None:
        return ""
    if capacity.nodes and not capacity.ready:
        return "has no node that is Ready"
    return "is cordoned" if capacity.cordoned else ""


def since(clusters: Iterable[ClusterView], before: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Since when clusters have been ill (`ill:NAME`) or well (`well:NAME`) without a break.

    A cluster that does not answer tells itself since when; of the others only what was seen counts.
    """
    found: dict[str, datetime] = {}
    for cluster in clusters:
        if trouble(cluster):
            seen = before.get(f"ill:{cluster.name}", now)
            found[f"ill:{cluster.name}"] = min(seen, cluster.lost_since or seen)
        elif well(cluster):
            found[f"well:{cluster.name}"] = before.get(f"well:{cluster.name}", now)
    return found


def times_left(history: Iterable[Past], cluster: str, now: datetime) -> int:
    """How often components had to leave a cluster within the last hour, counting each outage once."""
    count, away = 0, False
    for past in history:
        if now - past.at > LATELY:
            continue
        for action in past.actions:
            if action.op in MOVES and action.home is not None and action.other == cluster:
                count, away = count + (not away), True
            elif action.op in MOVES and action.cluster == cluster:
                away = False
    return count


def wait(history: Iterable[Past], cluster: str, now: datetime, seconds: int) -> timedelta:
    """How long a cluster has to be well before anything returns: twice as long for each further outage, within bounds."""
    once = timedelta(seconds=seconds)
    again = max(times_left(history, cluster, now) - 1, 0)
    return min(once * (1 << min(again, 20)), max(once, LONGEST_WAIT))


def moves_left(history: Iterable[Past], now: datetime, per_minute: int) -> tuple[int, datetime | None]:
    """How many moves a loop may still make in this minute, and when it may make more."""
    minute = timedelta(minutes=1)
    recent = [past for past in history if now - past.at < minute]
    made = [sum(action.op in MOVES for action in past.actions) for past in recent]
    return max(per_minute - sum(made), 0), min((past.at + minute for past in recent), default=None)
