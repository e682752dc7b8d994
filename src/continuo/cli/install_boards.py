"""The options of `continuo install` for clusters that declare boards, and what they mean together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.cli.boards_manifests import Boards

_QUANTITY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?([kMGTPE]|[KMGTPE]i)?\Z")
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.:]{0,251}[A-Za-z0-9])?\Z")
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
BOARDS = (
    "boards", "boards_option", "hub", "hub_public", "hub_storage", "hub_database_secret", "hub_tls_secret", "hub_option",
)  # fmt: skip
_OPTIONS = (
    click.option("--boards/--no-boards", default=False, show_default=True,
                 help="The provider of Boards, Fleets, Plugins and what runs on boards too, and a hub."),
    click.option("--boards-option", multiple=True, metavar="OPTION",
                 help="One more of `continuo boards provider`, as in --boards-option=--poll-interval=300."),
    click.option("--hub/--no-hub", default=True, show_default=True,
                 help="The hub that boards connect to; without, ProviderConfigs name endpoints elsewhere."),
    click.option("--hub-public", metavar="HOST", help="How boards reach the Service continuo-hub."
                 "  [default: its name in the cluster]"),
    click.option("--hub-storage", default="1Gi", show_default=True, metavar="SIZE",
                 help="The volume of the hub's records and authority."),
    click.option("--hub-database-secret", metavar="NAME",
                 help="The Secret whose key `url` is a postgresql:// URL.  [default: SQLite on the volume]"),
    click.option("--hub-tls-secret", is_flag=True,
                 help="The hub's certificate is the Secret continuo-hub-tls.  [default: of an authority of its own]"),
    click.option("--hub-option", multiple=True, metavar="OPTION", help="One more of `continuo hub`."),
)  # fmt: skip


def boards_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def boards_of(
    *, boards: bool, boards_option: tuple[str, ...], hub: bool, hub_public: str | None, hub_storage: str,
    hub_database_secret: str | None, hub_tls_secret: bool, hub_option: tuple[str, ...],
) -> Boards | None:  # fmt: skip
    """What was asked for; None: nothing of it. Raises BadInput."""
    of_hub = {
        "--hub-public": hub_public, "--hub-database-secret": hub_database_secret, "--hub-tls-secret": hub_tls_secret,
        "--hub-option": hub_option,
    }  # fmt: skip
    given = {**of_hub, "--boards-option": boards_option, "--no-hub": not hub}
    if not boards:
        if wrong := next((option for option, value in given.items() if value), None):
            raise BadInput(f"{wrong} is about boards: add --boards, or leave it out")
        return None
    if not hub and (wrong := next((option for option, value in of_hub.items() if value), None)):
        raise BadInput(f"{wrong} is about the hub: leave --no-hub out, or {wrong}")
    if not _QUANTITY.match(hub_storage):
        raise BadInput(f"--hub-storage is {hub_storage!r}; a size looks like 1Gi")
    if hub_public is not None and not _HOST.match(hub_public):
        raise BadInput(f"--hub-public is {hub_public!r}; it is a name or an address, such as hub.example.org")
    if hub_database_secret is not None and not _SECRET.match(hub_database_secret):
        raise BadInput(f"--hub-database-secret is {hub_database_secret!r}; it is the name of a Secret")
    from continuo.cli.boards_manifests import Boards

    found = Boards(
        hub, hub_public or "", hub_storage, hub_database_secret or "", hub_tls_secret, boards_option, hub_option
    )
    _parsed(found)
    return found


def _parsed(boards: Boards) -> None:
    """Whether the commands take what they are to be given."""
    from continuo.cli.boards_provider import provider
    from continuo.cli.hub import hub

    for command, options, told in ((provider, boards.options, "boards provider"), (hub, boards.hub_options, "hub")):
        try:
            context = command.make_context(command.name, list(options))
        except click.UsageError as error:
            raise BadInput(f"`continuo {told}`: {error.format_message()}") from error
        if wrong := next((each for each in options if not each.startswith("-")), None):
            raise BadInput(f"{wrong!r} is no option of `continuo {told}`")
        context.close()
