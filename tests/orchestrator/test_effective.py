"""What is carried out: tables of a declaration, what is laid over it, and what comes of that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from continuo.orchestrator.effective import declaration_digest, default_place, effective, revision_app
from continuo.resources.loop import AdjustmentSpec
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, Spec, decode_spec, encode

from .worlds import app, cluster, component

WORD = {"decision": "d", "since": "2026-01-01T00:00:00Z"}
CLUSTERS = [cluster("green", tier="edge"), cluster("rose", tier="cloud"), cluster("blue", worker_machine_count=2)]


def declared(*components: Object, home: str = "green", **more: Any) -> Spec:
    return decode_spec({"clusters": CLUSTERS, "apps": [app("shop", home, *components)], **more})


def laid(**lists: list[Object]) -> AdjustmentSpec:
    entries = {name: [{**WORD, **entry} for entry in found] for name, found in lists.items()}
    return msgspec.convert(entries, AdjustmentSpec)


def place(found: Spec, name: str = "web") -> str | None:
    (only,) = found.apps
    part = next(c for c in only.components if c.name == name)
    return default_place(only, part, {c.name: c for c in found.clusters})


def moved(cluster_name: str, home: str | None = None) -> Object:
    return {"component": "shop/web", "cluster": cluster_name, **({"home": home} if home else {})}


def test_without_anything_laid_over_it_a_declaration_is_itself() -> None:
    spec = declared(component("web"))
    assert effective(spec, AdjustmentSpec()) is spec


FREE, PINNED = component("web", placement={}), component("web", "rose")
AT_HOME, HINTED = component("web"), component("web", placement_hint="CLOUD")


@pytest.mark.parametrize(
    ("part", "entry", "found"),
    [
        (FREE, moved("rose"), "rose"),
        (FREE, moved("violet"), None),
        (FREE, moved("blue", "rose"), "blue"),
        (PINNED, moved("blue"), "rose"),
        (PINNED, moved("blue", "rose"), "blue"),
        (PINNED, moved("blue", "green"), "rose"),
        (AT_HOME, moved("blue", "green"), "blue"),
        (AT_HOME, moved("blue"), "green"),
        (HINTED, moved("blue", "rose"), "blue"),
        (HINTED, moved("blue", "green"), "rose"),
    ],
    ids=[
        "placed", "on a cluster that is gone", "placed, away from home", "pinned since", "away from its pin",
        "pinned elsewhere since", "away from its application's home", "an old place of one that leaves no choice",
        "away from its tier", "away from what is not its place any more",
    ],
)  # fmt: skip
def test_places(part: Object, entry: Object, found: str | None) -> None:
    assert place(effective(declared(part), laid(places=[entry]))) == found


@pytest.mark.parametrize(
    ("entry", "count"),
    [
        ({"replicas": 4}, 4),
        ({"replicas": 4, "declared": 1}, 4),
        ({"replicas": 4, "declared": 2}, 1),
        ({"replicas": 0}, 0),
    ],
    ids=["more", "of what is declared", "declared anew since", "none"],
)
def test_replicas(entry: Object, count: int) -> None:
    found = effective(declared(component("web")), laid(replicas=[{"component": "shop/web", **entry}]))
    assert found.apps[0].components[0].replicas == count


def test_workers_of_declared_clusters_and_of_those_on_demand() -> None:
    demanded = {"cluster": cluster("burst-1"), "policy": "burst"}
    workers = [
        {"cluster": "blue", "workers": 5, "declared": 2}, {"cluster": "burst-1", "workers": 3, "declared": 0},
        {"cluster": "rose", "workers": 9, "declared": 7}, {"cluster": "gone", "workers": 9},
    ]  # fmt: skip
    found = effective(declared(component("web")), laid(clusters=[demanded], workers=workers))
    assert {c.name: c.worker_machine_count for c in found.clusters} == {
        "green": 0, "rose": 0, "blue": 5, "burst-1": 3,
    }  # fmt: skip


def test_a_cluster_on_demand_that_the_user_declares_is_the_users() -> None:
    demanded = {"cluster": cluster("blue", worker_machine_count=9), "policy": "burst"}
    found = effective(declared(component("web")), laid(clusters=[demanded]))
    assert [c.worker_machine_count for c in found.clusters if c.name == "blue"] == [2]


def test_links_are_added_and_taken_out() -> None:
    links = [
        {"clusters": ["green", "rose"], "removed": True}, {"clusters": ["rose", "blue"]},
        {"clusters": ["blue", "gone"]}, {"clusters": ["blue", "green"]},
    ]  # fmt: skip
    spec = declared(component("web"), links=[["rose", "green"], ["green", "blue"]])
    assert effective(spec, laid(links=links)).links == (("green", "blue"), ("blue", "rose"))


def test_an_application_moves_its_home_and_what_is_elsewhere_by_its_tier_stays() -> None:
    spec = declared(component("web"), component("db", placement_hint="CLOUD"), component("log", "green"))
    found = effective(spec, laid(homes=[{"app": "shop", "cluster": "blue", "home": "green"}]))
    assert found.apps[0].cluster == "blue"
    assert [place(found, name) for name in ("web", "db", "log")] == ["blue", "rose", "green"]


def test_a_home_that_was_declared_anew_counts() -> None:
    found = effective(declared(component("web")), laid(homes=[{"app": "shop", "cluster": "blue", "home": "rose"}]))
    assert found.apps[0].cluster == "green"


def rolled_back(spec: Spec, component_name: str | None, failed: str) -> Spec:
    before = decode_spec({"apps": [app("shop", "rose", component("web", image="old:1"), component("db"))]}).apps[0]
    entry = {"app": "shop", "revision": "shop-1", "failed": failed}
    entry |= {"component": component_name} if component_name else {}
    return effective(spec, laid(rollbacks=[entry]), {"shop-1": before})


def images(spec: Spec) -> dict[str, str]:
    return {c.name: c.image for c in spec.apps[0].components}


def test_an_application_is_as_it_last_ran_until_it_is_declared_anew() -> None:
    spec = declared(component("web", image="new:2"))
    back = rolled_back(spec, None, declaration_digest(spec.apps[0], 0))
    assert images(back) == {"web": "old:1", "db": "registry.example.org/db:1"}
    assert back.apps[0].cluster == "green", "where its home is did not fail"
    assert images(rolled_back(declared(component("web", image="new:3")), None, "other")) == {"web": "new:3"}


def test_one_component_is_as_it_last_ran() -> None:
    spec = declared(component("web", image="new:2"), component("db", image="new:2"))
    back = rolled_back(spec, "web", declaration_digest(spec.apps[0].components[0], 0))
    assert images(back) == {"web": "old:1", "db": "new:2"}


def test_a_revision_that_cannot_be_read_is_none() -> None:
    whole = decode_spec({"apps": [app("shop", "rose", component("web"))]}).apps[0]
    assert revision_app({"data": encode(whole)}) == whole
    assert revision_app({"data": {"name": 3}}) is None and revision_app({}) is None
    assert isinstance(revision_app({"data": encode(whole)}), AppSpec)


def secretive(value: str, **more: Any) -> Object:
    variables = [{"name": "PIN", "value": value}, {"name": "KEY", "secret": {"name": "s", "key": "k"}}]
    return component("web", env={"is-secret": True, "variables": variables}, **more)


def digests(part: Object, generation: int) -> tuple[str, str]:
    (whole,) = declared(part).apps
    return declaration_digest(whole, generation), declaration_digest(whole.components[0], generation)


def test_a_digest_says_nothing_of_secret_values_and_takes_the_generation_for_them() -> None:
    assert digests(secretive("1234"), 3) == digests(secretive("9876"), 3), "nothing to try values with"
    for one, same in zip(digests(secretive("1234"), 3), digests(secretive("9876"), 4), strict=True):
        assert one != same, "whoever declares another value raises the generation"
    for one, other in zip(digests(secretive("1"), 3), digests(secretive("1", image="new:2"), 3), strict=True):
        assert one != other
    open_env = {"variables": [{"name": "LEVEL", "value": "1"}]}
    for plain in (component("web"), component("web", env=open_env), component("web", env={"is-secret": True})):
        assert digests(plain, 3) == digests(plain, 4), "without secret values nothing else counts"
    assert digests(component("web", env=open_env), 3) != digests(component("web"), 3)


def test_a_rollback_of_secret_values_holds_for_one_generation() -> None:
    spec = declared(secretive("1234", image="new:2"))
    before = decode_spec({"apps": [app("shop", "rose", secretive("1", image="old:1"))]}).apps[0]
    failed = declaration_digest(spec.apps[0], 7)
    entry = {"app": "shop", "revision": "shop-1", "failed": failed}
    found = {at: effective(spec, laid(rollbacks=[entry]), {"shop-1": before}, at) for at in (7, 8)}
    assert {at: images(one) for at, one in found.items()} == {7: {"web": "old:1"}, 8: {"web": "new:2"}}


def test_a_cluster_on_demand_draws_nobody_by_its_tier() -> None:
    spec = declared(component("web", placement_hint="CLOUD"), component("db", placement_hint="CLOUD", placement={}))
    burst = {"name": "aaa-1", "tier": "cloud", "kubernetes-version": "v1.34.2"}
    found = effective(spec, laid(clusters=[{"cluster": burst, "policy": "grow"}]))
    assert "aaa-1" in {c.name for c in found.clusters}
    assert (place(found), place(found, "db")) == ("rose", None)
