"""What closed loops need of an installation: Kafka, a Prometheus, backends, and what all of them have to agree on. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from continuo.cli.settings_options import BASE_DOMAIN
from continuo.resources.meta import Object

KAFKA, PROMETHEUS = "/kafka", "/prometheus"
"""Where their Secrets are mounted."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """How Kafka is reached; what is secret of that is in one Secret."""

    brokers: str
    """HOST:PORT[,HOST:PORT]."""
    prefix: str = "continuo"
    secret: str = ""
    """Its keys are read by what follows."""
    tls: bool = False
    ca: bool = False
    """`ca.crt`: who signs the brokers' certificates."""
    client_certificate: bool = False
    """`tls.crt` and `tls.key`: ours."""
    sasl: str = ""
    """The mechanism; `username` and `password`."""


@dataclass(frozen=True, slots=True)
class PrometheusAt:
    """The Prometheus that policies' queries are sent to."""

    url: str
    secret: str = ""
    token: bool = False
    """`token`: a bearer token."""
    ca: bool = False
    """`ca.crt`: who signs its certificate."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What has to be the same for all processes of an installation."""

    base_domain: str = "apps.continuo.local"
    limits: tuple[tuple[str, str], ...] = ()
    """Environment variables of the guards' limits, those that are not the defaults."""

    def rendering(self) -> list[Object]:
        """For whoever derives writes: the operator, and backends."""
        return [_plain(BASE_DOMAIN, self.base_domain)]

    def guarding(self) -> list[Object]:
        """For whoever judges decisions: the operator, and the server."""
        return [_plain(name, value) for name, value in self.limits]


def kafka_env(kafka: Kafka | None) -> list[Object]:
    """How a container is told of Kafka."""
    if kafka is None:
        return []
    found = [_plain("CONTINUO_KAFKA", kafka.brokers), _plain("CONTINUO_KAFKA_PREFIX", kafka.prefix)]
    if kafka.tls:
        found.append(_plain("CONTINUO_KAFKA_TLS", "true"))
    if kafka.ca:
        found.append(_plain("CONTINUO_KAFKA_CA", f"{KAFKA}/ca.crt"))
    if kafka.client_certificate:
        found.append(_plain("CONTINUO_KAFKA_CERTIFICATE", f"{KAFKA}/tls.crt"))
        found.append(_plain("CONTINUO_KAFKA_KEY", f"{KAFKA}/tls.key"))
    if kafka.sasl:
        found.append(_plain("CONTINUO_KAFKA_SASL", kafka.sasl))
        user = {"secretKeyRef": {"name": kafka.secret, "key": "username"}}
        found.append({"name": "CONTINUO_KAFKA_USER", "valueFrom": user})
        found.append(_plain("CONTINUO_KAFKA_PASSWORD_FILE", f"{KAFKA}/password"))
    return found


def prometheus_env(prometheus: PrometheusAt | None) -> list[Object]:
    """How the operator is told of its Prometheus."""
    if prometheus is None:
        return []
    found = [_plain("CONTINUO_PROMETHEUS", prometheus.url)]
    if prometheus.token:
        found.append(_plain("CONTINUO_PROMETHEUS_TOKEN_FILE", f"{PROMETHEUS}/token"))
    if prometheus.ca:
        found.append(_plain("CONTINUO_PROMETHEUS_CA_FILE", f"{PROMETHEUS}/ca.crt"))
    return found


def with_secrets(container: Object, of: dict[str, str]) -> tuple[Object, list[Object]]:
    """A container with Secrets mounted, by folder, and the volumes for that; those without a name are left out."""
    used = {path: secret for path, secret in of.items() if secret}
    if not used:
        return container, []
    mounts = [{"name": path[1:], "mountPath": path, "readOnly": True} for path in used]
    volumes: list[Object] = [{"name": path[1:], "secret": {"secretName": secret}} for path, secret in used.items()]
    return {**container, "volumeMounts": mounts}, volumes


def _plain(name: str, value: str) -> Object:
    return {"name": name, "value": value}
