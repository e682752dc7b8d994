"""Which clusters no link will join as they are, and what placement makes of it: in a round, and with a home to come."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.federation import names
from continuo.orchestrator.caches import workload_watches
from continuo.orchestrator.linkable import FREE, Linking, linking_of
from continuo.orchestrator.loops.views import cluster_views
from continuo.orchestrator.observe import Reach
from continuo.orchestrator.placing.choose import placer, whole_problem
from continuo.resources import kinds
from continuo.resources.meta import Object
from orchestrator.worlds import Store, app, cluster

from .grounds import Ground, asking, goes

OWNERS = Linking("has no Liqo, and into an adopted cluster only its owner installs it")
LEFT_OUT = Linking("has no Liqo, and its packages leave it out")


def made(name: str, **more: Any) -> Object:
    return cluster(name, packages=["liqo"], **more)


def adopted(name: str, **more: Any) -> Object:
    return {"name": name, "provider": "existing", "kubeconfig": f"o-{name}-kubeconfig", **more}


def ground(*clusters: Object, components: tuple[Object, ...] = (), home: str = "green") -> Ground:
    found = Ground({"clusters": list(clusters), "apps": [app("shop", home, *components)] if components else []})
    for each in clusters:
        if each.get("provider") == "existing":
            secret = kinds.SECRET.new(each["kubeconfig"], "default", data={"value": "eA=="})
            found.management.put(kinds.SECRET, secret)
            found.workloads[f"o-{each['name']}"] = Store(workload_watches())
    found.up()
    return found


def with_liqo(found: Ground, name: str, liqo_id: str) -> None:
    config = kinds.CONFIG_MAP.new(
        names.CLUSTER_ID_CONFIG_MAP, names.LIQO_NAMESPACE, data={names.CLUSTER_ID_KEY: liqo_id}
    )
    found.workloads[f"o-{name}"].put(kinds.CONFIG_MAP, config)


@pytest.mark.parametrize(
    ("other", "reach", "linking"),
    [
        (made("rose"), Reach.OK, FREE),
        (cluster("rose"), Reach.OK, LEFT_OUT),
        (cluster("rose"), Reach.LOST, LEFT_OUT),
        (cluster("rose"), Reach.CONNECTING, FREE),
        (adopted("rose"), Reach.OK, OWNERS),
        (adopted("rose", packages=["ingress"]), Reach.OK, OWNERS),
        (adopted("rose", packages=["liqo"]), Reach.OK, FREE),
        (adopted("rose"), Reach.CONNECTING, FREE),
    ],
)
def test_what_stands_against_links(other: Object, reach: Reach, linking: Linking) -> None:
    found = ground(made("green"), other)
    found.reach["o-rose"] = reach
    assert linking_of(found.picture()[0]).get("rose", FREE) == linking
    if reach is Reach.OK:
        with_liqo(found, "rose", "rose")
        assert linking_of(found.picture()[0]) == {}, "who has Liqo has it, whatever was declared"


def test_one_that_is_still_made_is_known_by_its_packages() -> None:
    found = Ground({"clusters": [made("green"), cluster("rose")], "apps": []})
    assert linking_of(found.picture()[0]) == {"rose": LEFT_OUT}


def test_alone_there_is_nothing_to_be_linked_with() -> None:
    assert linking_of(ground(cluster("green")).picture()[0]) == {}


def test_those_that_call_themselves_the_same_cannot_be_linked_with_each_other() -> None:
    found = ground(made("green"), adopted("rose"), adopted("blue"), components=(asking("web", "1", placement={}),))
    for name, liqo_id in (("green", "o-green"), ("rose", "mine"), ("blue", "mine")):
        with_liqo(found, name, liqo_id)
    assert linking_of(found.picture()[0]) == {name: Linking("", "mine") for name in ("rose", "blue")}
    assert [site.shared_id for site in whole_problem(*found.picture(), None).sites] == ["", "mine", "mine"]


def test_what_cannot_be_linked_with_the_home_is_no_candidate() -> None:
    clusters = made("green", cost={"cpu": 9.0}), cluster("rose", cost={"cpu": 1.0}), made("blue", cost={"cpu": 2.0})
    found = ground(*clusters, components=(asking("web", "1", placement={}), asking("db", "1", "rose")))
    (web, db) = whole_problem(*found.picture(), None).parts
    assert (web.root, db.root, db.pinned) == ("green", "green", "rose")
    assert goes(found.choose()) == {"shop/web": "blue"}
    found.busy = {"green": 8, "blue": 8}
    assert found.choose().waiting["shop/web"].message == (
        "shop/web fits nowhere: blue: cpu 1 of 0 free; green: cpu 1 of 0 free; rose: it cannot be linked with green, "
        "the home of shop: rose has no Liqo, and its packages leave it out"
    )


def test_what_was_sent_where_no_link_can_be_goes_elsewhere_and_what_is_pinned_there_stays() -> None:
    found = ground(
        made("green"), cluster("rose"), components=(asking("web", "1", placement={}), asking("db", "1", "rose"))
    )
    found.lay(places=[{"component": "shop/web", "cluster": "rose"}])
    choice = found.choose()
    assert goes(choice) == {"shop/web": "green"}


def test_without_anything_against_links_a_problem_says_nothing_of_them() -> None:
    found = ground(made("green"), made("rose"), components=(asking("web", "1", placement={}),))
    assert [part.root for part in whole_problem(*found.picture(), None).parts] == [None]


def test_an_application_on_one_that_cannot_be_linked_stays_there() -> None:
    found = ground(cluster("green", cost={"cpu": 9.0}), made("rose"), components=(asking("web", "1", placement={}),))
    assert goes(found.choose()) == {"shop/web": "green"}


def test_with_a_home_to_come_that_one_counts() -> None:
    clusters = cluster("green"), cluster("rose", cost={"cpu": 1.0}), made("blue", cost={"cpu": 2.0})
    found = ground(*clusters, components=(asking("web", "1", "green"),))
    place, avoid = placer(*found.picture()), frozenset({"green"})
    assert place(["shop/web"], avoid).places == {}
    assert place(["shop/web"], avoid, {"shop": ""}).places == {"shop/web": "rose"}
    assert place(["shop/web"], avoid, {"shop": "blue"}).places == {"shop/web": "blue"}
    assert place(["shop/web"], avoid, {"other": ""}).places == {}


def test_loops_and_the_status_are_told() -> None:
    found = ground(made("green"), cluster("rose"))
    snapshot, assessment = found.picture()
    views = cluster_views(snapshot, assessment, {})
    assert (views["green"].unlinkable, views["rose"].unlinkable) == ("", LEFT_OUT.unlinkable)
    found.look()
    told = {entry["name"]: entry.get("unlinkable") for entry in found.object["status"]["clusters"]}
    assert told == {"green": None, "rose": LEFT_OUT.unlinkable}
