"""One etcd for all clusters of a bed; each has its own prefix in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed import flags
from continuo.testbed.credentials import Credentials
from continuo.testbed.flags import LOOPBACK, Tls
from continuo.testbed.pki import Subject
from continuo.testbed.processes import STORES, Crew
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import until

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Etcd:
    """A running etcd: an address for each network that reaches it, and what a client needs."""

    urls: tuple[str, ...]
    client: Tls

    @classmethod
    async def start(
        cls, folder: Path, crew: Crew, tools: Tools, ports: tuple[int, int], hosts: Sequence[str] = (LOOPBACK,)
    ) -> Etcd:
        """Start it on these hosts; `ports` are for clients and for itself. Its data stays in the folder."""
        credentials = Credentials.open("etcd", folder / "pki", "")
        authority = credentials.authority
        server = authority.files("server", Subject("etcd", hosts=("localhost", *hosts)))
        client = authority.files("client", Subject("kube-apiserver"))
        urls = tuple(f"https://{host}:{ports[0]}" for host in hosts)
        argv = flags.etcd(
            tools.need("etcd"), folder / "data", urls, f"https://{LOOPBACK}:{ports[1]}",
            Tls(*server, authority.certificate_file),
        )  # fmt: skip

        async def listening() -> str | None:
            try:
                _, writer = await asyncio.open_connection(hosts[0], ports[0])
            except OSError as error:
                return str(error.strerror or error)
            writer.close()
            return None

        await crew.start(
            "etcd", argv, log_file=folder / "etcd.log", rank=STORES,
            ready=lambda: until(listening, "etcd", READY_SECONDS),
        )  # fmt: skip
        return cls(urls, Tls(*client, authority.certificate_file))
