"""How sensors, transactions and contracts look in a terminal."""

from __future__ import annotations

import json
from typing import Any

import click

from continuo.cli.output import make_console, print_data, print_table

Json = dict[str, Any]


def print_flavors(flavors: list[Json], output: str) -> None:
    """Sensors that are for sale."""
    if output in ("json", "yaml"):
        print_data(flavors, output)
    elif output == "name":
        for flavor in flavors:
            click.echo(f"flavors/{flavor['metadata']['name']}")
    elif output == "tree":
        for flavor in flavors:
            print_one(flavor, output)
    elif not flavors:
        click.echo("no sensor fits", err=True)
    else:
        wide = output == "wide"
        columns = ["FLAVOR", "MEASURES", "MODEL", "MANUFACTURER", "LATENCY", "RATE", "PRICE", "SELLER"]
        print_table(columns + (["NODE", "CONSUMPTION", "ACCURACY", "PLACE"] if wide else []),
                    [_row(each, wide) for each in flavors])  # fmt: skip


def _row(flavor: Json, wide: bool) -> list[str]:
    from continuo.edge.sensors import units
    from continuo.edge.sensors.reading import sensor_of_flavor

    sensor, spec = sensor_of_flavor(flavor), flavor["spec"]

    def amount(value: Any, unit: str) -> str:
        return "-" if value is None else f"{units.plain(value)} {unit}"

    row = [
        flavor["metadata"]["name"], ",".join(sensor.types), sensor.model, sensor.manufacturer,
        amount(sensor.latency, "ms"), amount(sensor.sampling_rate, "Hz"), _price(spec), spec["owner"]["domain"],
    ]  # fmt: skip
    if wide:
        accuracy = ",".join(
            "-" if q.accuracy is None else f"{units.plain(q.accuracy)}{q.unit}" for q in sensor.quantities
        )
        place = spec.get("location") or {}
        where = ", ".join(str(place[key]) for key in ("city", "country") if place.get(key))
        row += [sensor.node or "-", amount(sensor.consumption, "mW"), accuracy or "-", where or "-"]
    return row


def _price(spec: Json) -> str:
    price = spec.get("price") or {}
    return f"{price.get('amount')} {price.get('currency')}/{price.get('period')}" if price.get("amount") else "-"


def print_one(flavor: Json, output: str) -> None:
    """One of them."""
    if output in ("json", "yaml"):
        print_data(flavor, output)
        return
    if output != "tree":
        print_flavors([flavor], output)
        return
    from rich.markup import escape
    from rich.tree import Tree

    name, *cells = _row(flavor, True)
    labels = ("measures", "model", "manufacturer", "latency", "rate", "price", "seller", "node", "consumption", "accuracy",
              "place")  # fmt: skip
    tree = Tree(f"[bold]{escape(name)}[/]")
    for label, cell in zip(labels, cells, strict=True):
        tree.add(escape(f"{label}: {cell}"))
    make_console().print(tree)


def print_transaction(transaction: Json, output: str) -> None:
    """A reservation."""
    if output in ("json", "yaml"):
        print_data(transaction, output)
    elif output == "name":
        click.echo(f"transactions/{transaction['transactionID']}")
    else:
        columns = ["TRANSACTION", "FLAVOR", "EXPIRES"]
        print_table(columns, [[transaction["transactionID"], transaction["flavorID"], transaction["expirationTime"]]])


def print_contracts(contracts: list[Json], output: str) -> None:
    """Contracts, with how they are doing."""
    if output in ("json", "yaml"):
        print_data(contracts, output)
    elif output == "name":
        for contract in contracts:
            click.echo(f"contracts/{contract['contractID']}")
    else:
        wide = output == "wide"
        columns = ["CONTRACT", "FLAVOR", "STATE", "EXPIRES"] + (["TRANSACTION", "SELLER"] if wide else []) + ["MESSAGE"]
        print_table(columns, [_contract(each, wide) for each in contracts])


def _contract(contract: Json, wide: bool) -> list[str]:
    status = contract.get("status") or {}
    more = [contract["transactionID"], contract["seller"].get("domain", "-")] if wide else []
    row = [contract["contractID"], contract["flavor"]["flavorID"], status.get("allocation", "-")]
    return [*row, contract.get("expirationTime") or "-", *more, status.get("message") or "-"]


def print_standing(contract: str, standing: Json | None, output: str) -> None:
    """One change of how a contract is doing."""
    if output == "json":
        click.echo(json.dumps({"contractID": contract, "status": standing}))
    elif standing is None:
        click.echo(f"{contract}  ended")
    else:
        click.echo(f"{contract}  {standing.get('allocation', '-')}  {standing.get('message') or '-'}")
