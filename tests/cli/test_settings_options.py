"""What operator, backends and server have to agree on is the same option, and the same variable, of all of them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from continuo.cli.backend import backend
from continuo.cli.operator import operator
from continuo.cli.server import server
from continuo.cli.settings_options import LIMITS, guard_options, rendering_options
from continuo.orchestrator.settings import Settings
from continuo.placement.guards import Limits


@click.command()
@rendering_options
@guard_options(requests=True)
def both(settings: Settings, limits: Limits) -> None:
    click.echo(f"{settings.base_domain} {limits}")


def said(*arguments: str, **env: str) -> str:
    result = CliRunner().invoke(both, arguments, env=env)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_the_defaults_are_those_of_the_guards() -> None:
    assert said() == f"{Settings().base_domain} {Limits()}"


def test_options_and_variables_say_the_same() -> None:
    wanted = Limits(moved_share=0.5, created_per_hour=0, workers=3)
    options = ("--max-moved-share", "0.5", "--max-creations-per-hour", "0", "--max-workers", "3")
    assert said("--base-domain", "a.example", *options) == f"a.example {wanted}"
    variables = {
        "MAX_MOVED_SHARE": "0.5",
        "MAX_CREATIONS_PER_HOUR": "0",
        "MAX_WORKERS": "3",
        "BASE_DOMAIN": "a.example",
    }
    assert said(**{f"CONTINUO_{name}": value for name, value in variables.items()}) == f"a.example {wanted}"


def shapes(command: click.Command, options: list[str]) -> list[object]:
    found = {option.opts[0]: option for option in command.params if isinstance(option, click.Option)}
    return [found[name].to_info_dict() for name in options]


def test_whoever_has_to_agree_has_the_same_options() -> None:
    names = [entry[0] for entry in LIMITS.values()]
    assert shapes(operator, names) == shapes(server, names)
    assert shapes(operator, ["--base-domain"]) == shapes(backend, ["--base-domain"])


@pytest.mark.parametrize("wrong", [("--max-moved-share", "2"), ("--max-links", "-1"), ("--max-actions", "0")])
def test_limits_that_cannot_be_are_bad_input(wrong: tuple[str, str]) -> None:
    result = CliRunner().invoke(both, wrong)
    assert result.exit_code == 2 and wrong[0] in result.output
