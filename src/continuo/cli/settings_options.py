"""What an operator's owner decides once for all orchestrations, as options: the same ones for whoever has to agree on them.

Operator and backends derive the same writes each for itself, and server and operator judge the same decisions. So what they
have to agree on is declared here alone, and each option has an environment variable, by which an installation tells all of
them the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
BASE_DOMAIN = "CONTINUO_BASE_DOMAIN"
PROBER_IMAGE = "CONTINUO_PROBER_IMAGE"
"""The image of what the operator places on clusters that may not have the default one: an installation tells its own."""
_RENDERING = (
    click.option("--base-domain", default="apps.continuo.local", show_default=True, envvar=BASE_DOMAIN,
                 help="Domain of public components; the same for the operator and its backends."),
)  # fmt: skip
LIMITS: dict[str, tuple[str, click.ParamType[Any], object, str]] = {
    "moved_share": ("--max-moved-share", click.FloatRange(0, 1), 0.25,
                    "Share of an orchestration's components that schedulers may move in an hour."),
    "moves_at_least": ("--max-moves-small", click.IntRange(0), 4,
                       "So many they may move in an hour, however few components there are."),
    "created_per_hour": ("--max-creations-per-hour", click.IntRange(0), 4, "Clusters that they may create in an hour."),
    "deleted_per_hour": ("--max-deletions-per-hour", click.IntRange(0), 1, "Clusters that they may delete in an hour."),
    "on_demand": ("--max-on-demand-clusters", click.IntRange(0), 16, "Clusters at a time that nobody declared."),
    "links": ("--max-links", click.IntRange(0), 128, "Links of an orchestration."),
    "workers": ("--max-workers", click.IntRange(0), 50, "Workers of a cluster, where no policy says more or less."),
}  # fmt: skip
"""Fields of the guards' limits that operator and server have to agree on: option, type, default, help."""
_OF_REQUESTS: dict[str, tuple[str, click.ParamType[Any], object, str]] = {
    "decisions_per_minute": ("--max-decisions-per-minute", click.IntRange(1), 60, "Decisions of one scheduler."),
    "actions": ("--max-actions", click.IntRange(1, 256), 64, "Actions of one decision."),
    "longest_ttl": ("--max-decision-ttl", click.IntRange(1), 3600, "Seconds that a decision may wait."),
}


def variable(option: str) -> str:
    """The environment variable of an option: `--max-links` is CONTINUO_MAX_LINKS."""
    return "CONTINUO_" + option.removeprefix("--").replace("-", "_").upper()


def rendering_options(command: _F) -> _F:
    """Adds what decides how things are written, as one argument `settings`."""

    @functools.wraps(command)
    def with_settings(*args: Any, base_domain: str, **kwargs: Any) -> Any:
        from continuo.orchestrator.settings import Settings

        return command(*args, settings=Settings(base_domain=base_domain), **kwargs)

    return _with(with_settings, _RENDERING)  # type: ignore[no-any-return]


def guard_options(*, requests: bool = False) -> Callable[[_F], _F]:
    """Adds the guards' limits, as one argument `limits`; with those of single `requests` for who takes them in."""
    known = {**LIMITS, **(_OF_REQUESTS if requests else {})}

    def decorate(command: _F) -> _F:
        @functools.wraps(command)
        def with_limits(*args: Any, **kwargs: Any) -> Any:
            from continuo.placement.guards import Limits

            given = {field: kwargs.pop(_argument(known[field][0])) for field in known}
            return command(*args, limits=Limits(**given), **kwargs)

        options = [
            click.option(option, type=kind, default=default, show_default=True, envvar=variable(option), help=told)
            for option, kind, default, told in known.values()
        ]
        return _with(with_limits, options)  # type: ignore[no-any-return]

    return decorate


def _argument(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _with(command: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command
