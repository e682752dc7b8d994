"""Where kubectl comes from: the PATH, our cache, or (when asked) the Go module proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "v0.32.2"
CACHE = Path("~/.cache/continuo/bin/kubectl").expanduser()
_MAIN = """package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() { util.CheckErr(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand())) }
"""


def find() -> str | None:
    """The kubectl to test with; None when there is none and none was asked to be built."""
    found = shutil.which("kubectl") or (str(CACHE) if CACHE.exists() else None)
    if (
        found is None
        and shutil.which("go")
        and (os.environ.get("CONTINUO_BUILD_KUBECTL") == "1" or os.environ.get("CI"))
    ):
        found = _build()
    return found


def _build() -> str:
    print(f"there is no kubectl: building {VERSION} into {CACHE}; this takes some minutes, once", file=sys.stderr)
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.go").write_text(_MAIN, encoding="utf-8")
        for command in (
            ("go", "mod", "init", "kubectl"),
            ("go", "get", f"k8s.io/kubectl@{VERSION}", f"k8s.io/component-base@{VERSION}"),
            ("go", "mod", "tidy"),
            ("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "kubectl", "."),
        ):
            subprocess.run(command, cwd=folder, check=True, env={**os.environ, "CGO_ENABLED": "0"})
        shutil.move(str(Path(folder, "kubectl")), CACHE)
    return str(CACHE)
