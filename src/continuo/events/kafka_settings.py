"""How to reach Kafka, and what its topics are called: everything that an owner decides, with a default for each."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continuo.resources.errors import BadRequest

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:,\[\]]+):(\d{1,5})")
_DAY = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics."""

    prefix: str = "continuo"

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix) or len(self.prefix) > 200:
            raise BadRequest(
                f"{self.prefix!r} cannot begin the name of a topic: take letters, digits, dashes and single dots"
            )

    @property
    def tasks(self) -> str:
        """Life cycles of tasks, and what backends answer."""
        return f"{self.prefix}.tasks.v1"

    @property
    def state(self) -> str:
        """The last event of each cluster, package, link, application and component; compacted."""
        return f"{self.prefix}.state.v1"

    @property
    def decisions(self) -> str:
        """What loops and schedulers decided."""
        return f"{self.prefix}.decisions.v1"

    @property
    def commands(self) -> str:
        """What is to be done: steps for backends, and what others ask for."""
        return f"{self.prefix}.commands.v1"

    @property
    def dlq(self) -> str:
        """What could not be read or was refused, with the reason."""
        return f"{self.prefix}.dlq.v1"

    def configs(self) -> dict[str, dict[str, str]]:
        """What each topic is created with."""

        def kept(days: int) -> dict[str, str]:
            return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY)}

        return {
            self.tasks: kept(7),
            self.state: {"cleanup.policy": "compact"},
            self.decisions: kept(30),
            self.commands: kept(1),
            self.dlq: kept(30),
        }


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """One Kafka cluster, seen by one process. Raises BadRequest with a sentence for what cannot be."""

    brokers: tuple[str, ...]
    """HOST:PORT of some of the brokers; the others are learned from them."""
    topics: Topics = field(default_factory=Topics)
    client_id: str = "continuo"
    structured: bool = False
    """Events as one JSON value each, instead of attributes in headers."""
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    mechanism: str = ""
    """One of MECHANISMS; empty: no login."""
    username: str = ""
    password_file: Path | None = None
    partitions: int = 6
    """Of topics that are made: so many backends can share the work."""
    timeout: float = 10.0
    """Seconds for one request, and for one batch of events to be safe."""
    session: float = 10.0
    """Seconds after which a reader that fell silent is gone, and others get what it had."""

    def __post_init__(self) -> None:
        for broker in self.brokers or ("",):
            found = _BROKER.fullmatch(broker)
            if found is None or not 0 < int(found[2]) < 65536:
                raise BadRequest(f"{broker!r} is no address of a Kafka broker: write HOST:PORT, such as kafka:9092")
        self._check_login()
        if not self.tls and (self.ca or self.certificate or self.key):
            raise BadRequest("certificates were given for Kafka without TLS: ask for TLS, too")
        if bool(self.certificate) != bool(self.key):
            raise BadRequest("a client certificate for Kafka needs both files: the certificate and its key")

    def _check_login(self) -> None:
        if not self.mechanism:
            if self.username or self.password_file:
                raise BadRequest(f"a login to Kafka needs a mechanism: {', '.join(MECHANISMS)}")
            return
        if self.mechanism not in MECHANISMS:
            raise BadRequest(f"{self.mechanism!r} is no mechanism of logging in to Kafka here: {', '.join(MECHANISMS)}")
        if not self.username or self.password_file is None:
            raise BadRequest(f"{self.mechanism} needs a user name and a file with the password")
        if self.mechanism == "PLAIN" and not self.tls:
            raise BadRequest("PLAIN shows the password to everybody on the way: use TLS, or SCRAM-SHA-512")

    @property
    def where(self) -> str:
        """The brokers, for sentences."""
        return ", ".join(self.brokers)

    def options(self) -> dict[str, Any]:
        """Arguments that all of aiokafka's clients take. Reads files, so that what was rotated is read anew.

        Raises BadRequest when a file cannot be read or used.
        """
        found: dict[str, Any] = {
            "bootstrap_servers": list(self.brokers),
            "client_id": self.client_id,
            "request_timeout_ms": int(self.timeout * 1000),
            "security_protocol": ("SASL_" if self.mechanism else "") + ("SSL" if self.tls else "PLAINTEXT"),
        }
        if self.tls:
            found["ssl_context"] = self._context()
        if self.mechanism:
            found |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self._password(),
            }
        return found

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate and self.key:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.ca, self.certificate, self.key) if path)
            raise BadRequest(f"Kafka's certificates ({files}) cannot be used: {error}") from None
        return context

    def _password(self) -> str:
        assert self.password_file is not None
        try:
            password = self.password_file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"{self.password_file}, the password for Kafka, cannot be read: {error}") from None
        if not password:
            raise BadRequest(f"{self.password_file}, the password for Kafka, is empty")
        return password
