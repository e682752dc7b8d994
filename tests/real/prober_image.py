"""Continuo's own image, made of what this machine has installed: `continuo:VERSION` without a registry or a build tool.

It holds this Python with its standard library, the packages that Continuo cannot do without, and the libraries that they are
linked with.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

import continuo
from continuo.orchestrator.measuring.manifests import own_image
from continuo.testbed.containers import ContainerNode
from continuo.testbed.images import Image, write_images
from continuo.testbed.nodefiles import SOCKET
from continuo.testbed.tools import Tools

_PACKAGES = "/srv/continuo"
"""Not where the image of a release has them: nodes with Liqo mount its programs over that."""
_LEFT_OUT = shutil.ignore_patterns(
    "test",
    "tests",
    "site-packages",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "config-*",
    "_tkinter*",
)
_LIBRARY = re.compile(r"(/\S+) \(0x")


def write(folder: Path) -> Path:
    """The image as an archive in that folder."""
    root = folder / "root"
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}").resolve()
    standard, packages = Path(sysconfig.get_path("stdlib")), _inside(root, Path(_PACKAGES))
    shutil.copytree(standard, _inside(root, standard), ignore=_LEFT_OUT)
    for distribution in _needed("continuo"):
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix not in (".pth", ".pyc"):
                _copy(Path(str(distribution.locate_file(file))), packages / file)
    ours = Path(continuo.__file__).parent
    shutil.copytree(ours, packages / "continuo", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for linked in (python, *_libraries([python, *root.rglob("*.so")])):
        _copy(linked, _inside(root, linked))
    _compile(root, packages)
    name, _, tag = own_image().partition(":")
    image = Image(
        name, (str(python), "-m", "continuo.cli.main"), registry="docker.io/library", tag=tag, user="65532:65532",
        environment=(f"PYTHONPATH={_PACKAGES}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"),
    )  # fmt: skip
    archive = folder / "continuo.tar"
    write_images(archive, (image,), _layer(root))
    shutil.rmtree(root)
    return archive


async def load(archive: Path, node: ContainerNode, tools: Tools) -> None:
    """Put the image where the node's kubelet finds it."""
    ctr = (str(tools.need("ctr")), "--address", SOCKET, "-n", "k8s.io", "images", "import")
    await node.command(*ctr, "--snapshotter", node.facts.snapshotter, str(archive), timeout=300)


def _needed(name: str) -> Iterable[importlib.metadata.Distribution]:
    """A distribution and all that it requires, without extras."""
    found: dict[str, importlib.metadata.Distribution] = {}
    names = [name]
    while names:
        distribution = importlib.metadata.distribution(names.pop())
        if found.setdefault(distribution.name, distribution) is distribution:
            asked = map(Requirement, distribution.requires or ())
            names += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found.values()


def _libraries(files: Iterable[Path]) -> Iterator[Path]:
    """What programs and extension modules are linked with, the loader among them, by the names that they look for."""
    names = [str(file) for file in files]
    said = subprocess.run(["ldd", *names], check=True, capture_output=True, text=True).stdout
    return (Path(path) for path in dict.fromkeys(_LIBRARY.findall(said)) if path not in names)


def _compile(root: Path, packages: Path) -> None:
    """As an installer does: a pod's root is read-only, and half a CPU takes long to compile at every start."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/", str(packages)]
    subprocess.run(command, check=True, env=environment)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, to)


def _layer(root: Path) -> bytes:
    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mode |= 0o555 if entry.isdir() else 0o444
        return entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for path in sorted(root.iterdir()):
            layer.add(path, path.name, filter=plain)
    return buffer.getvalue()
