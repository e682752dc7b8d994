"""A Secret's type cannot change in the API: a copy of the old type has to give way."""

from __future__ import annotations

import base64

import pytest

from continuo.resources import kinds
from continuo.resources.meta import Object

from .conftest import Bed
from .specs import app, cluster, component

pytestmark = pytest.mark.anyio


def data(value: str) -> dict[str, str]:
    return {"key": base64.b64encode(value.encode()).decode()}


def settings(type_: str, value: str) -> Object:
    return kinds.SECRET.new("settings", "default", type=type_, data=data(value))


async def test_a_secret_of_another_type_is_made_anew(bed: Bed) -> None:
    await bed.api.apply(settings("Opaque", "one"), manager="test")
    env = {"variables": [{"name": "KEY", "secret": {"name": "settings", "key": "key"}}]}
    await bed.apply("o", {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", env=env))]})
    await bed.ready("o")
    green = await bed.workload("green", "o")
    before = await green.get(kinds.SECRET, "settings", "shop")
    await bed.api.delete(kinds.SECRET, "settings", "default")
    await bed.api.apply(settings("example.org/settings", "two"), manager="test")
    await bed.wait(
        green, kinds.SECRET, "settings", "shop", lambda o: o is not None and o["type"] == "example.org/settings"
    )
    after = await green.get(kinds.SECRET, "settings", "shop")
    assert after["metadata"]["uid"] != before["metadata"]["uid"] and after["data"] == data("two")
    await bed.ready("o")
