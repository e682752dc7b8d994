"""The conversion rules, one by one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from continuo.resources.orchestration import AppPhase, AppStatus, ClusterSpec, ComponentStatus, Url
from continuo.tosca.convert import Conversion, Options, convert, convert_text
from continuo.tosca.outputs import compute
from continuo.tosca.reader import read
from tosca.bad_blueprints import CLUSTERS, GOOD, INPUTS

END = "\n  outputs:\n"
CERT = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


def converted(text: str = GOOD, *, inputs: dict[str, Any] | None = None, **options: Any) -> Conversion:
    settings = {"owner": "dev", "clusters": CLUSTERS, **options}
    conversion = convert_text(text, Options(inputs={**INPUTS, **(inputs or {})}, **settings))
    assert conversion.errors == (), [str(problem) for problem in conversion.errors]
    return conversion


def changed(*pairs: tuple[str, str]) -> str:
    text = GOOD
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def component(conversion: Conversion, name: str = "web") -> dict[str, Any]:
    assert conversion.app is not None
    return next(entry for entry in conversion.app["components"] if entry["name"] == name)


def codes(conversion: Conversion) -> list[str]:
    return [problem.code for problem in conversion.problems]


def point(name: str, properties: str, binding: str, *links: str) -> str:
    requirements = ", ".join([f"binding: {binding}", *()])
    entries = ", ".join([f"{{ {requirements} }}", *(f"{{ link: {link} }}" for link in links)])
    return (
        f"\n    {name}:\n      type: Charity.ConnectionPoint\n      properties: {{ name: {name}, {properties} }}\n"
        f"      requirements: [{entries}]"
    )


def test_entry_has_name_owner_id_and_home() -> None:
    app = converted(changed(("template_name: Shop", "template_name: My  Shop (beta)!")), app_id="42").app
    assert app is not None
    assert [app[key] for key in ("name", "id", "owner", "cluster")] == ["my-shop-beta", "42", "dev", "rose"]
    assert [entry["name"] for entry in app["components"]] == ["web", "db"]


def test_a_read_blueprint_converts_like_its_text() -> None:
    blueprint = read(GOOD).blueprint
    assert blueprint is not None
    options = Options(owner="dev", clusters=CLUSTERS, inputs=INPUTS)
    assert convert(blueprint, options) == convert_text(GOOD, options)


def test_reading_does_not_miss_inputs() -> None:
    assert read(GOOD).problems == ()
    assert [problem.code for problem in read(GOOD, inputs={}).problems] == ["input-required"]


@pytest.mark.parametrize(
    ("properties", "links", "policy", "public"),
    [
        ("port: 9", ["VLdata"], "shared", False),
        ("port: 9", ["VLvisit"], "shared", True),
        ("port: 9", ["VLdata", "VLvisit"], "shared", True),
        ("port: 9", ["VLvisit", "VLdata"], "shared", True),
        ("port: 9, public: false", ["VLvisit"], "shared", False),
        ("port: 9, public: true", ["VLdata"], "shared", True),
        ("port: 9", [], "shared", False),
        ("port: 9", ["VLbus"], "shared", True),
        ("port: 9", ["VLbus"], "directional", False),
        ("port: 9", ["VLvisit"], "directional", True),
        ("protocol: TCP", ["VLvisit"], "shared", None),
    ],
)
def test_virtual_links_decide_exposure(properties: str, links: list[str], policy: str, public: bool | None) -> None:
    bus = (
        "\n    bus:\n      type: Charity.Component\n      properties: { name: bus, deployment_unit: EXTERNAL }"
        "\n    VLbus: { type: Charity.VirtualLink, properties: { name: VLbus } }"
        + point("BusCP", "port: 9092", "bus", "VLbus")
    )
    text = changed((END, bus + point("NewCP", properties, "db", *links) + END))
    exposed = {e["name"]: e for e in component(converted(text, policy=policy), "db")["expose"]}
    assert exposed["DbCP"]["is-public"] is False
    if public is None:
        assert "NewCP" not in exposed
    else:
        assert (exposed["NewCP"]["is-public"], exposed["NewCP"]["is-peered"]) == (public, True)


def test_binding_by_name_finds_the_template() -> None:
    text = changed(
        ("    db:\n      type: Charity.Component\n      properties:\n        name: db\n",
         "    database:\n      type: Charity.Component\n      properties:\n        name: db\n"),
    )  # fmt: skip
    assert component(converted(text), "db")["expose"][0]["clusterPort"] == 27017


@pytest.mark.parametrize(
    ("wish", "requests", "limits"),
    [
        ("num_cpus: [{ equal: 4.0 }]", {"cpu": "4"}, {"cpu": "4"}),
        ("num_cpus: [{ equal: 0.5 }]", {"cpu": "500m"}, {"cpu": "500m"}),
        ("num_cpus: [{ equal: 0 }]", None, None),
        ("num_cpus: [{ greater_than: 1 }]", {"cpu": "1"}, None),
        ("num_cpus: [{ less_or_equal: 2 }]", None, {"cpu": "2"}),
        ("num_cpus: [{ in_range: [1, 4] }]", {"cpu": "1"}, {"cpu": "4"}),
        ("num_cpus: [{ in_range: [1, UNBOUNDED] }]", {"cpu": "1"}, None),
        ("num_cpus: { greater_or_equal: 1 }", {"cpu": "1"}, None),
        ("mem_size: [{ greater_than: 0 MB }]", None, None),
        ("mem_size: [{ greater_or_equal: 1 GiB }]", {"memory": "1073741824"}, None),
        ("disk_size: [{ less_than: 2 GB }]", None, {"ephemeral-storage": "2000000000"}),
    ],
)
@pytest.mark.parametrize("style", ["list", "map"])
def test_filters_become_requests_and_limits(wish: str, requests: Any, limits: Any, style: str) -> None:
    indent = "\n                "
    old = f"{indent}- num_cpus: [{{ greater_or_equal: 1 }}]{indent}- mem_size: [{{ greater_or_equal: 512 MB }}]"
    new = f"{indent}{'- ' if style == 'list' else ''}{wish}"
    resources = component(converted(changed((old, new)))).get("resources", {})
    assert (resources.get("requests"), resources.get("limits")) == (requests, limits)


def test_gpus_are_an_extended_resource_and_the_rest_of_the_wish_is_told() -> None:
    wish = "units: { equal: 2 }, model: { equal: AMD-MI300 }, dedicated: { equal: true }"
    gpu = f"          - gpu: {{ properties: {{ {wish} }} }}\n"
    conversion = converted(changed(("          - host:\n", gpu + "          - host:\n")))
    assert component(conversion)["resources"]["limits"] == {"amd.com/gpu": "2"}
    assert codes(conversion) == ["wish-unused", "wish-unused"]


@pytest.mark.parametrize(
    ("wish", "requirement"),
    [
        ("latency: [{ less_than: 20 ms }]", {"latencyMs": 20}),
        ("latency: [{ less_than: 2.5 ms }]", {"latencyMs": 2.5}),
        ("latency: [{ less_than: 1 s }]", {"latencyMs": 1000}),
        ("latency: [{ less_than: 10000 ms }]", None),
        ("jitter: [{ less_than: 100 ms }]", None),
        ("bandwidth: [{ greater_or_equal: 0 Mbps }]", None),
        ("bandwidth: [{ greater_or_equal: 1 GBps }]", {"bandwidthBps": 8_000_000_000}),
    ],
)
def test_network_filters_become_link_requirements(wish: str, requirement: Any) -> None:
    app = converted(changed(("latency: [{ less_than: 20 ms }]", wish))).app
    assert app is not None
    found = app.get("link-requirements")
    assert found == (requirement and [{"name": "VLdata", "members": ["web", "db"], **requirement}])


def test_storage_of_both_kinds() -> None:
    local = changed(
        ("        - persistent_storage:", "        - local_storage:"),
        ("type: Charity.PersistentStorage", "type: Charity.LocalStorage"),
        ("        access: ReadWriteOnce\n", ""),
    )
    expected = {"name": "disk", "kind": "local", "size": "10000000000", "mountPath": "/data"}
    assert component(converted(local), "db")["storage"] == [expected]
    shared = changed(("access: ReadWriteOnce", "access: READ_WRITE_MANY"))
    persistent = {**expected, "kind": "persistent", "access": "ReadWriteMany"}
    assert component(converted(shared), "db")["storage"] == [persistent]


def test_secret_variables_move_into_a_secret() -> None:
    conversion = converted()
    env = component(conversion, "db")["env"]
    assert env == {
        "is-secret": True,
        "variables": [{"name": "DB_PASSWORD", "secret": {"name": "shop-db-env", "key": "DB_PASSWORD"}}],
    }
    (secret,) = conversion.secrets
    assert secret["metadata"]["name"] == "shop-db-env" and secret["type"] == "Opaque"
    assert base64.b64decode(secret["data"]["DB_PASSWORD"]) == b"correct horse"


def test_a_value_made_of_a_secret_input_is_a_secret() -> None:
    text = changed(
        ("STAGE: { get_input: STAGE }", "DB_URL: { concat: ['mongodb://u:', { get_input: DB_PASSWORD }, '@db'] }")
    )
    (variable,) = component(converted(text))["env"]["variables"]
    assert variable["secret"] == {"name": "shop-web-env", "key": "DB_URL"}


def test_a_secret_is_not_in_any_sentence() -> None:
    conversion = convert_text(GOOD, Options("dev", CLUSTERS, {"DB_PASSWORD": "abc"}))
    assert [problem.message for problem in conversion.problems] == [
        "input DB_PASSWORD: DB_PASSWORD must be at least this long: 4."
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.10", "1.10"), ("0755", "0755"), ("True", "true"), ("yes", "yes"), ("'true'", "true"), ("1e3", "1e3"),
        ("12:30", "12:30"), ("2024-01-01", "2024-01-01"), ("'  x '", "  x "), ("\"a\\nb\"", "a\nb"), ("''", ""),
        ("{ token: ['a,b,c', ',', 1] }", "b"), ("{ join: [[a, b], '-'] }", "a-b"),
    ],
)  # fmt: skip
def test_variables_keep_what_was_written(written: str, value: str) -> None:
    text = changed(("STAGE: { get_input: STAGE }", f"V: {written}"))
    assert component(converted(text))["env"]["variables"] == [{"name": "V", "value": value}]


def test_pin_hint_and_default_place_components() -> None:
    pin = "          - deployment:\n              properties:\n                - cluster: [{ equal: rose }]\n"
    assert component(converted())["cluster-selector"] == "rose"
    assert component(converted(changed((pin, ""))))["cluster-selector"] == "rose"
    edge = changed((pin, ""), ("placement_hint: CLOUD", "placement_hint: EDGE"))
    assert component(converted(edge))["cluster-selector"] == "green"
    no_hint = changed((pin, ""), ("        placement_hint: CLOUD\n", ""))
    assert component(converted(no_hint, default_cluster="green"))["cluster-selector"] == "green"
    device = changed((pin, ""), ("placement_hint: CLOUD", "placement_hint: DEVICE"))
    conversion = converted(device, default_cluster="rose")
    assert component(conversion)["cluster-selector"] == "rose" and codes(conversion) == ["placement-default"]


def test_the_prefix_of_the_orchestration_is_taken_off_a_cluster() -> None:
    text = changed(("equal: rose", "equal: kubeadm-based-orchestration-rose"))
    conversion = converted(text, prefix="kubeadm-based-orchestration-")
    assert component(conversion)["cluster-selector"] == "rose"


def test_home_is_where_most_components_are_and_links_lead_there() -> None:
    conversion = converted()
    assert conversion.app is not None and conversion.app["cluster"] == "rose"  # a tie: the public component's
    assert conversion.links == (("green", "rose"),)
    assert converted(changed(("equal: green", "equal: rose"))).links == ()


def test_a_data_centre_pins_to_one_of_its_clusters() -> None:
    text = changed(("- cluster: [{ equal: green }]", "- datacenter: [{ equal: porto }]"))
    clusters = [("rose", "cloud", "zurich"), ("green", "edge", "porto")]
    assert component(converted(text, clusters=clusters), "db")["cluster-selector"] == "green"


def test_certificates_reach_public_http_ports_only() -> None:
    conversion = converted(inputs={"tls_cert": CERT, "tls_key": KEY})
    assert component(conversion)["tls"] == {"name": "shop-tls"} and "tls" not in component(conversion, "db")
    secret = conversion.secrets[-1]
    assert (secret["metadata"]["name"], secret["type"]) == ("shop-tls", "kubernetes.io/tls")
    assert base64.b64decode(secret["data"]["tls.key"]).decode() == KEY


def test_metadata_names_the_certificate() -> None:
    text = changed(("  template_author: dev\n", "  template_author: dev\n  tls_secret: shop-certificate\n"))
    conversion = converted(text)
    assert component(conversion)["tls"] == {"name": "shop-certificate"}
    assert codes(conversion) == ["tls-secret-needed"]
    assert (
        converted(text, inputs={"tls_cert": CERT, "tls_key": KEY}).secrets[-1]["metadata"]["name"] == "shop-certificate"
    )


def test_a_public_web_port_with_a_certificate_speaks_https() -> None:
    text = changed(("        protocol: HTTP\n", ""), ("port: 8080", "port: 443"))
    assert component(converted(text))["expose"][0]["protocol"] == "TCP"
    conversion = converted(text, inputs={"tls_cert": CERT, "tls_key": KEY})
    assert component(conversion)["expose"][0]["protocol"] == "HTTPS" and "protocol-assumed" in codes(conversion)


def test_https_without_a_certificate_is_a_warning() -> None:
    text = changed(("        protocol: HTTP\n", "        protocol: HTTPS\n"))
    assert codes(converted(text)) == ["certificate-missing"]
    with_one = converted(text, inputs={"tls_cert": CERT, "tls_key": KEY})
    assert "certificate-missing" not in codes(with_one)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tls_cert": CERT}, "Input tls_key: it is needed because tls_cert has a value."),
        ({"tls_cert": "x", "tls_key": KEY}, "Input tls_cert: it must be PEM text with a CERTIFICATE."),
    ],
)
def test_half_a_certificate_is_refused(given: dict[str, str], says: str) -> None:
    conversion = convert_text(GOOD, Options("dev", CLUSTERS, {**INPUTS, **given}))
    assert [problem.message for problem in conversion.errors] == [says]


def test_pull_secrets_go_by_registry() -> None:
    conversion = converted(registries={"registry.example.org": "example-pull"})
    assert component(conversion)["registry"] == {"secret": "example-pull"}
    assert "registry" not in component(converted(registries={"other.org": "x"}))


def test_strict_refuses_what_is_otherwise_left_out() -> None:
    text = changed((END, "\n  policies: []\n  outputs:\n"))
    assert codes(converted(text)) == ["unsupported-section"]
    strict = convert_text(text, Options("dev", CLUSTERS, INPUTS), strict=True)
    assert strict.app is None and [problem.code for problem in strict.errors] == ["unsupported-section"]


def test_an_input_that_only_the_caller_knows_is_used_with_a_warning() -> None:
    text = changed(("{ get_input: STAGE }", "{ get_input: REGION }"))
    conversion = converted(text, inputs={"REGION": "eu"})
    assert component(conversion)["env"]["variables"] == [{"name": "STAGE", "value": "eu"}]
    assert codes(conversion) == ["input-unknown"]


def test_inputs_of_all_types_may_come_as_text_or_json() -> None:
    declared = "  inputs:\n    N: { type: integer }\n    SITE: { type: Charity.geolocation }\n    ENV: { type: map }\n"
    text = changed(
        ("  inputs:\n", declared),
        ("replicas: 2", "replicas: { get_input: N }\n        geolocation: { get_input: SITE }"),
        ("environment:\n          STAGE: { get_input: STAGE }", "environment: { get_input: ENV }"),
    )
    as_text = {"N": "3", "SITE": '{"city": "Porto", "exact": false}', "ENV": "{A: 1}"}
    as_json = {"N": 3, "SITE": {"city": "Porto", "exact": False}, "ENV": {"A": 1}}
    first, second = (component(converted(text, inputs=inputs)) for inputs in (as_text, as_json))
    assert first == second
    assert (first["replicas"], first["geolocation"]) == (3, {"city": "Porto", "exact": False})
    assert first["env"]["variables"] == [{"name": "A", "value": "1"}]


def test_outputs_come_from_the_status() -> None:
    more = (
        "\n  outputs:\n    where: { value: { get_attribute: [dbNode, deployment.cluster] } }\n"
        "    site: { value: { get_attribute: [dbNode, datacenter] } }\n"
        "    shop: { value: { concat: [{ get_attribute: [WebCP, url] }, '/shop'] } }\n"
        "    space: { value: { get_attribute: [web, namespace] } }\n"
        "    address: { value: { get_attribute: [web, ip] } }\n"
    )
    blueprint = read(changed((END, more))).blueprint
    assert blueprint is not None
    web = ComponentStatus(name="web", phase=AppPhase.RUNNING, cluster="rose", urls=(Url(name="WebCP", url="http://w"),))
    database = ComponentStatus(name="db", phase=AppPhase.RUNNING, cluster="green")
    status = AppStatus(name="shop", phase=AppPhase.RUNNING, namespace="shop", components=(web, database))
    clusters = [ClusterSpec(name="green", datacenter="porto")]
    assert compute(blueprint, status, clusters) == {
        "where": "green",
        "site": "porto",
        "shop": "http://w/shop",
        "space": "shop",
        "WebCP_url": "http://w",
    }
    pending = AppStatus(name="shop", phase=AppPhase.PENDING)
    assert compute(blueprint, pending) == {}


@pytest.mark.parametrize(
    ("urls", "address"),
    [
        ({"webcp": "tcp://web.shop.svc.cluster.local:8080"}, "tcp://web.shop.svc.cluster.local:8080"),
        ({"webcp": "tcp://web.shop.svc.cluster.local:8080", "webcp-public": "https://w.org/"}, "https://w.org/"),
        ({"tcp-1": "tcp://web:8080", "webcp": "tcp://web:9", "webcp-public": "http://other/"}, "tcp://web:8080"),
        ({"webcp": "udp://web:8080", "x": "tcp://web:8080", "x-public": "http://w.org/"}, "http://w.org/"),
        ({"webcp": "http://w.org:99999999/"}, "http://w.org:99999999/"),
        ({"other": "tcp://web:9"}, None),
    ],
)
def test_an_output_finds_its_port_whatever_its_name_became(urls: dict[str, str], address: str | None) -> None:
    blueprint = read(changed((END, "\n  outputs:\n    at: { value: { get_attribute: [WebCP, url] } }\n"))).blueprint
    assert blueprint is not None
    listed = tuple(Url(name=name, url=url) for name, url in urls.items())
    web = ComponentStatus(name="web", phase=AppPhase.RUNNING, urls=listed)
    status = AppStatus(name="shop", phase=AppPhase.RUNNING, components=(web,))
    assert compute(blueprint, status).get("at") == address


def test_an_output_may_call_a_template_by_its_name() -> None:
    renamed = changed(
        ("    WebCP:\n", "    WebPoint:\n"),
        (END, "\n  outputs:\n    at: { value: { get_attribute: [WebCP, url] } }\n"),
    )
    blueprint = read(renamed).blueprint
    assert blueprint is not None
    web = ComponentStatus(name="web", phase=AppPhase.RUNNING, urls=(Url(name="webcp", url="tcp://web:8080"),))
    assert (
        compute(blueprint, AppStatus(name="shop", phase=AppPhase.RUNNING, components=(web,)))["at"] == "tcp://web:8080"
    )
