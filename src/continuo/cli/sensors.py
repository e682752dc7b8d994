"""`continuo sensors`: find, reserve and buy sensors of others, see how contracts are doing, cancel them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import click

from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import output_option
from continuo.cli.sensors_ask import Shop, Whence, everywhere, sensor_options, shops
from continuo.cli.sensors_print import print_contracts, print_flavors, print_one, print_transaction


@click.group()
def sensors() -> None:
    """Sensors of others: find, reserve and buy them, see how contracts are doing, cancel them."""


def _where_option(command: Any) -> Any:
    return click.option(
        "--where", "condition", metavar="CEL",
        help='Such as: type == "Humidity" && manufacturer == "STMicroelectronics" && latency < 16ms.',
    )(command)  # fmt: skip


@sensors.command("ls")
@_where_option
@output_option()
@sensor_options
@run
async def ls(condition: str | None, output: str, whence: Whence) -> None:
    """List the sensors that are for sale."""
    async with shops(whence) as found:
        print_flavors(await everywhere(found, condition), output)


@sensors.command()
@click.argument("flavor")
@output_option("tree")
@sensor_options
@run
async def show(flavor: str, output: str, whence: Whence) -> None:
    """Show one flavor."""
    async with shops(whence) as found:
        print_one(await _one(found, flavor), output)


async def _one(found: list[Shop], flavor: str) -> dict[str, Any]:
    everything = await everywhere(found, None)
    mine = next((each for each in everything if each["metadata"]["name"] == flavor), None)
    if mine is None:
        raise BadInput(f"no flavor {flavor} is for sale; `continuo sensors ls` lists what is")
    return mine


def _terms_options(*, endpoints: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What is asked of a flavor, handed over as `terms`; `endpoints`: whether they have to be named."""
    options = (
        click.option("--endpoint", "endpoints", multiple=True, required=endpoints, metavar="URL",
                     help="Where readings go; several times."),
        click.option("--exclusive", is_flag=True, help="Nobody else may have the sensor meanwhile."),
        click.option("--rate", metavar="RATE", help="Readings a second, such as 2Hz; by default all."),
        click.option("--commands", is_flag=True, help="Be able to send to the sensor's device, too."),
        click.option("--bearer", metavar="FILE", type=click.File(), help="A file with the token that readings come with."),
        click.option("--signed", metavar="FILE", type=click.File(), help="A file with the key that signs readings."),
        click.option("--spiffe", metavar="SPIFFE-ID", help="The identity that the endpoints have to prove."),
    )  # fmt: skip

    def with_terms(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(
            endpoints: tuple[str, ...], exclusive: bool, rate: str | None, commands: bool, bearer: Any, signed: Any,
            spiffe: str | None, **rest: Any,
        ) -> Any:  # fmt: skip
            proof = _authentication(bearer, signed, spiffe)
            named = [{"url": url, "authentication": proof} if proof else url for url in endpoints]
            data = {"endpoints": named, "exclusive": exclusive, "commands": commands}
            data |= {"samplingRate": rate} if rate else {}
            return command(terms={"type": "Sensor", "data": data}, **rest)

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return with_terms


def _authentication(bearer: Any, signed: Any, spiffe: str | None) -> dict[str, str]:
    if sum(each is not None for each in (bearer, signed, spiffe)) > 1:
        raise BadInput("--bearer, --signed and --spiffe are three ways of which endpoints ask for one")
    if spiffe is not None:
        return {"scheme": "spiffe", "spiffeID": spiffe}
    if bearer is not None:
        return {"scheme": "bearer", "secret": bearer.read().strip()}
    return {"scheme": "signed", "secret": signed.read().strip()} if signed is not None else {}


@sensors.command()
@click.argument("flavor")
@output_option()
@sensor_options
@_terms_options(endpoints=True)
@run
async def reserve(flavor: str, terms: dict[str, Any], output: str, whence: Whence) -> None:
    """Reserve FLAVOR: it waits for its purchase until the reservation expires."""
    async with shops(whence) as found:
        _, reserved = await _reserve(found, flavor, terms)
        print_transaction(reserved, output)


async def _reserve(found: list[Shop], flavor: str, terms: dict[str, Any]) -> tuple[Shop, dict[str, Any]]:
    """The seller and its answer. What is not listed may still be ours: a sensor that we have exclusively is hidden."""
    listed = [each["seller"] for each in await everywhere(found, None) if each["metadata"]["name"] == flavor]
    asked = [shop for shop in found if shop.address in listed] or found
    return await _first(asked, lambda shop: shop.client.reserve(flavor, shop.node, terms), f"flavor {flavor}")


@sensors.command()
@click.argument("what")
@output_option()
@sensor_options
@_terms_options(endpoints=False)
@run
async def buy(what: str, terms: dict[str, Any], output: str, whence: Whence) -> None:
    """Buy WHAT: a flavor, with its endpoints, or a transaction that was reserved before."""
    async with shops(whence) as found:
        if terms["data"]["endpoints"]:
            shop, reserved = await _reserve(found, what, terms)
            bought = await shop.do(shop.client.purchase(str(reserved["transactionID"])))
        elif "-sensor-" in what:
            raise BadInput(f"{what} is a flavor: say with --endpoint where its readings are to go")
        else:
            _, bought = await _first(found, lambda shop: shop.client.purchase(what), f"transaction {what}")
        print_contracts([bought], output)


async def _first(found: list[Shop], ask: Callable[[Shop], Awaitable[Any]], what: str) -> tuple[Shop, Any]:
    """The seller that knows of it, and its answer."""
    for shop in found:
        try:
            return shop, await shop.do(ask(shop))
        except BadInput as error:
            if shop is found[-1] or "there is no" not in error.message:
                raise
    raise BadInput(f"no seller knows {what}")


@sensors.command()
@click.argument("contract")
@sensor_options
@run
async def cancel(contract: str, whence: Whence) -> None:
    """End CONTRACT; no more readings come. One that is gone is as good."""
    async with shops(whence) as found:
        for shop in found:
            await shop.do(shop.client.cancel(contract))
    click.echo(f"contract {contract} is cancelled")


@sensors.command()
@output_option()
@sensor_options
@run
async def contracts(output: str, whence: Whence) -> None:
    """List the contracts that this node has, with how they are doing."""
    async with shops(whence) as found:
        lists = [await shop.do(shop.client.contracts(shop.node.node_id)) for shop in found]
    print_contracts([each for one in lists for each in one], output)


@sensors.command()
@output_option()
@sensor_options
@run
async def watch(output: str, whence: Whence) -> None:
    """Follow how contracts are doing until stopped. Begins again by itself when a connection breaks."""
    from continuo.cli.sensors_print import print_standing

    async def one(shop: Shop) -> None:
        wait = 1.0
        while True:
            try:
                async for news in shop.follow():
                    wait = 1.0
                    if news is not None:
                        print_standing(*news, output)
            except Failed as error:
                click.echo(f"continuo: {error.format_message()}; trying again", err=True)
            await asyncio.sleep(wait)
            wait = min(2 * wait, 30.0)

    async with shops(whence) as found:
        await asyncio.gather(*(one(shop) for shop in found))
