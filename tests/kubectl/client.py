"""Runs kubectl as one user, in one namespace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 60


class Kubectl:
    """`kubectl("get", "pods")` is its output; a wrong exit code fails the test with it."""

    def __init__(self, binary: str, home: Path, namespace: str = "default") -> None:
        self.binary, self.home, self.namespace = binary, home, namespace
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "config")}
        self.env["GOGC"] = "off"  # it lives too briefly for collecting garbage to be worth anything

    def within(self, namespace: str) -> Kubectl:
        return Kubectl(self.binary, self.home, namespace)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        place = [] if {"-n", "-A"} & set(arguments) else ["-n", self.namespace]
        return [self.binary, *place, *arguments]

    def run(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments), input=stdin, text=True, capture_output=True, timeout=TIMEOUT, check=False,
            env={**self.env, **(env or {})},
        )  # fmt: skip

    def __call__(self, *arguments: str, obj: Any = None, stdin: str = "", env: dict[str, str] | None = None) -> str:
        done = self.run(*arguments, stdin=json.dumps(obj) if obj is not None else stdin, env=env)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def fails(self, *arguments: str, obj: Any = None, code: int = 1) -> str:
        done = self.run(*arguments, stdin=json.dumps(obj) if obj is not None else "")
        assert done.returncode == code, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def together(self, *lines: str) -> list[str]:
        """Independent commands at once (words are separated by spaces): starting kubectl is most of its time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda line: self(*line.split()), lines))

    @contextmanager
    def open(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on until the block ends."""
        process = subprocess.Popen(
            self._command(arguments), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)
