"""`continuo agent`: this machine as a board of a hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False),
              help="The bootstrap file that the hub gave for this board.")  # fmt: skip
@click.option("--home", type=click.Path(path_type=Path, file_okay=False),
              help="The agent's own folder: its key, its identity, what it should have.  "
              "[default: agent, in Continuo's data folder]")  # fmt: skip
@click.option("--code", help="The board's registration code, if not in the settings; it is good once.")
@click.option("--hub", metavar="URL", help="The hub, like wss://hub.example.org:8181, if not in the settings.")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="Certificates that vouch for the hub.  "
              "[default: the system's]")  # fmt: skip
@click.option("--metrics", metavar="HOST:PORT", help="Serve /metrics and /healthz, on this machine alone.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def agent(
    file: Path | None,
    home: Path,
    code: str | None,
    hub: str | None,
    ca: Path | None,
    metrics: str | None,
    verbose: bool,
) -> None:
    """Register this machine as a board, then keep it as its hub says: plugins, services, networks, workloads.

    Exit codes: 0 stopped, 1 the hub does not know this board (any more), 2 bad settings.
    """
    from continuo.cli.failures import BadInput, Failed
    from continuo.cli.places import default_data
    from continuo.iot.agent.command import start

    exit_code, sentence = start(file, home or default_data() / "agent", code, hub, ca, metrics, verbose)
    if exit_code:
        raise (BadInput if exit_code == 2 else Failed)(sentence)
