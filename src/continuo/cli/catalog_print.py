"""How offers, contracts and changes look in a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from continuo.cli.output import make_console, print_data, print_table

Json = dict[str, Any]


def print_offers(offers: list[Json], output: str) -> None:
    """A list of offers: a row for each plan that matches."""
    if output in ("json", "yaml"):
        print_data(offers, output)
    elif output == "name":
        for offer in offers:
            click.echo(f"offers/{offer['id']}")
    elif output == "tree":
        for offer in offers:
            print_offer(offer, output)
    else:
        columns = ["OFFER", "PLAN", "PRICE", "CPU", "MEMORY", "REGION", "PROVIDER"]
        wide = output == "wide"
        print_table(
            columns + (["MORE", "LABELS", "MEASURED"] if wide else []), [row for o in offers for row in _rows(o, wide)]
        )


def _rows(offer: Json, wide: bool) -> list[list[str]]:
    matches = offer.get("matches")
    rows = []
    for plan in offer["plans"]:
        if matches is not None and plan["id"] not in matches:
            continue
        has = dict(plan["resources"])
        row = [offer["id"], plan["id"], _price(offer, plan), str(has.pop("cpu", "-")), str(has.pop("memory", "-"))]
        row += [offer["region"] or "-", offer["provider"]]
        rows.append(row + ([_pairs(has), _pairs(offer["labels"]), _pairs(offer.get("measured", {}))] if wide else []))
    return rows


def _price(offer: Json, plan: Json) -> str:
    return f"{plan['cost']} {offer['currency']}/{offer['unit']}"


def _pairs(mapping: Json) -> str:
    return ",".join(f"{key}={'true' if value is True else value}" for key, value in mapping.items()) or "-"


def print_offer(offer: Json, output: str, measured: Sequence[str] = ()) -> None:
    """One offer; `measured` are lines about its provider."""
    if output in ("json", "yaml"):
        print_data(offer, output)
        return
    if output != "tree":
        print_offers([offer], output)
        return
    from rich.markup import escape
    from rich.tree import Tree

    about = " · ".join(part for part in (offer["type"], offer["region"], f"by {offer['provider']}") if part)
    tree = Tree(f"[bold]{escape(offer['id'])}[/]  {escape(offer['name'])} ({escape(about)})")
    for plan in offer["plans"]:
        tree.add(escape(f"{plan['id']}  {_price(offer, plan)}  {_pairs(plan['resources'])}"))
    if offer.get("labels"):
        tree.add(escape(f"labels: {_pairs(offer['labels'])}"))
    if measured:
        branch = tree.add(f"measured and claimed by {escape(offer['provider'])}")
        for line in measured:
            branch.add(escape(line))
    make_console().print(tree)


def print_contracts(contracts: list[Json], output: str) -> None:
    """Contracts."""
    if output in ("json", "yaml"):
        print_data(contracts, output)
    elif output == "name":
        for contract in contracts:
            click.echo(f"contracts/{contract['id']}")
    else:
        rows = [_contract(contract) for contract in contracts]
        print_table(["CONTRACT", "OFFER", "PLAN", "PRICE", "STATE", "BUYER", "PROVIDER", "REASON"], rows)


def _contract(contract: Json) -> list[str]:
    price = f"{contract['cost']} {contract['currency']}/{contract['unit']}"
    named = [contract[name] for name in ("state", "buyer", "provider")]
    return [contract["id"], contract["offer"], contract["plan"], price, *named, contract.get("reason") or "-"]


def print_frame(frame: Json, output: str) -> None:
    """One frame of the change stream."""
    if output == "json":
        click.echo(json.dumps(frame))
        return
    if frame["op"] == "snapshot":
        for offer in frame["items"]:
            _line("there", offer, frame["revision"])
    for change in frame.get("changes", ()):
        if change["type"] == "offer.deleted":
            click.echo(f"{change['revision']:>8}  gone     {change['id']}")
        else:
            _line("offered", change["offer"], change["revision"])


def _line(word: str, offer: Json, revision: int) -> None:
    plans = ", ".join(f"{plan['id']} {_price(offer, plan)}" for plan in offer["plans"])
    click.echo(f"{revision:>8}  {word:<7}  {offer['id']}  {plans}")


def print_account(account: Json) -> None:
    """What became of an account, with the secret if there is a new one."""
    if account.get("secret"):
        click.echo(f"account {account['id']} created; its secret, which is not shown again, is")
        click.echo(account["secret"])
    else:
        click.echo(f"account {account['id']} changed")


def print_accounts(accounts: list[Json], output: str) -> None:
    """Accounts."""
    if output in ("json", "yaml"):
        print_data(accounts, output)
        return
    rows = [
        [a["id"], a["role"], a.get("region") or "-", "disabled" if a.get("disabled") else "active"] for a in accounts
    ]
    print_table(["ACCOUNT", "ROLE", "REGION", "STATE"], rows)
