"""What Liqo's own chart puts into a cluster: rendered as Helm would render it, applied in an order that works."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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
from continuo.testbed.waiting import until

if TYPE_CHECKING:
    from continuo.kube.client import KubeCluster

RENDERER = "liqo-chart"
NAMESPACE = "liqo"
APPLY_SECONDS = 120.0
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
    for obj in order(obj for obj in objects if obj["kind"] != "CustomResourceDefinition"):
        await _apply(client, obj)


def order(objects: Iterable[Object]) -> list[Object]:
    """Objects as they can be applied one after another."""
    return sorted(objects, key=_rank)


def _rank(obj: Object) -> int:
    return _LAST.index(obj["kind"]) + 1 if obj["kind"] in _LAST else 0


async def _apply(client: KubeCluster, obj: Object) -> None:
    async def applied() -> str | None:
        try:
            await client.apply(obj, manager=MANAGER)
        except ApiError as error:
            return str(error)
        return None

    await until(applied, f"{obj['kind']} {obj['metadata']['name']} of cluster {client.name}", APPLY_SECONDS)
