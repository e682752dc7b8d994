"""`continuo impact SUBJECT`: who depends on a cluster, a link or a provider, as a tree or as data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run
from continuo.cli.output import make_console, print_data
from continuo.resources.meta import Kind, Object


@click.command()
@click.argument("subject")
@target_options
@click.option(
    "-o", "--output", type=click.Choice(["tree", "json", "yaml"]), default="tree", show_default=True,
    help="How to print.",
)  # fmt: skip
@run
async def impact(subject: str, target: Target, output: str) -> None:
    """Show everything that depends on SUBJECT: a cluster, a link (A/B), a data centre, or a provider.

    Where a name means several things, say which: cluster/NAME, link/A/B, datacenter/NAME, provider/NAME. What the loops would
    do about it shows `continuo plan --if-lost CLUSTER`.
    """
    from continuo.orchestrator import impact as radius

    async with connected(target) as cluster:
        namespace = target.namespace or cluster.access.namespace
        inventory = await _inventory(cluster, namespace)
    meant = radius.subjects(inventory, subject)
    if not meant:
        raise BadInput(
            f"namespace {namespace} has no cluster, link (A/B), data centre or provider {subject}: see `continuo status`"
        )
    if len(meant) > 1:
        ways = " or ".join(f"{each.what}/{each.name}" for each in meant)
        raise BadInput(f"{subject} means several things: say {ways}")
    found = radius.impact(inventory, meant[0])
    if output == "tree":
        make_console().print(_tree(found))
    else:
        print_data(found, output)


async def _inventory(cluster: Any, namespace: str) -> Any:
    from continuo.orchestrator.impact import Inventory
    from continuo.resources import boards, broker, kinds
    from continuo.resources.boards_config import CLUSTER_PROVIDER_CONFIG, PROVIDER_CONFIG
    from continuo.resources.errors import Forbidden, NotFound
    from continuo.resources.loop import ADJUSTMENT, decode_adjustment
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, decode

    async def listed(kind: Kind, within: str | None) -> list[Object]:
        try:
            found: list[Object] = (await cluster.list(kind, within)).items
        except NotFound:
            return []  # no such part is installed here
        except Forbidden as error:
            click.echo(f"not counted: {error}", err=True)
            return []
        return found

    there = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
    wanted: dict[str, tuple[Kind, str | None]] = {
        "laid": (ADJUSTMENT, namespace), "providers": (broker.PROVIDER, None), "consumers": (broker.CONSUMER, None),
        "contracts": (broker.CONTRACT, None), "flavors": (kinds.FLAVOR, None),
        "purchases": (kinds.FLUIDOS_CONTRACT, None), "allocations": (kinds.ALLOCATION, None),
        "boards": (boards.BOARD, None), "own": (PROVIDER_CONFIG, None), "common": (CLUSTER_PROVIDER_CONFIG, None),
    }  # fmt: skip
    lists = await asyncio.gather(*(listed(kind, within) for kind, within in wanted.values()))
    found = dict(zip(wanted, lists, strict=True))
    laid = {obj["metadata"]["name"]: obj for obj in found.pop("laid")}
    orchestrations = [(decode(obj), decode_adjustment(laid.get(obj["metadata"]["name"]))) for obj in there]
    endpoints = [*found.pop("own"), *found.pop("common")]
    return Inventory(orchestrations, endpoints=endpoints, **found)


def _tree(found: Mapping[str, Any]) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    counts = [
        _count(len(found[name]), noun)
        for name, noun in (("components", "component"), ("applications", "application"), ("owners", "owner"),
                           ("urls", "public address"), ("contracts", "contract"), ("sensors", "sensor trade"),
                           ("boards", "board"))
        if found[name]
    ]  # fmt: skip
    tree = Tree(Text(f"{found['subject']}: {', '.join(counts) or 'nothing depends on it'}", style="bold"))
    for title, lines in _branches(found):
        branch = tree.add(Text(title, style="bold blue"))
        for name, detail in lines:
            branch.add(Text.assemble((name, "bold"), f"  {detail}" if detail else ""))
    return tree


def _branches(found: Mapping[str, Any]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    branches = (
        ("clusters", [(name, "") for name in found["clusters"]]),
        ("links", [(" ⇄ ".join(each["clusters"]), each["orchestration"]) for each in found["links"]]),
        ("applications", [(each["application"], _why(each)) for each in found["applications"]]),
        ("components", [(each["component"], _why(each)) for each in found["components"]]),
        ("public addresses", [(each["url"], f"{each['component']}, owner {each['owner']}") for each in found["urls"]]),
        ("contracts", [(each["contract"], f"{each['offer']}/{each['plan']}, {each['why']}") for each in found["contracts"]]),
        ("sensors", [(each["name"], f"{each['kind']} {each['why']}") for each in found["sensors"]]),
        ("boards", [(each["board"], each["why"]) for each in found["boards"]]),
    )  # fmt: skip
    return ((title, lines) for title, lines in branches if lines)


def _why(entry: Mapping[str, Any]) -> str:
    return f"owner {entry['owner']}, {entry['why']}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'es' if noun.endswith('s') and number != 1 else 's' if number != 1 else ''}"
