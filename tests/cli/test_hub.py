"""`continuo hub` as its operator runs it: wrong input gets a sentence, and whoever kills it finds it as it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.command import continuo
from continuo.cli.hub_tls import own, utc_now


@dataclass
class Running:
    """A hub, and what it told."""

    process: subprocess.Popen[bytes]
    data: Path
    told: dict[str, Any]

    def boards(self, token: str) -> Any:
        context = ssl.create_default_context(cafile=self.told["ca"])
        request = urllib.request.Request(f"{self.told['rest']}/v1/boards", headers={"X-Auth-Token": token})
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return json.load(answer)["boards"]


@contextmanager
def running(data: Path, *options: str) -> Iterator[Running]:
    reading, writing = os.pipe()
    places = [part for name in ("listen", "wamp", "tunnel", "network") for part in (f"--{name}", "127.0.0.1:0")]
    command = [sys.executable, "-m", "continuo.cli.main", "hub", "--data", str(data), *places, *options]
    with (data.parent / "hub.log").open("wb") as log:
        process = subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=[writing], stderr=log)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as ready:
            assert ready.read() == b"ready", (data.parent / "hub.log").read_text()
        yield Running(process, data, json.loads((data / "running.json").read_text()))
    finally:
        process.kill()
        process.wait(20)


def hub(data: Path, *arguments: str) -> str:
    answer = continuo("hub", "--data", str(data), *arguments)
    assert answer.code == 0, answer.err
    return answer.out.strip()


def test_it_serves_is_administered_and_stops_as_told(tmp_path: Path) -> None:
    data = tmp_path / "hub"
    with running(data) as here:
        token = hub(data, "token", "add", "--project", "lab")
        code = hub(data, "board", "add", "b1", "--project", "lab")
        assert code and code not in (data / "hub.sqlite").read_bytes().decode("latin-1")
        (board,) = here.boards(token)
        assert (board["name"], board["status"]) == ("b1", "registered")
        assert hub(data, "board", "code", "b1") != code
        with pytest.raises(urllib.error.HTTPError, match="401"):
            here.boards("guess")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{here.told['rest']}/v1/boards", timeout=20)
        (listed,) = json.loads(hub(data, "token", "ls", "-o", "json"))
        assert token not in json.dumps(listed)
        hub(data, "token", "rm", listed["id"])
        with pytest.raises(urllib.error.HTTPError, match="401"):
            here.boards(token)
        here.process.send_signal(signal.SIGTERM)
        assert here.process.wait(20) == 0
    assert sorted(path.name for path in data.iterdir()) == ["hub.sqlite", "tls"]


@pytest.mark.long
def test_killed_it_is_there_again_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "hub"
    with running(data) as here:
        token = hub(data, "token", "add", "--project", "lab")
        hub(data, "board", "add", "b1", "--project", "lab")
        authority = Path(here.told["ca"]).read_bytes()
        here.process.kill()
        here.process.wait(20)
    assert hub(data, "board", "ls", "-o", "name")  # with the socket of the dead one still there
    with running(data) as again:
        assert [board["name"] for board in again.boards(token)] == ["b1"]
        assert Path(again.told["ca"]).read_bytes() == authority
        second = continuo("hub", "--data", str(data), "--wamp", "127.0.0.1:0", "--tunnel", "127.0.0.1:0",
                          "--network", "127.0.0.1:0", "--listen", "127.0.0.1:0")  # fmt: skip
        assert second.code == 1 and "another hub uses it; stop that one first" in second.sentence


def test_secrets_are_for_its_user_alone(tmp_path: Path) -> None:
    own(tmp_path / "tls", ["127.0.0.1"])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.pem": 0o600}


def test_the_certificate_is_made_anew_when_it_has_to_be(tmp_path: Path) -> None:
    from datetime import timedelta

    folder = tmp_path / "tls"
    own(folder, ["127.0.0.1"])
    first, authority = (folder / "server.pem").read_bytes(), (folder / "ca.crt").read_bytes()
    own(folder, ["127.0.0.1"])
    assert (folder / "server.pem").read_bytes() == first
    own(folder, ["127.0.0.1", "hub.lab"])
    second = (folder / "server.pem").read_bytes()
    assert second != first
    own(folder, ["hub.lab"], lambda: utc_now() + timedelta(days=340))
    assert (folder / "server.pem").read_bytes() != second
    (folder / "server.pem").write_text("half of a")
    own(folder, ["hub.lab"])
    (folder / "ca.crt").unlink()  # as when it was killed between the two files
    own(folder, ["other.lab"])
    assert (folder / "ca.crt").exists()
    assert (folder / "ca.crt").read_bytes() != authority


Made = Callable[[Path], list[str]]


def taken_port(option: str) -> Made:
    def made(tmp: Path) -> list[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        _HELD.append(listener)
        return [*(part for name in ("listen", "wamp", "tunnel", "network") if name != option for part in
                  (f"--{name}", "127.0.0.1:0")), f"--{option}", f"127.0.0.1:{listener.getsockname()[1]}"]  # fmt: skip

    return made


_HELD: list[socket.socket] = []


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    while _HELD:
        _HELD.pop().close()


def free(*more: str) -> Made:
    places = [part for name in ("listen", "wamp", "tunnel", "network") for part in (f"--{name}", "127.0.0.1:0")]
    return lambda tmp: [*places, *(word.replace("TMP", str(tmp)) for word in more)]


def a_file_for_a_folder(tmp: Path) -> list[str]:
    (tmp / "file").write_text("")
    return ["--data", str(tmp / "file" / "hub")]


def no_certificate(tmp: Path) -> list[str]:
    for name in ("cert", "key"):
        (tmp / name).write_text("nothing")
    return free("--tls-cert", "TMP/cert", "--tls-key", "TMP/key")(tmp)


def no_database(tmp: Path) -> list[str]:
    (tmp / "notes.txt").write_text("this is no database, but a text that is long enough to look like one" * 20)
    return free("--database", "TMP/notes.txt")(tmp)


BAD: dict[str, tuple[Made, int, str]] = {
    "no port": (lambda _: ["--listen", "127.0.0.1"], 2, "--listen is '127.0.0.1'; it looks like"),
    "a port that is none": (lambda _: ["--wamp", "127.0.0.1:70000"], 2, "--wamp is '127.0.0.1:70000'"),
    "the same port twice": (
        lambda _: ["--wamp", "127.0.0.1:9999", "--tunnel", "127.0.0.1:9999"], 2, "--wamp and --tunnel are both",
    ),
    "tunnels' own port": (lambda _: ["--wamp", "127.0.0.1:8182"], 2, "--wamp and --tunnel are both 127.0.0.1:8182"),
    "tunnels' port of Lightning-rod": (
        lambda _: ["--wamp", "127.0.0.1:8080", "--allow-lightning-rod"], 2, "--wamp and --tunnel are both 127.0.0.1:8080",
    ),
    "ports upside down": (lambda _: ["--ports", "50010-50000"], 2, "--ports is '50010-50000'; it looks like"),
    "ports that are none": (lambda _: ["--ports", "all"], 2, "--ports is 'all'"),
    "a certificate without its key": (free("--tls-cert", __file__), 2, "--tls-cert and --tls-key belong together"),
    "no certificate": (no_certificate, 2, "are no certificate and its key"),
    "no address to come to": (lambda _: ["--wamp", "0.0.0.0:8181"], 2, "give --public HOST as well"),
    "everybody believed from afar": (lambda _: ["--no-auth", "--listen", "0.0.0.0:8812"], 2, "--no-auth believes everybody"),
    "a database of another make": (free("--database", "mysql://a:secret@b/c"), 2, "--database begins with mysql://"),
    "no PostgreSQL there": (
        free("--database", "postgresql://u:secret@127.0.0.1:1/x"), 1, "cannot reach PostgreSQL at 127.0.0.1:1/x",
    ),
    "no database": (no_database, 1, "file is not a database"),
    "a folder within a file": (a_file_for_a_folder, 1, "cannot write in"),
    "REST's port is taken": (taken_port("listen"), 1, "cannot listen on 127.0.0.1 port"),
    "sessions' port is taken": (taken_port("wamp"), 1, "--wamp 127.0.0.1:"),
    "tunnels' port is taken": (taken_port("tunnel"), 1, "--tunnel 127.0.0.1:"),
    "networks' port is taken": (taken_port("network"), 1, "--network 127.0.0.1:"),
    "an address of somebody else": (lambda _: ["--wamp", "192.0.2.77:8181"], 1, "cannot be used"),
    "IPv6 for Lightning-rod": (free("--public", "::1", "--allow-lightning-rod"), 2, "names and IPv4 addresses only"),
    "no project": (lambda _: ["token", "add"], 2, "--project"),
    "no such role": (lambda _: ["token", "add", "--project", "p", "--role", "king"], 2, "king"),
    "an empty project": (lambda _: ["token", "add", "--project", ""], 2, "--project is ''"),
    "a name that is too long": (lambda _: ["board", "add", "n" * 300, "--project", "p"], 2, "NAME is"),
    "a code that is too long": (lambda _: ["board", "add", "n", "--project", "p", "--code", "c" * 37], 2, "--code is"),
    "no such board": (lambda _: ["board", "code", "nobody"], 1, "nobody"),
    "no such token": (lambda _: ["token", "rm", "nothing"], 1, "there is no token nothing"),
    "no such key": (lambda _: ["keys", "rm", "nothing"], 1, "there is no signing key nothing"),
    "a key that is none": (lambda _: ["keys", "add", "ci", "abc"], 2, "KEY is 64 hexadecimal digits"),
    "a file without a key": (lambda _: ["keys", "add", "ci", __file__], 2, "KEY is 64 hexadecimal digits"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_gets_a_sentence(case: str, tmp_path: Path) -> None:
    made, code, sentence = BAD[case]
    answer = continuo("hub", "--data", str(tmp_path / "hub"), *made(tmp_path))
    assert answer.code == code, answer.err
    assert sentence in answer.err
    assert "Traceback" not in answer.err and "secret" not in answer.err
    assert len(answer.err.strip().splitlines()) <= 3
