"""The Prometheus that loops may query: `--prometheus` and what it needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.orchestrator.loops.figures_prometheus import Prometheus

_F = TypeVar("_F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OPTIONS = (
    click.option("--prometheus", metavar="URL", envvar="CONTINUO_PROMETHEUS",
                 help="The Prometheus that policies' queries are sent to."),
    click.option("--prometheus-token-file", type=_FILE, envvar="CONTINUO_PROMETHEUS_TOKEN_FILE",
                 help="A bearer token for it; read anew for each query."),
    click.option("--prometheus-ca-file", type=_FILE, envvar="CONTINUO_PROMETHEUS_CA_FILE",
                 help="Certificates that its certificate is checked with."),
)  # fmt: skip


def prometheus_options(command: _F) -> _F:
    """Adds the options to a command, which gets `prometheus`: whom to query, or None."""

    @functools.wraps(command)
    def with_prometheus(
        *args: Any,
        prometheus: str | None,
        prometheus_token_file: Path | None,
        prometheus_ca_file: Path | None,
        **kwargs: Any,
    ) -> Any:
        found = _prometheus(prometheus, prometheus_token_file, prometheus_ca_file)
        return command(*args, prometheus=found, **kwargs)

    wrapped: Any = with_prometheus
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _prometheus(url: str | None, token_file: Path | None, ca_file: Path | None) -> Prometheus | None:
    if url is None:
        if token_file is not None or ca_file is not None:
            raise BadInput("--prometheus-token-file and --prometheus-ca-file need --prometheus URL")
        return None
    from continuo.orchestrator.loops.figures_prometheus import Prometheus

    try:
        return Prometheus(url, token_file=token_file, ca_file=ca_file)
    except ValueError as error:
        raise BadInput(str(error)) from None
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(f"--prometheus-ca-file {ca_file} holds no certificates: {error}") from None
