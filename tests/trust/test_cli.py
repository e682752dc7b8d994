"""`continuo identity` as a user has it: processes, files, sentences, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from cli.command import continuo

CONTINUO = [sys.executable, "-m", "continuo.cli.main", "identity"]


class Desk:
    """A user's environment, with one issuer."""

    def __init__(self, folder: Path) -> None:
        socket = f"unix://{folder}/identity/api.sock"
        self.environment = {"CONTINUO_DATA": str(folder), "SPIFFE_ENDPOINT_SOCKET": socket}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command says, on either stream."""
        with mock.patch.dict(os.environ, self.environment):
            answer = continuo("identity", *arguments)
        said = answer.out + answer.err
        assert answer.code == code, said
        return said

    def serve(self, *arguments: str) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [*CONTINUO, "serve", "--trust-domain", "edge.example", "--ready-fd", str(writing), *arguments],
            env={**os.environ, **self.environment}, pass_fds=(writing,), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)
        with os.fdopen(reading) as ready:
            assert ready.read(), "it did not start"
        return process


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    process = made.serve("--bundle-endpoint", "127.0.0.1:0")
    yield made
    process.terminate()
    assert process.wait(20) == 0


def test_from_the_first_entry_to_a_delegation(desk: Desk, tmp_path: Path) -> None:
    desk("entry", "add", "spiffe://edge.example/gw/1", "--uid", str(os.getuid()))
    desk("entry", "add", "spiffe://edge.example/led/a-00", "--gateway", "spiffe://edge.example/gw/1")
    assert json.loads(desk("show", "-o", "json"))["spiffeID"] == "spiffe://edge.example/gw/1"
    bundle = tmp_path / "bundle.json"
    bundle.write_text(desk("show", "--bundle").replace('"spiffe_sequence": 1', '"spiffe_sequence": 3'))
    where = ["--url", "https://127.0.0.1:1/", "--endpoint-id", "spiffe://cloud.example/e", "--bundle", str(bundle)]
    desk("federate", "--trust-domain", "cloud.example", *where)
    shown = json.loads(desk("show", "-o", "json"))
    assert [one["trustDomain"] for one in shown["believes"]] == ["cloud.example", "edge.example"]
    audience = ["--audience", "spiffe://edge.example/cp/relay"]
    assert desk("delegate", "spiffe://edge.example/led/a-00", *audience).count(".") == 2
    assert "not registered" in desk("delegate", "spiffe://edge.example/led/b-00", *audience, code=1)
    entries = json.loads(desk("entry", "ls", "-o", "json"))
    gateway = next(one["id"] for one in entries if one["spiffeId"].endswith("gw/1"))
    desk("entry", "rm", gateway)
    assert "no identity is registered for this process" in desk("show", code=1)


def test_the_issuer_is_shown_without_its_keys(desk: Desk) -> None:
    shown = desk("show", "--issuer") + desk("show", "--bundle")
    assert "edge.example" in shown and "PRIVATE" not in shown and '"d":' not in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("entry", "add", "spiffe://edge.example/x"), "every process"),
        (("entry", "add", "spiffe://other.example/x", "--uid", "1"), "vouches for edge.example alone"),
        (("entry", "add", "edge.example/x", "--uid", "1"), "no SPIFFE ID"),
        (("entry", "add", "spiffe://edge.example/x", "--uid", "1", "--ttl", "soon"), "is no time"),
        (("entry", "rm", "nothing"), "there is no entry nothing"),
        (("federate", "--trust-domain", "b.example"), "--url is missing"),
        (("federate", "--trust-domain", "b.example", "--url", "http://b.example/"), "no bundle endpoint"),
        (("federate", "--trust-domain", "b.example", "--remove"), "no federation with b.example"),
        (("serve", "--trust-domain", "Edge Example"), "no trust domain"),
        (("serve", "--trust-domain", "edge.example", "--svid-ttl", "1d"), "quarter"),
        (("serve", "--trust-domain", "edge.example", "--bundle-endpoint", "8443"), "no address"),
        (("serve", "--trust-domain", "edge.example", "--socket-mode", "rw"), "no mode"),
        (("delegate", "nobody", "--audience", "x"), "no SPIFFE ID"),
    ],
)
def test_bad_input_is_told_in_a_sentence(desk_once: Desk, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in desk_once(*arguments, code=2)


@pytest.fixture(scope="module")
def desk_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    process = made.serve()
    yield made
    process.terminate()
    process.wait(20)


def test_a_second_issuer_and_none_are_told(desk_once: Desk, tmp_path: Path) -> None:
    assert "already" in desk_once("serve", "--trust-domain", "edge.example", code=1)
    assert "has the keys of edge.example" in desk_once("serve", "--trust-domain", "other.example", code=1)
    assert "there is no issuer" in Desk(tmp_path)("show", "--issuer", code=2)
