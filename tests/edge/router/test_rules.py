"""What is to be done about one Rule, and who needs which source."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.edge.relay.model import Source
from continuo.edge.router import rules
from continuo.edge.router.ledger import Entry, Ledger
from continuo.edge.router.rules import Blocked, Create, Remove, decide

SOURCE = Source(namespace="fluidos", node="edge-a", topic="sensor/1")
URL, UP, LATER = "http://relay/ingest/1", "2026-01-01T00:00:00Z/10.0.0.1", "2026-01-02T00:00:00Z/10.0.0.1"


def rule(
    connection: str = UP, url: str = URL, instance: str = "continuo", *, heard: str = "1", more: bool = False,
    **metadata: Any,
) -> dict[str, Any]:  # fmt: skip
    made = rules.rule_for(SOURCE, url, instance, connection, heard)
    if more:
        made["spec"]["description"] = "by a webhook"
    made["metadata"] = {**made["metadata"], "uid": "u", **metadata}
    return made


CASES = {
    "nothing wanted, nothing there": (None, None, [], None),
    "wanted": (rule(), None, [], Create),
    "as it should be": (rule(), rule(), [], None),
    "nobody needs it": (None, rule(), [], Remove),
    "a change is not taken up": (rule(url="http://relay/ingest/2"), rule(), [], Remove),
    "its node came back": (rule(LATER), rule(), [], Remove),
    "it was made while its node was away": (rule(UP), rule(rules.OFFLINE), [], Remove),
    "its node is away": (rule(rules.OFFLINE), rule(UP), [], None),
    "what the API server dropped or added is no change": (rule(), rule(more=True), [], None),
    "on its way out": (rule(LATER), rule(deletionTimestamp="now"), [], None),
    "somebody else's of that name": (rule(), rule(instance="other"), [], Blocked),
    "somebody else's, and nothing wanted": (None, rule(instance="other"), [], None),
    "another rule with that source": (rule(), None, [rule(name="theirs")], Blocked),
    "another rule, nothing wanted": (None, None, [rule(name="theirs")], None),
}


@pytest.mark.parametrize(("wanted", "there", "others", "step"), CASES.values(), ids=CASES)
def test_one_step_for_one_rule(wanted: Any, there: Any, others: Any, step: Any) -> None:
    before = copy.deepcopy((wanted, there, others))
    found = decide(wanted, there, others, "continuo")
    assert found is None if step is None else isinstance(found, step)
    assert (wanted, there, others) == before


def test_a_rule_is_made_anew_for_a_reason_of_ours() -> None:
    assert decide(rule(), rule(), [], "continuo", renew="nothing came") == Remove(rule(), "nothing came")


def test_a_silent_rule_is_made_anew_when_its_node_is_heard_of() -> None:
    assert decide(rule(heard="2"), rule(), [], "continuo", silent=False) is None
    assert decide(rule(), rule(), [], "continuo", silent=True) is None
    assert isinstance(decide(rule(heard="2"), rule(), [], "continuo", silent=True), Remove)
    assert decide(rule(rules.OFFLINE, heard="2"), rule(), [], "continuo", silent=True) is None, "it is not back yet"


def test_a_rule_that_nobody_needs_waits_for_its_node() -> None:
    assert decide(None, rule(), [], "continuo", away=True) is None
    assert isinstance(decide(None, rule(), [], "continuo", away=False), Remove)


def test_names_follow_from_sources_alone() -> None:
    others = [
        SOURCE,
        Source(namespace="fluidos", node="edge-a", topic="sensor/2"),
        Source(namespace="fluidos", node="edge-asensor", topic="/1"),
        Source(namespace="f", node="edge-a", topic="sensor/1"),
    ]
    assert len({rules.rule_name(each) for each in others}) == 4
    assert rules.source_of(rule()) == SOURCE
    assert rules.source_of(rules.command_rule("fluidos", "continuo")) is None


NODE: dict[str, Any] = {
    "metadata": {"name": "edge-a", "annotations": {"cloudcore": "10.0.0.1"}},
    "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
}


def test_one_connection_is_told_from_the_next() -> None:
    away = copy.deepcopy(NODE)
    away["status"]["conditions"][0]["status"] = "Unknown"
    moved = copy.deepcopy(NODE)
    moved["metadata"]["annotations"]["cloudcore"] = "10.0.0.2"
    found = {rules.connection_of(each) for each in (NODE, moved, away, None)}
    assert found == {UP, "2026-01-01T00:00:00Z/10.0.0.2", rules.OFFLINE}


SOURCES = [Source(namespace="n", node=f"e{n % 2}", topic=f"t{n}") for n in range(4)]
ENTRIES = st.builds(
    Entry, sources=st.frozensets(st.sampled_from(SOURCES), min_size=1), sensors=st.frozensets(st.sampled_from("abc")),
    commands=st.booleans(), approved=st.booleans(),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.none() | ENTRIES), max_size=30))
def test_the_ledger_says_what_its_entries_say(steps: list[tuple[str, Entry | None]]) -> None:
    ledger, model = Ledger(), dict[tuple[str, str], Entry]()
    for name, entry in steps:
        key, before = ("", name), model.get(("", name))
        changed = ledger.put(key, entry)
        model.pop(key, None)
        if entry is not None:
            model[key] = entry
        touched = {source for each in (before, entry) if each is not None for source in each.sources}
        assert changed == (set() if before == entry else touched)
    for source in SOURCES:
        users = {key for key, entry in model.items() if source in entry.sources}
        assert set(ledger.users(source)) == users and ledger.claims(source) == bool(users)
        assert ledger.needs(source) == any(model[key].approved for key in users)
        assert (source in ledger.at(source.node)) == bool(users)
    assert set(ledger.keys) == set(model)
    assert ledger.commands("n") == any(entry.commands and entry.approved for entry in model.values())
    for sensor in "abc":
        assert set(ledger.of_sensor(sensor)) == {key for key, entry in model.items() if sensor in entry.sensors}
