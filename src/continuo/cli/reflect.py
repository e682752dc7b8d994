"""`continuo reflect`: run pods of one cluster in another, over nothing but both APIs."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from pathlib import Path

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
@click.option("--home", type=_FILE, required=True, help="Kubeconfig of the cluster that gets the virtual node.")
@click.option("--home-context", metavar="NAME", help="The context in it.")
@click.option("--remote", type=_FILE, required=True, help="Kubeconfig of the cluster that runs its pods.")
@click.option("--remote-context", metavar="NAME", help="The context in it.")
@click.option("--node", required=True, metavar="NAME", help="The virtual node's name.")
@click.option("--namespace", "-n", "namespaces", multiple=True, required=True, help="What to reflect; repeatable.")
@click.option("--cpu", help="What the node offers; by default what the remote cluster's nodes have together.")
@click.option("--memory", help="The same, of memory.")
@click.option("--pods", type=click.IntRange(1), help="The same, of pods.")
@click.option("--remote-pods-as", callback=_network, metavar="CIDR", help="How home reaches the remote's pod network.")
@click.option("--home-pods-as", callback=_network, metavar="CIDR", help="How the remote reaches home's pod network.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def reflect(
    home: Path, home_context: str | None, remote: Path, remote_context: str | None, node: str,
    namespaces: tuple[str, ...], cpu: str | None, memory: str | None, pods: int | None,
    remote_pods_as: str | None, home_pods_as: str | None, verbose: bool,
) -> None:  # fmt: skip
    """Make another cluster a node of this one, until stopped.

    Pods that are bound to the node run in the other cluster, and their status comes back. Services, the endpoints at home,
    ConfigMaps and Secrets of the namespaces follow them. Pods tolerate the taint continuo.dev/virtual-node and choose
    the node by its label kubernetes.io/hostname.
    """
    import uvloop

    from continuo.cli import tuning
    from continuo.federation.reflection.engine import Reflection, Settings
    from continuo.kube.config import connect
    from continuo.resources.errors import ApiError, BadRequest

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    said = {"cpu": cpu, "memory": memory, "pods": None if pods is None else str(pods)}
    offer = {name: value for name, value in said.items() if value is not None}
    settings = Settings(node, frozenset(namespaces), offer, remote_pods_as, home_pods_as)

    async def main() -> None:
        ends = (
            connect(home, context=home_context, name=home_context or "home"),
            connect(remote, context=remote_context, name=remote_context or "remote"),
        )
        work = asyncio.ensure_future(Reflection(*ends, settings).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            return
        finally:
            await asyncio.gather(*(end.close() for end in ends))

    tuning.settle()
    try:
        uvloop.run(main())
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error
