"""One real Kafka broker, controller in the same process (KRaft), on ports of its own: plain, and with TLS and logins."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from continuo.testbed.credentials import Credentials
from continuo.testbed.pki import Subject
from continuo.testbed.tools import Tools

PROGRAMS = ("java", "kafka-server", "kafka-storage")
USER, PASSWORD = "alice", "alice-s-password"
SECONDS = 90.0

CONFIG = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config={plain_login} required user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
log.dirs={data}
num.partitions=3
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
"""


class RealBroker:
    """Kafka as it is."""

    shares = True

    def __init__(self, folder: Path, tools: Tools) -> None:
        self._folder, self._tools = folder, tools
        self._environment = {"PATH": tools.path, "HOME": str(folder)}
        plain, secure, controller = _ports(3)
        self.address, self.secure = f"127.0.0.1:{plain}", f"127.0.0.1:{secure}"
        authority = Credentials.open("kafka", folder / "pki", "").authority
        certificate, key = authority.files("server", Subject("kafka", hosts=("localhost", "127.0.0.1")))
        self.ca = authority.certificate_file
        keystore = folder / "keystore.pem"
        keystore.write_bytes(_pkcs8(key) + certificate.read_bytes())
        self._config = folder / "server.properties"
        self._config.write_text(
            CONFIG.format(
                plain=plain, secure=secure, controller=controller, keystore=keystore, data=folder / "data",
                user=USER, password=PASSWORD, plain_login="org.apache.kafka.common.security.plain.PlainLoginModule",
            )
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        command = ["format", "-t", "Y29udGludW8tdGVzdHM", "-c", str(self._config), "--add-scram", scram]
        subprocess.run(
            [str(tools.need("kafka-storage")), *command], check=True, env=self._environment, capture_output=True,
            timeout=SECONDS,
        )  # fmt: skip

    def prepare(self, topics: Iterable[str]) -> None:
        """Whoever uses them makes them."""

    async def down(self) -> None:
        await asyncio.to_thread(self.stop)

    async def up(self) -> None:
        self.spawn()
        await asyncio.to_thread(self.wait)

    def ensure_up(self) -> None:
        """Whoever took it down may have left it there."""
        if self._process is None or self._process.poll() is not None:
            self.spawn()
            self.wait()

    def spawn(self) -> None:
        """Start it; from the main thread, since it ends with the thread that started it."""
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, str(self._tools.need("kafka-server")), str(self._config)], env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait(self) -> None:
        """Return when it takes connections."""
        assert self._process is not None
        until = time.monotonic() + SECONDS
        while not _answers(self.address):
            assert self._process.poll() is None and time.monotonic() < until, self.tail()
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it: what it confirmed is on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)

    def tail(self) -> str:
        return "\n".join((self._folder / "kafka.log").read_text(errors="replace").splitlines()[-12:])


@contextmanager
def real_broker(folder: Path, tools: Tools) -> Iterator[RealBroker]:
    """It answers."""
    broker = RealBroker(folder, tools)
    try:
        broker.ensure_up()
        yield broker
    finally:
        broker.stop()


def _pkcs8(key: Path) -> bytes:
    """The one form of private keys that Java reads."""
    loaded = load_pem_private_key(key.read_bytes(), None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _ports(count: int) -> list[int]:
    with ExitStack() as open_ones:
        probes = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
