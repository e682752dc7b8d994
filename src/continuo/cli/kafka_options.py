"""The options by which commands reach Kafka, the same for all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput, Failed
from continuo.cli.settings_options import variable

if TYPE_CHECKING:
    from continuo.events.kafka_settings import KafkaSettings

_FILE = click.Path(path_type=Path, dir_okay=False)


def _option(name: str, **more: Any) -> Callable[[Any], Any]:
    """An option that may be given by its environment variable, too: installations tell all processes the same."""
    return click.option(name, envvar=variable(name), **more)


_OPTIONS = (
    _option("--kafka", metavar="BROKERS", help="Kafka's brokers: HOST:PORT[,HOST:PORT]."),
    _option("--kafka-prefix", default="continuo", show_default=True, help="What topics' names begin with."),
    _option("--kafka-tls", is_flag=True, help="Speak TLS to the brokers."),
    _option("--kafka-ca", type=_FILE, help="Who signs the brokers' certificates; the system's, if not given."),
    _option("--kafka-certificate", type=_FILE, help="Our certificate, where brokers ask for one."),
    _option("--kafka-key", type=_FILE, help="Its key."),
    _option("--kafka-sasl", metavar="MECHANISM", default="", help="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."),
    _option("--kafka-user", default="", help="Who logs in."),
    _option("--kafka-password-file", type=_FILE, help="A file that holds the password."),
    _option(
        "--kafka-timeout",
        type=click.FloatRange(0.5, 300),
        default=10.0,
        show_default=True,
        help="Seconds for a request, and for a batch of events to be safe.",
    ),
    _option(
        "--kafka-session",
        type=click.FloatRange(1, 300),
        default=10.0,
        show_default=True,
        help="Seconds after which a process that fell silent is gone, and others get its messages.",
    ),
    _option("--kafka-structured", is_flag=True, help="Events as one JSON value, not as headers and data."),
)

_FIELDS = {
    "tls": "tls", "ca": "ca", "certificate": "certificate", "key": "key", "sasl": "mechanism", "user": "username",
    "password_file": "password_file", "timeout": "timeout", "session": "session", "structured": "structured",
}  # fmt: skip
"""Fields of the settings, by option."""


def kafka_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all of them, as one argument `kafka`: the settings, or None where no brokers are named."""

    @functools.wraps(command)
    def with_settings(*args: Any, **kwargs: Any) -> None:
        said = {name: kwargs.pop(name) for name in ("kafka", "kafka_prefix", *(f"kafka_{name}" for name in _FIELDS))}
        command(*args, **kwargs, kafka=_settings(**said))

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _settings(*, kafka: str | None, kafka_prefix: str, **said: Any) -> KafkaSettings | None:
    from continuo.events.kafka_settings import KafkaSettings, Topics
    from continuo.resources.errors import BadRequest

    if kafka is None:
        return None
    try:
        import aiokafka  # noqa: F401
    except ModuleNotFoundError as error:
        raise Failed(
            f"Kafka needs the Python package {error.name}; install it with: pip install 'continuo[kafka]'"
        ) from error
    brokers = tuple(broker.strip() for broker in kafka.split(",") if broker.strip())
    try:
        settings = KafkaSettings(
            brokers, Topics(kafka_prefix), **{field: said[f"kafka_{option}"] for option, field in _FIELDS.items()}
        )
        settings.options()  # files that cannot be used are said now, not in an hour
    except BadRequest as error:
        raise BadInput(str(error)) from error
    return settings
