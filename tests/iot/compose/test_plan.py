"""What a claim means, round after round."""

from __future__ import annotations

import random
from typing import Any

from continuo.iot.compose import wire
from continuo.iot.compose.function import run
from continuo.iot.compose.names import child_name

from .requests import (
    board,
    claim,
    conditions,
    desired,
    exists,
    ready,
    render,
    request,
    status,
)  # fmt: skip

CODE = "from iotronic_lightningrod.modules.plugins import Plugin\n"
WISH: dict[str, Any] = {
    "boards": {"matchLabels": {"site": "roof"}},
    "plugins": [
        {
            "name": "meter",
            "code": CODE,
            "state": "Running",
            "parameters": {"every": 5, "deep": {"ratio": 0.5}},
            "grants": {"network": True, "memory": "64Mi"},
        }
    ],
    "expose": [{"name": "ssh", "port": 22}],
    "network": {"cidr": "10.9.0.0/24", "securityGroups": [{"name": "default", "rules": [{"protocol": "icmp"}]}]},
    "workloads": [
        {"name": "sum", "command": ["python3", "sum.py"], "env": {"A": "1"}, "resources": {"memory": "32Mi"}}
    ],
}
ROOF = (board("b1", site="roof"), board("b2", site="roof", online=False), board("b3", site="cellar"))


def test_one_claim_gives_every_board_everything() -> None:
    answer = render(run, claim(**WISH), ROOF)
    made = desired(answer)
    assert sorted(made) == sorted(
        [
            "network/10.9.0.0-24",
            "plugin/meter",
            *(
                f"{what}/{b}"
                for b in ("b1", "b2")
                for what in ("port/10.9.0.0-24", "inject/meter", "expose/ssh-22", "run/sum")
            ),
        ]
    )
    injection = made["inject/meter/b1"]
    assert injection["kind"] == "PluginInjection" and injection["metadata"]["namespace"] == "lab"
    assert injection["spec"]["forProvider"] == {
        "boardRef": {"name": "b1"},
        "pluginRef": {"name": made["plugin/meter"]["metadata"]["name"]},
        "state": "Running",
        "onboot": False,
        "parameters": {"every": 5, "deep": {"ratio": 0.5}},
    }
    assert made["plugin/meter"]["spec"]["forProvider"]["grants"] == {"network": True, "memory": "64Mi"}
    assert (
        made["port/10.9.0.0-24/b2"]["spec"]["forProvider"]["networkRef"]["name"]
        == made["network/10.9.0.0-24"]["metadata"]["name"]
    )
    assert made["run/sum/b1"]["spec"]["forProvider"]["env"] == {"A": "1"}
    assert all("status" not in obj and "resourceVersion" not in obj["metadata"] for obj in made.values())
    assert conditions(answer)["BoardsReady"][:2] == (wire.STATUS["False"], "Waiting")


def test_the_first_round_asks_and_wants_what_was_made_before() -> None:
    first = run(request(claim(**WISH)))
    assert dict(first.requirements.resources["boards"].match_labels.labels) == {"site": "roof"}
    assert sorted(desired(first)) == ["network/10.9.0.0-24", "plugin/meter"]
    made = desired(render(run, claim(**WISH), ROOF))
    again = run(request(claim(**WISH), None, {name: exists(obj) for name, obj in made.items()}))
    assert desired(again) == made, "before the boards are told again, nothing of theirs is given up"
    assert conditions(again)["BoardsReady"][1] == "Looking" and again.desired.composite.ready == wire.READY_FALSE


def test_old_crossplane_is_asked_in_its_own_field_too() -> None:
    first = run(request(claim(**WISH), capabilities=()))
    assert first.requirements.extra_resources["boards"] == first.requirements.resources["boards"]
    assert not run(request(claim(**WISH))).requirements.extra_resources


def test_the_same_request_is_the_same_answer() -> None:
    boards = [board(f"b{number}", site="roof") for number in range(30)]
    answers = set()
    for seed in range(5):
        random.Random(seed).shuffle(boards)
        answers.add(wire.write(render(run, claim(**WISH), boards)))
    assert len(answers) == 1


def test_a_slice_is_ready_when_all_its_objects_are() -> None:
    made = desired(render(run, claim(**WISH), ROOF))
    there = {name: exists(obj, ip="10.9.0.7", host="hub.example", publicPort=50001) for name, obj in made.items()}
    answer = render(run, claim(**WISH), ROOF, there)
    assert ready(answer) == set(made) and answer.desired.composite.ready == wire.READY_TRUE
    assert status(answer)["boards"] == {"found": 2, "online": 1, "ready": 2}
    assert status(answer)["members"][0] == {
        "name": "b1", "ready": True, "online": True, "ip": "10.9.0.7", "services": {"ssh": "hub.example:50001"},
    }  # fmt: skip
    assert conditions(answer)["BoardsReady"] == (wire.STATUS["True"], "Available", "2 of 2 boards ready")
    there["port/10.9.0.0-24/b2"] = exists(made["port/10.9.0.0-24/b2"], is_ready=False)
    answer = render(run, claim(**WISH), ROOF, there)
    assert answer.desired.composite.ready == 0, "Crossplane names what is not ready, if it is asked to"
    assert conditions(answer)["BoardsReady"][2] == "1 of 2 boards ready; b2: port/10.9.0.0-24: Creating"


def test_enough_boards_are_enough() -> None:
    wish = {**WISH, "boards": {"matchLabels": {"site": "roof"}, "minReady": 1}}
    made = desired(render(run, claim(**wish), ROOF))
    there = {name: exists(obj, is_ready="b2" not in name) for name, obj in made.items()}
    assert render(run, claim(**wish), ROOF, there).desired.composite.ready == wire.READY_TRUE
    wish["boards"] = {"matchLabels": {"site": "roof"}, "minReady": 3}
    all_there = {name: exists(obj) for name, obj in made.items()}
    answer = render(run, claim(**wish), ROOF, all_there)
    assert answer.desired.composite.ready == wire.READY_FALSE
    assert conditions(answer)["BoardsReady"][2] == "2 of 2 boards ready; 3 are required"


def test_readiness_of_an_older_generation_does_not_count() -> None:
    made = desired(render(run, claim(**WISH), ROOF))
    there = {name: exists(obj) for name, obj in made.items()}
    there["network/10.9.0.0-24"]["metadata"]["generation"] = 2
    there["network/10.9.0.0-24"]["status"]["conditions"][0]["observedGeneration"] = 1
    assert "network/10.9.0.0-24" not in ready(render(run, claim(**WISH), ROOF, there))


def test_a_board_that_leaves_takes_its_objects_along_and_no_others() -> None:
    made = desired(render(run, claim(**WISH), ROOF))
    there = {name: exists(obj) for name, obj in made.items()}
    left = desired(render(run, claim(**WISH), ROOF[:1], there))
    assert set(made) - set(left) == {name for name in made if name.endswith("/b2")}
    going = board("b2", site="roof")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert desired(render(run, claim(**WISH), (ROOF[0], going), there)) == left


def test_no_board_at_all_is_not_ready() -> None:
    answer = render(run, claim(**WISH), ROOF[2:])
    assert answer.desired.composite.ready == wire.READY_FALSE
    assert conditions(answer)["BoardsReady"][1] == "NoneFound"


def test_a_part_that_is_no_longer_claimed_is_no_longer_waited_for() -> None:
    said = {"conditions": [{"type": "NetworkReady", "status": "False"}, {"type": "Synced", "status": "True"}]}
    wish = {name: value for name, value in WISH.items() if name != "network"}
    found = conditions(render(run, claim(status=said, **wish), ROOF))
    assert found["NetworkReady"] == (wire.STATUS["True"], "NotRequested", "") and set(found) == {
        "NetworkReady",
        "BoardsReady",
    }


def test_many_boards_are_counted_not_listed() -> None:
    boards = [board(f"b{number:03}", site="roof") for number in range(201)]
    said = status(render(run, claim(**WISH), boards))
    assert said["boards"] == {"found": 201, "online": 201, "ready": 0} and "members" not in said
    assert len(status(render(run, claim(**WISH), boards[:200]))["members"]) == 200


def test_what_earlier_steps_wanted_stays_wanted() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"n": "1"}}
    answer = run(request(claim(**WISH), list(ROOF), desired={"other": other}))
    assert desired(answer)["other"] == other and answer.meta.tag == "a-tag"


def test_names_fit_and_are_never_alike() -> None:
    long = "a" * 63
    wish = {"boards": {"matchLabels": {"s": "r"}}, "plugins": [{"name": n, "code": CODE} for n in ("a", "a-b")]}
    boards = [board(name, s="r") for name in ("c", "b-c", "x." * 120 + "y", "x." * 120 + "z")]
    for name in ("s", long):
        made = desired(render(run, claim(name, **wish), boards))
        assert len(made) == 2 + 2 * 4
        names = {(obj["kind"], obj["metadata"]["name"]) for obj in made.values()}
        assert len(names) == len(made) and all(len(each) <= 63 for _, each in names)
        assert all(len(obj["spec"]["forProvider"].get("name", "")) <= 36 for obj in made.values())
    assert child_name("a-b", "c") != child_name("a", "b-c")


def fatal(answer: Any) -> str:
    assert [result.severity for result in answer.results] == [wire.FATAL]
    return str(answer.results[0].message)


def test_what_cannot_be_is_said_and_nothing_is_done() -> None:
    assert "spec.boards: required" in fatal(run(request(claim(plugins=[{"name": "a", "code": CODE}]))))
    cluster = {"name": "c" * 38, "provider": "dev", "kubernetes-version": "v1.34.2"}
    assert "shorten one of them" in fatal(run(request(claim(orchestration={"clusters": [cluster]}))))
    assert "spec.expose[0].port" in fatal(run(request(claim(**{**WISH, "expose": [{"name": "a", "port": 0}]}))))
    boards = [board(f"b{number}", site="roof") for number in range(1251)]
    assert "at most 5000" in fatal(run(request(claim(**WISH), boards)))
    heavy = {**WISH, "workloads": [{"name": "w", "command": ["x"], "files": {"f": "y" * 200_000}}]}
    assert "make `code` and `files` shorter" in fatal(run(request(claim(**heavy), boards[:30])))
