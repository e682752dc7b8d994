"""What would happen if a cluster were lost: the operator's own code, on a picture in which it does not answer. Pure.

Rounds are played one after the other on a clock of their own, each decision laid over the declaration as an Adjustment would
be, until nothing more is decided. Loops that follow figures are left out: nobody knows what those would say.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec.structs import replace as with_

from continuo.federation.model import LinkSettings
from continuo.orchestrator.absence import LostWorld
from continuo.orchestrator.assess import Assessment, assess
from continuo.orchestrator.foreseen import Bill, Foreseen, WhatIf
from continuo.orchestrator.loops.enact import told
from continuo.orchestrator.loops.frame import Standing, claims, rule
from continuo.orchestrator.loops.laying import Carried, lay
from continuo.orchestrator.loops.model import LoopInput, Memory, Past
from continuo.orchestrator.loops.policies import look
from continuo.orchestrator.loops.views import cluster_views, component_views
from continuo.orchestrator.observe import Snapshot, World, observe
from continuo.orchestrator.orient import Wanted, orient
from continuo.orchestrator.placing.choose import choose, placer, places_anything, whole_problem
from continuo.orchestrator.settings import Settings
from continuo.placement.model import Problem
from continuo.placement.tally import carbon_of, cost_of
from continuo.resources.loop import AdjustmentSpec, DecidedAction, DecisionStage
from continuo.resources.meta import Object
from continuo.resources.orchestration import LoopStage, Policy
from continuo.resources.orchestration_policies import Approval

HORIZON = datetime.timedelta(hours=24)
"""Nothing is looked at that would happen later."""
MOST_ROUNDS = 500


@dataclass(frozen=True, slots=True)
class _Round:
    """One picture and what follows from it."""

    snapshot: Snapshot
    wanted: Wanted
    assessment: Assessment


def if_lost(obj: Object, world: World, cluster: str, settings: Settings, now: datetime.datetime) -> WhatIf:
    """What the loops would do with an orchestration if that cluster of its were lost now.

    Raises:
        KeyError: the orchestration has no such cluster.
    """
    before = _seen(obj, world, settings, now)
    secret = before.snapshot.clusters[cluster].secret
    game = _Game(obj, world, cluster, secret, settings, now, before.snapshot.adjustment)
    game.play()
    return _compared(cluster, before, game)


def _seen(obj: Object, world: World, settings: Settings, now: datetime.datetime) -> _Round:
    snapshot = observe(obj, world)
    wanted = orient(snapshot, settings)
    return _Round(snapshot, wanted, assess(snapshot, wanted, LinkSettings(), now.timestamp()))


class _Game:
    """The rounds that would follow."""

    def __init__(
        self, obj: Object, world: World, cluster: str, secret: str, settings: Settings, now: datetime.datetime,
        adjustment: AdjustmentSpec,
    ) -> None:  # fmt: skip
        self._object, self._world, self._cluster, self._secret = obj, world, cluster, secret
        self._settings = settings
        self._began = self._now = now.replace(microsecond=0)  # statuses tell whole seconds
        self.adjustment = adjustment
        self.decisions: list[Foreseen] = []
        self.notes: dict[str, None] = {}
        self._memories: dict[str, Memory] = {}
        self._past: dict[str, list[Past]] = {}
        self._waited: dict[str, datetime.datetime] = {}
        self.round = self._look()

    def _look(self) -> _Round:
        key = self._object["metadata"].get("namespace") or "", self._object["metadata"]["name"]
        world = LostWorld(self._world, key, self._secret, self.adjustment)
        return _seen(self._object, world, self._settings, self._began)

    def play(self) -> None:
        """Until nothing more is decided."""
        if self.round.snapshot.declared.paused:
            self.notes["the orchestration is paused: nothing would be done until it is resumed"] = None
            return
        for _ in range(MOST_ROUNDS):
            acted, again = self._once()
            if acted:
                self.round = self._look()
            elif again is None or again - self._began > HORIZON:
                return
            else:
                self._now = again

    def _once(self) -> tuple[bool, datetime.datetime | None]:
        """Whether something was decided, and when to look again."""
        snapshot, assessment, times = self.round.snapshot, self.round.assessment, list[datetime.datetime]()
        choice = None
        if places_anything(snapshot):
            choice = choose(snapshot, assessment, self._settings, self._now, self._waited)
            for path in choice.waiting:
                self._waited.setdefault(path, self._now)
            if choice.decision is not None:
                self._decide("placement", choice.decision.reason, choice.decision.actions)
                return True, None
            times += [choice.again] if choice.again is not None else []
        lost = {self._cluster: told(self._began)}
        given = LoopInput(
            policy=Policy(name="none"), now=self._now, declared=snapshot.declared,
            clusters=cluster_views(snapshot, assessment, lost), components=component_views(snapshot, assessment),
            adjustment=snapshot.adjustment, unplaced=choice.unplaced if choice is not None else (),
            place=placer(snapshot, assessment),
        )  # fmt: skip
        for policy in snapshot.declared.policies:
            if policy.failover is None and policy.provision_cluster is None:
                continue
            acted, again = self._ask(policy, given)
            if acted:
                return True, None
            times += [again] if again is not None else []
        return False, min((at for at in times if at > self._now), default=None)

    def _ask(self, policy: Policy, given: LoopInput) -> tuple[bool, datetime.datetime | None]:
        """Whether one loop acts."""
        stood = Standing(past=tuple(self._past.get(policy.name, ())))
        memory = self._memories.get(policy.name, Memory())
        output = look(replace(given, policy=policy, history=stood.past, memory=memory))
        self._memories[policy.name] = output.memory
        asked = with_(policy, approval=Approval.NONE)  # whether somebody would approve, nobody knows: it is told
        ruling = rule(asked, output, stood, claims(given.declared.policies), self._now)
        if ruling.stage is LoopStage.ACT and ruling.actions:
            self._decide(f"policy/{policy.name}", output.reason, ruling.actions, policy.approval is Approval.REQUIRED)
            name = f"foreseen-{len(self.decisions)}"
            past = Past(name, self._now, DecisionStage.VERIFIED, ruling.actions)
            self._past.setdefault(policy.name, []).append(past)
            return True, None
        if ruling.stage in (LoopStage.HELD, LoopStage.STALLED) and ruling.message:
            self.notes[f"policy {policy.name}: {ruling.message}"] = None
        return False, ruling.next_look

    def _decide(self, source: str, reason: str, actions: tuple[DecidedAction, ...], approval: bool = False) -> None:
        after = int((self._now - self._began).total_seconds())
        self.decisions.append(Foreseen(after, source, reason, actions, approval))
        carried = Carried(
            self.round.snapshot.declared, f"foreseen-{len(self.decisions)}", told(self._now),
            source.removeprefix("policy/") if source.startswith("policy/") else "",
            self.round.snapshot.orchestration.generation, self.round.snapshot.base,
        )  # fmt: skip
        self.adjustment = lay(self.adjustment, actions, carried)


# --- what is different ------------------------------------------------------------------------------------------------
def _compared(cluster: str, before: _Round, game: _Game) -> WhatIf:
    after = game.round
    was, is_ = component_views(before.snapshot, before.assessment), component_views(after.snapshot, after.assessment)
    where = {path: (was[path].cluster, view.cluster) for path, view in is_.items() if path in was}
    stays = [path for path, (_, here) in where.items() if here == cluster]
    homes = {name: (before.wanted.apps[name].home, app.home) for name, app in after.wanted.apps.items()
             if name in before.wanted.apps}  # fmt: skip
    problem = whole_problem(before.snapshot, before.assessment, ())
    return WhatIf(
        lost=cluster,
        decisions=tuple(game.decisions),
        moves={path: (a, b) for path, (a, b) in sorted(where.items()) if a is not None and b is not None and a != b},
        homes={name: pair for name, pair in sorted(homes.items()) if pair[0] != pair[1]},
        stays=_reasons(cluster, after, stays),
        broken=tuple(pair for pair in sorted(before.wanted.links) if cluster in pair),
        made=tuple(sorted(set(after.wanted.links) - set(before.wanted.links))),
        before=_bill(problem, {path: a for path, (a, _) in where.items() if a is not None}),
        later=_bill(problem, {path: b for path, (_, b) in where.items() if b is not None and b != cluster}),
        notes=(*game.notes, *_homeless(cluster, after)),
    )  # fmt: skip


def _reasons(cluster: str, after: _Round, paths: list[str]) -> dict[str, str]:
    """Why components would not run."""
    snapshot = after.snapshot
    if not paths:
        return {}
    homeless = {app.name: "" for app in snapshot.orchestration.spec.apps if app.cluster == cluster}
    found = placer(snapshot, after.assessment)(paths, frozenset((cluster,)), homeless)
    if not any(policy.failover is not None for policy in snapshot.declared.policies):
        return {path: _unguarded(path, found.places.get(path)) for path in sorted(paths)}
    return {
        path: found.unplaced.get(path) or f"no loop moves it, though {found.places.get(path)} has room"
        for path in sorted(paths)
    }


def _unguarded(path: str, could: str | None) -> str:
    also = f"; there would be room on {could}" if could is not None else "; nor would there be room for it"
    return f"no failover policy moves {path}{also}"


def _homeless(cluster: str, after: _Round) -> list[str]:
    kept = sorted(name for name, app in after.wanted.apps.items() if app.home == cluster)
    return [f"application {name} would keep its home {cluster}: nothing of it could be changed" for name in kept]


def _bill(problem: Problem, places: Mapping[str, str]) -> Bill:
    sites, cost, carbon = {site.name: site for site in problem.sites}, 0.0, 0.0
    for part in problem.parts:
        site = sites.get(places.get("/".join(part.id.split("/")[2:]), ""))
        if site is not None:
            cost += cost_of(part.room, site)
            carbon += carbon_of(part.room, site)
    return Bill(round(cost, 6), round(carbon, 6))
