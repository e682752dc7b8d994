"""`continuo up` and `continuo down`: an engine in the foreground or in the background."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli import places
from continuo.cli.bare import bare_clusters
from continuo.cli.beds import EMBEDDED, KUBERNETES, Beds, bed_options
from continuo.cli.failures import BadInput, Failed
from continuo.cli.outside import Outside

if TYPE_CHECKING:
    from continuo.embedded.standins.bare import Bare

_DATA = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Where the state is kept; it survives restarts."
)


@click.command()
@_DATA
@click.option("--detach", is_flag=True, help="Run in the background and return when it is ready.")
@click.option("--port", type=click.IntRange(0, 65535), help="The HTTPS port; the last one where absent.")
@click.option("--engine", default=EMBEDDED, show_default=True, help="embedded, or kubernetes: real clusters.")
@click.option("--cluster", "bare", multiple=True, metavar="NAME[:NODES]", help="Embedded: a bare cluster; repeatable.")
@bed_options
@click.option("--operator/--no-operator", default=True, help="Run the controllers in the same process.")
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535),
    help="Embedded: serve the controllers' /metrics there, on this machine alone.",
)  # fmt: skip
@click.option("--kafka", metavar="BROKERS", default="", help="Embedded: the controllers' events go to Kafka, too.")
@click.option(
    "--prometheus", metavar="URL", default="", help="Embedded: the Prometheus that policies' queries are sent to."
)
@click.option("--speed", type=click.FloatRange(0.01, 100), help="How fast simulated machines come up; 1 where absent.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def up(
    data: Path | None,
    detach: bool,
    port: int | None,
    engine: str,
    operator: bool,
    metrics_port: int | None,
    kafka: str,
    prometheus: str,
    speed: float | None,
    bare: tuple[str, ...],
    ready_fd: int | None,
    verbose: bool,
    beds: Beds,
) -> None:
    """Run an engine: the embedded one, ready in a second, or real clusters."""
    beds.check(engine, speed)
    wanted = bare_clusters(bare, engine)
    data = data or places.default_data()
    running = places.find_running(data)
    if running is not None:
        raise Failed(
            f"an engine already runs on {data} (process {running.pid}, {running.url}); stop it with: "
            f"continuo down --data {data}"
        )
    if engine == KUBERNETES:
        beds = beds.chosen(data, lambda line: click.echo(line, err=True))
    if metrics_port is not None and (engine == KUBERNETES or not operator):
        raise BadInput("--metrics-port is for the embedded engine with its controllers; others: continuo operator")
    outside = Outside(kafka, prometheus)
    if outside.arguments() and (engine == KUBERNETES or not operator):
        raise BadInput(
            "--kafka and --prometheus are for the embedded engine with its controllers; others: continuo operator"
        )
    outside.check()
    if detach:
        named = [part for text in bare for part in ("--cluster", text)]
        named += ["--metrics-port", str(metrics_port)] if metrics_port is not None else []
        named += outside.arguments()
        start_detached(
            data, port=port, operator=operator, speed=speed, more=["--engine", engine, *beds.arguments(), *named]
        )
        click.echo(_greeting(data, detached=True))
        return
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        logging.getLogger("continuo.runtime").setLevel(logging.WARNING)
    if engine == KUBERNETES:
        _real(data, beds, port, operator, ready_fd)
    else:
        _foreground(data, port, operator, speed or 1.0, ready_fd, wanted, metrics_port, outside)


def start_detached(
    data: Path, *, port: int | None = None, operator: bool = True, speed: float | None = None, more: Sequence[str] = ()
) -> None:
    """Start an engine in the background; returns when it serves. Raises Failed with the end of its log."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Failed(f"cannot keep state in {data}: {error.strerror or error}") from error
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "continuo.cli.main", "up", "--data", str(data), "--ready-fd", str(writing)]
    command += ["--operator" if operator else "--no-operator", *more]
    if speed is not None:
        command += ["--speed", str(speed)]
    if port is not None:
        command += ["--port", str(port)]
    log_path = data / "engine.log"
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready = pipe.read(5)
    if ready != b"ready":
        child.wait()
        end = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Failed(f"the engine did not start (exit code {child.returncode}): {' / '.join(end)}; see {log_path}")


def _foreground(
    data: Path, port: int | None, operator: bool, speed: float, ready_fd: int | None, bare: tuple[Bare, ...],
    metrics_port: int | None, outside: Outside,
) -> None:  # fmt: skip
    import uvloop

    from continuo.cli import tuning
    from continuo.cli.host import Host, serve
    from continuo.embedded.standins.settings import Settings

    async def main() -> None:
        try:
            host = Host(data, port=port, standins=Settings(speed=speed), clusters=bare)
        except OSError as error:
            raise Failed(f"cannot keep state in {data}: {error.strerror or error}") from error
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        try:
            announce = functools.partial(_announce, data, ready_fd)
            await serve(
                host, with_operator=operator, ready=lambda: announce(host.server.base_url), stop=stop,
                metrics_port=metrics_port, outside=outside,
            )  # fmt: skip
        except OSError as error:
            raise Failed(str(error.strerror or error)) from error
        finally:
            places.forget_running(data)

    tuning.settle()
    uvloop.run(main())


def _real(data: Path, beds: Beds, port: int | None, operator: bool, ready_fd: int | None) -> None:
    from continuo.cli.real import Wish, run_bed

    wish = Wish(
        data, beds.clusters or 0, beds.nodes or 0, bool(beds.containers), bool(beds.liqo), bool(beds.cluster_api),
        edge=beds.edge or 0, kubernetes=beds.kubernetes, port=port, operator=operator,
    )  # fmt: skip
    run_bed(wish, functools.partial(_announce, data, ready_fd), lambda line: click.echo(line, err=True))


def _announce(data: Path, ready_fd: int | None, url: str) -> None:
    """The engine serves: say so on disk, and to whoever waits for it."""
    places.write_running(data, places.Running(os.getpid(), url))
    if ready_fd is None:
        click.echo(_greeting(data, detached=False))
        return
    with contextlib.suppress(OSError):
        os.write(ready_fd, b"ready")
    os.close(ready_fd)


def _greeting(data: Path, *, detached: bool) -> str:
    running = places.find_running(data)
    kubeconfig = places.kubeconfig_path(data)
    option = "" if data == places.default_data() else f" --data {data}"
    stop = f"continuo down{option}" if detached else "Ctrl-C"
    return (
        f"The management cluster answers at {running.url if running else '?'}\n"
        f"  use it    export KUBECONFIG={kubeconfig}   (one context per cluster: kubectl config get-contexts)\n"
        f"  stop it   {stop}\n"
        f"  state     {data} (survives a restart)"
    )


@click.command()
@_DATA
@click.option("--timeout", type=float, default=20.0, show_default=True, help="Seconds to wait for it to end.")
def down(data: Path | None, timeout: float) -> None:
    """Stop an engine that runs in the background. Its state stays."""
    from continuo.cli.companions import stop_companions

    data = data or places.default_data()
    beside = stop_companions(data, timeout)
    running = places.find_running(data)
    if running is None:
        from continuo.cli.real import sweep

        swept = sweep()
        click.echo(f"no engine runs on {data}{'; removed what a killed testbed left' if swept else ''}")
        return
    stop_engine(running.pid, timeout)
    places.forget_running(data)
    more = "".join(f" and the {name} beside it" for name in beside)
    click.echo(f"stopped the engine on {data}{more}")


def stop_engine(pid: int, timeout: float) -> None:
    """End an engine's process and wait until it is gone."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return
    try:
        import select

        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
    finally:
        os.close(descriptor)
    if not readable:
        raise Failed(f"process {pid} did not end within {timeout:g} s; end it with: kill -9 {pid}")
