"""The function over real gRPC: both versions, mutual TLS, and whoever may not call."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from continuo.iot.compose import wire
from continuo.iot.compose.function import run
from continuo.iot.compose.serve import Certificates, FunctionServer
from continuo.resources.errors import BadRequest
from continuo.testbed.pki import Authority, Subject

from .requests import board, claim, desired, render, request
from .test_plan import WISH

pytestmark = pytest.mark.anyio


def folder(at: Path, authority: Authority, name: str) -> Path:
    pair = authority.issue(Subject(name, hosts=("127.0.0.1",)))
    at.mkdir()
    for file, text in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", authority.certificate)):
        (at / file).write_text(text)
    return at


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "crossplane", datetime.now(UTC))


async def call(address: str, service: str, asked: Any, certificates: Path | None = None) -> Any:
    if certificates is None:
        channel = grpc.aio.insecure_channel(address)
    else:
        pem = [(certificates / file).read_bytes() for file in ("ca.crt", "tls.key", "tls.crt")]
        channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*pem))
    async with channel:
        method = channel.unary_unary(f"/{service}/RunFunction", wire.write, wire.read_response)
        return await method(asked, timeout=20)


@pytest.fixture
async def plain() -> AsyncIterator[str]:
    server = FunctionServer(run, "127.0.0.1:0", None)
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.stop(0)


@pytest.mark.parametrize("service", wire.SERVICES)
async def test_both_versions_answer_alike(plain: str, service: str) -> None:
    asked = request(claim(**WISH), [board("b1", site="roof")])
    assert await call(plain, service, asked) == run(asked)


async def test_a_pipeline_over_the_network_is_that_of_the_function(plain: str) -> None:
    boards = [board("b1", site="roof"), board("b2", site="cellar")]
    loop = asyncio.get_running_loop()

    def remote(asked: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(call(plain, wire.SERVICES[0], asked), loop).result()

    answer = await asyncio.to_thread(render, remote, claim(**WISH), boards)
    assert desired(answer) == desired(render(run, claim(**WISH), boards))


async def test_only_who_has_a_certificate_of_the_authority_may_call(tmp_path: Path, authority: Authority) -> None:
    server = FunctionServer(run, "127.0.0.1:0", Certificates.read(folder(tmp_path / "server", authority, "function")))
    await server.start()
    address, asked = f"127.0.0.1:{server.port}", request(claim(**WISH))
    try:
        answer = await call(address, wire.SERVICES[0], asked, folder(tmp_path / "core", authority, "core"))
        assert answer.meta.tag == "a-tag"
        foreign = Authority(tmp_path / "foreign", "foreign", datetime.now(UTC))
        stranger = folder(tmp_path / "stranger", foreign, "core")
        (stranger / "ca.crt").write_text(authority.certificate)
        for certificates in (stranger, None):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(address, wire.SERVICES[0], asked, certificates)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(0)


async def test_what_is_no_claim_is_an_error_and_the_next_call_is_answered(plain: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(plain, wire.SERVICES[0], wire.Request())
    assert failed.value.code() == grpc.StatusCode.INTERNAL
    assert (await call(plain, wire.SERVICES[0], request(claim()))).meta.tag == "a-tag"


async def test_an_address_in_use_is_said(plain: str) -> None:
    with pytest.raises(BadRequest, match="cannot be listened on"):
        await FunctionServer(run, plain, None).start()


def module(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "continuo.iot.compose", *arguments]


def test_the_module_says_what_it_needs(tmp_path: Path) -> None:
    for arguments, words in (
        ((), "needs certificates"),
        (("--tls-certs-dir", str(tmp_path)), "tls.crt, tls.key and ca.crt"),
    ):
        done = subprocess.run(module(*arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and words in done.stderr


async def test_the_module_serves_until_it_is_told_to_end() -> None:
    child = await asyncio.create_subprocess_exec(
        *module("--insecure", "--address", "127.0.0.1:0"), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(60):
        address = (await child.stdout.readline()).decode().split()[-1]
        assert (await call(address, wire.SERVICES[0], request(claim()))).meta.tag == "a-tag"
        child.terminate()
        assert await child.wait() == 0
