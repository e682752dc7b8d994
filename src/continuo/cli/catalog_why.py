"""`continuo catalog why`: why a pod is at a provider, or at none, as the broker stored it with the pod."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from continuo.cli.connection import Target, connected, namespace_of, target_options
from continuo.cli.failures import Failed, run
from continuo.cli.output import print_data, print_table

_COLUMNS = ("PROVIDER", "VERDICT", "POLICY", "RULE", "WHY", "DATA")


@click.command()
@click.argument("pod")
@click.option(
    "-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip
@target_options
@run
async def why(pod: str, output: str, target: Target) -> None:
    """Show why POD is where it is: what removed each provider, on which data, how old that was.

    Asks the broker's cluster.
    """
    from continuo.resources import kinds

    async with connected(target) as cluster:
        namespace = namespace_of(target, cluster)
        found = await cluster.get(kinds.POD, pod, namespace)
    told = decision_of(found)
    if output != "table":
        print_data(told, output)
        return
    for line in headline(f"{namespace}/{pod}", told):
        click.echo(line)
    rows = rows_of(told)
    if rows:
        click.echo()
        print_table(_COLUMNS, rows)


def decision_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The stored decision about a pod, and what its annotations say of moves; Failed where there is none."""
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    text = annotations.get("continuo.dev/decision")
    if text is None:
        raise Failed(
            f"nothing was decided about pod {metadata['namespace']}/{metadata['name']}: its namespace needs the label "
            "continuo.dev/consumer or liqo.io/remote-cluster-id, and `continuo broker serve` must be at work"
        )
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Failed(f"the stored decision of pod {metadata['name']} is no JSON: {error}") from error
    home = annotations.get("continuo.dev/moved-from")
    return {**told, "movedFrom": home} if home else told


def headline(name: str, told: dict[str, Any]) -> list[str]:
    """Where the pod is, in a sentence or two."""
    consumer, at = told.get("consumer", "unknown"), told.get("at", "")
    if not told.get("provider"):
        return [f"Pod {name} waits since {at}: {told.get('message', 'no provider can take it')}."]
    lines = [
        f"Pod {name} of consumer {consumer} was placed on provider {told['provider']}, node {told['node']}, at {at}."
    ]
    if told.get("movedFrom"):
        lines.append(f"It belongs to provider {told['movedFrom']} and returns once that is allowed for long enough.")
    return lines


def rows_of(told: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row for each provider that is allowed, and for each rule that removed one."""
    at = told.get("at", "")
    rows: list[tuple[str, ...]] = []
    for entry in told.get("allowed", ()):
        verdict = "chosen" if entry["provider"] == told.get("provider") else "allowed"
        score = f"score {entry['score']:g}" if entry.get("score") is not None else "no score"
        rows.append((entry["provider"], verdict, " ".join(entry.get("policies", ())), "", score, ""))
    for entry in told.get("removed", ()):
        for by in entry["by"]:
            rule = f"{by['side']}/{by['rule']}" if by.get("rule") else ""
            data = ", ".join(_datum(datum, at) for datum in by.get("data", ()))
            rows.append((entry["provider"], "removed", by.get("policy", ""), rule, by["why"], data))
    if told.get("untold"):
        rows.append((f"{told['untold']} more", "", "", "", "", ""))
    return rows


def _datum(datum: dict[str, Any], decided: str) -> str:
    value = f"={datum['value']:g}" if "value" in datum else ""
    age = f" {_age(datum['at'], decided)} before" if datum.get("at") and decided else ""
    return f"{datum['name']}{value} {datum['source']}{age}"


def _age(measured: str, decided: str) -> str:
    seconds = int((datetime.fromisoformat(decided) - datetime.fromisoformat(measured)).total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"
