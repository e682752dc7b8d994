"""`continuo reflect`: run pods of one cluster in another, over nothing but both APIs."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import BadInput, Failed

_FILE = click.Path(path_type=Path, dir_okay=False)


def _network(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise BadInput(
            f"{option.opts[0]} is {value!r}: it must be an IPv4 network like 10.1.0.0/16 ({error})"
        ) from error


@click.command()
@click.option("--file", "-f", "file", type=_FILE, help="Many nodes, from a file; read again on SIGHUP.")
@click.option("--home", type=_FILE, help="Kubeconfig of the cluster that gets the virtual node.")
@click.option("--home-context", metavar="NAME", help="The context in it.")
@click.option("--remote", type=_FILE, help="Kubeconfig of the cluster that runs its pods.")
@click.option("--remote-context", metavar="NAME", help="The context in it.")
@click.option("--node", metavar="NAME", help="The virtual node's name.")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="What to reflect; repeatable.")
@click.option("--cpu", help="What the node offers; by default what the remote cluster's nodes have together.")
@click.option("--memory", help="The same, of memory.")
@click.option("--pods", type=click.IntRange(1), help="The same, of pods.")
@click.option("--remote-pods-as", callback=_network, metavar="CIDR", help="How home reaches the remote's pod network.")
@click.option("--home-pods-as", callback=_network, metavar="CIDR", help="How the remote reaches home's pod network.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def reflect(
    file: Path | None, home: Path | None, home_context: str | None, remote: Path | None, remote_context: str | None,
    node: str | None,
    namespaces: tuple[str, ...], cpu: str | None, memory: str | None, pods: int | None,
    remote_pods_as: str | None, home_pods_as: str | None, verbose: bool,
) -> None:  # fmt: skip
    """Make another cluster a node of this one, until stopped.

    Pods that are bound to the node run in the other cluster, and their status comes back. Services, the endpoints at home,
    ConfigMaps and Secrets of the namespaces follow them. Pods tolerate the taint continuo.dev/virtual-node and choose
    the node by its label kubernetes.io/hostname. One node by options, or many by a file with clusters and nodes.
    """
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    alone = {"--home": home, "--remote": remote, "--node": node, "--namespace": namespaces}
    if file is not None:
        others = {
            **alone,
            "--home-context": home_context,
            "--remote-context": remote_context,
            "--cpu": cpu,
            "--memory": memory,
            "--pods": pods,
            "--remote-pods-as": remote_pods_as,
            "--home-pods-as": home_pods_as,
        }
        if given := [name for name, value in others.items() if value]:
            raise BadInput(f"{', '.join(given)} goes without --file, which says all of that for each node")
        _run(_many(file))
        return
    if home is None or remote is None or node is None or not namespaces:
        missing = [name for name, value in alone.items() if not value]
        raise BadInput(
            f"{', '.join(missing)} is missing: name both kubeconfigs, the node and its namespaces, or a --file"
        )
    said = {"cpu": cpu, "memory": memory, "pods": None if pods is None else str(pods)}
    offer = {name: value for name, value in said.items() if value is not None}
    _run(_one((home, home_context), (remote, remote_context), node, namespaces, offer, remote_pods_as, home_pods_as))


async def _one(
    home: tuple[Path, str | None], remote: tuple[Path, str | None], node: str, namespaces: tuple[str, ...],
    offer: dict[str, str], remote_pods: str | None, home_pods: str | None,
) -> None:  # fmt: skip
    """One reflection."""
    from continuo.federation.reflection.engine import Reflection, Settings
    from continuo.kube.config import connect

    settings = Settings(node, frozenset(namespaces), offer, remote_pods, home_pods)
    ends = (
        connect(home[0], context=home[1], name=home[1] or "home"),
        connect(remote[0], context=remote[1], name=remote[1] or "remote"),
    )
    try:
        await Reflection(*ends, settings).run()
    finally:
        await asyncio.gather(*(end.close() for end in ends))


async def _many(file: Path) -> None:
    """A whole fleet."""
    from continuo.cli.reflect_file import serve

    await serve(file)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Work until a signal; what stands in the way is one sentence."""
    import uvloop

    from continuo.cli import tuning
    from continuo.resources.errors import ApiError, BadRequest

    async def main() -> None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    tuning.settle()
    try:
        uvloop.run(main())
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error
