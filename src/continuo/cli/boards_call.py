"""`continuo boards call`: call a plugin on a board or a fleet and print what it answers."""

from __future__ import annotations

import secrets
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import output_option, print_data, print_table
from continuo.resources.meta import Object


@click.command()
@click.argument("plugin")
@click.option("--board", help="The Board.")
@click.option("--fleet", help="The Fleet, each board of which is called.")
@click.option("-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON or text.")
@click.option("--timeout", type=click.IntRange(1, 3600), default=60, show_default=True, help="Seconds to wait.")
@click.option("--keep", is_flag=True, help="Leave the PluginCall, which otherwise goes when it has answered.")
@target_options
@output_option()
@run
async def call(
    plugin: str, board: str | None, fleet: str | None, pairs: tuple[str, ...], timeout: int, keep: bool, target: Target,
    output: str,
) -> None:  # fmt: skip
    """Call PLUGIN, a Plugin that is callable and injected there, and print what it answers."""
    from continuo.cli.boards_there import check_definitions, where
    from continuo.resources.boards import PLUGIN_CALL
    from continuo.runtime.following import until

    if (board is None) == (fleet is None):
        raise BadInput("name either --board or --fleet")
    place = {"boardRef": {"name": board}} if board else {"fleetRef": {"name": fleet}}
    said: dict[str, Any] = {**place, "pluginRef": {"name": plugin}, "timeout": timeout}
    said["parameters"] = dict(_pair(pair) for pair in pairs)
    async with connected(target) as cluster:
        await check_definitions(cluster)
        namespace = where(target, cluster)
        name = f"{plugin[:40]}-{secrets.token_hex(3)}"
        await _named(cluster, namespace, plugin, board, fleet)
        config = await _config(cluster, namespace, plugin)
        await cluster.create(PLUGIN_CALL.new(name, namespace, spec={"forProvider": said, **config}))
        try:
            found = await until(
                cluster, PLUGIN_CALL, lambda calls: any(_over(each, name) for each in calls), namespace,
                timeout=timeout + 30.0, what=f"PluginCall {name} to be answered",
            )  # fmt: skip
        finally:
            if not keep:
                await cluster.delete(PLUGIN_CALL, name, namespace)
    _print(next(each for each in found if each["metadata"]["name"] == name), output)


async def _named(cluster: Any, namespace: str, plugin: str, board: str | None, fleet: str | None) -> None:
    """Say at once what is not there, which otherwise would be waited for."""
    from continuo.resources.boards import BOARD, FLEET, PLUGIN
    from continuo.resources.errors import NotFound

    for kind, name in ((PLUGIN, plugin), (BOARD, board), (FLEET, fleet)):
        if name is not None:
            try:
                await cluster.get(kind, name, namespace)
            except NotFound:
                raise BadInput(f"there is no {kind.kind} {name!r} in namespace {namespace}") from None


async def _config(cluster: Any, namespace: str, plugin: str) -> Object:
    """The plugin's own endpoint."""
    from continuo.resources.boards import PLUGIN

    found = (await cluster.get(PLUGIN, plugin, namespace)).get("spec") or {}
    return {"providerConfigRef": found["providerConfigRef"]} if "providerConfigRef" in found else {}


def _pair(text: str) -> tuple[str, Any]:
    import json

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadInput(f"--parameter {text!r} is no NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _over(obj: Object, name: str) -> bool:
    if obj["metadata"]["name"] != name:
        return False
    seen = (obj.get("status") or {}).get("atProvider") or {}
    return bool(seen.get("finishedAt") or _refusal(obj))


def _refusal(obj: Object) -> str:
    """Why it cannot be made; empty where it can, or is still being tried."""
    from continuo.iot.provider.marks import FAILED
    from continuo.resources.meta import annotations_of, condition

    synced = condition(obj, "Synced") or {}
    refused = FAILED in annotations_of(obj) and synced.get("status") == "False"
    return str(synced.get("message")) if refused else ""


def _print(obj: Object, output: str) -> None:
    if refusal := _refusal(obj):
        raise Failed(refusal)
    seen = obj["status"]["atProvider"]
    if output in ("json", "yaml"):
        print_data(seen, output)
    elif seen.get("boards"):
        rows = [[each["board"], each["result"], each.get("message", "")] for each in seen["boards"]]
        print_table(["BOARD", "RESULT", "MESSAGE"], rows)
    else:
        click.echo(seen.get("message", ""))
    if seen["result"] not in ("SUCCESS", "WARNING"):
        raise Failed(f"the call ended with {seen['result']}: {seen.get('message', '')}")
