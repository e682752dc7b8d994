"""`continuo tosca convert|deploy`: blueprints of CHARITY applications."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import make_console
from continuo.resources.meta import Object


@click.group()
def tosca() -> None:
    """Convert or deploy TOSCA blueprints."""


def _blueprint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--name", help="The orchestration's name; the application's where absent."),
        click.option("--owner", default="anonymous", show_default=True, help="Who the application belongs to."),
        click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="A value for an input."),
        click.option(
            "--clusters", type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="Cluster definitions; without it those that the blueprint names, with defaults.",
        ),
        click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True)),
    ):  # fmt: skip
        command = option(command)
    return command


def convert_file(
    file: Path, clusters: Path | None, inputs: Sequence[str], owner: str, name: str | None, namespace: str
) -> list[Object]:
    """The documents of a blueprint: Secrets, then one LowLevelOrchestration. Problems go to stderr.

    Raises BadInput when the blueprint has errors.
    """
    from continuo.tosca.clusters import read_clusters, targets
    from continuo.tosca.convert import Options, convert_text
    from continuo.tosca.deployment import documents

    definitions: list[Object] | None = None
    if clusters is not None:
        definitions, problems = read_clusters(_text(clusters), file=str(clusters))
        _report(problems)
    options = Options(
        owner=owner,
        clusters=targets(definitions) if definitions is not None else None,
        inputs=dict(_pair(entry) for entry in inputs),
        prefix=f"{name}-" if name else "",
    )
    conversion = convert_text(_text(file), options, file=str(file))
    _report(conversion.problems)
    return documents(conversion, clusters=definitions, name=name, namespace=namespace)


def _text(path: Path) -> str:
    try:
        if str(path) == "-":
            return sys.stdin.read()
        return path.read_text(encoding="utf-8", errors="surrogateescape")  # the converter says where it is not UTF-8
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error


def _pair(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals or not name:
        raise BadInput(f"--input {entry!r} has to be NAME=VALUE")
    return name, value


def _report(problems: Sequence[Any]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        raise BadInput(f"{errors} error{'s' if errors > 1 else ''}; nothing was converted")


@tosca.command()
@_blueprint_options
@click.option("-n", "--namespace", default="default", show_default=True, help="The namespace of the result.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def convert(
    file: Path,
    clusters: Path | None,
    inputs: tuple[str, ...],
    owner: str,
    name: str | None,
    namespace: str,
    output: str,
) -> None:
    """Print the LowLevelOrchestration (and its Secrets) that a blueprint becomes."""
    documents = convert_file(file, clusters, inputs, owner, name, namespace)
    if output == "json":
        import json

        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}, indent=2))
        return
    from continuo.tosca.deployment import to_yaml

    click.echo(to_yaml(documents), nl=False)


@tosca.command()
@_blueprint_options
@target_options
@click.option("--wait/--no-wait", default=True, show_default=True, help="Follow it until it is ready.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds to wait at most.")
@run
async def deploy(
    file: Path,
    clusters: Path | None,
    inputs: tuple[str, ...],
    owner: str,
    name: str | None,
    target: Target,
    wait: bool,
    timeout: float,
) -> None:
    """Convert a blueprint and apply the result."""
    from continuo.cli.apply import apply_documents
    from continuo.cli.health import traced_command

    async with traced_command("continuo tosca deploy"), connected(target) as cluster:
        namespace = target.namespace or cluster.access.namespace
        documents = convert_file(file, clusters, inputs, owner, name, namespace)
        applied = await apply_documents(cluster, documents, namespace)
        if wait:
            await _follow(cluster, applied[-1], timeout)


async def _follow(cluster: Any, obj: Object, timeout: float) -> None:
    from continuo.cli.follow import follow, why_not_ready

    console = make_console()
    view = await follow(cluster, obj, console, timeout=timeout)
    console.print(view.tree())
    if not view.ready:
        raise Failed(f"{obj['metadata']['name']} is not ready after {timeout:g} s: {why_not_ready(view.object)}")
