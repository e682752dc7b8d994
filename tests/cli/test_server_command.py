"""`continuo server` as a process: what it refuses to start with, and that it serves and ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from continuo.cli.server import server


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "needs --tls-cert and --tls-key"),
        (["--tls-cert", __file__], "belong together"),
        (["--tls-cert", __file__, "--tls-key", __file__], "are no certificate and its key"),
        (["--no-token-review"], "nobody could log in"),
        (
            ["--anonymous-catalog"],
            "--anonymous-catalog is about the catalog, and there is none: say with --catalog where",
        ),
        (["--link", __file__], "--link is about the catalog, and there is none"),
        (["--rotate-keys", "30"], "--rotate-keys is about the catalog, and there is none"),
        (["--catalog", "x.sqlite", "--link-context", "a"], "--link-context goes with --link"),
        (["--catalog", "x.sqlite", "--link", "/no/such/file"], "/no/such/file"),
        (["--catalog", "x.sqlite", "--probe-allow", "here"], "--probe-allow must be a network such as 127.0.0.0/8"),
    ],
)
def test_what_is_not_safe_does_not_start(arguments: list[str], says: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(_kubeconfig(), encoding="utf-8")
    result = CliRunner().invoke(server, [*arguments, "--kubeconfig", str(kubeconfig)])
    assert result.exit_code == 2 and says in result.output


def _kubeconfig() -> str:
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {token: x}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )


def test_it_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    kubeconfig, tokens = tmp_path / "config", tmp_path / "tokens.csv"
    kubeconfig.write_text(_kubeconfig(), encoding="utf-8")
    tokens.write_text("t1,ann,1\n", encoding="utf-8")
    command = [sys.executable, "-m", "continuo.cli.main", "server", "--port", "0", "--token-file", str(tokens)]
    process = subprocess.Popen(
        [*command, "--kubeconfig", str(kubeconfig)], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("serving the orchestrations of namespace default on http://127.0.0.1:")
        url = line.split()[-1]
        with urllib.request.urlopen(url + "/healthz", timeout=10) as answer:
            assert answer.read() == b"ok"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + "/readyz", timeout=10)
        assert refused.value.code == 503 and b"not read yet" in refused.value.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
