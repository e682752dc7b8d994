"""The gRPC interface over real sockets on loopback: served, asked, followed, refused, broken and mended."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from broker.readers.authority import Authority
from broker.readers.doubles import Said, next_change
from continuo.broker.readers import wire
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.external import External, Patience
from continuo.broker.readers.port import Changes
from continuo.broker.readers.security import ClientSecurity, ServerSecurity, address, token_in
from continuo.broker.readers.serve import ReaderServer
from continuo.broker.readers.total import Sum
from continuo.resources.errors import BadRequest, Unreachable
from continuo.runtime.backoff import Backoff
from ports import free_port

pytestmark = pytest.mark.anyio
QUICK = Patience(deadline=2.0, bound=60.0, backoff=Backoff(base=0.02, cap=0.05))
TOKEN = "a-token-of-some-length"


@asynccontextmanager
async def served(reader: Any, security: ServerSecurity | None = None, port: int = 0) -> AsyncIterator[ReaderServer]:
    server = ReaderServer(reader, f"127.0.0.1:{port}", security)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def asked(
    port: int, security: ClientSecurity | None = None, patience: Patience = QUICK, *, follow: bool = True
) -> AsyncIterator[External]:
    reader = External(f"127.0.0.1:{port}", security, patience=patience, rng=random.Random(1))
    await (reader.start() if follow else reader.open())
    try:
        yield reader
    finally:
        await reader.stop()


async def test_what_is_read_there_is_read_here() -> None:
    source = Said(cpu="1500m", memory="1Gi", **{"brokering.liqo.io/redis": "1"})
    async with served(source) as server, asked(server.port) as reader:
        assert await reader.read("rome") == await source.read("rome")
        assert source.asked[0] == "rome"
        await reader.remove("rome")
        assert source.removed == ["rome"]


async def test_it_is_asked_once_until_something_changes() -> None:
    source = Said(cpu="1")
    async with served(source) as server, asked(server.port) as reader:
        changes = reader.subscribe()
        await next_change(changes)  # it listens now
        for _ in range(5):
            assert spell(await reader.read("rome")) == {"cpu": "1"}
        assert source.asked == ["rome"]
        assert reader.age("rome") == 0
        source.say(cpu="2")
        await next_change(changes)
        assert spell(await reader.read("rome")) == {"cpu": "2"}
        assert source.asked == ["rome", "rome"]


async def test_readers_chain_over_two_hops() -> None:
    far, near = Said(cpu="1"), Said(cpu="10")
    async with served(far) as first, asked(first.port) as middle:
        both = Sum({"far": middle, "near": near})
        async with served(both) as second, asked(second.port) as last:
            changes = last.subscribe()
            assert spell(await last.read("rome")) == {"cpu": "11"}
            await next_change(changes)
            far.say(cpu="5")
            async with asyncio.timeout(5):
                while spell(await last.read("rome")) != {"cpu": "15"}:
                    await next_change(changes)


class Leaving(Said):
    """Tells when a subscriber is gone."""

    def __init__(self, **resources: str) -> None:
        super().__init__(**resources)
        self.left = asyncio.Event()

    def subscribe(self) -> Changes:
        changes = self.bell.subscribe()
        own = changes.aclose

        async def aclose() -> None:
            await own()
            self.left.set()

        changes.aclose = aclose  # type: ignore[method-assign]
        return changes


async def test_nobody_who_left_is_still_served() -> None:
    source = Leaving(cpu="1")
    async with served(source) as server:
        async with asked(server.port) as reader:
            await next_change(reader.subscribe())
            assert len(source.bell) == 1
        async with asyncio.timeout(5):
            await source.left.wait()
        assert not len(source.bell)


async def test_last_known_for_a_while_and_then_nothing() -> None:
    port, source = free_port(), Said(cpu="1")
    patience = Patience(deadline=1.0, bound=1.5, backoff=QUICK.backoff)  # longer than a server takes to stop
    async with asked(port, patience=patience) as reader:
        changes = reader.subscribe()

        async def answer() -> str:
            try:
                return str(spell(await reader.read("rome")))
            except Unreachable as error:
                return str(error)

        async def until_it_says(pattern: str) -> None:
            """Looked at after every change, of which there may be more than one: nobody counts them."""
            while not re.search(pattern, await answer()):
                await next_change(changes)

        async with served(source, port=port):
            await until_it_says("'cpu': '1'")
        assert await answer() == "{'cpu': '1'}", "known, and not old yet"
        await until_it_says(r"unavailable: .*no longer used after 2 s")  # told by itself, when it becomes too old
        async with served(source, port=port):
            await until_it_says("'cpu': '1'")


async def test_a_reader_that_never_answered_offers_nothing() -> None:
    async with asked(free_port()) as reader:
        with pytest.raises(Unreachable, match="unavailable"):
            await reader.read("rome")
        assert reader.age("rome") is None


async def test_one_that_hangs_is_not_waited_for() -> None:
    class Hanging(Said):
        async def read(self, originator: str) -> dict[str, Fraction]:
            await asyncio.Event().wait()
            raise AssertionError

    patience = Patience(deadline=0.1, bound=1.0, backoff=QUICK.backoff)
    async with served(Hanging()) as server, asked(server.port, patience=patience, follow=False) as reader:
        with pytest.raises(Unreachable, match="deadline exceeded"):
            await reader.read("rome")


async def test_an_error_behind_it_is_told_with_its_sentence() -> None:
    source = Said()
    source.error = Unreachable("cluster milan is away")
    async with served(source) as server, asked(server.port, follow=False) as reader:
        with pytest.raises(Unreachable, match="unavailable: cluster milan is away"):
            await reader.read("rome")


async def test_a_failure_inside_is_not_told() -> None:
    class Broken(Said):
        async def read(self, originator: str) -> dict[str, Fraction]:
            raise KeyError("a secret of ours")

    async with served(Broken()) as server, asked(server.port, follow=False) as reader:
        with pytest.raises(Unreachable, match="internal: the reader failed; its log says why"):
            await reader.read("rome")


@pytest.mark.parametrize(("originator", "why"), [("", "originator is empty"), ("x" * 254, "has 254 characters")])
async def test_an_id_is_an_id(originator: str, why: str) -> None:
    async with served(Said()) as server, asked(server.port, follow=False) as reader:
        with pytest.raises(Unreachable, match=f"invalid argument: .*{why}"):
            await reader.read(originator)


async def third_party(answer: dict[str, str]) -> tuple[Any, int]:
    """A server that knows ReadResources only, and tells nobody of changes."""

    async def read(request: Any, context: Any) -> Any:
        return wire.ReadResponse(resources=answer)

    handler = grpc.unary_unary_rpc_method_handler(read, wire.decoder(wire.ReadRequest), wire.encode)
    server: Any = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(wire.SERVICE, {wire.READ: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def test_a_server_without_changes_is_asked_each_time() -> None:
    answer = {"cpu": "1"}
    server, port = await third_party(answer)
    async with asked(port) as reader:
        assert spell(await reader.read("rome")) == {"cpu": "1"}
        answer["cpu"] = "2"
        assert spell(await reader.read("rome")) == {"cpu": "2"}
    await server.stop(0)


@pytest.mark.parametrize("bad", ["-1", "lots", "", "1e999"])
async def test_what_is_no_quantity_is_refused(bad: str) -> None:
    server, port = await third_party({"cpu": bad})
    async with asked(port, follow=False) as reader:
        with pytest.raises(Unreachable, match="answered what cannot be used: resource cpu must be"):
            await reader.read("rome")
    await server.stop(0)


# --- who may --------------------------------------------------------------------------------------------------------
async def test_the_token_must_be_said() -> None:
    security = ServerSecurity(token=TOKEN)
    async with served(Said(cpu="1"), security) as server:
        async with asked(server.port, ClientSecurity(token=TOKEN)) as reader:
            assert spell(await reader.read("rome")) == {"cpu": "1"}
        for wrong in (None, "another-token-of-length", TOKEN[:-1]):
            async with asked(server.port, ClientSecurity(token=wrong)) as reader:
                with pytest.raises(Unreachable, match="unauthenticated"):
                    await reader.read("rome")
                with pytest.raises(Unreachable, match="unauthenticated"):
                    await reader.remove("rome")


async def test_changes_need_the_token_too() -> None:
    source = Said()
    async with served(source, ServerSecurity(token=TOKEN)) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            subscribe = channel.unary_stream(
                f"/{wire.SERVICE}/{wire.SUBSCRIBE}", wire.encode, wire.decoder(wire.UpdateNotification)
            )
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await subscribe(wire.SubscribeRequest()).read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not len(source.bell)


async def test_tls_with_both_certificates() -> None:
    authority, stranger = Authority("ours"), Authority("somebody")
    certificate, key = authority.issue("server")
    own, own_key = authority.issue("client")
    false, false_key = stranger.issue("client")
    security = ServerSecurity(certificate, key, clients=authority.pem)
    async with served(Said(cpu="1"), security) as server:
        async with asked(server.port, ClientSecurity(authority.pem, own, own_key)) as reader:
            assert spell(await reader.read("rome")) == {"cpu": "1"}
        for refused in (
            ClientSecurity(authority.pem),
            ClientSecurity(authority.pem, false, false_key),
            ClientSecurity(stranger.pem, own, own_key),
            ClientSecurity(),
        ):
            async with asked(server.port, refused, follow=False) as reader:
                with pytest.raises(Unreachable, match="unavailable"):
                    await reader.read("rome")


@pytest.mark.parametrize(
    ("listen", "security", "why"),
    [
        ("0.0.0.0:1", ServerSecurity(token=TOKEN), "reached from other machines"),
        ("[::]:1", ServerSecurity(), "reached from other machines"),
        ("example.org:1", ServerSecurity(), "reached from other machines"),
        ("0.0.0.0:1", ServerSecurity(b"c", b"k"), "would answer anybody"),
        ("127.0.0.1:1", ServerSecurity(b"c"), "needs its key"),
        ("127.0.0.1:1", ServerSecurity(clients=b"c"), "over TLS only"),
        ("127.0.0.1", ServerSecurity(), "must be host:port"),
        ("127.0.0.1:http", ServerSecurity(), "must be host:port"),
        ("127.0.0.1:70000", ServerSecurity(), "must be host:port"),
        ("::1:80", ServerSecurity(), "brackets"),
        ("unix:", ServerSecurity(), "must be host:port"),
    ],
)
def test_what_is_open_to_the_network_is_refused(listen: str, security: ServerSecurity, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        ReaderServer(Said(), listen, security)


@pytest.mark.parametrize(
    ("to", "security", "why"),
    [
        ("192.0.2.1:1", ClientSecurity(), "plain text goes to this one only"),
        ("192.0.2.1:1", ClientSecurity(token=TOKEN), "plain text goes to this one only"),
        ("127.0.0.1:1", ClientSecurity(certificate=b"c", key=b"k"), "needs TLS"),
        ("127.0.0.1:1", ClientSecurity(b"", certificate=b"c"), "needs its key"),
    ],
)
def test_nothing_is_said_in_the_open(to: str, security: ClientSecurity, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        External(to, security)


def test_this_machine_is_this_machine() -> None:
    assert all(address(text).local for text in ("127.0.0.9:1", "[::1]:1", "localhost:1", "unix:/run/x"))


@pytest.mark.parametrize("text", ["short", "with a blank in the midst", "ünpréntäblé-ünpréntäblé"])
def test_a_token_is_long_and_plain(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(BadRequest, match="at least 16 printable"):
        token_in(tmp_path / "token")
    with pytest.raises(BadRequest, match="cannot be read"):
        token_in(tmp_path / "nothing")


async def test_a_taken_port_is_told() -> None:
    async with served(Said()) as server:
        with pytest.raises(BadRequest, match="is it in use"):
            async with served(Said(), port=server.port):
                pass


# --- the file -------------------------------------------------------------------------------------------------------
def test_the_proto_file_says_what_is_spoken() -> None:
    text = re.sub(r"//.*", "", (Path(wire.__file__).parent / "resource_reader.proto").read_text())
    said = {
        name: {(kind.replace(" ", ""), field, int(number)) for kind, field, number in fields}
        for name, fields in (
            (name, re.findall(r"(\w+(?:<[^>]+>)?)\s+(\w+)\s*=\s*(\d+);", body))
            for name, body in re.findall(r"message\s+(\w+)\s*\{([^}]*)\}", text)
        )
    }
    spoken = {
        message.name: {
            ("map<string,string>" if field.label == field.LABEL_REPEATED else "string", field.name, field.number)
            for field in message.field
        }
        for message in wire.DESCRIPTOR.message_type
    }
    assert said == spoken
    calls = re.findall(r"rpc (\w+) \((\w+)\) returns \((stream )?(\w+)\)", text)
    assert calls == [
        (method.name, method.input_type[1:], "stream " if method.server_streaming else "", method.output_type[1:])
        for method in wire.DESCRIPTOR.service[0].method
    ]
    assert re.findall(r"service (\w+)", text) == [wire.SERVICE]
    assert "package" not in re.sub("go_package", "", text)


def test_on_the_wire_it_is_protobuf() -> None:
    assert wire.encode(wire.ReadRequest(originator="rome")) == b"\x0a\x04rome"
    assert wire.encode(wire.ReadResponse(resources={"cpu": "1"})) == b"\x0a\x08\x0a\x03cpu\x12\x011"
    assert wire.decoder(wire.RemoveRequest)(b"\x0a\x04oslo").cluster == "oslo"
