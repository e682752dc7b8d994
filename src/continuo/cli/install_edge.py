"""The options of `continuo install` for a site that trades sensors, and what they mean together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput, Failed

if TYPE_CHECKING:
    from continuo.cli.edge_manifests import Edge
    from continuo.edge.node import NodeIdentity

_QUANTITY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?([kMGTPE]|[KMGTPE]i)?\Z")
_SOCKET = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,90}\Z")
_OPTIONS = (
    click.option("--edge/--no-edge", default=False, show_default=True,
                 help="A site that sells or buys sensors too, and its relay."),
    click.option("--edge-namespace", default="fluidos", show_default=True, help="Where the objects of the trade are."),
    click.option("--trust-domain", metavar="NAME", help="Of the SPIFFE IDs of this cluster's services."),
    click.option("--admit", multiple=True, metavar="SPIFFE-ID",
                 help="Who may buy; a trust domain (spiffe://b.example) means everybody in it."),
    click.option("--seller", multiple=True, metavar="SPIFFE-ID", help="From whom is bought, the same way."),
    click.option("--domain", help="Whose site this is, such as city.example.  [default: as its ConfigMap says]"),
    click.option("--node-id", help="What the site is called among FLUIDOS nodes."),
    click.option("--advertise", metavar="HOST:PORT", help="How other sites reach the Service continuo-edge."),
    click.option("--edge-option", multiple=True, metavar="OPTION",
                 help="One more of `continuo edge serve`, as in --edge-option=--https-only."),
    click.option("--relay-option", multiple=True, metavar="OPTION", help="One more of `continuo relay`."),
    click.option("--spiffe-host-path", metavar="FOLDER",
                 help="The machines' folder with the Workload API.  [default: the CSI driver csi.spiffe.io]"),
    click.option("--spiffe-socket", default="spire-agent.sock", show_default=True, metavar="NAME",
                 help="What its socket is called."),
    click.option("--relay-storage", default="1Gi", show_default=True, metavar="SIZE",
                 help="A volume for what the relay has not delivered; none: it goes with the pod."),
    click.option("--slices", is_flag=True, help="What it needs to sell and buy K8Slices: rights in all namespaces."),
    click.option("--with-kubeedge-kinds", is_flag=True, help="KubeEdge's kinds too, where there is no KubeEdge."),
)  # fmt: skip


def edge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def edge_of(
    *, edge: bool, edge_namespace: str, trust_domain: str | None, admit: tuple[str, ...], seller: tuple[str, ...],
    domain: str | None, node_id: str | None, advertise: str | None, edge_option: tuple[str, ...],
    relay_option: tuple[str, ...], spiffe_host_path: str | None, spiffe_socket: str, relay_storage: str,
    with_kubeedge_kinds: bool, slices: bool,
) -> Edge | None:  # fmt: skip
    """The site that was asked for; None: none. Raises BadInput."""
    if not edge:
        _nothing_else(
            {
                "--trust-domain": trust_domain, "--admit": admit, "--seller": seller, "--domain": domain,
                "--node-id": node_id, "--advertise": advertise, "--edge-option": edge_option,
                "--relay-option": relay_option, "--spiffe-host-path": spiffe_host_path,
                "--with-kubeedge-kinds": with_kubeedge_kinds, "--slices": slices,
            }
        )  # fmt: skip
        return None
    from continuo.cli.edge_manifests import Edge

    options = (*(f"--admit={each}" for each in admit), *(f"--seller={each}" for each in seller), *edge_option)
    found = Edge(
        trust_domain=_checked_ids(trust_domain, admit, seller), namespace=edge_namespace,
        node=_node(domain, node_id, advertise), sell=bool(admit), buy=bool(seller), options=options,
        relay_options=relay_option, host_path=_folder(spiffe_host_path), socket=spiffe_socket,
        storage="" if relay_storage == "none" else relay_storage, kubeedge=with_kubeedge_kinds,
        slices=slices,
    )  # fmt: skip
    if found.storage and not _QUANTITY.match(found.storage):
        raise BadInput(f"--relay-storage is {relay_storage!r}; a size looks like 1Gi, and none means no volume")
    if not _SOCKET.match(spiffe_socket):
        raise BadInput(f"--spiffe-socket is {spiffe_socket!r}; it is the name of a file, such as spire-agent.sock")
    _parsed(found)
    return found


def _nothing_else(given: dict[str, object]) -> None:
    wrong = [option for option, value in given.items() if value]
    if wrong:
        raise BadInput(f"{wrong[0]} is about sensors for sale: add --edge, or leave it out")


def _checked_ids(trust_domain: str | None, admit: tuple[str, ...], seller: tuple[str, ...]) -> str:
    """The trust domain's name."""
    try:
        from continuo.trust.ids import BadId, parse_domain, parse_id
    except ModuleNotFoundError as error:
        raise Failed(
            f"--edge needs the Python package {error.name}; install Continuo with its extra `edge`, from a checkout: "
            "pip install '.[edge]'"
        ) from error
    if not admit and not seller:
        raise BadInput("say with --admit who may buy here, with --seller from whom is bought, or both")
    if trust_domain is None:
        raise BadInput("say with --trust-domain whose SPIFFE IDs the services of this cluster have")
    told = [("--trust-domain", trust_domain), *(("--admit", each) for each in admit)]
    for option, text in [*told, *(("--seller", each) for each in seller)]:
        whole = option == "--trust-domain" or "/" not in text.removeprefix("spiffe://")
        try:
            (parse_domain if whole else parse_id)(text)
        except BadId as error:
            raise BadInput(f"{option}: {error}") from error
    return str(parse_domain(trust_domain).name)


def _node(domain: str | None, node_id: str | None, advertise: str | None) -> NodeIdentity | None:
    from continuo.cli.relay import place
    from continuo.edge.node import NodeIdentity

    if domain is None and node_id is None and advertise is None:
        return None
    if not domain or not node_id or not advertise:
        raise BadInput("--domain, --node-id and --advertise belong together: name all of them, or none")
    place(advertise, "--advertise")
    return NodeIdentity(domain, node_id, advertise)


def _folder(path: str | None) -> str:
    if path is None:
        return ""
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise BadInput(
            f"--spiffe-host-path is {path!r}; it is a folder of the machines, such as /run/spire/agent-sockets"
        )
    return path


def _parsed(edge: Edge) -> None:
    """Whether the commands take what they are to be given."""
    from continuo.cli.edge_serve import serve
    from continuo.cli.relay import relay

    for command, options in ((serve, edge.options), (relay, edge.relay_options)):
        try:
            command.make_context(command.name, list(options)).close()
        except click.UsageError as error:
            raise BadInput(
                f"`continuo {'relay' if command is relay else 'edge serve'}`: {error.format_message()}"
            ) from error
