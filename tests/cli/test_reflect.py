"""`continuo reflect`: what is wrong with its input is said in one sentence."""

from __future__ import annotations

from pathlib import Path

from .command import continuo

CONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: c}}]
clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: c, user: {}}]
"""


def test_an_api_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    said = continuo("reflect", "--home", str(file), "--remote", str(file), "--node", "far", "-n", "shop")
    assert said.code == 1 and "http://127.0.0.1:1" in said.sentence


def test_wrong_input_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    ends = ("--home", str(file), "--remote", str(file), "--node", "far", "-n", "shop")
    nowhere = continuo("reflect", "--home", str(tmp_path / "none.yaml"), *ends[2:])
    assert nowhere.code == 2 and "none.yaml" in nowhere.sentence
    said = continuo("reflect", *ends, "--remote-pods-as", "10.1.2.3/16")
    assert said.code == 2 and "--remote-pods-as is '10.1.2.3/16'" in said.sentence


def test_options_and_a_file_do_not_mix_and_something_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    said = continuo("reflect", "--file", str(file), "--node", "far")
    assert said.code == 2 and "--node goes without --file" in said.sentence
    assert continuo("reflect", "--node", "far").code == 2
    said = continuo("reflect", "--file", str(file))
    assert said.code == 2 and "nodes.yaml cannot be read" in said.sentence
    file.write_text("clusters: {a: {kubeconfig: none.yaml}}\nnodes: []\n", encoding="utf-8")
    said = continuo("reflect", "--file", str(file))
    assert said.code == 2 and "none.yaml" in said.sentence
