"""Secrets reach the pods and nothing else; components are reached by what their cluster has."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from continuo.orchestrator.preview import preview
from continuo.resources import kinds
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .specs import app, cluster, component, item

pytestmark = pytest.mark.anyio

PASSWORD, TOKEN = "correct-horse-battery", "another-staple-9321"
WEB = [{"containerPort": 8080, "clusterPort": 80, "is-public": True, "protocol": "HTTP"}]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def secret(bed: Bed, name: str, type_: str, **values: str) -> None:
    data = {key.replace("_", "."): encoded(value) for key, value in values.items()}
    data = {f".{key}" if key == "dockerconfigjson" else key: value for key, value in data.items()}
    await bed.api.apply(kinds.SECRET.new(name, "default", type=type_, data=data), manager="test")


async def test_secrets_are_used_kept_up_to_date_and_never_shown(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await secret(bed, "registry", "kubernetes.io/dockerconfigjson", dockerconfigjson=json.dumps({"auths": {TOKEN: {}}}))
    await secret(bed, "certificate", "kubernetes.io/tls", tls_crt="one", tls_key=TOKEN)
    env = {"is-secret": True, "variables": [{"name": "DB_PASSWORD", "value": PASSWORD}]}
    web = component("web", env=env, registry={"secret": "registry"}, tls={"name": "certificate"}, expose=WEB)
    spec = {"clusters": [cluster("green")], "apps": [app("shop", "green", web)]}
    plan = await preview(bed.api, LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=await bed.placed("o", spec)))
    await bed.apply("o", spec)
    await bed.ready("o")
    green = await bed.workload("green", "o")
    kept = await green.get(kinds.SECRET, "web-env", "shop")
    assert kept["data"] == {"DB_PASSWORD": encoded(PASSWORD)}
    pod = (await green.list(kinds.POD, "shop")).items[0]["spec"]
    reference = {"secretKeyRef": {"name": "web-env", "key": "DB_PASSWORD"}}
    assert pod["containers"][0]["env"] == [{"name": "DB_PASSWORD", "valueFrom": reference}]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    copied = await green.get(kinds.SECRET, "certificate", "shop")
    assert (copied["type"], copied["data"]["tls.key"]) == ("kubernetes.io/tls", encoded(TOKEN))
    await secret(bed, "certificate", "kubernetes.io/tls", tls_crt="two", tls_key=TOKEN)
    two = encoded("two")
    await bed.wait(green, kinds.SECRET, "certificate", "shop", lambda o: o is not None and o["data"]["tls.crt"] == two)
    obj = await bed.ready("o")
    status, events = json.dumps(obj["status"]), json.dumps((await bed.api.list(kinds.EVENT, "default")).items)
    again = await preview(
        bed.api, LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=await bed.placed("o", spec)), manager="test"
    )
    for said in (status, events, caplog.text, json.dumps(plan.to_json()), json.dumps(again.to_json())):
        for hidden in (PASSWORD, TOKEN, encoded(PASSWORD), encoded(TOKEN)):
            assert hidden not in said
    assert not again.changes


async def test_a_missing_or_wrong_secret_is_said_and_healed(bed: Bed) -> None:
    await bed.api.apply(kinds.SECRET.new("registry", "default", type="Opaque"), manager="test")
    web = component("web", registry={"secret": "registry"})
    await bed.apply("o", {"clusters": [cluster("green")], "apps": [app("shop", "green", web)]})
    obj = await bed.until("o", lambda obj: item(obj, "component", "shop/web").get("phase") == "Failed")
    assert item(obj, "component", "shop/web")["reason"] == "SecretWrongType"
    await bed.api.delete(kinds.SECRET, "registry", "default")
    await bed.until("o", lambda obj: item(obj, "component", "shop/web").get("reason") == "SecretMissing")
    await secret(bed, "registry", "kubernetes.io/dockerconfigjson", dockerconfigjson="{}")
    await bed.ready("o")


@pytest.mark.embedded_only(reason="its packages are installed by the stand-in of the Helm add-on provider")
async def test_public_web_by_gateway_where_there_is_one_else_by_ingress(bed: Bed) -> None:
    clusters = [cluster("green", packages=["loadbalancer", "ingress"]), cluster("rose")]
    apps = [app("a", "green", component("web", expose=WEB)), app("b", "rose", component("web", expose=WEB))]
    await bed.apply("o", {"clusters": clusters, "apps": apps})
    await bed.until("o", lambda obj: item(obj, "clusters", "rose").get("phase") == "Ready")
    rose = await bed.workload("rose", "o")
    await rose.apply(kinds.INGRESS_CLASS.new("plain", spec={"controller": "example.org/plain"}), manager="test")
    await bed.ready("o")
    green = await bed.workload("green", "o")
    gateway = await green.get(kinds.GATEWAY, "web", "a")
    (route,) = (await green.list(kinds.HTTP_ROUTE, "a")).items
    assert route["spec"]["parentRefs"][0]["name"] == gateway["metadata"]["name"]
    assert (await green.list(kinds.INGRESS, "a")).items == []
    plain = "plain"
    await bed.wait(
        rose, kinds.INGRESS, "web", "b", lambda o: o is not None and o["spec"].get("ingressClassName") == plain
    )
    assert (await rose.list(kinds.INGRESS, "b")).items[0]["spec"]["rules"][0]["host"] == "web.b.apps.continuo.local"


@pytest.mark.embedded_only(reason="its packages are installed by the stand-in of the Helm add-on provider")
async def test_a_port_of_the_public_address_has_one_holder(bed: Bed) -> None:
    def public(port: int) -> list:
        return [{"containerPort": 1883, "clusterPort": port, "is-public": True}]

    green = cluster("green", packages=["loadbalancer"])
    first, second = component("mqtt", expose=public(1883)), component("copy", expose=public(1883))
    taken = component("web", expose=public(6443))
    apps = [app("a", "green", first), app("b", "green", second, component("fine")), app("c", "green", taken)]
    await bed.apply("o", {"clusters": [green], "apps": apps})

    def settled(obj: dict) -> bool:
        return all(item(obj, "component", name).get("phase") == "Running" for name in ("a/mqtt", "b/fine"))

    obj = await bed.until("o", settled)
    for name, holder in (("b/copy", "component a/mqtt"), ("c/web", "the Kubernetes API server")):
        entry = item(obj, "component", name)
        assert (entry["phase"], entry["reason"]) == ("Failed", "PortConflict")
        assert holder in entry["message"] and "choose another clusterPort" in entry["message"]
    apps[1] = app("b", "green", component("copy", expose=public(1884)), component("fine"))
    await bed.apply("o", {"clusters": [green], "apps": apps[:2]})
    await bed.ready("o")
