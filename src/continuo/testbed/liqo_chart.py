"""What Liqo's own chart puts into a cluster: rendered as Helm would render it, applied in an order that works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from continuo.testbed.commands import run
from continuo.testbed.definitions import MANAGER, install_definitions
from continuo.testbed.errors import Missing
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none, until

if TYPE_CHECKING:
    from continuo.kube.client import KubeCluster

RENDERER = "liqo-chart"
NAMESPACE = "liqo"
APPLY_SECONDS = 120.0
_AT_ONCE = 4
_CLUSTER_WIDE = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration", "Namespace",
    "RuntimeClass", "StorageClass", "ValidatingWebhookConfiguration",
}  # fmt: skip
_LAST = ("Deployment", "DaemonSet", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
"""Everything else comes first: programs find their rights and their templates, webhooks do not refuse our own objects."""


def chart_folder(tools: Tools) -> Path:
    """The chart that was kept beside the programs."""
    folder = tools.need(RENDERER).resolve().parent.parent / "share" / "chart"
    if not folder.joinpath("Chart.yaml").exists():
        raise Missing(f"{folder} is missing: Liqo's chart; get it with: continuo testbed build liqo")
    return folder


async def render(tools: Tools, values: Object) -> list[Object]:
    """All objects of a release with these values, without Helm's hooks, each with its namespace."""
    text = yaml.safe_dump(values).encode()
    said = await run(str(tools.need(RENDERER)), str(chart_folder(tools)), stdin=text)
    return [_placed(obj) for obj in json.loads(said) if not _is_hook(obj)]


def _is_hook(obj: Object) -> bool:
    return "helm.sh/hook" in (obj["metadata"].get("annotations") or {})


def _placed(obj: Object) -> Object:
    if obj["kind"] not in _CLUSTER_WIDE:
        obj["metadata"].setdefault("namespace", NAMESPACE)
    return obj


async def apply_chart(client: KubeCluster, objects: Sequence[Object]) -> None:
    """Put a release into a cluster. A second time is safe, also while the release's own webhooks do not answer yet."""
    definitions = [obj for obj in objects if obj["kind"] == "CustomResourceDefinition"]
    await install_definitions(client, definitions)
    await client.apply(kinds.NAMESPACE.new(NAMESPACE), manager=MANAGER)
    slots = asyncio.Semaphore(_AT_ONCE)
    for group in order(obj for obj in objects if obj["kind"] != "CustomResourceDefinition"):
        await all_or_none([_apply(client, obj, slots) for obj in group])


def order(objects: Iterable[Object]) -> list[list[Object]]:
    """Objects in groups: each can be applied at once, after those before it."""
    return [list(group) for _, group in groupby(sorted(objects, key=_rank), key=_rank)]


def _rank(obj: Object) -> int:
    return _LAST.index(obj["kind"]) + 1 if obj["kind"] in _LAST else 0


async def _apply(client: KubeCluster, obj: Object, slots: asyncio.Semaphore) -> None:
    async def applied() -> str | None:
        try:
            async with slots:
                await client.apply(obj, manager=MANAGER)
        except ApiError as error:
            return str(error)
        return None

    await until(applied, f"{obj['kind']} {obj['metadata']['name']} of cluster {client.name}", APPLY_SECONDS)
