"""Files that Prometheus reads: written at once or not at all, and again whenever what they say changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import Failed
from continuo.resources.meta import Object

Make = Callable[[list[Object]], Awaitable[Mapping[str, str]]]
"""From the orchestrations to files by name; what Prometheus must not see halfway comes last."""
TARGETS = ".json"
"""What Prometheus reads again by itself."""
SECRETS = "credentials/"
"""What nobody else may read."""


async def keep(cluster: Any, namespace: str | None, into: Path, make: Make, reload_url: str | None) -> None:
    """Write files, and again when they change, until cancelled."""
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
    from continuo.runtime.informer import Informer, Watch

    last: Mapping[str, str] = {}
    informer, changed = Informer(cluster, Watch(LOW_LEVEL_ORCHESTRATION, namespace)), asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    informer.start()
    try:
        await informer.synced.wait()
        while True:
            changed.clear()
            files = await make(list(informer.cache))
            new = {name: text for name, text in files.items() if last.get(name) != text}
            await write(into, new)
            if new:
                by_itself = all(name.endswith(TARGETS) for name in new)
                told = await _reload(reload_url) if last and reload_url and not by_itself else ""
                click.echo(f"wrote {', '.join(str(into / name) for name in new)}{told}", err=True)
            last = files
            await changed.wait()
    finally:
        await informer.stop()


async def write(into: Path, files: Mapping[str, str]) -> None:
    """Raises Failed."""
    for name, text in files.items():
        await asyncio.to_thread(_write, into / name, text, 0o600 if name.startswith(SECRETS) else 0o644)


async def _reload(url: str) -> str:
    """Ask Prometheus (with --web.enable-lifecycle) to read its files; one that does not is no reason to stop."""
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http,
            http.post(f"{url.rstrip('/')}/-/reload") as answer,
        ):
            return ", and Prometheus read it" if answer.ok else f"; Prometheus did not read it: HTTP {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"; Prometheus did not read it: {error or 'no answer in time'}"


def _write(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if mode != 0o600 else 0o700)
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror or error}") from error
