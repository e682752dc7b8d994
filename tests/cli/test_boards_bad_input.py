"""Wrong words for `continuo agent`, `continuo boards` and `continuo demo`: each gets its exit code and a sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.command import continuo
from continuo.kube.config import connect
from continuo.resources.boards import BOARD, FLEET, PLUGIN, WORKLOAD, boards_crds
from contract.local import kubeconfig_of_a_cluster

Words = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What is typed, where TMP is a folder with `files` in it."""

    name: str
    words: Words
    code: int
    says: str
    files: tuple[tuple[str, str], ...] = ()


HUB = ("--hub", "wss://127.0.0.1:1")
HOME = ("--home", "TMP/home")
KEY = ("--key", "TMP/k.pem", "--name", "ci")
MODULE = ("m.py", "class Worker: ...")
PLUGINS = "apiVersion: iot.continuo.dev/v1alpha1\nkind: Plugin\n"


def _agent(name: str, code: int, says: str, *words: str, **files: str) -> Case:
    given = tuple((file.replace("_", "."), text) for file, text in files.items())
    return Case(f"agent: {name}", ("agent", *HOME, *words), code, says, given)


def _sign(name: str, says: str, *words: str, **files: str) -> Case:
    given = tuple((file.replace("_", "."), text) for file, text in files.items())
    return Case(f"sign: {name}", ("boards", "sign", *words), 2, says, given)


ALONE: tuple[Case, ...] = (
    _agent("no hub", 2, "no hub: give --hub wss://HOST:PORT"),
    _agent("no code", 2, "this board has no code", *HUB),
    _agent("in the clear", 2, "is not encrypted", "--hub", "ws://hub.example:8181", "--code", "c"),
    _agent("another scheme", 2, "it is like wss://", "--hub", "http://127.0.0.1:1", "--code", "c"),
    _agent("no settings", 2, "there is no settings file", "--settings", "TMP/none.json"),
    _agent("settings that are none", 2, "is no JSON", "--settings", "TMP/s.json", s_json="{"),
    _agent("settings of a list", 2, "is no JSON object", "--settings", "TMP/s.json", s_json="[]"),
    _agent("settings that nobody knows", 2, "nonsense", *HUB, "--settings", "TMP/s.json",
           s_json='{"continuo": {"nonsense": 1}}'),
    _agent("no certificate", 2, "ca ", *HUB, "--ca", "TMP/ca.pem", ca_pem="nothing"),
    _agent("no such certificate", 2, "ca.pem", *HUB, "--ca", "TMP/ca.pem"),
    _agent("metrics for everybody", 2, "on this machine alone", *HUB, "--code", "c", "--metrics", "0.0.0.0:9105"),
    _agent("metrics nowhere", 2, "on this machine alone", *HUB, "--code", "c", "--metrics", "here"),
    _agent("metrics beyond the last port", 2, "--metrics", *HUB, "--code", "c", "--metrics", "127.0.0.1:70000"),
    Case("agent: a home within a file", ("agent", "--home", "TMP/f/home", *HUB, "--code", "c"), 2, "cannot be used",
         (("f", ""),)),
    Case("agent: a home that is a file", ("agent", "--home", "TMP/f", *HUB, "--code", "c"), 2, "is a file", (("f", ""),)),
    Case("agent: a damaged identity", ("agent", *HOME, *HUB), 2, "is damaged", (("home/identity.json", "{"),)),
    Case("agent: an option that is none", ("agent", "--speed", "9"), 2, "--speed"),
    _sign("no file", "does not exist", "TMP/none.py", *KEY),
    _sign("no name", "--name", "TMP/m.py", "--key", "TMP/k.pem", m_py=MODULE[1]),
    _sign("a key that is none", "k.pem", "TMP/m.py", *KEY, m_py=MODULE[1], k_pem="secret"),
    _sign("a list of nothing", "has no Plugin", "TMP/m.yaml", *KEY, m_yaml="kind: List\nitems:\n"),
    _sign("a list of numbers", "has no Plugin", "TMP/m.yaml", *KEY, m_yaml="kind: List\nitems: [1, 2]"),
    _sign("a spec of numbers", "has no Plugin", "TMP/m.yaml", *KEY, m_yaml=PLUGINS + "spec: [1]\n"),
    _sign("a plugin without a name", "has its code elsewhere", "TMP/m.yaml", *KEY,
          m_yaml=PLUGINS + "spec: {forProvider: {codeFrom: {}}}\n"),
    Case("composition: two things at once", ("boards", "composition", "--package-meta", "--package", "i"), 2,
         "leave --package out"),
    Case("function: no address", ("boards", "function", "--address", "here", "--insecure"), 2, "here"),
    Case("function: no certificates", ("boards", "function", "--address", "127.0.0.1:0"), 2, "--insecure"),
    Case("provider: no network", ("boards", "provider", "--deny-network", "everything"), 2, "--deny-network"),
    Case("provider: no cluster", ("boards", "provider", "--kubeconfig", "TMP/none"), 2, "TMP/none"),
    Case("provider: no patience", ("boards", "provider", "--poll-interval", "0"), 2, "--poll-interval"),
    Case("ls: no cluster", ("boards", "ls", "--kubeconfig", "TMP/none"), 2, "TMP/none"),
    Case("boards: a command that is none", ("boards", "dance"), 2, "dance"),
    Case("demo: a scenario that is none", ("demo", "planes"), 2, "planes"),
    Case("demo: no time", ("demo", "boards", "--timeout", "0"), 2, "--timeout"),
)  # fmt: skip

ASKED: tuple[Case, ...] = (
    Case("call: nobody", ("boards", "call", "meter"), 2, "name either --board or --fleet"),
    Case("call: a board and a fleet", ("boards", "call", "meter", "--board", "b", "--fleet", "f"), 2, "name either"),
    Case("call: no such board", ("boards", "call", "meter", "--board", "none"), 2, "there is no Board 'none'"),
    Case("call: no such fleet", ("boards", "call", "meter", "--fleet", "none"), 2, "there is no Fleet 'none'"),
    Case("call: no such plugin", ("boards", "call", "none", "--board", "pump"), 2, "there is no Plugin 'none'"),
    Case("call: half a parameter", ("boards", "call", "meter", "--board", "pump", "-p", "speed"), 2, "no NAME=VALUE"),
    Case("call: no patience", ("boards", "call", "meter", "--board", "pump", "--timeout", "0"), 2, "--timeout"),
    Case("logs: no such workload", ("boards", "logs", "none"), 1, "none"),
    Case(
        "logs: not there yet",
        ("boards", "logs", "work"),
        1,
        'clusterproviderconfigs.iot.continuo.dev "default" not found',
    ),
    Case("logs: too many lines", ("boards", "logs", "work", "--tail", "0"), 2, "--tail"),
    Case("ls: no such format", ("boards", "ls", "-o", "xml"), 2, "xml"),
    Case("tree: no such namespace", ("boards", "tree", "-n", "none"), 0, ""),
)


def said(case: Case, tmp: Path, *more: str) -> None:
    for name, text in case.files:
        (tmp / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp / name).write_text(text)
    answer = continuo(*(word.replace("TMP", str(tmp)) for word in case.words), *more)
    assert (answer.code, case.says.replace("TMP", str(tmp)) in answer.err) == (case.code, True), answer.err
    assert "Traceback" not in answer.err and len(answer.err.strip().splitlines()) <= 4, answer.err


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_wrong_words_get_a_sentence(case: Case, tmp_path: Path) -> None:
    said(case, tmp_path)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster that knows boards, and has one of each that the cases name."""
    with kubeconfig_of_a_cluster() as text:
        file = tmp_path_factory.mktemp("cluster") / "kubeconfig"
        file.write_text(text)
        asyncio.run(furnished(file))
        yield file


async def furnished(kubeconfig: Path) -> None:
    cluster = connect(kubeconfig, name="m")
    for definition in boards_crds():
        await cluster.apply(definition, manager="test")
    work = {"boardRef": {"name": "pump"}, "command": ["true"]}
    for kind, name, said in (
        (BOARD, "pump", {}),
        (FLEET, "all", {}),
        (PLUGIN, "meter", {"code": "x"}),
        (WORKLOAD, "work", work),
    ):
        await cluster.create(kind.new(name, "default", spec={"forProvider": said}))
    await cluster.close()


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.name)
def test_wrong_words_about_a_cluster_get_a_sentence(case: Case, there: Path, tmp_path: Path) -> None:
    said(case, tmp_path, "--kubeconfig", str(there))


def test_after_all_of_them_the_cluster_is_what_it_was(there: Path) -> None:
    answer = continuo("boards", "ls", "-o", "json", "--kubeconfig", str(there))
    assert (answer.code, answer.err) == (0, "")
    assert [each["metadata"]["name"] for each in json.loads(answer.out)["items"]] == ["pump"]


def test_without_definitions_it_is_said_how_they_come(tmp_path: Path) -> None:
    with kubeconfig_of_a_cluster() as text:
        (tmp_path / "kubeconfig").write_text(text)
        for words in (("ls",), ("tree",), ("logs", "w"), ("call", "p", "--board", "b"), ("provider",)):
            answer = continuo("boards", *words, "--kubeconfig", str(tmp_path / "kubeconfig"))
            assert answer.code == 1 and "boards crds | kubectl apply" in answer.err, (words, answer.err)
