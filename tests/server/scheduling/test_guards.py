"""What guards accept breaks nothing: whatever is decided, what was accepted fits, and keeps every promise."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.orchestrator.loops.laying import Carried, lay
from continuo.placement.check import check
from continuo.placement.guards import History, Limits, Rejection, State, judge, judge_all, read_action, subject_of
from continuo.placement.guards.fitting import Fitting
from continuo.resources.loop import ADJUSTMENT, AdjustmentSpec, DecidedAction, Operation, decode_adjustment
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, LowLevelOrchestration, decode
from continuo.server.scheduler.problem import state_of
from scheduling.bench import cluster, component

CLUSTERS, COMPONENTS = ("rose", "green", "blue"), tuple(f"c{number}" for number in range(6))
MANY = Limits(moved_share=1.0)


def bounds() -> st.SearchStrategy[Object]:
    others = st.lists(st.sampled_from(COMPONENTS), max_size=2, unique=True)
    spread = st.fixed_dictionaries({"group": st.just("g"), "across": st.sampled_from(["cluster", "country"])})
    labels = st.sampled_from([{"matchLabels": {"a": "1"}}, {"matchExpressions": [{"key": "a", "operator": "Exists"}]}])
    return st.fixed_dictionaries({}, optional={
        "beside": others, "apart-from": others, "spread": spread, "clusters": labels,
        "locations": st.just([{"country": "IT"}]),
    })  # fmt: skip


@st.composite
def worlds(draw: Any) -> tuple[LowLevelOrchestration, AdjustmentSpec]:
    clusters = [
        cluster(name, draw(st.sampled_from(["cloud", "edge"])), labels=draw(st.sampled_from([{}, {"a": "1"}])),
                location={"country": draw(st.sampled_from(["IT", "FR"]))}, cost={"cpu": draw(st.sampled_from([1.0, 5.0]))})
        for name in CLUSTERS
    ]  # fmt: skip
    components = [
        component(name, placement=draw(bounds()), replicas=draw(st.integers(0, 3)),
                  resources={"requests": {"cpu": draw(st.sampled_from(["100m", "500m", "1"]))}})
        for name in COMPONENTS
    ]  # fmt: skip
    talk = {"name": "t", "members": ["c0", "c1"], "latencyMs": draw(st.sampled_from([1, 50]))}
    spec = {
        "clusters": clusters, "placement": {"budgets": [{"owner": "ann", "cost": draw(st.sampled_from([6.0, 100.0]))}]},
        "apps": [{"name": "a", "owner": "ann", "cluster": "rose", "components": components, "link-requirements": [talk]}],
    }  # fmt: skip
    room = {"cpu": draw(st.sampled_from(["1", "4"])), "memory": "64Gi"}
    seen = [{"name": name, "phase": "Ready", "allocatable": room, "cordoned": draw(st.booleans()),
             "unlinkable": draw(st.sampled_from(["", "", "has no Liqo"]))} for name in CLUSTERS]  # fmt: skip
    link = {"clusters": ["green", "rose"], "phase": "Connected", "latency": "9ms"}
    obj = LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=spec, status={"clusters": seen, "links": [link]})
    where = {name: draw(st.sampled_from([*CLUSTERS, None])) for name in COMPONENTS}
    places = [
        {"component": f"a/{name}", "cluster": to, "decision": "d", "since": "2026-01-01T00:00:00Z"}
        for name, to in where.items() if to is not None
    ]  # fmt: skip
    return decode(obj), decode_adjustment(ADJUSTMENT.new("o", "default", spec={"places": places}))


ACTIONS = st.lists(
    st.one_of(
        st.builds(
            lambda op, name, to: {"op": op, "component": f"a/{name}", "cluster": to},
            st.sampled_from(["placeComponent", "migrateComponent"]), st.sampled_from(COMPONENTS), st.sampled_from(CLUSTERS),
        ),
        st.builds(
            lambda name, count: {"op": "scaleComponent", "component": f"a/{name}", "replicas": count},
            st.sampled_from(COMPONENTS), st.integers(0, 6),
        ),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def after(orchestration: LowLevelOrchestration, adjustment: AdjustmentSpec, actions: list[DecidedAction]) -> State:
    return state_of(orchestration, lay(adjustment, actions, Carried(orchestration.spec, "d", "2026-01-01T00:00:00Z")))


@settings(max_examples=80, deadline=None)
@given(world=worlds(), said=ACTIONS)
def test_what_is_accepted_keeps_every_promise(
    world: tuple[LowLevelOrchestration, AdjustmentSpec], said: list[Object]
) -> None:
    orchestration, adjustment = world
    state = state_of(orchestration, adjustment)
    actions = [read_action(one) for one in said]
    verdicts = judge_all(state, actions, MANY, History())
    accepted = [a for a, v in zip(actions, verdicts, strict=True) if isinstance(a, DecidedAction) and v is None]
    later = after(orchestration, adjustment, accepted)
    broken = {(wrong.part, wrong.site, wrong.cause) for wrong in check(free(state), state.places)}
    moved = {later.part(str(a.component)) for a in accepted if a.op is not Operation.SCALE_COMPONENT}
    for wrong in check(free(later), later.places):
        assert wrong.part not in moved, (wrong, accepted)
        known = (wrong.part, wrong.site, wrong.cause) in broken
        assert known or wrong.cause in ("apart", "spread"), (wrong, accepted)
    assert judge_all(state, actions, MANY, History()) == verdicts, "the same again is judged the same"


def free(state: State) -> Any:
    """The problem with everything movable: what must not move is never wrong."""
    from msgspec.structs import replace

    return replace(state.problem, movable=None)


@settings(max_examples=30, deadline=None)
@given(world=worlds(), said=ACTIONS)
def test_one_alone_is_judged_as_in_company_of_nobody(
    world: tuple[LowLevelOrchestration, AdjustmentSpec], said: list[Object]
) -> None:
    state = state_of(*world)
    for one in said:
        action = read_action(one)
        assert isinstance(action, DecidedAction)
        alone = judge(state, action, MANY, History())
        assert alone == judge_all(state, [action], MANY, History())[0]
        assert alone is None or (isinstance(alone, Rejection) and alone.message.strip())


@settings(max_examples=80, deadline=None)
@given(world=worlds(), said=ACTIONS)
def test_one_tally_says_of_what_is_left_the_same_as_a_new_one(
    world: tuple[LowLevelOrchestration, AdjustmentSpec], said: list[Object]
) -> None:
    state = state_of(*world)
    read = (read_action(one) for one in said)
    distinct = {subject_of(action): action for action in read if isinstance(action, DecidedAction)}
    left = dict(enumerate(distinct.values()))
    shared = Fitting(state, left)
    while (wrong := shared.last_misfit()) is not None:
        assert wrong == Fitting(state, left).last_misfit(), "made anew it says the same"
        shared.refuse(wrong[0])
        del left[wrong[0]]
    assert Fitting(state, left).last_misfit() is None
