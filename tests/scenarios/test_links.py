"""Links that nobody declared: applications make them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .beds import Bed
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]


def _shop(place: str) -> Iterator[tuple[str, object]]:
    web, db = component("web", "green"), component("db", place, expose=PEER)
    yield "clusters", [cluster("green", packages=["liqo"]), cluster("rose", packages=["liqo"])]
    yield "apps", [app("shop", "green", web, db)]


async def test_a_link_that_only_an_application_needs_is_no_trouble_and_goes_with_the_need(bed: Bed) -> None:
    reasons: set[str] = set()

    def ready(obj: dict) -> bool:
        reasons.add(item(obj, "links", "green/rose").get("reason", ""))
        return item(obj, "links", "green/rose").get("reason") == "Implied"

    await bed.apply("o", dict(_shop("rose")))
    await bed.until("o", ready)
    obj = await bed.ready("o")
    assert "InUse" not in reasons
    assert "shop" in item(obj, "links", "green/rose")["message"]
    await bed.apply("o", dict(_shop("green")))
    obj = await bed.ready("o")
    assert obj["status"].get("links", []) == []
