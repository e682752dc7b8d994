"""What a broker, bare clusters and the demo of brokers are told wrong: one sentence that names it, and nothing is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import continuo
from continuo.cli.brokers_demo import stage
from continuo.cli.failures import BadInput, unwelcome
from continuo.resources.errors import Forbidden, Unauthorized

KUBECONFIG = (
    "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
    "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]\n"
    "users: [{name: a, user: {token: x}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
)
NAME = "it must be a name of at most 63 lower-case letters, digits and dashes"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTINUO_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name, text in (("good", KUBECONFIG), ("broken", "["), ("text", "hello"), ("file", "x")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    return tmp_path


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (2, "broker serve --kubeconfig nowhere", "cannot read the kubeconfig nowhere: No such file or directory"),
        (2, "broker serve --kubeconfig broken", "the kubeconfig broken is not valid YAML at line 2"),
        (
            2,
            "broker serve --kubeconfig text",
            "text is not a kubeconfig: it must be a mapping with clusters, users and",
        ),
        (2, "broker serve --kubeconfig bytes", "cannot read the kubeconfig bytes: it is not text"),
        (2, "broker serve --kubeconfig .", "File '.' is a directory"),
        (2, "broker serve --kubeconfig good --context b", "the kubeconfig good has no context 'b': its contexts are a"),
        (1, "broker serve --kubeconfig good", "cluster broker at https://127.0.0.1:9 cannot be reached: "),
        (2, "broker serve --kubeconfig good --class default", "--class default is Liqo's own: choose another name"),
        (2, "broker serve --kubeconfig good --class=", "--class is '': it must be a word of at most 63 letters"),
        (2, "broker serve --kubeconfig good --class a/b", "--class is 'a/b': it must be a word"),
        (2, "broker serve --kubeconfig good --name My_Broker", f"--name is 'My_Broker': {NAME}"),
        (2, "broker serve --kubeconfig good --name=", f"--name is '': {NAME}"),
        (2, "broker serve --kubeconfig good --lease-namespace a.b", f"--lease-namespace is 'a.b': {NAME}"),
        (2, "broker run --kubeconfig good --lease-namespace -", f"--lease-namespace is '-': {NAME}"),
        (
            2,
            "broker serve --kubeconfig good --gateway-service Ingress",
            "'Ingress' is not one of 'LoadBalancer', 'NodePort'",
        ),
        (2, "broker serve --kubeconfig good --health-port 70000", "70000 is not in the range 1<=x<=65535"),
        (2, "broker serve more", "Got unexpected extra argument (more)"),
        (2, "up --cluster=", "--cluster '' must be NAME or NAME:NODES, such as milan:3"),
        (2, "up --cluster a:-1", "--cluster 'a:-1' must be NAME or NAME:NODES"),
        (2, "up --cluster No_Name", "a name has at most 63 lower-case letters, digits and dashes"),
        (2, "up --cluster a:9999", "--cluster 'a:9999' asks for 9999 nodes: at most"),
        (2, "up --cluster a --cluster a:2", "--cluster 'a:2': there is a cluster a already"),
        (2, "up --cluster management", "there is a cluster management already"),
        (2, "up --cluster a --engine kubernetes", "--cluster needs --engine embedded"),
        (1, "up --cluster a --detach --data file/x", "cannot keep state in file/x: Not a directory"),
        (2, "demo brokers --data file", "Directory 'file' is a file"),
        (
            2,
            "demo brokers --data file/x",
            "cannot be used: Not a directory; name one with --data that you may write to",
        ),
        (2, "demo brokers --data .", "is not of an earlier demo of brokers: name an empty folder with --data"),
        (2, "demo brokers --timeout -1", "-1.0 is not in the range x>0"),
        (2, "demo broker", "there is no scenario 'broker'; scenarios: vr-tour-creator, brokers"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, code: int, arguments: str, sentence: str) -> None:
    before = sorted(folder.rglob("*"))
    said = continuo(*arguments.split())
    assert said.code == code and sentence in said.sentence, said
    assert said.out == "" and sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("what", ["a folder called demo", "a file called demo", "a link called demo"])
def test_the_demo_deletes_nothing_that_is_not_its_own(folder: Path, what: str) -> None:
    place = folder / "project"
    place.mkdir()
    (place / "work").write_text("years of it", encoding="utf-8")
    mark = place / "demo"
    if what.startswith("a folder"):
        mark.mkdir()
    elif what.startswith("a file"):
        mark.touch()
    else:
        mark.symlink_to(folder / "nowhere")
    with pytest.raises(BadInput, match="is not of an earlier demo of brokers"):
        stage.stop(place)
    assert (place / "work").read_text(encoding="utf-8") == "years of it"


def test_the_demo_uses_its_folder_up_again_and_goes_no_further(folder: Path) -> None:
    place = stage.usable(folder / "own")
    assert stage.usable(place) == place
    (place / "state").mkdir()
    (place / "state" / "file").touch()
    (place / "link").symlink_to(folder)
    stage.stop(place)
    assert [path.name for path in place.iterdir()] == ["demo"] and (folder / "file").exists()


def test_a_cluster_that_lets_nobody_in_is_more_than_one_word() -> None:
    assert unwelcome(Unauthorized("Unauthorized"), "the broker's cluster").startswith(
        "the broker's cluster does not accept the credentials of the kubeconfig: get a new one"
    )
    assert unwelcome(Forbidden("pods is forbidden"), "it") == "pods is forbidden"
