"""`continuo monitoring`: what Prometheus and Grafana need to watch the continuum, for the clusters that there are."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run
from continuo.resources.meta import Object

WHAT = ("prometheus", "targets", "recording", "alerts", "dashboard", "manifests", "all")
_RULES = ("rules/recording.yaml", "rules/alerts.yaml")
_PART = re.compile(r"[a-z][a-z0-9-]*\Z")
_SERVICE = re.compile(r"[a-z0-9.-]+/[a-z0-9.:-]+:[a-z0-9-]+\Z")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for, checked."""

    jobs: dict[str, Sequence[str]]
    addresses: dict[str, str]
    file_sd: bool
    http_sd: str
    http_sd_token: str
    http_sd_ca: str
    service: str
    """The Service behind each API server's proxy; empty: clusters' Prometheus have addresses of their own."""


@click.command()
@click.argument("what", type=click.Choice(WHAT), default="prometheus")
@target_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Clusters of the orchestrations of every namespace.")
@click.option("--operator", "operators", multiple=True, metavar="HOST:PORT", help="Where an operator's /metrics are.")
@click.option("--server", "servers", multiple=True, metavar="HOST:PORT", help="Where a server's /metrics are.")
@click.option("--part", "parts", multiple=True, metavar="PART=HOST:PORT",
              help="Where another part's /metrics are: edge, relay, broker, hub, boards ...")  # fmt: skip
@click.option(
    "--at", "addresses", multiple=True, metavar="CLUSTER=HOST:PORT",
    help="Where a cluster's Prometheus is reached, if not at port 9090 of its public address; [ORCHESTRATION/]CLUSTER.",
)  # fmt: skip
@click.option("--file-sd", is_flag=True,
              help="With --into: clusters in a file of targets, which Prometheus reads again by itself.")  # fmt: skip
@click.option("--http-sd", metavar="URL", default="",
              help="Clusters as `continuo server` tells of them: https://SERVER/monitoring/v1/targets.")  # fmt: skip
@click.option("--http-sd-token-file", default="", metavar="FILE", help="The token for it, where Prometheus runs.")
@click.option("--http-sd-ca-file", default="", metavar="FILE", help="Who signs its certificate, where Prometheus runs.")
@click.option("--through-api-servers", is_flag=True,
              help="With --into: by the proxies of clusters' API servers, with their kubeconfigs' credentials.")  # fmt: skip
@click.option("--proxy-service", default="monitoring/prometheus-operated:9090", show_default=True,
              metavar="NAMESPACE/SERVICE:PORT", help="The Service of a cluster's Prometheus there.")  # fmt: skip
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Write files into this folder.")
@click.option("--follow", is_flag=True, help="With --into: write again whenever clusters come or go, until stopped.")
@click.option("--reload", "reload_url", metavar="URL", help="With --follow: Prometheus, told to read its files again.")
@click.option("--monitoring-namespace", default="continuo-system", show_default=True,
              help="With manifests: where Continuo runs.")  # fmt: skip
@run
async def monitoring(
    what: str, target: Target, all_namespaces: bool, into: Path | None, follow: bool, reload_url: str | None,
    monitoring_namespace: str, **said: Any,
) -> None:  # fmt: skip
    """Print Prometheus' configuration, which federates the clusters' own; or rules, or the Grafana dashboard.

    WHAT is prometheus, targets (of clusters, for file_sd), recording, alerts, dashboard, manifests (for the Prometheus
    operator), or all (with --into).
    """
    wish = _wish(**said)
    _check(what, wish, into, follow, reload_url)
    if what in ("recording", "alerts", "dashboard") and into is None:
        click.echo(_fixed()[what][1], nl=False)
        return
    async with connected(target) as cluster:
        namespace = None if all_namespaces else target.namespace or cluster.access.namespace or "default"
        if into is None:
            found = await _orchestrations(cluster, namespace)
            click.echo(
                _manifests(found, wish, monitoring_namespace) if what == "manifests" else _text(what, found, wish),
                nl=False,
            )
            return
        await _written(cluster, namespace, into, follow, reload_url, wish)


async def _written(
    cluster: Any, namespace: str | None, into: Path, follow: bool, reload_url: str | None, wish: Wish
) -> None:
    from continuo.cli.monitoring_files import keep, write

    fixed = dict(_fixed().values())
    await write(into, fixed)
    if follow:
        await keep(cluster, namespace, into, functools.partial(_files, cluster, wish), reload_url)
        return
    files = await _files(cluster, wish, await _orchestrations(cluster, namespace))
    await write(into, files)
    click.echo(f"wrote {', '.join(str(into / name) for name in (*files, *fixed))}", err=True)


async def _files(cluster: Any, wish: Wish, found: list[Object]) -> dict[str, str]:
    """What depends on which clusters there are."""
    from continuo.cli.monitoring_proxied import proxied
    from continuo.telemetry.files import to_yaml
    from continuo.telemetry.scraping import TARGETS_FILE, configuration

    if wish.service:
        jobs, secrets = await proxied(cluster, found, wish.service)
        return secrets | {"prometheus.yml": to_yaml(configuration(wish.jobs, jobs, _RULES))}
    configured = {"prometheus.yml": to_yaml(configuration(wish.jobs, [_federation(found, wish)], _RULES))}
    return {TARGETS_FILE: _targets(found, wish)} | configured if wish.file_sd else configured


def _text(what: str, found: list[Object], wish: Wish) -> str:
    from continuo.telemetry.files import to_yaml
    from continuo.telemetry.scraping import configuration

    return (
        _targets(found, wish)
        if what == "targets"
        else to_yaml(configuration(wish.jobs, [_federation(found, wish)], ()))
    )


def _federation(found: list[Object], wish: Wish) -> Object:
    from continuo.telemetry import scraping

    if wish.file_sd:
        return scraping.federation(scraping.discovered(scraping.TARGETS_FILE))
    if wish.http_sd:
        return scraping.federation(scraping.asked(wish.http_sd, wish.http_sd_token, wish.http_sd_ca))
    return scraping.federation({"static_configs": scraping.targets(scraping.places(found, wish.addresses))})


def _targets(found: list[Object], wish: Wish) -> str:
    import json

    from continuo.telemetry.scraping import places, targets

    return json.dumps(targets(places(found, wish.addresses)), indent=2) + "\n"


def _manifests(found: list[Object], wish: Wish, namespace: str) -> str:
    import yaml

    from continuo.telemetry import operated

    federated = operated.scrape_config(namespace, _federation(found, wish), targets_url=wish.http_sd)
    objects = [operated.pod_monitor(namespace), operated.prometheus_rules(namespace), federated]
    objects.append(operated.dashboard_map(namespace))
    return yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)


def _fixed() -> dict[str, tuple[str, str]]:
    """What is the same everywhere: by word, its file and its text."""
    from continuo.telemetry.files import files

    made = files()
    names = {"recording": _RULES[0], "alerts": _RULES[1], "dashboard": "continuo.json"}
    return {word: (name, made[f"dashboards/{name}"]) for word, name in names.items()}


async def _orchestrations(cluster: Any, namespace: str | None) -> list[Object]:
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    found: list[Object] = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
    return found


def _wish(
    operators: tuple[str, ...], servers: tuple[str, ...], parts: tuple[str, ...], addresses: tuple[str, ...],
    file_sd: bool, http_sd: str, http_sd_token_file: str, http_sd_ca_file: str, through_api_servers: bool,
    proxy_service: str,
) -> Wish:  # fmt: skip
    jobs: dict[str, Sequence[str]] = {"continuo-operator": operators or ("continuo-operator:8081",)}
    jobs |= {"continuo-server": servers} if servers else {}
    for part, address in _pairs("--part", parts, "edge=127.0.0.1:8081"):
        if not _PART.match(part):
            raise BadInput(f"--part {part}={address} is none: a part is called edge, relay, broker, hub, boards ...")
        jobs[f"continuo-{part}"] = (*jobs.get(f"continuo-{part}", ()), address)
    at = dict(_pairs("--at", addresses, "green=203.0.113.7:9090"))
    service = proxy_service if through_api_servers else ""
    return Wish(jobs, at, file_sd, http_sd, http_sd_token_file, http_sd_ca_file, service)


def _check(what: str, wish: Wish, into: Path | None, follow: bool, reload_url: str | None) -> None:
    if into is None and (follow or what == "all"):
        raise BadInput("--follow and `all` write files: say where with --into FOLDER")
    if reload_url and not follow:
        raise BadInput("--reload is for --follow: otherwise nothing changes that would have to be read again")
    if sum(map(bool, (wish.file_sd, wish.http_sd, wish.service))) > 1:
        raise BadInput("clusters are found in one way: --file-sd, --http-sd or --through-api-servers")
    if into is None and (wish.file_sd or wish.service):
        raise BadInput("--file-sd and --through-api-servers write files: say where with --into FOLDER")
    if wish.http_sd and not wish.http_sd.startswith(("http://", "https://")):
        raise BadInput(f"--http-sd is {wish.http_sd!r}; it looks like https://SERVER/monitoring/v1/targets")
    if (wish.http_sd_token or wish.http_sd_ca) and not wish.http_sd:
        raise BadInput("--http-sd-token-file and --http-sd-ca-file need --http-sd URL")
    if wish.service and not _SERVICE.match(wish.service):
        raise BadInput(f"--proxy-service is {wish.service!r}; it looks like monitoring/prometheus-operated:9090")
    if wish.service and wish.addresses:
        raise BadInput("--at says where a cluster's Prometheus is, and --through-api-servers does without")
    if what == "manifests" and into is not None:
        raise BadInput("manifests are printed: leave --into out, and pipe them into kubectl apply -f -")


def _pairs(option: str, said: tuple[str, ...], example: str) -> list[tuple[str, str]]:
    found = []
    for entry in said:
        name, separator, address = entry.partition("=")
        host, colon, port = address.rpartition(":")
        if not (name and separator and host and colon and port.isdecimal()):
            raise BadInput(f"{option} {entry} is none: it looks like {example}")
        found.append((name, address))
    return found
