"""`continuo monitoring`: what Prometheus and Grafana need to watch the continuum, for the clusters that there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.resources.meta import Object

WHAT = ("prometheus", "recording", "alerts", "dashboard", "all")


@click.command()
@click.argument("what", type=click.Choice(WHAT), default="prometheus")
@target_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Clusters of the orchestrations of every namespace.")
@click.option("--operator", "operators", multiple=True, metavar="HOST:PORT", help="Where an operator's /metrics are.")
@click.option("--server", "servers", multiple=True, metavar="HOST:PORT", help="Where a server's /metrics are.")
@click.option(
    "--at", "addresses", multiple=True, metavar="CLUSTER=HOST:PORT",
    help="Where a cluster's Prometheus is reached, if not at port 9090 of its public address; [ORCHESTRATION/]CLUSTER.",
)  # fmt: skip
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Write files into this folder.")
@click.option("--follow", is_flag=True, help="With --into: write again whenever clusters come or go, until stopped.")
@click.option("--reload", "reload_url", metavar="URL", help="With --follow: Prometheus, told to read its files again.")
@run
async def monitoring(
    what: str, target: Target, all_namespaces: bool, operators: tuple[str, ...], servers: tuple[str, ...],
    addresses: tuple[str, ...], into: Path | None, follow: bool, reload_url: str | None,
) -> None:  # fmt: skip
    """Print Prometheus' configuration, which federates the clusters' own; or rules, or the Grafana dashboard.

    WHAT is prometheus, recording, alerts, dashboard, or all (with --into).
    """
    if into is None and (follow or what == "all"):
        raise BadInput("--follow and `all` write files: say where with --into FOLDER")
    if reload_url and not follow:
        raise BadInput("--reload is for --follow: otherwise nothing changes that would have to be read again")
    if what in ("recording", "alerts", "dashboard") and into is None:
        click.echo(_fixed()[what][1], nl=False)
        return
    jobs: dict[str, Sequence[str]] = {"continuo-operator": operators or ("continuo-operator:8081",)}
    jobs |= {"continuo-server": servers} if servers else {}
    at = _addresses(addresses)
    async with connected(target) as cluster:
        namespace = None if all_namespaces else target.namespace or cluster.access.namespace or "default"
        if into is None:
            click.echo(_configured(jobs, await _orchestrations(cluster, namespace), at, ()), nl=False)
            return
        for name, text in _fixed().values():
            await asyncio.to_thread(_write, into / name, text)
        await _keep(cluster, namespace, into, follow, reload_url, lambda found: _configured(jobs, found, at, _RULES))


_RULES = ("rules/recording.yaml", "rules/alerts.yaml")


def _fixed() -> dict[str, tuple[str, str]]:
    """What is the same everywhere: by word, its file and its text."""
    from continuo.telemetry.files import files

    made = files()
    names = {"recording": _RULES[0], "alerts": _RULES[1], "dashboard": "continuo.json"}
    return {word: (name, made[f"dashboards/{name}"]) for word, name in names.items()}


def _configured(
    jobs: dict[str, Sequence[str]], found: list[Object], addresses: dict[str, str], rules: Sequence[str]
) -> str:
    from continuo.telemetry.files import to_yaml
    from continuo.telemetry.scraping import configuration, federation, places

    return to_yaml(configuration(jobs, federation(places(found, addresses)), rules))


def _addresses(said: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in said:
        name, separator, address = entry.partition("=")
        host, colon, port = address.rpartition(":")
        if not (name and separator and host and colon and port.isdecimal()):
            raise BadInput(f"--at {entry} is none: it looks like green=203.0.113.7:9090")
        found[name] = address
    return found


async def _orchestrations(cluster: Any, namespace: str | None) -> list[Object]:
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    found: list[Object] = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
    return found


async def _keep(
    cluster: Any, namespace: str | None, into: Path, follow: bool, reload_url: str | None, make: Any
) -> None:
    """Write the configuration, and again when it changes."""
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
    from continuo.runtime.informer import Informer, Watch

    path, last = into / "prometheus.yml", ""
    if not follow:
        await asyncio.to_thread(_write, path, make(await _orchestrations(cluster, namespace)))
        click.echo(f"wrote {path}, {', '.join(str(into / name) for name, _ in _fixed().values())}", err=True)
        return
    informer, changed = Informer(cluster, Watch(LOW_LEVEL_ORCHESTRATION, namespace)), asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    informer.start()
    try:
        await informer.synced.wait()
        while True:
            changed.clear()
            text = make(list(informer.cache))
            if text != last:
                await asyncio.to_thread(_write, path, text)
                told = await _reload(reload_url) if last and reload_url else ""
                last = text
                click.echo(f"wrote {path}{told}", err=True)
            await changed.wait()
    finally:
        await informer.stop()


async def _reload(url: str) -> str:
    """Ask Prometheus (with --web.enable-lifecycle) to read its files; one that does not is no reason to stop."""
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http,
            http.post(f"{url.rstrip('/')}/-/reload") as answer,
        ):
            return ", and Prometheus read it" if answer.ok else f"; Prometheus did not read it: HTTP {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"; Prometheus did not read it: {error or 'no answer in time'}"


def _write(path: Path, text: str) -> None:
    """At once or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}") from error
