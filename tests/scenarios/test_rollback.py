"""What was declared fails, and what ran before runs again: kept, returned to, told, and tried again when declared anew."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.resources import kinds
from continuo.resources.loop import DECISION
from continuo.resources.meta import Object, condition
from continuo.runtime.following import until

from .beds import Bed, is_ready
from .specs import app, cluster, component, item

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.embedded_only(reason="simulated nodes of a real cluster pull no images"),
]

BROKEN = "registry.example.org/does-not-exist:1"


def declared(policy: str, **images: str) -> Object:
    """A shop of two components, with other images for some."""
    parts = [component(name, **({"image": images[name]} if name in images else {})) for name in ("web", "db")]
    shop = {**app("shop", "green", *parts), "rollback-policy": policy, "deploy-within": 1}
    return {"clusters": [cluster("green")], "apps": [shop]}


def told(obj: Object) -> list[str]:
    """What the outbox says of the application."""
    found = [entry for entry in obj["status"]["outbox"] if entry["subject"] == "app/shop"]
    return [".".join(entry["type"].split(".")[3:5]) for entry in found if ".progress." not in entry["type"]]


def rolled_back(obj: Object | None) -> bool:
    return item(obj, "apps", "shop").get("reason") == "RolledBack"


async def images(bed: Bed) -> dict[str, str]:
    green = await bed.workload("green", "o")
    found = (await green.list(kinds.DEPLOYMENT, "shop")).items
    return {d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]["image"] for d in found}


async def decisions(bed: Bed) -> list[Any]:
    return [d for d in (await bed.api.list(DECISION)).items if d["spec"]["source"] == "rollback"]


async def kept(bed: Bed) -> list[Object]:
    return (await bed.api.list(kinds.CONTROLLER_REVISION, "default")).items


async def newest(bed: Bed, number: int) -> list[Object]:
    """The revisions, as soon as that one is there: it is written after the status that says that all runs."""

    def there(found: list[Object]) -> bool:
        return any(obj["revision"] == number for obj in found)

    return await until(bed.api, kinds.CONTROLLER_REVISION, there, "default")


async def test_an_application_returns_to_how_it_ran_and_is_tried_again_when_declared_anew(bed: Bed) -> None:
    await bed.apply("o", declared("app"))
    await bed.ready("o")
    good = await images(bed)
    await newest(bed, 1)
    await bed.apply("o", declared("app", web=BROKEN, db="registry.example.org/db:2"))
    obj = await bed.until("o", rolled_back)
    assert await images(bed) == good, "all of it, also what ran"
    assert obj["status"]["phase"] == "Degraded" and not is_ready(obj)
    ready = condition(obj, "Ready")
    assert (
        ready is not None and ready["reason"] == "RolledBack" and "until something else is declared" in ready["message"]
    )
    assert told(obj) == [
        "deploy.started", "deploy.succeeded", "update.started", "update.failed", "rollback.started", "rollback.succeeded",
    ]  # fmt: skip
    (decision,) = await decisions(bed)
    assert (
        decision["spec"]["actions"][0]["op"] == "rollBack" and "it is not done after 1 s" in decision["spec"]["reason"]
    )
    await bed.apply("o", declared("app", db="registry.example.org/db:3"))
    obj = await bed.ready("o")
    assert (await images(bed))["db"] == "registry.example.org/db:3"
    assert told(obj)[-2:] == ["update.started", "update.succeeded"]


async def test_a_component_returns_alone(bed: Bed) -> None:
    await bed.apply("o", declared("component"))
    await bed.ready("o")
    await newest(bed, 1)
    await bed.apply("o", declared("component", web=BROKEN, db="registry.example.org/db:2"))
    await bed.until("o", rolled_back)
    assert await images(bed) == {"web": "registry.example.org/web:1", "db": "registry.example.org/db:2"}


async def test_what_never_ran_has_nothing_to_return_to(bed: Bed) -> None:
    await bed.apply("o", declared("app", web=BROKEN))
    obj = await bed.until(
        "o", lambda obj: "deploy.failed" in told(obj) if (obj.get("status") or {}).get("outbox") else False
    )
    assert not rolled_back(obj) and await decisions(bed) == [] and await kept(bed) == []


async def test_without_a_policy_nothing_is_kept(bed: Bed) -> None:
    await bed.apply("o", declared("none"))
    await bed.ready("o")
    await bed.apply("o", declared("none", web=BROKEN))
    await bed.until("o", lambda obj: told(obj)[-1] == "update.failed")
    assert await kept(bed) == [] and await decisions(bed) == []


async def test_the_newest_three_are_kept(bed: Bed) -> None:
    for number in range(1, 6):
        await bed.apply("o", declared("app", web=f"registry.example.org/web:{number}"))
        found = await newest(bed, number)
    await bed.apply("o", declared("app", web="registry.example.org/web:6"))
    found = await until(
        bed.api, kinds.CONTROLLER_REVISION, lambda all_: {o["revision"] for o in all_} == {4, 5, 6}, "default"
    )
    assert [o["data"]["components"][0]["image"][-1] for o in sorted(found, key=lambda o: o["revision"])] == [
        "4",
        "5",
        "6",
    ]
    await bed.remove("o")
    await until(bed.api, kinds.CONTROLLER_REVISION, lambda all_: not all_, "default")
