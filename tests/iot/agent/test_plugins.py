"""What plugins do to a board that they should not: each ends as declared, in a sentence, and the agent does not notice."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.iot.agent.confinement import Cell
from continuo.iot.agent.confinement.limits import MIB
from continuo.iot.agent.files import Store
from continuo.iot.agent.plugins.manager import Busy, Plugins
from continuo.iot.agent.plugins.process import Failed
from continuo.iot.agent.plugins.spec import NotAllowed, Policy, read
from continuo.iot.pickled import dumps
from continuo.iot.signing import public_hex, sign
from iot.agent.bed import LOOP, source

pytestmark = pytest.mark.anyio

SMALL = {"memory": "64Mi", "files": "4Mi", "time": 20, "processes": 16}


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """What nobody but the agent may read."""
    home = tmp_path / "home"
    home.mkdir(mode=0o711)
    text = secrets.token_hex(8)
    (home / "key.pem").write_text(text)
    (home / "key.pem").chmod(0o600)
    return text


class Making(Protocol):
    """Makes the plugins of a board."""

    def __call__(self, home: Path, *without: str, policy: Policy | None = None, strict: bool = False) -> Plugins: ...


@pytest.fixture
async def plugins() -> AsyncIterator[Making]:
    cells: list[Cell] = []

    def make(home: Path, *without: str, policy: Policy | None = None, strict: bool = False) -> Plugins:
        for above in home.parents:  # other users pass through to their work folders
            if above.stat().st_uid == os.getuid() and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
        cells.append(Cell(home, name=f"continuo-test-{os.getpid()}", without=frozenset(without)))
        made = Plugins(
            cells[-1], Store(home / "state"), lambda: None, lambda: "now",
            board=lambda: {"uuid": "board", "location": [1, 2]}, strict=strict,
        )  # fmt: skip
        made.policy = policy or Policy(unsigned=True, limits=SMALL)
        return made

    yield make
    for cell in cells:
        await cell.close()


async def call(held: Plugins, body: str, grants: dict[str, Any] | None = None, **parameters: Any) -> Any:
    uuid = f"p{secrets.token_hex(4)}"
    said = {"name": "nasty", "code": source(body), "callable": True, "grants": grants or {}}
    await held.inject(uuid, read(uuid, said))
    try:
        return await held.call(uuid, parameters)
    finally:
        ran = held._held[uuid].process
        if ran is not None:
            await ran.ended
        await held.remove(uuid)


@pytest.fixture
def listener() -> Iterator[int]:
    """A service of the board that a plugin without the network must not reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


NASTY: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "loops": ("while True: pass", {"time": 1}, ("ran longer than the 1 s", "SIGXCPU", "SIGKILL")),
    "never returns": ("import time\ntime.sleep(3600)", {"time": 1}, ("ran longer than the 1 s that it may",)),
    "raises": ("raise ValueError('no sensor')", {}, ("it raised ValueError: no sensor (line 12)",)),
    "exits": ("import sys\nsys.exit(3)", {}, ("it raised SystemExit: 3",)),
    "exits at once": ("import os\nos._exit(4)", {}, ("it ended with exit code 4",)),
    "gives nothing": ("pass", {}, ("it ended without one",)),
    "fills memory": ("x = [bytearray(1 << 20) for _ in range(4000)]", {}, ("more memory than it may", "MemoryError")),
    "forks": ("import os\nwhile True:\n    os.fork()", {"time": 10},
              ("Resource temporarily unavailable", "BlockingIOError", "exit code 1", "more processes")),
    "starts threads": ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()", {},
                       ("can't start new thread",)),
    "fills the disk": ("f = open('x', 'wb')\nwhile True: f.write(b'x' * 65536)", {},
                       ("File too large", "No space left", "SIGXFSZ", "its files took more")),
    "fills it with many": ("n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(b'x' * 1000000)", {},
                           ("No space left", "its files took more")),
    "opens files": ("k = []\nwhile True: k.append(open('/dev/null'))", {}, ("Too many open files",)),
    "kills its parent": ("import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)", {"time": 1},
                         ("Operation not permitted", "ran longer", "SIGKILL")),
    "kills everybody": ("import os, signal, time\nos.kill(-1, signal.SIGKILL)\ntime.sleep(60)", {"time": 1},
                        ("No such process", "Operation not permitted", "ran longer", "SIGKILL")),
    "kills the agent": ("import os, signal\nos.kill(AGENT, signal.SIGKILL)", {},
                        ("No such process", "Operation not permitted")),
    "reads passwords": ("open('/etc/shadow').read()", {}, ("No such file", "Permission denied")),
    "reads the board's key": ("self.q_result.put(open(HOME + '/key.pem').read())", {}, ("No such file", "Permission")),
    "reads the agent's memory": ("open('/proc/%d/mem' % AGENT, 'rb').read(1)", {}, ("No such file", "Permission")),
    "connects out": ("import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)", {},
                     ("Operation not permitted", "Permission denied", "refused", "unreachable")),
    "sends datagrams": ("import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))", {},
                        ("Operation not permitted", "Permission denied", "unreachable")),
    "mounts": ("import ctypes\nl = ctypes.CDLL(None, use_errno=True)\nassert l.mount(b'x', b'/run', b'tmpfs', 0, 0) == 0",
               {}, ("AssertionError",)),
    "takes a namespace": ("import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0", {}, ("AssertionError",)),
    "becomes root": ("import os\nos.setuid(0)\nassert os.getuid()", {}, ("not permitted", "Invalid argument", "Assertion")),
    "writes a program": ("open('/usr/bin/ls', 'wb')", {}, ("Permission denied", "Read-only")),
    "answers too much": ("self.q_result.put('x' * 300000)", {}, ("longer than 262144 characters",)),
    "lies to the agent": ("import os\nfor n in range(3, 64):\n    try: os.write(n, b'}' * 9 + b'\\n')\n    except OSError: 0",
                          {}, ("what is no event",)),
    "floods the agent": ("import os\nfor n in range(3, 64):\n    try:\n        while True: os.write(n, b'x' * 65536)\n"
                         "    except OSError: pass", {}, ("what is no event",)),
    "has no worker": ("pass\nWorker = None", {}, ("it ended without one",)),
}  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
async def test_each_ends_as_declared(plugins: Making, tmp_path: Path, secret: str, listener: int, name: str) -> None:
    body, grants, sentences = NASTY[name]
    held = plugins(tmp_path / "home")
    body = body.replace("AGENT", str(os.getpid())).replace("PORT", str(listener))
    with pytest.raises(Failed) as failed:
        await asyncio.wait_for(call(held, body.replace("HOME", repr(str(tmp_path / "home"))), grants), 30)
    assert any(sentence in str(failed.value) for sentence in sentences), failed.value
    assert secret not in str(failed.value)
    await agent_is_unharmed(held)


async def agent_is_unharmed(held: Plugins) -> None:
    assert await call(held, "self.q_result.put([self.uuid != '', self.params])", n=1) == [True, {"n": 1}]
    assert threading.active_count() < 20


def reachable() -> bool:
    """Whether other users may run this Python."""
    return all(above.stat().st_mode & 0o001 for above in Path(sys.base_prefix).resolve().parents)


WITHOUT = [
    ("namespaces",),
    ("landlock",),
    ("cgroups",),
    ("seccomp",),
    ("namespaces", "cgroups"),
    ("namespaces", "seccomp"),
]


@pytest.mark.long
@pytest.mark.parametrize("without", WITHOUT, ids="+".join)
async def test_on_lesser_machines_the_key_is_safe_and_limits_hold(
    plugins: Making, tmp_path: Path, secret: str, without: tuple[str, ...]
) -> None:
    if "namespaces" in without and os.geteuid() == 0 and not reachable():
        pytest.skip(f"without an own root other users cannot reach {sys.base_prefix}; see test_as_an_ordinary_user")
    held = plugins(tmp_path / "home", *without)
    for name in ("reads the board's key", "fills memory", "fills it with many", "kills the agent", "never returns"):
        body, grants, sentences = NASTY[name]
        body = body.replace("AGENT", str(os.getpid())).replace("HOME", repr(str(tmp_path / "home")))
        with pytest.raises(Failed) as failed:
            await asyncio.wait_for(call(held, body, grants), 30)
        assert any(sentence in str(failed.value) for sentence in sentences), (name, failed.value)
    await agent_is_unharmed(held)


async def test_where_nothing_hides_the_key_nothing_runs(plugins: Making, tmp_path: Path, secret: str) -> None:
    held = plugins(tmp_path / "home", "namespaces", "landlock")
    with pytest.raises(Failed, match="cannot confine it as required: files"):
        await call(held, "self.q_result.put(1)")


async def test_strict_refuses_what_cannot_be_enforced_and_names_it(
    plugins: Making, tmp_path: Path, secret: str
) -> None:
    held = plugins(tmp_path / "home", "cgroups", strict=True)
    with pytest.raises(Failed, match="cpu: no control group"):
        await call(held, "self.q_result.put(1)")


async def test_printing_for_ever_is_made_to_wait_and_its_end_is_kept(
    plugins: Making, tmp_path: Path, secret: str
) -> None:
    held = plugins(tmp_path / "home")
    await held.inject(
        "p", read("p", {"name": "loud", "code": source("while True: print('x' * 1000)"), "grants": {"time": 2}})
    )
    with pytest.raises(Failed, match="ran longer than the 2 s"):
        await held.call("p", {})
    assert 8000 < len(held.logs("p")) <= 16 * 1024


async def test_a_second_result_is_only_logged(plugins: Making, tmp_path: Path, secret: str) -> None:
    held = plugins(tmp_path / "home")
    await held.inject("p", read("p", {"name": "twice", "code": source("self.q_result.put(1)\nself.q_result.put(2)")}))
    assert await held.call("p", {}) == 1
    assert held._held["p"].process is not None
    await held._held["p"].process.ended
    assert "a second result is not told: 2" in held.logs("p")


async def test_a_granted_network_is_the_boards(plugins: Making, tmp_path: Path, secret: str, listener: int) -> None:
    body = f"import socket\nsocket.create_connection(('127.0.0.1', {listener}), 5)\nself.q_result.put('there')"
    assert await call(plugins(tmp_path / "home"), body, {"network": True}) == "there"


async def test_grants_end_at_the_policys_limits(plugins: Making, tmp_path: Path, secret: str) -> None:
    held = plugins(tmp_path / "home")
    with pytest.raises(Failed):
        await call(held, "x = bytearray(200 << 20)\nself.q_result.put(1)", {"memory": "1Gi"})
    held.policy = Policy(unsigned=True, limits={"memory": 512 * MIB})
    assert await call(held, "x = bytearray(200 << 20)\nself.q_result.put(1)", {"memory": "1Gi"}) == 1


async def test_helpers_of_the_board(plugins: Making, tmp_path: Path, secret: str) -> None:
    body = "from iotronic_lightningrod.plugins import pluginApis as A\nself.q_result.put([A.getBoardID(), A.getLocation()])"
    assert await call(plugins(tmp_path / "home"), body) == ["board", [1, 2]]


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


async def test_only_what_the_policys_keys_signed_runs(plugins: Making, tmp_path: Path, secret: str) -> None:
    code = source("self.q_result.put('signed')")
    held = plugins(tmp_path / "home", policy=Policy(keys={"ops": public_hex(KEY)}))
    said = {"name": "n", "code": dumps(code), "signature": sign(KEY, "ops", code).wire()}
    await held.inject("good", read("good", said))
    assert await held.call("good", {}) == "signed"
    with pytest.raises(NotAllowed, match="is not of this code"):
        await held.inject("bad", read("bad", {**said, "code": dumps(code + "#")}))
    with pytest.raises(NotAllowed, match="not signed"):
        await held.inject("bad", read("bad", {"name": "n", "code": code}))
    held.policy = Policy(keys={})
    with pytest.raises(NotAllowed, match="which the policy does not name"):
        await held.call("good", {})


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - how it ended is seen by looking only
            await asyncio.sleep(0.01)


async def test_one_that_fails_is_started_again_and_one_that_ends_is_not(
    plugins: Making, tmp_path: Path, secret: str
) -> None:
    held = plugins(tmp_path / "home")
    desired = {
        "fails": {"name": "fails", "code": source("raise OSError('gone')"), "state": "running"},
        "ends": {"name": "ends", "code": source("pass"), "state": "running"},
        "loops": {"name": "loops", "code": source(LOOP), "state": "running"},
    }
    await held.set(desired, held.policy)
    await until(lambda: [held.status()[uuid]["state"] for uuid in desired] == ["failed", "dead", "running"])
    assert "it raised OSError: gone" in held.status()["fails"]["message"]
    await until(lambda: held._held["fails"].failures >= 2)
    loops, ends = held._held["loops"].process, held._held["ends"].process
    await held.set(desired, held.policy)
    assert (held._held["loops"].process, held._held["ends"].process) == (loops, ends)
    with pytest.raises(Busy):
        await held.call("loops", {})
    await held.close()


async def test_a_plugin_that_does_not_stop_is_ended(plugins: Making, tmp_path: Path, secret: str) -> None:
    held = plugins(tmp_path / "home")
    body = "import signal, time\nwhile True:\n    time.sleep(0.1)"
    await held.set({"p": {"name": "deaf", "code": source(body), "state": "running"}}, held.policy)
    assert held.alive("p")
    assert await held.stop("p")
    assert (held.alive("p"), held.status()["p"]["state"]) == (False, "injected")


SOME = "signed or takes or (each and key) or (lesser and namespaces and not cgroups and not seccomp)"
AS_NOBODY = """
set -e
hidden=$(echo "$1" | cut -d/ -f1-2)
mkdir -p "$2/python"
mount --bind "$1" "$2/python"
if [ "$3" = hide ]; then mount -t tmpfs -o mode=755 none "$hidden"; mkdir -p "$1"; mount --bind "$2/python" "$1"; fi
shift 3
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="these tests are run by an ordinary user already")
@pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("setpriv"), reason="needs unshare and setpriv")
def test_as_an_ordinary_user() -> None:
    """What matters most of this file once more, by somebody who may do nothing special."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        _as_nobody(Path(folder))


def _as_nobody(folder: Path) -> None:
    folder.chmod(0o755)
    scratch = folder / "nobody"
    scratch.mkdir()
    scratch.chmod(0o777)
    prefix = str(Path(sys.base_prefix).resolve())
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", AS_NOBODY, "sh", prefix, str(folder), "show" if reachable() else "hide",
         sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(scratch / "t"),
         "-k", SOME, __file__],
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
