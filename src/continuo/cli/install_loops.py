"""The options of `continuo install` for closed loops: Kafka, backends, a Prometheus, and what all have to agree on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput
from continuo.cli.settings_options import LIMITS, variable

if TYPE_CHECKING:
    from continuo.cli.loops_manifests import Agreed, Kafka, PrometheusAt

_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
KAFKA = (
    "kafka", "kafka_prefix", "kafka_secret", "kafka_tls", "kafka_ca", "kafka_client_certificate", "kafka_sasl",
)  # fmt: skip
PROMETHEUS = ("prometheus", "prometheus_secret", "prometheus_token", "prometheus_ca")
AGREED = ("base_domain", *(option.removeprefix("--").replace("-", "_") for option, *_ in LIMITS.values()))
_OPTIONS = (
    click.option("--kafka", metavar="BROKERS", help="Events go to Kafka, too: HOST:PORT[,HOST:PORT]."),
    click.option("--kafka-prefix", default="continuo", show_default=True, help="What topics' names begin with."),
    click.option("--kafka-secret", metavar="NAME", help="The Secret with what the next options name."),
    click.option("--kafka-tls", is_flag=True, help="Speak TLS to the brokers."),
    click.option("--kafka-ca", is_flag=True, help="The Secret's `ca.crt` says who signs their certificates."),
    click.option("--kafka-client-certificate", is_flag=True, help="The Secret's `tls.crt` and `tls.key` are ours."),
    click.option("--kafka-sasl", metavar="MECHANISM", default="",
                 help="Log in with the Secret's `username` and `password`: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."),
    click.option("--backends", type=click.IntRange(0), default=0, show_default=True,
                 help="So many backends carry out what the operator decides, told through Kafka; 0: it does so itself."),
    click.option("--prometheus", metavar="URL", help="The Prometheus that policies' queries are sent to."),
    click.option("--prometheus-secret", metavar="NAME", help="The Secret with what the next options name."),
    click.option("--prometheus-token", is_flag=True, help="The Secret's `token` is a bearer token for it."),
    click.option("--prometheus-ca", is_flag=True, help="The Secret's `ca.crt` says who signs its certificate."),
    click.option("--base-domain", default="apps.continuo.local", show_default=True,
                 help="Domain of public components; told to the operator and its backends alike."),
    *(click.option(option, type=kind, default=default, show_default=True, help=told)
      for option, kind, default, told in LIMITS.values()),
)  # fmt: skip


def loops_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def kafka_of(
    *, kafka: str | None, kafka_prefix: str, kafka_secret: str | None, kafka_tls: bool, kafka_ca: bool,
    kafka_client_certificate: bool, kafka_sasl: str,
) -> Kafka | None:  # fmt: skip
    """What was asked for; None: no Kafka. Raises BadInput."""
    from continuo.cli.loops_manifests import Kafka

    named = {"--kafka-ca": kafka_ca, "--kafka-client-certificate": kafka_client_certificate, "--kafka-sasl": kafka_sasl}
    given = {**named, "--kafka-secret": kafka_secret, "--kafka-tls": kafka_tls}
    if kafka is None:
        if wrong := next((option for option, value in given.items() if value), None):
            raise BadInput(f"{wrong} is about Kafka: name the brokers with --kafka HOST:PORT, or leave it out")
        return None
    _secret("--kafka-secret", kafka_secret, named)
    found = Kafka(kafka, kafka_prefix, kafka_secret or "", kafka_tls, kafka_ca, kafka_client_certificate, kafka_sasl)
    _would_work(found)
    return found


def _would_work(kafka: Kafka) -> None:
    """Whether the processes would take it, as far as that can be said without the Secret."""
    from pathlib import Path

    from continuo.events.kafka_settings import KafkaSettings, Topics
    from continuo.resources.errors import BadRequest

    here = Path("/kafka")
    try:
        KafkaSettings(
            tuple(part.strip() for part in kafka.brokers.split(",") if part.strip()), Topics(kafka.prefix),
            tls=kafka.tls, ca=here if kafka.ca else None, certificate=here if kafka.client_certificate else None,
            key=here if kafka.client_certificate else None, mechanism=kafka.sasl,
            username="told by the Secret" if kafka.sasl else "", password_file=here if kafka.sasl else None,
        )  # fmt: skip
    except BadRequest as error:
        raise BadInput(str(error)) from error


def prometheus_of(
    *, prometheus: str | None, prometheus_secret: str | None, prometheus_token: bool, prometheus_ca: bool
) -> PrometheusAt | None:
    """What was asked for; None: no Prometheus. Raises BadInput."""
    from continuo.cli.loops_manifests import PrometheusAt

    named = {"--prometheus-token": prometheus_token, "--prometheus-ca": prometheus_ca}
    if prometheus is None:
        given = {**named, "--prometheus-secret": prometheus_secret}
        if wrong := next((option for option, value in given.items() if value), None):
            raise BadInput(f"{wrong} is about a Prometheus: name it with --prometheus URL, or leave it out")
        return None
    if not re.match(r"https?://[^\s/?#]+[^\s?#]*\Z", prometheus):
        raise BadInput(f"--prometheus is {prometheus!r}; it looks like https://prometheus.monitoring.svc:9090")
    _secret("--prometheus-secret", prometheus_secret, named)
    return PrometheusAt(prometheus, prometheus_secret or "", prometheus_token, prometheus_ca)


def _secret(option: str, name: str | None, named: dict[str, Any]) -> None:
    used = next((other for other, value in named.items() if value), None)
    if used and not name:
        raise BadInput(f"{used} reads a Secret: name it with {option}")
    if name and not used:
        raise BadInput(f"nothing is read of the Secret {name}: say what with one of {', '.join(named)}")
    if name and not _SECRET.match(name):
        raise BadInput(f"{option} is {name!r}; it is the name of a Secret")


def agreed_of(*, base_domain: str, **limits: Any) -> Agreed:
    """What all processes are told alike. Raises BadInput."""
    from continuo.cli.loops_manifests import Agreed

    if not _DOMAIN.match(base_domain):
        raise BadInput(f"--base-domain is {base_domain!r}; it looks like apps.example.org")
    changed = [
        (variable(option), str(limits[option.removeprefix("--").replace("-", "_")]))
        for option, _, default, _ in LIMITS.values()
        if limits[option.removeprefix("--").replace("-", "_")] != default
    ]
    return Agreed(base_domain, tuple(changed))
