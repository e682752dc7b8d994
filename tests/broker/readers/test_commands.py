"""`continuo broker reader` and `aggregate`: what is refused, and what is printed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from broker.readers.doubles import Said
from cli.command import continuo
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.serve import ReaderServer
from continuo.cli.broker_chain import chained


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A reader in another thread: commands have a loop of their own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found: list[int] = []
    over = asyncio.Event()

    async def main() -> None:
        server = ReaderServer(Said(cpu="1500m", memory="1Gi"), "127.0.0.1:0")
        await server.start()
        found.append(server.port)
        ready.set()
        await over.wait()
        await server.stop(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    loop.close()


def test_a_reader_is_read(port: int) -> None:
    said = continuo("broker", "reader", "read", f"127.0.0.1:{port}", "--for", "rome")
    assert (said.code, said.out) == (0, "RESOURCE   AMOUNT\ncpu        1500m\nmemory     1Gi\n")
    said = continuo("broker", "reader", "read", f"127.0.0.1:{port}", "--for", "rome", "-o", "json")
    assert said.out == '{\n  "cpu": "1500m",\n  "memory": "1Gi"\n}\n'


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("reader", "serve"), "there is nothing to serve: give --kubeconfig, or --add, or both"),
        (("reader", "serve", "--add", "turin"), "--add is 'turin': it must be like turin=127.0.0.1:7401"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--add", "a=127.0.0.1:2"), "--add names a twice: give it once"),
        (("reader", "serve", "--add", "a=nowhere"), "address 'nowhere' must be host:port"),
        (("reader", "serve", "--add", "a=192.0.2.1:1"), "192.0.2.1:1 is another machine"),
        (
            ("reader", "serve", "--add", "a=127.0.0.1:1", "--reserve", "a fifth"),
            "--reserve is 'a fifth': it must be a share",
        ),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--reserve", "120%"), "more than everything"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--reserve", "1%", "--reserve", "2%"), "given twice for all"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--allow", "gpu"), "--allow is 'gpu': it must be like"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--cap", "rome"), "--cap is 'rome': it must be like"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--cap", "rome:cpu=lots"), "resource cpu must be a Kubernetes"),
        (("reader", "serve", "--add", "a=127.0.0.1:1", "--listen", "0.0.0.0:0"), "can be reached from other machines"),
        (("reader", "read", "192.0.2.1:1", "--for", "x"), "plain text goes to this one only"),
        (("reader", "read", "127.0.0.1:1", "--for", "x", "--ca", "/nowhere"), "file /nowhere cannot be read"),
        (("aggregate", "--class", "default"), "--class default is Liqo's own"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    said = continuo("broker", *arguments)
    assert said.code == 2 and sentence in said.sentence


def test_one_that_does_not_answer_is_a_failure() -> None:
    said = continuo("broker", "reader", "read", "127.0.0.1:1", "--for", "x")
    assert said.code == 1 and said.sentence.startswith("continuo: reader 127.0.0.1:1: unavailable:")


def test_a_chain_is_built_in_its_order(tmp_path: Path) -> None:
    source = Said(**{"cpu": "10", "memory": "10Gi", "nvidia.com/gpu": "4", "pods": "10"})
    reader = chained(source, ["20%", "cpu=50%"], ["nvidia.com/*=rome,oslo"], ["rome:cpu=7,memory=2Gi", "bern:cpu=1"])

    async def read(originator: str) -> dict[str, Fraction]:
        return dict(await reader.read(originator))

    assert spell(asyncio.run(read("rome"))) == {"cpu": "5", "memory": "2Gi", "pods": "8"}
    assert spell(asyncio.run(read("bern"))) == {"cpu": "1", "pods": "8"}
    assert asyncio.run(read("oslo")) == {}
