"""Data paths with real sockets, in the kernel where this machine can, and on loopback: who answers, and what is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from continuo.testbed import cleanup
from continuo.testbed.commands import run
from continuo.testbed.datapath import caller
from continuo.testbed.datapath.path import LOOPBACK, NAMESPACES, DataPath
from continuo.testbed.datapath.plan import End, Link, Member, NoWay, Plan
from continuo.testbed.datapath.pods import Page, Relay
from continuo.testbed.errors import Ended, TestbedError
from continuo.testbed.processtable import marked
from continuo.testbed.registry import registered
from continuo.testbed.tools import Tools, find_tools
from testbed.datapaths import EXTERNAL, POD, PODS, plan, registry, why_not

pytestmark = pytest.mark.anyio
GROUNDS = (NAMESPACES, LOOPBACK)


@pytest.fixture(scope="module")
def reason() -> str | None:
    return why_not()


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest, reason: str | None) -> str:
    wanted: str = request.param
    if wanted == NAMESPACES and reason is not None:
        pytest.skip(reason)
    return wanted


@asynccontextmanager
async def path_on(ground: str, wanted: Plan | None = None) -> AsyncIterator[DataPath]:
    with registry() as root:
        async with DataPath.build(wanted or plan(), loopback=ground == LOOPBACK, registry=root) as path:
            assert path.kind == ground
            yield path
        assert list(registered(root)) == []


async def test_pods_with_the_same_address_are_told_apart_and_callers_through_a_broker_are_hidden(ground: str) -> None:
    async with path_on(ground) as path:
        for cluster in ("milan", "turin"):
            await path.serve(cluster, POD)
        for start, ip, served_by, seen_from in (
            ("milan", POD, "milan", "10.0.0.2"),
            ("broker", "10.1.3.4", "milan", "10.61.0.2"),
            ("broker", "10.2.3.4", "turin", "10.61.0.2"),
            ("rome", "10.72.0.5", "milan", "10.62.0.0"),
            ("rome", "10.72.0.6", "turin", "10.62.0.0"),
            ("rome", "10.20.3.4", "milan", "10.63.0.2"),
            ("oslo", "10.30.3.4", "milan", "10.64.0.2"),
        ):
            found = await path.measure(start, ip, requests=3, warm_up=0)
            assert found.served_by == f"{served_by}/{POD}"
            assert found.seen_from == (seen_from if ground == NAMESPACES else "127.0.0.1")
            assert len(found.times) == len(found.raw) == 3
            assert min(found.times) > 0 < min(found.raw)


async def test_even_a_pod_with_the_callers_own_address_is_called(ground: str) -> None:
    async with path_on(ground) as path:
        for cluster in ("milan", "oslo"):
            await path.serve(cluster, "10.0.0.2", 80)
        assert (await path.measure("oslo", "10.30.0.2", 80, requests=1)).served_by == "milan/10.0.0.2"
        assert (await path.measure("milan", "10.64.0.2", 80, requests=1)).served_by == "oslo/10.0.0.2"


async def test_a_chain_of_brokers_is_passed_and_each_sees_only_the_one_before(ground: str) -> None:
    members = (
        Member("rome"), Member("milan"),
        Member("near", PODS, EXTERNAL, {"10.82.0.5": "10.70.0.9"}),
        Member("far", PODS, EXTERNAL, {"10.1.3.4": "10.70.0.5"}),
    )  # fmt: skip
    links = (
        Link(End("rome", "10.71.0.0/16", "10.72.0.0/16"), End("near", "10.73.0.0/16")),
        Link(End("near", "10.81.0.0/16", "10.82.0.0/16"), End("far", "10.83.0.0/16", "10.84.0.0/16")),
        Link(End("far", "10.1.0.0/16"), End("milan", "10.61.0.0/16", "10.62.0.0/16")),
    )
    async with path_on(ground, Plan(members, links)) as path:
        await path.serve("milan", POD)
        assert path.way("rome", "10.72.0.9").links == (0, 1, 2)
        for start, ip in (("rome", "10.72.0.9"), ("near", "10.82.0.5"), ("far", "10.1.3.4")):
            found = await path.measure(start, ip, requests=1)
            assert found.served_by == f"milan/{POD}"
            if ground == NAMESPACES:
                assert found.seen_from == ("10.61.0.2" if start == "far" else "10.62.0.0")


async def test_what_cannot_be_called_or_served_is_said(ground: str) -> None:
    async with path_on(ground) as path:
        await path.serve("milan", POD)
        await path.serve("milan", POD)  # is there already
        with pytest.raises(TestbedError, match=r"10\.72\.0\.6 is 10\.0\.3\.4 of cluster turin, and nothing serves"):
            await path.measure("rome", "10.72.0.6")
        with pytest.raises(TestbedError, match="nothing serves at its port 9"):
            await path.measure("milan", POD, 9)
        with pytest.raises(NoWay, match="has not published"):
            await path.measure("rome", "10.72.0.9")
        with pytest.raises(NoWay, match="is not in the pod network"):
            await path.serve("rome", "10.20.3.4")
        with pytest.raises(ValueError, match="0 requests cannot be measured"):
            await path.measure("milan", POD, requests=0)


async def test_a_consumer_that_writes_its_own_rules_gets_to_no_pod_that_is_not_published(reason: str | None) -> None:
    if reason is not None:
        pytest.skip(reason)
    async with path_on(NAMESPACES) as path:
        await path.serve("milan", "10.0.3.9")
        await path.measure("broker", "10.1.3.9", requests=1)
        tools = find_tools()
        nft, ip = str(tools.need("nft")), str(tools.need("ip"))
        within = path.enter("rome")
        await run(*within, nft, "flush", "ruleset")
        await run(*within, ip, "route", "add", "10.1.0.0/16", "via", "169.254.0.10", "dev", "link2")
        reach = "import socket, sys; socket.create_connection(('10.1.3.9', 8080), 0.5, (sys.argv[1], 0))"
        for source in ("10.0.0.2", "169.254.0.9"):
            with pytest.raises(TestbedError, match=r"timed out|unreachable|refused"):
                await run(*within, sys.executable, "-c", reach, source)


async def test_commands_of_the_user_run_in_a_clusters_network(reason: str | None) -> None:
    if reason is not None:
        pytest.skip(reason)
    async with path_on(NAMESPACES) as path:
        await path.serve("milan", POD)
        fetch = "import urllib.request as u; print(u.urlopen('http://10.72.0.5:8080/', timeout=5).read().decode())"
        assert (await run(*path.enter("rome"), sys.executable, "-c", fetch)).startswith("NOW: ")


async def test_a_process_that_ended_is_named(ground: str) -> None:
    async with path_on(ground) as path:
        await path.serve("milan", POD)
        await path.measure("milan", POD, requests=1)
        os.kill(path.pids()["caller"], signal.SIGKILL)
        with pytest.raises(Ended, match="caller ended"):
            await path.measure("milan", POD, requests=1)
        assert "pods-milan" in path.pids()


async def test_without_the_programs_it_is_loopback_and_says_why() -> None:
    with registry() as root:
        async with DataPath.build(plan(), tools=Tools(()), registry=root) as path:
            assert path.kind == LOOPBACK
            assert "missing" in path.about or "need" in path.about
            await path.serve("turin", POD)
            assert (await path.measure("rome", "10.72.0.6", requests=1)).served_by == f"turin/{POD}"


VICTIM = """
import asyncio, sys
from pathlib import Path
from continuo.testbed.datapath.path import DataPath
from testbed.datapaths import POD, plan

async def main():
    async with DataPath.build(plan(), loopback=sys.argv[2] == "loopback", registry=Path(sys.argv[1])) as path:
        await path.serve("milan", POD)
        await path.measure("rome", "10.72.0.5", requests=1)
        print("built", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def again(root: Path, ground: str) -> None:
    """Another one in the same place."""
    async with DataPath.build(plan(), loopback=ground == LOOPBACK, registry=root):
        assert [each.alive for each in registered(root)] == [True]


def test_what_a_killed_one_left_is_removed_by_the_next(ground: str) -> None:
    with registry() as root:
        command = [sys.executable, "-c", VICTIM, str(root), ground]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"built\n"
            [bed] = registered(root)
            assert bool(cleanup.namespaces_of(bed)) == (ground == NAMESPACES)
            victim.kill()
        asyncio.run(again(root, ground))
        assert cleanup.namespaces_of(bed) == []
        assert list(marked(bed.id)) == []


# --- the parts --------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def relayed(hops: int) -> AsyncIterator[int]:
    """A page behind so many relays; the port of the first."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Page("here"), "127.0.0.1", 0)]
    for _ in range(hops):
        beyond = port_of(servers[-1])
        servers.append(await loop.create_server(lambda beyond=beyond: Relay("127.0.0.1", beyond), "127.0.0.1", 0))
    try:
        yield port_of(servers[-1])
    finally:
        for server in servers:
            server.close()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("hops", [0, 1, 2])
@pytest.mark.parametrize(
    ("sent", "statuses", "ends"),
    [
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", [b"200", b"200"], False),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", [b"200"], True),
        (b"POST / HTTP/1.1\r\n\r\n", [b"405"], True),
        (b"GET /" + b"x" * 20_000, [b"431"], True),
    ],
)
async def test_what_a_page_answers_also_through_relays(
    hops: int, sent: bytes, statuses: list[bytes], ends: bool
) -> None:
    async with relayed(hops) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        if not ends:
            writer.write_eof()  # the answers come nevertheless
        got = await reader.read()
        writer.close()
        assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == statuses


async def test_a_relay_with_nobody_beyond_ends_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(lambda: Relay("127.0.0.1", port), "127.0.0.1", 0)
        async with server, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            with suppress(ConnectionError):  # that is an end, too
                assert await reader.read() == b""
            writer.close()


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, int]]:
    """A server that says these, one for each thing it receives, and then ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield ("127.0.0.1", server.getsockname()[1])
        finally:
            thread.join(10)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "the answer is 'HTTP/1.1 503 Busy', and 200 was due"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "ended in the middle of an answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "does not say how long it is"),
        (b"", "ended in the middle of an answer"),
    ],
)
def test_answers_that_are_none(answer: bytes, says: str) -> None:
    with answering(answer) as page, answering() as echo, pytest.raises(caller.NoAnswer, match=says):
        caller.measure(page, echo, None, 1, 0)


def test_an_echo_that_says_something_else() -> None:
    page = b"HTTP/1.1 200 OK\r\nServed-By: a\r\nSeen-From: b\r\nContent-Length: 0\r\n\r\n"
    with answering(page) as first, answering(b"y") as echo, pytest.raises(caller.NoAnswer, match="echo did not come"):
        caller.measure(first, echo, None, 1, 0)
