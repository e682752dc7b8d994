"""What the commands about identities share: where an issuer keeps its things, how long lives are written, how they fail."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput, Failed
from continuo.cli.places import default_data

if TYPE_CHECKING:
    from continuo.trust.issuer.store import Store

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Life(click.ParamType[timedelta]):
    """A time like 45s, 5m, 1h or 7d."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no time; one looks like 45s, 5m, 1h or 7d", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data`: the issuer's folder."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="The issuer's folder, for its owner alone.  [default: identity, in Continuo's data folder]",
    )(command)


def socket_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--socket`: a Workload API."""
    return click.option(
        "--socket", "address", metavar="ADDRESS", envvar="SPIFFE_ENDPOINT_SOCKET",
        help="The SPIFFE Workload API, such as unix:///run/spire/agent.sock.  [default: $SPIFFE_ENDPOINT_SOCKET]",
    )(command)  # fmt: skip


def folder_of(data: Path | None) -> Path:
    """The issuer's folder."""
    return data or default_data() / "identity"


def store_of(data: Path | None, *, must_exist: bool = True) -> Store:
    """What an issuer keeps; BadInput when there is none and there should be one."""
    from continuo.trust.issuer.store import Store

    folder = folder_of(data)
    if must_exist and not (folder / "keys.json").exists():
        raise BadInput(f"there is no issuer in {folder}; make one with: continuo identity serve --trust-domain NAME")
    try:
        return Store(folder)
    except OSError as error:
        raise Failed(f"{folder} cannot be used: {error.strerror}") from error


def sentences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors about identities become one sentence and the right exit code: 2 for input, 1 for all else."""

    @functools.wraps(command)
    async def told(*arguments: Any, **options: Any) -> Any:
        from continuo.trust.gateway import NoDelegation
        from continuo.trust.identity import NoIdentity
        from continuo.trust.issuer.serving import CannotServe
        from continuo.trust.issuer.store import BadStore

        try:
            return await command(*arguments, **options)
        except (NoDelegation, NoIdentity, CannotServe, BadStore) as error:
            raise Failed(str(error)) from error
        except ValueError as error:  # BadId, BadEntry, BadRelation, BadBundle: all are about what was given
            raise BadInput(str(error)) from error

    return told


async def tell_server(store: Store) -> str:
    """Let a running issuer read its files again; what to say about it."""
    from continuo.trust.issuer.serving import ring

    answer = await ring(store)
    if answer is None:
        return "no issuer runs on this folder now; it will know when it starts"
    if answer.get("trouble"):
        raise Failed(str(answer["trouble"]))
    return f"the issuer with process {answer['pid']} knows"
