"""Container images of our own, made from scratch: one static program and links to it, as an OCI archive.

No registry is asked and no build tool is needed: an image is a tar file of a tar file and three JSON documents.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REGISTRY = "localhost"
TAG = "1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SHELL = (
    "sh", "cat", "date", "echo", "env", "false", "grep", "head", "hostname", "ip", "kill", "ls", "mkdir", "nc",
    "netstat", "nslookup", "ping", "ps", "rm", "sed", "seq", "tail", "test", "time", "touch", "true", "wc", "wget",
)  # fmt: skip
_OWN = ("pause", "httpbin", "curl", "sleep", "stream", "source", "capture")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name and what it runs."""

    name: str
    entrypoint: tuple[str, ...]
    port: int | None = None
    registry: str = REGISTRY
    tag: str = TAG
    environment: tuple[str, ...] = ("PATH=/bin",)
    user: str = ""
    """`UID:GID`; root where empty."""

    @property
    def reference(self) -> str:
        """How a pod names it. The tag is not `latest`, so nobody tries to pull it."""
        return f"{self.registry}/{self.name}:{self.tag}"


IMAGES = (
    Image("pause", ("/bin/pause",)),
    Image("httpbin", ("/bin/httpbin",), 80),
    Image("sleep", ("/bin/sleep", "infinity")),
    Image("stream", ("/bin/stream",), 1935),
    Image("source", ("/bin/source",)),
    Image("capture", ("/bin/capture",), 8080),
)
PAUSE = IMAGES[0]


def write_archive(
    path: Path, program: Path, busybox: Path | None = None, images: Sequence[Image] = IMAGES,
    links: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write all images as one OCI archive; a shell comes with them where there is a busybox.

    `links` are more symbolic links, by the path in the image: to programs that the node mounts into every container.
    """
    write_images(path, images, _layer(program.read_bytes(), busybox.read_bytes() if busybox else None, links or {}))


def write_images(path: Path, images: Sequence[Image], layer: bytes) -> None:
    """Write images that differ in what they run, over one layer (a tar file), as an OCI archive."""
    blobs: dict[str, bytes] = {}
    entries = [_entry(image, layer, blobs) for image in images]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    temporary = path.with_name(f".{path.name}.new")
    with tarfile.open(temporary, "w") as archive:
        _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(archive, "index.json", json.dumps(index).encode())
        for digest, content in {**blobs, _digest(layer): layer}.items():
            _add(archive, f"blobs/sha256/{digest}", content)
    temporary.replace(path)


def _entry(image: Image, layer: bytes, blobs: dict[str, bytes]) -> Mapping[str, object]:
    config: dict[str, object] = {
        "Entrypoint": list(image.entrypoint),
        "Env": list(image.environment),
        "WorkingDir": "/",
    }
    if image.user:
        config["User"] = image.user
    if image.port:
        config["ExposedPorts"] = {f"{image.port}/tcp": {}}
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    described = _blob(blobs, {
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
    }, "application/vnd.oci.image.config.v1+json")  # fmt: skip
    layers = [_descriptor(layer, "application/vnd.oci.image.layer.v1.tar")]
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": layers}
    names = {"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.tag}
    return {**_blob(blobs, manifest, kind), "annotations": names}


def _layer(program: bytes, busybox: bytes | None, links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("usr", 0o755), ("usr/bin", 0o755)):
            _add(layer, folder, None, mode)
        _add(layer, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        _add(layer, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        _add(layer, "bin/continuo-images", program, 0o755)
        for name in _OWN:
            _link(layer, f"bin/{name}", "continuo-images")
        if busybox is not None:
            _add(layer, "bin/busybox", busybox, 0o755)
            for name in _SHELL:
                _link(layer, f"bin/{name}", "busybox")
        for name, target in links.items():
            _link(layer, name.lstrip("/"), target)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)  # its times are zero: the same content makes the same image
    entry.mode = mode
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        return
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _blob(blobs: dict[str, bytes], document: object, kind: str) -> dict[str, object]:
    content = json.dumps(document, sort_keys=True).encode()
    blobs[_digest(content)] = content
    return _descriptor(content, kind)


def _descriptor(content: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{_digest(content)}", "size": len(content)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
