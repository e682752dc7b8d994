"""`continuo catalog`: browse, follow, publish and buy offers; run a catalog."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from continuo.cli.catalog_client import Unavailable, Where, catalog_options, client, write_secret
from continuo.cli.catalog_keys import keys
from continuo.cli.catalog_measured import measured_beside, measurements, summary, verify
from continuo.cli.catalog_print import print_account, print_contracts, print_frame, print_offer, print_offers
from continuo.cli.catalog_serve import serve_catalog
from continuo.cli.catalog_why import why
from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run
from continuo.cli.output import output_option, print_data


@click.group()
def catalog() -> None:
    """Offers and their plans: browse, follow, publish and buy them; run a catalog."""


catalog.add_command(serve_catalog)
catalog.add_command(why)
catalog.add_command(measurements)
catalog.add_command(verify)
catalog.add_command(keys)


def _where_options(command: Any) -> Any:
    return click.option("--where", "condition", metavar="CEL", help="Such as: price < 2.5 && region == 'eu-south'.")(
        command
    )


@catalog.command("list")
@_where_options
@click.option(
    "--order", help="id, name, price, resources.cpu, measured.latency ...; - before it for the largest first."
)
@output_option()
@catalog_options
@run
async def list_offers(condition: str | None, order: str | None, output: str, where: Where) -> None:
    """List offers."""
    asked = {key: value for key, value in (("where", condition), ("order", order)) if value}
    offers: list[dict[str, Any]] = []
    cursor: str | None = ""
    async with client(where) as catalog:
        while cursor is not None:
            more = {"cursor": cursor} if cursor else {}
            page = await catalog.ask("GET", "/api/v1/offers", params={**asked, "limit": "1000", **more})
            offers += page["items"]
            cursor = page["next_cursor"]
    print_offers(offers, output)


@catalog.command()
@click.argument("offer")
@output_option("tree")
@catalog_options
@run
async def show(offer: str, output: str, where: Where) -> None:
    """Show one offer with its plans."""
    async with client(where) as catalog:
        found = await catalog.ask("GET", _path("offers", offer))
        measured = await measured_beside(catalog, found) if output == "tree" else []
    print_offer(found, output, summary(measured))


@catalog.command()
@_where_options
@click.option("--since", type=click.IntRange(0), help="The revision after which to begin; by default with everything.")
@output_option()
@catalog_options
@run
async def watch(condition: str | None, since: int | None, output: str, where: Where) -> None:
    """Follow changes until stopped. Ends and begins again by itself when the connection breaks."""
    import asyncio

    wait = 1.0
    async with client(where) as catalog:
        while True:
            asked = {"op": "subscribe", "where": condition or "", **({} if since is None else {"since": since})}
            try:
                async for frame in catalog.events(asked):
                    print_frame(frame, output)
                    since = None if frame["op"] == "reset" or frame.get("more") else frame["revision"]
                    wait = 1.0
            except click.ClickException as error:
                if isinstance(error, BadInput) or "log in" in error.message:
                    raise
                click.echo(f"continuo: {error.format_message()}; trying again", err=True)
            await asyncio.sleep(wait)
            wait = min(2 * wait, 30.0)


@catalog.command()
@click.argument("offer")
@click.option("-f", "--file", "path", required=True, help="The offer as JSON or YAML; - for standard input.")
@catalog_options
@run
async def publish(offer: str, path: str, where: Where) -> None:
    """Publish an offer, or replace it."""
    body = _read(path)
    async with client(where) as catalog:
        status, _, _ = await catalog.exchange("POST", f"/offer/{quote(offer, safe='')}", json=body)
    click.echo(f"offer {offer} {'published' if status == 201 else 'replaced'}")


@catalog.command()
@click.argument("offer")
@click.argument("plan")
@click.option("-f", "--file", "path", required=True, help="The offer as JSON or YAML; its plan PLAN gets the capacity.")
@click.option("--left", is_flag=True, help="Offer only what is neither used by pods nor sold.")
@catalog_options
@target_options
@run
async def follow(offer: str, plan: str, path: str, left: bool, where: Where, target: Target) -> None:
    """Keep an offer up to date until stopped: PLAN has what the cluster's nodes can run together."""
    from continuo.broker.catalog.capacity import CapacityReader, NotTaken, offer_of

    template = _read(path)
    if not isinstance(template, dict) or plan not in (template.get("plans") or {}):
        raise BadInput(f"{path} has no plan {plan} under plans")
    async with client(where) as catalog, connected(target) as cluster:

        async def publish(resources: dict[str, str]) -> None:
            body = offer_of(template, plan, resources)
            try:
                await catalog.exchange("POST", f"/offer/{quote(offer, safe='')}", json=body)
            except Unavailable as error:
                raise NotTaken(error.message) from error
            click.echo(f"offer {offer}: {plan} has {', '.join(f'{key}={value}' for key, value in resources.items())}")

        await CapacityReader(cluster, publish, left=left).run()


@catalog.command()
@click.argument("offer")
@catalog_options
@run
async def withdraw(offer: str, where: Where) -> None:
    """Withdraw an offer. Contracts for it stay as they are."""
    async with client(where) as catalog:
        await catalog.exchange("DELETE", f"/offer/{quote(offer, safe='')}")
    click.echo(f"offer {offer} withdrawn")


@catalog.command()
@click.argument("account")
@click.option("--secret-file", type=click.Path(path_type=Path, dir_okay=False), help="Where the secret is.")
@catalog_options
@run
async def login(account: str, secret_file: Path | None, where: Where) -> None:
    """Log in as ACCOUNT. The secret comes from a file, from standard input, or is asked for."""
    secret = _secret(secret_file)
    async with client(where) as catalog:
        tokens = await catalog.login(account, secret)
    click.echo(f"logged in as {account}, who may: {tokens['scope'].replace(' ', ', ')}")


@catalog.command()
@catalog_options
@run
async def logout(where: Where) -> None:
    """End the login: its tokens are revoked and forgotten."""
    async with client(where) as catalog:
        await catalog.logout()
    click.echo("logged out")


@catalog.command()
@click.argument("offer")
@click.argument("plan")
@click.option("--cost", help="Buy only at this price.")
@output_option()
@catalog_options
@run
async def buy(offer: str, plan: str, cost: str | None, output: str, where: Where) -> None:
    """Buy PLAN of OFFER."""
    body = {"offer": offer, "plan": plan, **({"cost": cost} if cost else {})}
    async with client(where) as catalog:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        print_contracts([await catalog.ask("POST", "/api/v1/contracts", json=body, headers=headers)], output)


@catalog.command()
@output_option()
@catalog_options
@run
async def contracts(output: str, where: Where) -> None:
    """List the contracts that you have bought or sold."""
    async with client(where) as catalog:
        print_contracts((await catalog.ask("GET", "/api/v1/contracts"))["items"], output)


@catalog.command()
@click.argument("contract")
@click.option("--rotate", is_flag=True, help="Make new ones; the old ones are worth nothing from then on.")
@click.option("--kubeconfig", "file", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the kubeconfig of the namespace that was handed over here.")  # fmt: skip
@catalog_options
@run
async def credentials(contract: str, rotate: bool, file: Path | None, where: Where) -> None:
    """Print the peering credentials of a contract. They are handed over once."""
    async with client(where) as catalog:
        rotating = {"rotate": "true"} if rotate else {}
        found = await catalog.ask("POST", f"{_path('contracts', contract)}/credentials", params=rotating)
    if file is not None and "kubeconfig" not in found:
        click.echo(f"contract {contract} hands over no namespace, so there is no kubeconfig to write", err=True)
    elif file is not None:
        write_secret(file, found["kubeconfig"])
        found["kubeconfig"] = str(file)
    print_data(found, "yaml")


@catalog.command()
@click.argument("contract")
@output_option()
@catalog_options
@run
async def end(contract: str, output: str, where: Where) -> None:
    """End a contract."""
    async with client(where) as catalog:
        print_contracts([await catalog.ask("DELETE", _path("contracts", contract))], output)


@catalog.command()
@click.option("--format", "form", type=click.Choice(("jsonl", "csv")), default="csv", show_default=True)
@click.option("--contract", help="Only this contract's.")
@catalog_options
@run
async def usage(form: str, contract: str | None, where: Where) -> None:
    """Print usage records, for billing."""
    asked = {"format": form, **({"contract": contract} if contract else {})}
    async with client(where) as catalog:
        _, _, body = await catalog.exchange("GET", "/api/v1/usage", params=asked)
    click.echo(body.decode(), nl=False)


@catalog.group()
def account() -> None:
    """The operator's: who may publish and buy."""


@account.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(("provider", "consumer")), required=True)
@click.option("--title", default="", help="The name that others read.")
@click.option("--region", default="", help="The region of offers that name none.")
@click.option("--cluster-id", default="", help="A provider's cluster, where it is named otherwise than the account.")
@click.option("--auth-url", default="", help="Where buyers reach a provider's cluster: https://...")
@click.option("--scope", "scopes", multiple=True, help="What it may do; by default everything of its role.")
@catalog_options
@run
async def add_account(
    name: str,
    role: str,
    title: str,
    region: str,
    cluster_id: str,
    auth_url: str,
    scopes: tuple[str, ...],
    where: Where,
) -> None:
    """Create an account, or change it. The secret of a new one is printed once."""
    body = {"role": role, "name": title, "region": region, "cluster_id": cluster_id, "auth_url": auth_url}
    async with client(_as_operator(where)) as catalog:
        print_account(await catalog.ask("PUT", _path("accounts", name), json={**body, "scopes": list(scopes)}))


@account.command("list")
@output_option()
@catalog_options
@run
async def list_accounts(output: str, where: Where) -> None:
    """List accounts."""
    from continuo.cli.catalog_print import print_accounts

    async with client(_as_operator(where)) as catalog:
        print_accounts((await catalog.ask("GET", "/api/v1/accounts"))["items"], output)


@account.command("remove")
@click.argument("name")
@catalog_options
@run
async def remove_account(name: str, where: Where) -> None:
    """Remove an account; its tokens end with it."""
    async with client(_as_operator(where)) as catalog:
        await catalog.exchange("DELETE", _path("accounts", name))
    click.echo(f"account {name} removed")


@account.command("revoke")
@click.argument("name")
@click.option("--secret", "renew", is_flag=True, help="Make a new secret too, and print it.")
@catalog_options
@run
async def revoke(name: str, renew: bool, where: Where) -> None:
    """End every login of an account."""
    async with client(_as_operator(where)) as catalog:
        if renew:
            click.echo((await catalog.ask("POST", f"{_path('accounts', name)}/secret"))["secret"])
        else:
            await catalog.exchange("POST", f"{_path('accounts', name)}/revoke")
            click.echo(f"every login of {name} is revoked")


def _secret(path: Path | None) -> str:
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read {path}: it is no readable text file") from error
    return str(click.prompt("Secret", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline().strip()


def _as_operator(where: Where) -> Where:
    return Where(where.url, where.folder, operator=True)


def _path(kind: str, name: str) -> str:
    return f"/api/v1/{kind}/{quote(name, safe='')}"


def _read(path: str) -> Any:
    import yaml

    name = "standard input" if path == "-" else path
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{name} is neither JSON nor YAML: {error}") from error
