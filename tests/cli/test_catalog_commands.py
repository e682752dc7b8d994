"""The catalog as a user meets it: served by a process, spoken to by commands, fed by a cluster of the embedded engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import Answer, continuo
from continuo.kube.config import connect
from continuo.resources import kinds

OFFER = {"name": "Disks", "type": "storage", "plans": {"basic": {"cost": "3600", "resources": {"cpu": "2"}}}}


class Served:
    """A process that serves a catalog, and the commands that talk to it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def __call__(self, *arguments: str, stdin: str = "") -> Answer:
        return continuo("catalog", *arguments, "--url", self.url, stdin=stdin)

    def well(self, *arguments: str, stdin: str = "") -> str:
        answer = self(*arguments, stdin=stdin)
        assert answer.code == 0, answer.err
        return answer.out

    def member(self, name: str, role: str) -> None:
        """A new account, logged in."""
        secret = self.well("account", "add", name, "--role", role).splitlines()[-1]
        self.well("login", name, stdin=secret + "\n")


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs, and ends well when it is asked to."""
    command = [sys.executable, "-m", "continuo.cli.main", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    try:
        yield running
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    finally:
        running.kill()
        running.communicate()


def address(running: subprocess.Popen[str]) -> str:
    """Where it says that it serves."""
    assert running.stderr is not None
    for line in running.stderr:
        if found := re.search(r" on (http://\S+)$", line.strip()):
            return found[1]
    raise AssertionError("the process ended before it served")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONTINUO_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("CONTINUO_OPERATOR_TOKEN", raising=False)
    (tmp_path / "offer.json").write_text(json.dumps(OFFER), encoding="utf-8")
    return tmp_path


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    with process("catalog", "serve", "--port", "0", "--anonymous") as running:
        yield Served(address(running), home)
        assert running.poll() is None


def test_from_an_offer_to_a_bill(served: Served) -> None:
    served.member("green", "provider")
    assert served.well("publish", "disks", "-f", str(served.folder / "offer.json")) == "offer disks published\n"
    served.member("lab", "consumer")
    assert "3600 EUR/hour" in served.well("list", "--where", "price > 1 && resources.cpu >= 2")
    refused = served("buy", "disks", "none")
    assert refused.code == 2 and "has no plan none; there are basic" in refused.sentence
    contract = json.loads(served.well("buy", "disks", "basic", "--cost", "3600", "-o", "json"))[0]
    assert (contract["state"], contract["buyer"]) == ("active", "lab")
    assert f"token: {contract['id']}." in served.well("credentials", contract["id"])
    again = served("credentials", contract["id"])
    assert again.code == 1 and "were handed over before" in again.sentence
    assert f"token: {contract['id']}." in served.well("credentials", contract["id"], "--rotate")
    assert "ended by the buyer" in served.well("end", contract["id"])
    (record,) = map(json.loads, served.well("usage", "--format", "jsonl").splitlines())
    assert (record["contract"], record["amount"]) == (contract["id"], f"{float(record['seconds']):.9f}")
    assert len(served.well("usage").splitlines()) == 2
    assert served("contracts", "--operator").code == 0
    served.well("logout")
    refused = served("contracts")
    assert refused.code == 1 and "continuo catalog login" in refused.sentence


def test_keys_are_listed_and_changed(served: Served) -> None:
    served.member("green", "provider")
    before = json.loads(served.well("keys", "list", "-o", "json"))
    assert [(key["of"], key["signs"]) for key in before] == [("tokens", True), ("measurements", True)]
    assert served.well("keys", "rotate").startswith("tokens are signed with key ")
    served.well("publish", "disks", "-f", str(served.folder / "offer.json"))
    assert served.well("keys", "rotate", "--of", "measurements").startswith("measurements are signed with key ")
    after = json.loads(served.well("keys", "list", "-o", "json"))
    assert [key["signs"] for key in after if key["of"] == "tokens"] == [True, False]
    assert {key["kid"] for key in before} < {key["kid"] for key in after}
    served.well("keys", "rotate", "--drop")
    assert served("withdraw", "disks").code == 1, "its access token is of a key that is dropped"
    refused = served("keys", "rotate", "--of", "measurements", "--drop")
    assert refused.code == 2 and "--drop is for tokens" in refused.sentence


def test_a_catalog_beside_the_other_faces(home: Path) -> None:
    kubeconfig, tokens = home / "config", home / "tokens.csv"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {token: x}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n",
        encoding="utf-8",
    )
    tokens.write_text('root,ann,1,"system:masters"\nother,bob,2\n', encoding="utf-8")
    arguments = ("--port", "0", "--kubeconfig", str(kubeconfig), "--token-file", str(tokens), "--anonymous-catalog")
    storage = str(home / "catalog.sqlite")
    linked = ("--catalog", storage, "--link", str(kubeconfig))
    with process("server", *arguments, *linked) as running, pytest.MonkeyPatch.context() as patch:
        served = Served(address(running), home)
        patch.setenv("CONTINUO_OPERATOR_TOKEN", "other")
        assert served("account", "add", "green", "--role", "provider").code == 1, "bob administrates nothing"
        patch.setenv("CONTINUO_OPERATOR_TOKEN", "root")
        served.member("green", "provider")
        served.well("publish", "disks", "-f", str(home / "offer.json"))
        assert served.well("list", "-o", "name") == "offers/disks\n"
        served.member("lab", "consumer")
        bought = json.loads(served.well("buy", "disks", "basic", "-o", "json"))
        assert bought[0]["state"] == "reserved", "it waits for the cluster that --link names, which does not answer"
        busy = continuo("catalog", "serve", "--port", "0", "--storage", storage)
        assert busy.code == 1 and "another catalog uses it; stop that one first" in busy.sentence


async def sell(kubeconfig: str) -> None:
    """Three CPUs and ten pods of the cluster, as a contract would."""
    cluster = connect(Path(kubeconfig), context="one")
    try:
        labels = {"app.kubernetes.io/managed-by": "continuo"}
        hard = {"requests.cpu": "3", "pods": "10"}
        await cluster.create(kinds.NAMESPACE.new("bought"))
        await cluster.create(
            kinds.RESOURCE_QUOTA.new("plan", "bought", metadata={"labels": labels}, spec={"hard": hard})
        )
    finally:
        await cluster.close()


def test_an_offer_follows_a_cluster(served: Served) -> None:
    served.member("green", "provider")
    file = str(served.folder / "offer.json")
    wrong = served("follow", "disks", "none", "-f", file)
    assert wrong.code == 2 and "has no plan none under plans" in wrong.sentence
    up = continuo("up", "--detach", "--cluster", "one:2", "--port", "0")
    assert up.code == 0, up.err
    try:
        kubeconfig = str(served.folder / "data" / "kubeconfig")
        arguments = ("catalog", "follow", "disks", "basic", "-f", file, "--url", served.url)
        with process(*arguments, "--kubeconfig", kubeconfig, "--context", "one") as running:
            assert running.stdout is not None
            assert re.match(r"offer disks: basic has cpu=8, .*pods=220$", running.stdout.readline().strip())
            (offer,) = json.loads(served.well("list", "-o", "json"))
            assert offer["plans"][0]["resources"]["cpu"] == "8" and offer["plans"][0]["cost"] == "3600"
        with process(*arguments, "--left", "--kubeconfig", kubeconfig, "--context", "one") as running:
            assert running.stdout is not None
            assert re.match(r"offer disks: basic has cpu=8, ", running.stdout.readline())
            asyncio.run(sell(kubeconfig))
            # the cluster's own five pods run
            assert re.match(r"offer disks: basic has cpu=5, .*pods=215$", running.stdout.readline().strip())
    finally:
        assert continuo("down").code == 0
