"""`continuo fault`: break something in the embedded engine to see it mended. Faults are annotations: they survive restarts.

Real engines ignore them: the annotation has no meaning outside the embedded one.
"""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run
from continuo.resources.meta import Kind, Object


@click.group()
def fault() -> None:
    """Break something in the embedded engine, or mend it."""


_HELP = (
    "FAULT is one of: api-outage, never-up, slow (of a cluster or machine), link-down, link-latency, "
    "link-jitter, link-bandwidth (of a link, as a/b), "
    "image-pull (of an application's namespace, as cluster/namespace), not-ready (of a node, as cluster/node)."
)


@fault.command("set", epilog=_HELP)
@click.argument("name", metavar="FAULT")
@click.argument("what", metavar="TARGET")
@click.option(
    "--value",
    default="",
    help="The fault's argument: a factor for slow, milliseconds, bits in a second such as 5M, a part of image names.",
)
@target_options
@run
async def set_fault(name: str, what: str, value: str, target: Target) -> None:
    """Inject a fault."""
    await _annotate(target, name, what, value)
    click.echo(f"{name} set on {what}; mend it with: continuo fault clear {name} {what}")


@fault.command("clear", epilog=_HELP)
@click.argument("name", metavar="FAULT")
@click.argument("what", metavar="TARGET")
@target_options
@run
async def clear_fault(name: str, what: str, target: Target) -> None:
    """Mend it."""
    await _annotate(target, name, what, None)
    click.echo(f"{name} cleared on {what}")


async def _annotate(target: Target, name: str, what: str, value: str | None) -> None:
    from continuo.embedded.standins.faults import PREFIX, TARGETS

    if name not in TARGETS:
        raise BadInput(f"there is no fault {name!r}; faults: {', '.join(sorted(TARGETS))}")
    async with connected(target) as management:
        namespace = target.namespace or management.access.namespace
        cluster, kind, obj, within = await _find(management, namespace, name, what, TARGETS[name])
        patch = {"metadata": {"annotations": {PREFIX + name: value}}}
        try:
            await cluster.patch(kind, obj, patch, within)
        finally:
            if cluster is not management:
                await cluster.close()


async def _find(
    management: Any, namespace: str, name: str, what: str, kinds_of: tuple[Kind, ...]
) -> tuple[Any, Kind, str, str | None]:
    """(the API, kind, object name, namespace) of what a fault is to be put on."""
    from continuo.embedded.standins import faults
    from continuo.resources import kinds

    if kinds.CLUSTER in kinds_of:
        for kind in (kinds.CLUSTER, kinds.MACHINE, kinds.MACHINE_DEPLOYMENT):
            if kind in kinds_of and (found := await _named(management, kind, namespace, what)) is not None:
                return management, kind, found["metadata"]["name"], namespace
        known = sorted(obj["metadata"]["name"] for obj in (await management.list(kinds.CLUSTER, namespace)).items)
        told = ", ".join(known) or "none"
        raise BadInput(f"no cluster or machine {what} in namespace {namespace}; clusters there: {told}")
    first, slash, second = what.rpartition("/")  # the first may be orchestration/cluster
    if not slash:
        raise BadInput(f"the target of {name} has to be written as two names with a slash, such as green/rose")
    workload = await _workload(management, namespace, first)
    if kinds.FOREIGN_CLUSTER in kinds_of:
        orchestration, within, _ = first.partition("/")
        second = f"{orchestration}-{second}" if within else second
        peer = await _named(management, kinds.CLUSTER, namespace, second)
        return workload, kinds.FOREIGN_CLUSTER, (peer or {"metadata": {"name": second}})["metadata"]["name"], None
    kind = kinds.NODE if name == faults.NOT_READY else kinds.NAMESPACE
    return workload, kind, second, None


async def _named(management: Any, kind: Kind, namespace: str, name: str) -> Object | None:
    """The object of that name, or the one cluster that is declared under that short name."""
    listing = await management.list(kind, namespace)
    exact = [obj for obj in listing.items if obj["metadata"]["name"] == name]
    short = [obj for obj in listing.items if (obj["metadata"].get("labels") or {}).get("continuo.dev/cluster") == name]
    found = exact or short
    if len(found) > 1:
        raise BadInput(f"{name} is ambiguous; say one of {', '.join(obj['metadata']['name'] for obj in found)}")
    return found[0] if found else None


async def _workload(management: Any, namespace: str, name: str) -> Any:
    from continuo.cli.kubeconfig import read_kubeconfig
    from continuo.kube.config import connect

    return connect(await read_kubeconfig(management, namespace, name), name=name)
