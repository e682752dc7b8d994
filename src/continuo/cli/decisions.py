"""`continuo decisions`, `approve` and `deny`: what closed loops and schedulers decided, and what is said of it."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, namespace_of, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import print_data, print_names, print_table
from continuo.resources.meta import Object

_FORMATS = ("table", "wide", "json", "yaml", "name")


@click.command()
@click.argument("name", required=False)
@target_options
@click.option("--orchestration", help="Only about this one.")
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="table", show_default=True, help="How to print.")
@run
async def decisions(name: str | None, target: Target, orchestration: str | None, output: str) -> None:
    """List decisions, oldest first; or show the one of that NAME, with what was weighed."""
    from continuo.resources.loop import DECISION

    async with connected(target) as cluster:
        namespace = namespace_of(target, cluster)
        if name is not None:
            found = [await cluster.get(DECISION, name, namespace)]
        else:
            found = sorted((await cluster.list(DECISION, namespace)).items, key=_made_at)
    if orchestration is not None:
        found = [obj for obj in found if obj["spec"]["orchestration"] == orchestration]
    if output in ("json", "yaml"):
        print_data(found[0] if name else {"apiVersion": "v1", "kind": "List", "items": found}, output)
    elif output == "name":
        print_names(found, DECISION.resource)
    elif name is not None and output == "table":
        _show(found[0])
    else:
        _table(found, wide=output == "wide")


def _made_at(obj: Object) -> tuple[str, str]:
    told = (obj.get("status") or {}).get("decidedAt") or obj["metadata"].get("creationTimestamp", "")
    return told, obj["metadata"]["name"]


def _table(found: list[Object], *, wide: bool) -> None:
    from continuo.orchestrator.loops.frame import summary
    from continuo.resources.loop import decode_decision

    if not found:
        click.echo("nothing was decided here", err=True)
        return
    rows = []
    for obj in found:
        spec, status = decode_decision(obj), obj.get("status") or {}
        row = [obj["metadata"]["name"], _made_at(obj)[0], spec.source, status.get("stage", "Received")]
        row.append(summary(spec.actions))
        rows.append([*row, spec.reason, status.get("message", "")] if wide else row)
    print_table(["NAME", "DECIDED", "SOURCE", "STAGE", "WHAT", *(["REASON", "MESSAGE"] if wide else [])], rows)


def _show(obj: Object) -> None:
    from continuo.orchestrator.loops.frame import effect_told, summary
    from continuo.resources.loop import decode_decision

    spec, status = decode_decision(obj), obj.get("status") or {}
    effect = effect_told(status.get("effect") or {})
    void = spec.expires if "finishedAt" not in status else None
    told = {
        "decision": obj["metadata"]["name"], "about": spec.orchestration, "source": spec.source,
        "decided": _made_at(obj)[0], "stage": status.get("stage", "Received"), "message": status.get("message"),
        "what": summary(spec.actions), "why": spec.reason, "void from": void, "effect": effect,
    }  # fmt: skip
    for key, value in told.items():
        if value:
            click.echo(f"{key:<10} {value}")
    weighed = {key: value for key, value in spec.explanation.items() if key != "observation"}
    for line in weighed_lines(weighed):
        click.echo(line)


def weighed_lines(explanation: dict[str, Any]) -> list[str]:
    """What was weighed, for a terminal: placement's candidates as it tells them, the rest as it is."""
    import json

    import msgspec

    from continuo.placement.explain import Explanation, lines

    found: list[str] = []
    for key, value in explanation.items():
        try:
            found += ["", *lines(msgspec.convert(value, Explanation))]
        except msgspec.ValidationError:
            found.append(f"{key:<10} {value if isinstance(value, str) else json.dumps(value)}")
    return found


@click.command()
@click.argument("decision")
@target_options
@run
async def approve(decision: str, target: Target) -> None:
    """Have a decision that waits for approval carried out."""
    await _say(target, decision, "Approved")


@click.command()
@click.argument("decision")
@target_options
@run
async def deny(decision: str, target: Target) -> None:
    """Say no to a decision that waits for approval."""
    await _say(target, decision, "Denied")


async def _say(target: Target, name: str, verdict: str) -> None:
    from continuo.resources.errors import Conflict
    from continuo.resources.loop import DECISION

    async with connected(target) as cluster:
        namespace = namespace_of(target, cluster)
        found = await cluster.get(DECISION, name, namespace)
        stage = (found.get("status") or {}).get("stage", "Received")
        if stage != "WaitingForApproval":
            raise BadInput(f"decision {name} does not wait for approval: it is {stage}")
        version = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}
        try:
            await cluster.patch(DECISION, name, {**version, "spec": {"verdict": verdict}}, namespace)
        except Conflict:
            raise Failed(f"decision {name} was changed by somebody else just now; look at it again") from None
    click.echo(f"decision {name} {verdict.lower()}")
