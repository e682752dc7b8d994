"""A trust domain of real SPIRE: a server and an agent as plain processes, for the scenarios of tests/trust."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from continuo.testbed.tools import Tools
from continuo.trust.ids import TrustDomain, parse_id
from continuo.trust.issuer.authority import Authority
from continuo.trust.svid import Svid
from ports import free_port

PROGRAMS = ("spire-server", "spire-agent")
TTL = 10
"""Seconds that SVIDs live; SPIRE makes new ones at half."""

SERVER = """
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{home}/server.sock"
  trust_domain = "{name}"
  data_dir = "{home}"
  log_level = "WARN"
  ca_ttl = "24h"
  agent_ttl = "1h"
  federation {{
    bundle_endpoint {{
      address = "127.0.0.1"
      port = {endpoint}
      refresh_hint = "10s"
      profile "https_spiffe" {{}}
    }}
  }}
}}
plugins {{
  DataStore "sql" {{
    plugin_data {{
      database_type = "sqlite3"
      connection_string = "{home}/server.sqlite3"
    }}
  }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  UpstreamAuthority "disk" {{
    plugin_data {{
      cert_file_path = "{home}/root.pem"
      key_file_path = "{home}/root.key"
    }}
  }}
}}
"""
AGENT = """
agent {{
  data_dir = "{home}/agent"
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{home}/agent.sock"
  trust_bundle_path = "{home}/bundle.pem"
  trust_domain = "{name}"
  log_level = "WARN"
  experimental {{
    sync_interval = "1s"
  }}
}}
plugins {{
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ directory = "{home}/agent" }} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""


class Spire:
    """One trust domain. Its authority has a root above it, whose key the scenarios have: they forge with it."""

    def __init__(self, name: str, folder: Path, tools: Tools) -> None:
        self.domain = TrustDomain(name)
        self.home = folder / name
        (self.home / "agent").mkdir(parents=True)
        self._server, self._agent = (tools.need(program) for program in PROGRAMS)
        self._port, self.endpoint = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._federated: list[str] = []
        self._root = _root(self.domain)
        self.address = f"unix://{self.home}/agent.sock"

    @property
    def id(self) -> str:
        return f"spiffe://{self.domain.name}/cp/it"

    async def start(self) -> None:
        said = {"home": self.home, "name": self.domain.name, "port": self._port, "endpoint": self.endpoint}
        (self.home / "server.conf").write_text(SERVER.format(**said))
        (self.home / "agent.conf").write_text(AGENT.format(**said))
        (self.home / "root.pem").write_bytes(self._root.certificate.public_bytes(Encoding.PEM))
        key = self._root.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.home / "root.key").write_bytes(key)
        self._run("server", self._server, "-config", self.home / "server.conf")
        await self._healthy(self._server, self.home / "server.sock")
        (self.home / "bundle.pem").write_text(await self.call("bundle", "show", "-format", "pem"))
        token = await self.call("token", "generate", "-spiffeID", self._node)
        self._run("agent", self._agent, "-config", self.home / "agent.conf", "-joinToken", token.split()[-1])
        await self._healthy(self._agent, self.home / "agent.sock")

    @property
    def _node(self) -> str:
        return f"spiffe://{self.domain.name}/node"

    def _run(self, name: str, program: Path, *arguments: Any) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            command = [str(program), "run", *map(str, arguments)]
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def _healthy(self, program: Path, path: Path) -> None:
        """Until it says so; its log when it does not within half a minute."""
        for _ in range(100):
            process = await asyncio.create_subprocess_exec(
                program, "healthcheck", "-socketPath", path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if await process.wait() == 0:
                return
            await asyncio.sleep(0.3)
        logs = "".join(file.read_text()[-2000:] for file in self.home.glob("*.log"))
        raise AssertionError(f"{program.name} of {self.domain} does not start:\n{logs}")

    async def stop(self) -> None:
        for name in ("agent", "server"):
            await self._end(name)

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)

    async def call(self, *arguments: str) -> str:
        """`spire-server ...`; what it printed."""
        process = await asyncio.create_subprocess_exec(
            self._server, *arguments, "-socketPath", self.home / "server.sock",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, error = await process.communicate()
        assert process.returncode == 0, f"spire-server {' '.join(arguments)}: {out.decode()}{error.decode()}"
        return out.decode()

    def _federates(self) -> list[str]:
        return [part for name in self._federated for part in ("-federatesWith", f"spiffe://{name}")]

    def _entry(self) -> list[str]:
        whom = ["-entryID", "it", "-parentID", self._node, "-spiffeID", self.id, "-selector", f"unix:uid:{os.getuid()}"]
        return [*whom, "-x509SVIDTTL", str(TTL), *self._federates()]

    async def grant(self) -> None:
        await self.call("entry", "create", *self._entry())

    async def withdraw(self) -> None:
        await self.call("entry", "delete", "-entryID", "it")

    async def federate(self, other: Any) -> None:
        bundle = self.home / f"{other.domain.name}.json"
        bundle.write_text(await other.call("bundle", "show", "-format", "spiffe"))
        await self.call(
            "federation", "create", "-trustDomain", other.domain.name, "-bundleEndpointProfile", "https_spiffe",
            "-bundleEndpointURL", f"https://127.0.0.1:{other.endpoint}",
            "-endpointSpiffeID", f"spiffe://{other.domain.name}/spire/server",
            "-trustDomainBundleFormat", "spiffe", "-trustDomainBundlePath", str(bundle),
        )  # fmt: skip
        self._federated.append(other.domain.name)
        await self.call("entry", "update", *self._entry())

    async def end_federation(self, other: Any) -> None:
        self._federated.remove(other.domain.name)
        await self.call("federation", "delete", "-id", other.domain.name)
        await self.call("bundle", "delete", "-id", f"spiffe://{other.domain.name}", "-mode", "dissociate")

    async def restart(self) -> None:
        """Of the agent: it is what workloads talk to. It knows its node's identity from its disk."""
        await self._end("agent")
        self._run("agent", self._agent, "-config", self.home / "agent.conf")
        await self._healthy(self._agent, self.home / "agent.sock")

    async def rotate(self) -> None:
        """SPIRE does that by itself, after half of TTL."""

    def forge(self, spiffe_id: str) -> Svid:
        return self._root.svid(parse_id(spiffe_id), datetime.now(UTC), timedelta(minutes=5))


def _root(domain: TrustDomain) -> Authority:
    """What SPIRE's own authority is signed by."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root of {domain.name}")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(domain, made, key, ec.generate_private_key(ec.SECP256R1()), now)


@asynccontextmanager
async def two_domains(folder: Path, tools: Tools) -> AsyncIterator[tuple[Spire, Spire]]:
    """Two that believe each other, and this process is a workload of both."""
    a, b = Spire("a.example", folder, tools), Spire("b.example", folder, tools)
    try:
        await asyncio.gather(a.start(), b.start())
        for place in (a, b):
            await place.grant()
        await a.federate(b)
        await b.federate(a)
        yield a, b
    finally:
        await a.stop()
        await b.stop()
