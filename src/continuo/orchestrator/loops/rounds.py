"""One round of everything that decides for an orchestration: open decisions, placement, the policies in their order.

Whatever changes the Adjustment ends the look: what comes after it needs a new picture. In memory is only what makes the next
look better informed (figures, since when something waits); losing it makes loops act later.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from continuo.kube.port import Cluster
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.loops.enact import OPEN, Desk, Made, dated, moment, told, word_of
from continuo.orchestrator.loops.figures import Figures, asks_of
from continuo.orchestrator.loops.frame import (
    NEVER,
    Ruling,
    Standing,
    claims,
    loop_status,
    rule,
    standing,
    subject,
    verdict,
    waits,
)
from continuo.orchestrator.loops.judging import in_turn, judged
from continuo.orchestrator.loops.laying import counting, in_effect
from continuo.orchestrator.loops.model import ClusterView, ComponentView, LoopInput, LoopOutput, Memory, Placer
from continuo.orchestrator.loops.policies import look
from continuo.orchestrator.loops.remains import SOURCE, remains
from continuo.orchestrator.loops.verifying import effect, unfinished
from continuo.orchestrator.loops.views import cluster_views, component_views, lost_since
from continuo.orchestrator.observe import Snapshot, Waiting
from continuo.orchestrator.placing.asking import Fresh, Gone, NotNow, Placing, Stale
from continuo.orchestrator.placing.choose import BEFORE, Choice, places_anything
from continuo.orchestrator.placing.improve import Improver
from continuo.orchestrator.plan import Plan
from continuo.orchestrator.remembered import Remembered
from continuo.orchestrator.settings import Settings
from continuo.resources.loop import AdjustmentSpec, DecisionSpec, DecisionStage, Operation
from continuo.resources.meta import Key, Object
from continuo.resources.orchestration import LoopStage, Policy
from continuo.resources.orchestration_policies import Approval

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """What is kept of one orchestration between two looks."""

    memories: dict[str, Memory] = field(default_factory=dict)
    first_seen: dict[str, datetime.datetime] = field(default_factory=dict)
    forgiven: set[str] = field(default_factory=set)
    """Denied decisions after which something else was wanted, so that the same may be asked for again."""
    effects: Remembered[bool] = field(default_factory=Remembered)
    """By decision: whether what it said is in effect."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    changed: bool = False
    """The Adjustment is another one now: look again before anything is done."""
    gone: bool = False
    """The declaration is another one now: this round is over."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    loops: tuple[Object, ...] = ()
    """status.loops."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Since when clusters have not answered."""
    again: datetime.datetime | None = None
    assessment: Assessment | None = None
    """What it was decided on; none where there was nothing to decide."""


class Loops:
    """The loops of all orchestrations of one operator."""

    def __init__(
        self, desk: Desk, figures: Figures, settings: Settings, client: Callable[[Key, str], Cluster | None],
        improver: Improver, placing: Placing,
    ) -> None:  # fmt: skip
        self.desk, self._figures, self._settings, self._client = desk, figures, settings, client
        self._improver, self._placing = improver, placing
        self._kept: dict[Key, Kept] = {}

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._kept.pop(key, None)
        self.desk.drop(key)
        self._figures.forget(key)
        self._improver.forget(key)
        self._placing.forget(key)

    async def close(self) -> None:
        """Stop what is under way beside the rounds."""
        await self._figures.close()
        await self._improver.close()
        await self._placing.close()

    async def look(self, snapshot: Snapshot, assessment: Assessment, now: datetime.datetime, fresh: Fresh) -> Looked:
        """Decide what there is to decide about one orchestration. `fresh` shows it anew, after something took a while."""
        try:
            return await self._look(snapshot, assessment, now, fresh)
        except Stale:
            return Looked(changed=True, lost=lost_since(snapshot, now))
        except Gone:
            return Looked(gone=True)

    async def _look(self, snapshot: Snapshot, assessment: Assessment, now: datetime.datetime, fresh: Fresh) -> Looked:
        lost = lost_since(snapshot, now)
        kept = self._kept.setdefault(snapshot.key, Kept())
        if await self._tidied(snapshot) or await self._open_decisions(snapshot, assessment, now):
            return Looked(changed=True, lost=lost)
        choice = await self._choose(snapshot, assessment, kept, now, fresh)
        better = choice.decision or self._improver.look(snapshot, assessment, snapshot.version)
        if better is not None and await self._decide(snapshot, better, now):
            if choice.decision is not None:
                self._improver.placed(snapshot.key, (a.component for a in better.actions if a.component))
            return Looked(changed=True, lost=lost)
        try:
            changed, entries, again = await self._policies(snapshot, assessment, kept, choice, lost, now, fresh)
        except NotNow as hindered:  # a loop asked for room; what it said last stands until it knows
            log.info("%s/%s: %s", *snapshot.key, hindered)
            told_ = (snapshot.object.get("status") or {}).get("loops") or ()
            changed, entries, again = False, tuple(told_), hindered.again
        times = [at for at in (again, choice.again) if at is not None]
        return Looked(
            changed=changed, waiting=choice.waiting, loops=entries, lost=lost, again=min(times, default=None),
            assessment=assessment,
        )  # fmt: skip

    def idle(self, snapshot: Snapshot) -> bool:
        """Whether an orchestration leaves nothing to loops: then they cost nothing."""
        if snapshot.deleting:
            return True
        if snapshot.declared.policies or places_anything(snapshot) or snapshot.adjustment != AdjustmentSpec():
            return False
        return not self.desk.decided(snapshot.key)

    async def _tidied(self, snapshot: Snapshot) -> bool:
        """Take out of the Adjustment what counts no more; whether it is another one now."""
        if snapshot.declared.paused:
            return False
        counts = counting(snapshot.adjustment, snapshot.declared, snapshot.base)
        return counts != snapshot.adjustment and await self.desk.put(snapshot, counts)

    async def _decide(self, snapshot: Snapshot, spec: DecisionSpec, now: datetime.datetime) -> bool:
        decision = await self.desk.record(snapshot, spec, now)
        if decision.stage not in OPEN:
            return False
        await self.desk.carry_out(snapshot, decision, now)
        return True

    # --- decisions that are there ----------------------------------------------------------------------------------

    async def _open_decisions(self, snapshot: Snapshot, assessment: Assessment, now: datetime.datetime) -> bool:
        """Carry out, or close, what others decided, or one of us who was killed; whether one was carried out."""
        await self.desk.refuse_unreadable(snapshot.key)
        for decision in in_turn(self.desk.decisions(snapshot.key)):
            if decision.stage in OPEN and await self._one_open(snapshot, assessment, decision, now):
                return True
        return False

    async def _one_open(
        self, snapshot: Snapshot, assessment: Assessment, decision: Made, now: datetime.datetime
    ) -> bool:
        if decision.stage is not DecisionStage.WAITING and self._in_effect(snapshot, decision):
            await self.desk.tell(decision.object, DecisionStage.APPLIED, None)
            return False
        if decision.policy and decision.policy not in {policy.name for policy in snapshot.declared.policies}:
            why = f"{NEVER}policy {decision.policy} is no longer declared"
            await self.desk.tell(decision.object, DecisionStage.SUPERSEDED, why)
            return False
        expires = moment(decision.spec.expires)
        if decision.stage is DecisionStage.WAITING or decision.spec.approval:
            said = verdict(decision, now, expires)
            if said is None:
                if decision.stage is not DecisionStage.WAITING:  # whoever wrote it had no time to say so
                    await self.desk.tell(decision.object, DecisionStage.WAITING, None)
                return False
            if said[0] is not DecisionStage.RECEIVED:
                await self.desk.tell(decision.object, said[0], said[1])
                return False
        elif expires is not None and now >= expires:
            await self.desk.tell(
                decision.object, DecisionStage.EXPIRED, f"not carried out before {decision.spec.expires}"
            )
            return False
        if snapshot.declared.paused:
            return False
        return await self._judged(snapshot, assessment, decision, now)

    async def _judged(self, snapshot: Snapshot, assessment: Assessment, decision: Made, now: datetime.datetime) -> bool:
        """Carry a decision out if it still holds."""
        if decision.external:
            wrong = judged(
                snapshot,
                assessment,
                decision,
                dated(self.desk.decisions(snapshot.key), now),
                now,
                self._settings.limits,
            )
            if wrong:
                await self.desk.tell(decision.object, DecisionStage.REFUSED, "; ".join(wrong))
                return False
        elif not decision.spec.approval and (why := _void(snapshot, decision)):
            await self.desk.tell(decision.object, DecisionStage.SUPERSEDED, f"{NEVER}{why}")
            return False
        message = "approved" if decision.spec.approval else ""
        await self.desk.carry_out(snapshot, decision, now, message)
        return True

    async def after(self, snapshot: Snapshot, looked: Looked, plan: Plan, now: datetime.datetime) -> bool:
        """Close decisions of which nothing is left to do, and delete those that nobody needs any more.

        Whether some were closed: the status of their loops has yet to tell of it.
        """
        if looked.assessment is None:
            return False
        closed, decisions = False, self.desk.decisions(snapshot.key)
        self._kept.setdefault(snapshot.key, Kept()).effects.keep_only({decision.name for decision in decisions})
        for decision in decisions:
            if decision.stage is not DecisionStage.APPLIED:
                continue
            if not self._in_effect(snapshot, decision):
                why = "what it said was changed since, or declared anew"
                await self.desk.tell(decision.object, DecisionStage.SUPERSEDED, why, finishedAt=told(now))
                closed = True
            elif not unfinished(decision.spec.actions, plan):
                found = effect(decision, snapshot, looked.assessment, now)
                await self.desk.tell(
                    decision.object,
                    DecisionStage.VERIFIED,
                    decision.message or None,
                    finishedAt=told(now),
                    effect=found,
                )
                closed = True
        await self.desk.forget(snapshot.key, snapshot.adjustment, now)
        return closed

    def _in_effect(self, snapshot: Snapshot, decision: Made) -> bool:
        """Whether what a decision says is laid over the declaration, found out once for each version of all of them."""
        carried = word_of(snapshot, decision)
        given = (decision.object, snapshot.adjustment, carried)
        effects = self._kept.setdefault(snapshot.key, Kept()).effects
        return effects.of(decision.name, given, lambda: in_effect(snapshot.adjustment, decision.spec.actions, carried))

    # --- placement -------------------------------------------------------------------------------------------------

    async def _choose(
        self, snapshot: Snapshot, assessment: Assessment, kept: Kept, now: datetime.datetime, fresh: Fresh
    ) -> Choice:
        if not places_anything(snapshot):
            kept.first_seen.clear()
            return Choice()
        choice = await self._placing.choose(snapshot, assessment, self._settings, now, kept.first_seen, fresh)
        if choice.held:
            return choice
        begun = (path for path, why in choice.waiting.items() if why.reason not in BEFORE)
        open_ = {*begun, *(entry.component for entry in choice.unplaced)}
        kept.first_seen = {path: min(kept.first_seen.get(path, now), now) for path in open_}
        return choice

    # --- policies --------------------------------------------------------------------------------------------------

    async def _policies(
        self, snapshot: Snapshot, assessment: Assessment, kept: Kept, choice: Choice, lost: Mapping[str, str],
        now: datetime.datetime, fresh: Fresh,
    ) -> tuple[bool, tuple[Object, ...], datetime.datetime | None]:  # fmt: skip
        policies = snapshot.declared.policies
        clusters, components = cluster_views(snapshot, assessment, lost), component_views(snapshot, assessment)
        before = {e["name"]: e for e in (snapshot.object.get("status") or {}).get("loops") or ()}
        changed, gone = await self._remains(snapshot, clusters, components, before, now)
        if changed:
            return True, (), None
        if not policies:
            kept.memories.clear()
            return False, tuple(gone), None
        asks = asks_of(snapshot.key, policies, clusters, components, lambda name: self._client(snapshot.key, name))
        figures = await self._figures.collect(snapshot.key, asks)
        given = LoopInput(
            policy=policies[0], now=now, declared=snapshot.declared, clusters=clusters, components=components,
            adjustment=snapshot.adjustment, unplaced=choice.unplaced,
        )  # fmt: skip
        decisions = dated(self.desk.decisions(snapshot.key), now)
        kept.forgiven &= {one.name for one in decisions}
        kept.memories = {p.name: kept.memories[p.name] for p in policies if p.name in kept.memories}
        claimed, entries, times = claims(policies), gone, []
        for policy in policies:
            stood = standing(policy, decisions, frozenset(kept.forgiven))
            mine = replace(given, policy=policy, figure=figures.get(policy.name))
            say = partial(self._output, mine, stood, kept)
            output = await self._placing.with_room(snapshot, assessment, now, fresh, say)
            ruling = rule(policy, output, stood, claimed, now, paused=snapshot.declared.paused)
            last = await self._done(snapshot, assessment, policy, output, ruling, stood.asked, now) or stood.last
            if ruling.stage is LoopStage.ACT and ruling.actions:
                return True, (), None
            if ruling.ask and last is not None:
                ruling = replace(ruling, message=waits(last))
            claimed = {subject(action): policy.name for action in output.actions} | claimed
            due = self._figures.next_due(snapshot.key, policy.name)
            ruling = replace(ruling, next_look=min((t for t in (ruling.next_look, due) if t is not None), default=None))
            times += [ruling.next_look] if ruling.next_look is not None else []
            entries.append(loop_status(policy, output, ruling, last, now, before.get(policy.name)))
        return False, tuple(entries), min(times, default=None)

    async def _remains(
        self, snapshot: Snapshot, clusters: Mapping[str, ClusterView], components: Mapping[str, ComponentView],
        before: Mapping[str, Object], now: datetime.datetime,
    ) -> tuple[bool, list[Object]]:  # fmt: skip
        """Return what loops left behind that are no longer declared; what is said of what does not return yet."""
        left = remains(snapshot.declared, snapshot.base, snapshot.adjustment, clusters, components)
        if left.actions and not snapshot.declared.paused:
            spec = DecisionSpec(
                orchestration=snapshot.key[1], source=SOURCE, reason=left.reason[:1024], actions=left.actions
            )
            if await self._decide(snapshot, spec, now):
                return True, []
        none, names = LoopOutput(LoopStage.STALLED, ""), {policy.name for policy in snapshot.declared.policies}
        return False, [
            loop_status(Policy(name=name), none, Ruling(LoopStage.STALLED, why), None, now, before.get(name))
            for name, why in left.waits.items()
            if name not in names
        ]

    @staticmethod
    def _output(given: LoopInput, stood: Standing, kept: Kept, place: Placer) -> LoopOutput:
        """What one policy says; what it wants to remember is kept."""
        name = given.policy.name
        memory = kept.memories.get(name, Memory()).until(given.now)
        output = look(replace(given, history=stood.past, memory=memory, place=place))
        kept.memories[name] = output.memory
        if stood.denied and output.actions != stood.denied and stood.last is not None:
            kept.forgiven.add(stood.last.name)
        return output

    async def _done(
        self, snapshot: Snapshot, assessment: Assessment, policy: Policy, output: LoopOutput, ruling: Ruling,
        asked: Made | None, now: datetime.datetime,
    ) -> Made | None:  # fmt: skip
        """Do what was ruled: ask, act, or close what was asked. The decision that was made."""
        if ruling.drop and asked is not None:
            await self.desk.tell(asked.object, DecisionStage.SUPERSEDED, f"{NEVER}{ruling.drop}")
        if not ruling.actions:
            return None
        approval = policy.approval is Approval.REQUIRED
        moves = {
            a.component: a.cluster for a in ruling.actions if subject(a)[0] == "place" and a.component and a.cluster
        }
        homes = {a.app: a.cluster for a in ruling.actions if a.op is Operation.MOVE_HOME and a.app and a.cluster}
        why = await self._placing.weighed(snapshot, assessment, moves, homes) if moves else {}
        within = datetime.timedelta(seconds=policy.approval_within)
        spec = DecisionSpec(
            orchestration=snapshot.key[1], source=f"policy/{policy.name}", reason=output.reason[:1024] or policy.name,
            approval=approval, expires=(now + within).strftime("%Y-%m-%dT%H:%M:%SZ") if approval else None,
            actions=ruling.actions, explanation={"observation": output.observation, **output.explanation, **why},
        )  # fmt: skip
        decision = await self.desk.record(snapshot, spec, now, approval=approval)
        if not approval and decision.stage in OPEN:
            await self.desk.carry_out(snapshot, decision, now)
        return decision


def _void(snapshot: Snapshot, decision: Made) -> str:
    """Why a decision of one of us who was killed before it was carried out no longer holds."""
    if decision.spec.based_on != snapshot.version:
        return "what is declared, or was laid over it, has changed since"
    held = any(policy.hold for policy in snapshot.declared.policies if policy.name == decision.policy)
    return f"policy {decision.policy} is held" if held else ""
