"""mosquitto with TLS on a port of its own, whose certificate is an SVID; where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from continuo.edge.mqtt.address import Address
from continuo.trust.holder import Holder


def where() -> str | None:
    """The program; Debian has it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """It runs; what it has to say is in its log."""

    def __init__(self, folder: Path, port: int, process: asyncio.subprocess.Process) -> None:
        self._folder, self._process = folder, process
        self.address = Address("127.0.0.1", port, tls=True)

    def show(self, identity: Holder) -> None:
        """From now on its certificate is this one's, as a helper would write it after a rotation."""
        write(self._folder, identity)
        self._process.send_signal(signal.SIGHUP)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8")


def write(folder: Path, identity: Holder) -> None:
    """SVID, key and authorities of the own trust domain as files."""
    svid = identity.svid
    pem = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in svid.chain)
    (folder / "svid.pem").write_bytes(pem)
    (folder / "svid.key").write_bytes(svid.key)
    own = identity.bundles.x509[identity.spiffe_id.trust_domain]
    roots = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in sorted(own)]
    (folder / "bundle.pem").write_bytes(b"".join(roots))


def configured(folder: Path, identity: Holder, more: tuple[str, ...]) -> int:
    """All its files, and the port in them."""
    folder.mkdir(exist_ok=True)
    write(folder, identity)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    lines = [
        f"listener {port} 127.0.0.1", f"cafile {folder}/bundle.pem", f"certfile {folder}/svid.pem",
        f"keyfile {folder}/svid.key", "require_certificate true", "persistence false", f"log_dest file {folder}/log",
        "log_type all", *(more or ("allow_anonymous true",)), *(["user root"] if folder.owner() == "root" else []),
    ]  # fmt: skip
    (folder / "conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return port


@contextlib.asynccontextmanager
async def running(folder: Path, identity: Holder, *more: str) -> AsyncIterator[Mosquitto]:
    """A broker that asks its clients for SVIDs of its trust domain."""
    program = where()
    assert program is not None
    port = configured(folder, identity, more)
    process = await asyncio.create_subprocess_exec(program, "-c", str(folder / "conf"))
    try:
        await _listens(port)
        yield Mosquitto(folder, port, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)  # nothing tells when another process listens
                continue
            writer.close()
            return
