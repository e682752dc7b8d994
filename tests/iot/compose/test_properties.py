"""A small Crossplane lets boards, claims, addresses and functions come and go; what must always hold, holds."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from continuo.iot.compose import wire
from continuo.iot.compose.function import run
from continuo.resources.meta import Object

from .requests import board, claim, desired, exists, render, request, status
from .test_clusters import ORCHESTRATION, running
from .test_plan import CODE

PLUGINS = [{"name": name, "code": CODE, "parameters": {"n": 1.5, "deep": [{"x": None}]}} for name in ("a", "a-b")]
WORKLOADS = [
    {"name": "feed", "command": ["x"], "endpoints": [{"env": "API", "app": "shop", "component": "api"}]},
    {"name": "idle", "command": ["y"], "job": {}},
]
OWN = {"status", "uid", "resourceVersion", "generation", "managedFields", "ownerReferences", "creationTimestamp"}


class World:
    """What there is, as Crossplane keeps it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.spec: dict[str, Any] = {"boards": {"matchLabels": {"site": "roof"}}}
        self.status: Object | None = None
        self.boards: dict[str, Object] = {}
        self.there: dict[str, Object] = {}
        self.url: str | None = None

    def happen(self) -> None:
        """Something changes."""
        rng = self.rng
        match rng.randrange(7):
            case 0:
                name = f"b{rng.randrange(6)}"
                self.boards[name] = board(name, online=rng.random() < 0.5, site=rng.choice(("roof", "roof", "cellar")))
            case 1 if self.boards:
                del self.boards[rng.choice(sorted(self.boards))]
            case 2:
                some = lambda items: [item for item in items if rng.random() < 0.7]  # noqa: E731
                self.spec = {
                    "boards": {"matchLabels": {"site": "roof"}},
                    "orchestration": ORCHESTRATION,
                    "plugins": some(PLUGINS),
                    "workloads": some(WORKLOADS),
                    "expose": some([{"name": "ssh", "port": rng.choice((22, 2222))}]),
                }
                if rng.random() < 0.7:
                    self.spec["network"] = {"cidr": rng.choice(("10.1.0.0/24", "10.2.0.0/24"))}
            case 3 if self.there:
                name = rng.choice(sorted(self.there))
                self.there[name] = exists(stripped(self.there[name]), is_ready=rng.random() < 0.7)
            case 4:
                self.url = rng.choice((None, "http://one", "http://two"))
            case 5:
                self.status = None
            case _:
                pass
        if "orchestration" in self.there:
            self.there["orchestration"] = running(stripped(self.there["orchestration"]), self.url)

    @property
    def composite(self) -> Object:
        return claim(status=self.status, **copy.deepcopy(self.spec))

    def compose(self) -> dict[str, Object]:
        """One reconciliation; sometimes Crossplane never gets to tell the boards."""
        shuffled = list(self.boards.values())
        self.rng.shuffle(shuffled)
        if self.rng.random() < 0.2:
            return desired(run(request(self.composite, None, self.there)))
        answer = render(run, self.composite, shuffled, self.there)
        assert not answer.results
        wanted = desired(answer)
        self.there = {
            name: (self.there.get(name) and kept(self.there[name], obj)) or exists(obj, is_ready=False)
            for name, obj in wanted.items()
        }
        self.status = status(answer)
        return wanted

    def may_have(self) -> set[str]:
        return {name for name, obj in self.boards.items() if obj["metadata"]["labels"]["site"] == "roof"}


def kept(there: Object, wanted: Object) -> Object:
    assert there["metadata"]["name"] == wanted["metadata"]["name"], "an object's name never changes"
    assert there["kind"] == wanted["kind"]
    return {**there, "spec": wanted["spec"]}


def stripped(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key != "status"}


def words_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(words_of, value.values()))
    return set().union(*map(words_of, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens(seed: int) -> None:
    world = World(Random(seed))
    for _ in range(40):
        before = dict(world.there)
        world.happen()
        claimed = copy.deepcopy(world.spec)
        wanted = world.compose()
        for obj in wanted.values():
            assert not OWN & (set(obj) | set(obj["metadata"])), "nothing observed is handed back"
            assert "atProvider" not in words_of(obj) and obj["metadata"]["namespace"] == "lab"
        for name in set(before) - set(wanted):
            assert unwanted(name, claimed, world.may_have()), f"{name} was forgotten"
        names = [(obj["kind"], obj["metadata"]["name"]) for obj in wanted.values()]
        assert len(set(names)) == len(names)


def unwanted(name: str, spec: dict[str, Any], boards: set[str]) -> bool:
    """Whether the claim or the boards say that it goes."""
    what, _, rest = name.partition("/")
    which, _, of = rest.partition("/")
    named = {
        "inject": [each["name"] for each in spec.get("plugins", ())],
        "plugin": [each["name"] for each in spec.get("plugins", ())],
        "run": [each["name"] for each in spec.get("workloads", ())],
        "expose": [f"{each['name']}-{each['port']}" for each in spec.get("expose", ())],
        "network": [spec["network"]["cidr"].replace("/", "-")] if "network" in spec else [],
        "port": [spec["network"]["cidr"].replace("/", "-")] if "network" in spec else [],
    }
    if what == "orchestration":
        return "orchestration" not in spec
    return which not in named[what] or (bool(of) and of not in boards)


@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_change_is_not_written(seed: int) -> None:
    world = World(Random(seed))
    for _ in range(30):
        world.happen()
        world.compose()
    first = render(run, world.composite, list(world.boards.values()), world.there)
    second = render(run, world.composite, list(reversed(world.boards.values())), world.there)
    assert wire.write(first) == wire.write(second)
