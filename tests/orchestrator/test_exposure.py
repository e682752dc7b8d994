"""Names of ports, hosts and objects that a real API server takes, whatever the user called things."""

from __future__ import annotations

import pytest

from continuo.orchestrator.render import exposure
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, decode_spec

from .worlds import Bench, app, cluster, component

HTTP = {"protocol": "HTTP", "is-public": True}


def port(number: int, name: str | None = None, **more: object) -> Object:
    return {"containerPort": number, "clusterPort": number, **({"name": name} if name else {}), **more}


def decoded(*ports: Object) -> AppSpec:
    spec = {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", expose=list(ports)))]}
    return decode_spec(spec).apps[0]


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        ([port(80)], ["tcp-80"]),
        ([port(80, "Web UI".replace(" ", "_"))], ["web-ui"]),
        ([port(80, "8080")], ["tcp-80"]),  # a container port's name needs a letter
        ([port(80, "metrics-internal-a"), port(81, "metrics-internal-b")], ["metrics-interna", "metrics-inte-81"]),
        ([port(53, "dns"), port(53, "dns", protocol="UDP")], ["dns", "dns-53"]),
        ([port(80, "tcp-81"), port(81)], ["tcp-81", "p1-81"]),
        ([port(65535, "same-name-for-all"), port(65534, "same-name-for-all")], ["same-name-for-a", "same-name-65534"]),
    ],
)
def test_port_names_are_unique_short_and_have_a_letter(ports: list[Object], names: list[str]) -> None:
    found = list(exposure.port_names(decoded(*ports).components[0]).values())
    assert found == names
    assert all(len(name) <= 15 for name in found)


def test_one_container_port_behind_two_service_ports_is_declared_once() -> None:
    ports = [{"containerPort": 80, "clusterPort": 80}, {"containerPort": 80, "clusterPort": 8080}]
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", expose=ports))]})
    bench.settle()
    store = bench.workloads["o-green"]
    (container,) = store.get(kinds.DEPLOYMENT, "web", "shop")["spec"]["template"]["spec"]["containers"]
    assert [p["name"] for p in container["ports"]] == ["tcp-80"]
    assert [p["name"] for p in store.get(kinds.SERVICE, "web", "shop")["spec"]["ports"]] == ["tcp-80", "tcp-8080"]


def test_two_public_ports_of_one_component_have_two_hosts() -> None:
    shop = decoded(port(80, **HTTP), port(81, **HTTP), port(82, **HTTP, host="a.example.org"))
    found = list(exposure.hosts(shop, shop.components[0], Settings()).values())
    assert found == ["web.shop.apps.continuo.local", "port-81.web.shop.apps.continuo.local", "a.example.org"]


def refused(*components: Object) -> dict[str, str]:
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", *components)]})
    for _ in range(4):
        bench.run()
        bench.bring_up()
        bench.pods_run()
    return {str(refusal.target): refusal.message for refusal in bench.plan.refusals}


def test_a_host_that_another_component_has_is_refused() -> None:
    one = component("one", expose=[port(80, **HTTP, host="a.example.org")])
    two = component("two", expose=[port(80, **HTTP, host="a.example.org")])
    assert refused(one, two) == {
        "component shop/two": "host a.example.org on cluster green is served by component shop/one already; "
        "choose another host"
    }


def storage(name: str) -> list[Object]:
    return [{"name": name, "kind": "persistent", "size": "1Gi", "mountPath": "/d"}]


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        (component("a", storage=storage("b-c")), component("a-b", storage=storage("c")), "PersistentVolumeClaim a-b-c"),
        (
            component("web", expose=[port(5000, **{"is-public": True})]),
            component("web-public", expose=[port(80)]),
            "Service web-public",
        ),
    ],
)
def test_two_components_that_mean_one_object_do_not_overwrite_each_other(one: Object, two: Object, says: str) -> None:
    found = refused(one, two)
    assert list(found) == [f"component shop/{two['name']}"]
    assert says in found[f"component shop/{two['name']}"]


def test_volumes_with_long_names_stay_apart() -> None:
    names = ["v" * 45 + "-1", "v" * 45 + "-2"]
    volumes = [{**storage(name)[0], "mountPath": f"/{i}"} for i, name in enumerate(names)]
    assert refused(component("db", storage=volumes)) == {}


def test_an_empty_variable_and_an_empty_secret_leave_no_empty_fields() -> None:
    env = {"variables": [{"name": "EMPTY", "value": ""}, {"name": "S", "secret": {"name": "s", "key": "k"}}]}
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", env=env))]})
    bench.management.put(kinds.SECRET, kinds.SECRET.new("s", "default", type="Opaque"))
    bench.settle()
    store = bench.workloads["o-green"]
    (container,) = store.get(kinds.DEPLOYMENT, "web", "shop")["spec"]["template"]["spec"]["containers"]
    assert container["env"][0] == {"name": "EMPTY"}
    assert "data" not in store.get(kinds.SECRET, "s", "shop")


def gateway_class(name: str, controller: str, accepted: str | None = None) -> Object:
    obj = kinds.GATEWAY_CLASS.new(name, spec={"controllerName": controller})
    if accepted is not None:
        obj["status"] = {"conditions": [{"type": "Accepted", "status": accepted}]}
    return obj


TRAEFIK, ENVOY = "traefik.io/gateway-controller", "gateway.envoyproxy.io/gatewayclass-controller"


@pytest.mark.parametrize(
    ("classes", "chosen", "ports"),
    [
        ([], None, (80, 443)),
        ([gateway_class("traefik", TRAEFIK)], "traefik", (8000, 8443)),
        ([gateway_class("envoy", ENVOY)], "envoy", (80, 443)),
        ([gateway_class("traefik", ENVOY, "True")], "traefik", (80, 443)),
        ([gateway_class("a", ENVOY), gateway_class("b", TRAEFIK, "True")], "b", (8000, 8443)),
        ([gateway_class("a", ENVOY, "Unknown"), gateway_class("b", ENVOY)], "a", (80, 443)),
        ([gateway_class("a", ENVOY, "False"), gateway_class("b", TRAEFIK)], "b", (8000, 8443)),
        ([gateway_class("a", ENVOY, "False")], None, (80, 443)),
    ],
)
def test_the_served_gateway_class_is_chosen_with_its_ports(
    classes: list[Object], chosen: str | None, ports: tuple[int, int]
) -> None:
    found = exposure.entrance(classes, [])
    assert (found.gateway_class, (found.web_ports.http, found.web_ports.https)) == (chosen, ports)


@pytest.mark.parametrize(
    ("controller", "secured", "port"),
    [(TRAEFIK, True, 8443), (TRAEFIK, False, 8000), (ENVOY, True, 443), (ENVOY, False, 80)],
)
def test_gateways_listen_where_their_controller_does(controller: str, secured: bool, port: int) -> None:
    tls = {"tls": {"name": "certificate"}} if secured else {}
    web = component("web", expose=[{"containerPort": 80, "clusterPort": 80, **HTTP}], **tls)
    spec = {"clusters": [cluster("green")], "apps": [app("shop", "green", web)]}
    shop = decode_spec(spec).apps[0]
    entrance = exposure.entrance([gateway_class("web", controller)], [])
    objects = exposure.render_exposure(shop, shop.components[0], {}, {}, entrance, {}, Settings())
    (gateway,) = (obj for obj in objects if obj["kind"] == "Gateway")
    assert [listener["port"] for listener in gateway["spec"]["listeners"]] == [port]


def test_https_without_a_certificate_is_told_as_what_it_is() -> None:
    bare = component("web", expose=[port(443, protocol="HTTPS", **{"is-public": True})])
    bench = Bench({"clusters": [cluster("green")], "apps": [app("shop", "green", bare)]})
    bench.settle()
    bench.look()
    (told,) = bench.object["status"]["apps"][0]["components"]
    assert told["phase"] == "Running"
    assert told["message"] == (
        "public HTTPS port 443: served as plain HTTP, because the component has no certificate; set tls"
    )
    assert [url["url"] for url in told["urls"]][-1] == "http://web.shop.apps.continuo.local/"
    bench.management.put(kinds.SECRET, kinds.SECRET.new("certificate", "default", type="kubernetes.io/tls"))
    bench.declare(
        {"clusters": [cluster("green")], "apps": [app("shop", "green", {**bare, "tls": {"name": "certificate"}})]}
    )
    bench.settle()
    bench.look()
    (told,) = bench.object["status"]["apps"][0]["components"]
    assert "message" not in told
    assert [url["url"] for url in told["urls"]][-1] == "https://web.shop.apps.continuo.local/"
