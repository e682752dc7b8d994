"""How commands fail: one sentence on stderr and the right exit code."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from continuo.resources.errors import ApiError, BadRequest, Invalid, Unauthorized

T = TypeVar("T")


class Failed(click.ClickException):
    """The command could not do what was asked."""

    exit_code = 1


class BadInput(click.ClickException):
    """What was given is wrong: a file, a name, an option."""

    exit_code = 2


_UNCHECKED = (
    ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation]"
)


def sentence(error: ApiError) -> str:
    """What the API server said, without its remark that it looked no further, which tells nothing about the input."""
    said = str(error)
    if not said.endswith(_UNCHECKED):
        return said
    said = said.removesuffix(_UNCHECKED)
    head, found, rest = said.partition(": [")
    return f"{head}: {rest}" if found and ", spec." not in rest else f"{said}]"


def unwelcome(error: ApiError, cluster: str) -> str:
    """The same where nothing was asked but to be let in, which API servers refuse with one word."""
    if isinstance(error, Unauthorized):
        return f"{cluster} does not accept the credentials of the kubeconfig: get a new one, or name another user in it"
    return str(error)


def run(main: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    """Run an async command body; API errors become sentences, bad input exits with 2."""
    return _command(main, asyncio.run)


def run_server(main: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    """The same for a command that serves many: in the faster loop, which takes a moment to import."""

    def on_uvloop(body: Coroutine[Any, Any, T]) -> T:
        import uvloop

        return uvloop.run(body)

    return _command(main, on_uvloop)


def _command(
    main: Callable[..., Coroutine[Any, Any, T]], loop: Callable[[Coroutine[Any, Any, T]], T]
) -> Callable[..., T]:
    @functools.wraps(main)
    def command(*args: Any, **kwargs: Any) -> T:
        try:
            return loop(main(*args, **kwargs))
        except (Invalid, BadRequest) as error:
            raise BadInput(sentence(error)) from error
        except ApiError as error:
            if "failed to create typed patch object" in str(error):  # an API server's 500 for two items of one name
                raise BadInput(str(error)) from error
            raise Failed(str(error)) from error
        except KeyboardInterrupt:
            raise click.Abort from None

    return command
