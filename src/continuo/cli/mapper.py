"""`continuo mapper`: leaf devices that are simulated, from a file or from Device objects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.places import default_data

if TYPE_CHECKING:
    from continuo.cli.mapper_gateway import Gateway
    from continuo.edge.mapper.buffer import Buffer
    from continuo.edge.mapper.model import Source
    from continuo.edge.mapper.publisher import Cloud, Publisher
    from continuo.edge.mapper.vouching import Vouching
    from continuo.edge.mqtt.address import Address
    from continuo.resources.meta import Object
    from continuo.trust.delegation import DeviceKey

FIRST_PROOF = 10.0
"""Seconds that readings wait for the relay to know who speaks for their devices."""


@click.command()
@click.option("-f", "--file", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="What to simulate: a mapper's file, or Device objects with their annotation.")  # fmt: skip
@click.option("--mqtt", "broker", default="mqtt://127.0.0.1:1883", show_default=True, metavar="URL",
              help="The edge's MQTT broker.")  # fmt: skip
@click.option("--embedded-broker", is_flag=True, help="Be that broker, too, where there is no other.")
@click.option("--mqtt-id", "broker_ids", multiple=True, metavar="SPIFFE-ID",
              help="Who a broker at mqtts:// must prove to be by an SVID; it is shown this gateway's.")  # fmt: skip
@click.option("--delegations", "relay", metavar="URL",
              help="The relay's control address: prove to it that this gateway speaks for its devices.")  # fmt: skip
@click.option("--relay-id", metavar="SPIFFE-ID", help="Who that relay must be.")
@click.option("--cloud", metavar="HOST:PORT",
              help="CloudCore as the edge reaches it: while it cannot be reached, readings are kept.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Where readings are kept.  "
              "[default: mapper, in Continuo's data folder]")  # fmt: skip
@click.option(
    "--keep", type=click.IntRange(1), default=100_000, show_default=True, help="Readings that are kept at most."
)
@click.option("--keep-mib", type=click.IntRange(1), default=64, show_default=True, help="MiB of them at most.")
@click.option(
    "--format", "form", type=click.Choice(["json", "influx"]), help="Of the payload.  [default: as the file says]"
)
@click.option("--print-devices", is_flag=True, help="Print the DeviceModel and Device objects for kubectl, and end.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
@run
async def mapper(
    file: Path, broker: str, embedded_broker: bool, broker_ids: tuple[str, ...], relay: str | None, relay_id: str | None,
    cloud: str | None, data: Path | None, keep: int, keep_mib: int,
    form: str | None, print_devices: bool, verbose: bool, ready_fd: int | None,
) -> None:  # fmt: skip
    """Read sensors in their rhythm and publish what they say to the edge's MQTT broker, until stopped.

    What the broker does not take is kept on disk and sent later, in order; beyond --keep the oldest is dropped.
    """
    from continuo.cli.mapper_gateway import gateway, keys_of, wish_of
    from continuo.edge.mapper.buffer import Buffer
    from continuo.edge.mapper.manifests import devices_of, models_of
    from continuo.edge.mapper.model import BadMapper, read, sources
    from continuo.edge.mqtt.address import BadAddress, address

    try:
        said, devices = await asyncio.to_thread(read, file)
        if said is not None:
            devices = devices_of(said)
        if print_devices:
            _print([*(models_of(said) if said is not None else ()), *devices])
            return
        found = sources(devices, said)
        where = address(broker)
    except (BadMapper, BadAddress) as problem:
        raise BadInput(str(problem)) from None
    wish = wish_of(relay, relay_id, broker_ids, where)
    keys = await asyncio.to_thread(keys_of, said, file.parent)
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mqtt").setLevel(logging.WARNING)
    async with contextlib.AsyncExitStack() as stack:
        own = await stack.enter_async_context(gateway(wish))
        if embedded_broker:
            from continuo.edge.mqtt.embedded import EmbeddedBroker

            try:
                await stack.enter_async_context(EmbeddedBroker(where.host, where.port))
            except OSError as error:
                raise Failed(str(error)) from error
        folder = data or default_data() / "mapper"
        buffer = Buffer(folder / "readings.sqlite", readings=keep, most_bytes=keep_mib * 1024 * 1024)
        bench = _Bench(found, devices, keys, own, where, form or (said.format if said is not None else "json"),
                       said.seed if said is not None else 1, _cloud(cloud))  # fmt: skip
        await _simulate(bench, buffer, ready_fd)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is simulated, and where it goes."""

    sources: list[Source]
    devices: list[Object]
    keys: dict[str, DeviceKey]
    own: Gateway
    broker: Address
    form: str
    seed: int
    cloud: Cloud | None


async def _simulate(bench: _Bench, buffer: Buffer, ready_fd: int | None) -> None:
    from continuo.cli.companions import say_ready
    from continuo.cli.mapper_gateway import vouching
    from continuo.edge.mapper.driver import Simulated
    from continuo.edge.mapper.mapper import Clock, Mapper
    from continuo.edge.mapper.publisher import Publisher

    await buffer.open()
    found, clock = bench.sources, Clock(time.monotonic, time.time)
    publisher = Publisher(
        buffer, bench.broker, "", clock.mono, random.Random(), cloud=bench.cloud, proved=bench.own.proved
    )
    driver = Simulated(found, bench.seed, clock.mono, bench.keys)
    runs = Mapper(found, driver, buffer, clock=clock, more=publisher.more, form=bench.form)
    publisher.hears = runs.hears()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for source in found:
        click.echo(f"{source.device}: {source.sensor.model} ({', '.join(source.sensor.types)}), {source.rate:g}/s, "
                   f"on {source.channel}", err=True)  # fmt: skip
    async with vouching(bench.own, bench.devices, driver) as vouches:
        works = [runs.run(), _publish(publisher, vouches), *([vouches.run()] if vouches is not None else [])]
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(work) for work in works]
        stopping = asyncio.create_task(stop.wait())
        say_ready(ready_fd)
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            left = buffer.count
            await buffer.close()
    click.echo(f"stopped; {runs.read} readings, {publisher.counts.published} published, {left} kept, "
               f"{buffer.dropped} dropped since the file was made", err=True)  # fmt: skip


async def _publish(publisher: Publisher, vouches: Vouching | None) -> None:
    """Publish, once the relay knows who speaks for the devices: a relay that asks for that lets nothing pass before."""
    if vouches is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PROOF):
                await vouches.begun.wait()
    await publisher.run()


def _cloud(text: str | None) -> Cloud | None:
    if text is None:
        return None
    from continuo.cli.relay import place
    from continuo.edge.mapper.publisher import Cloud

    where = place(text, "--cloud")

    async def seen() -> bool:
        try:
            async with asyncio.timeout(2.0):
                _, writer = await asyncio.open_connection(where.host, where.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return Cloud(seen)


def _print(objects: list[Any]) -> None:
    import yaml

    click.echo(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True), nl=False)
