"""The machine itself: what a hub may ask of it, and what only where the settings allow it."""

from __future__ import annotations

import asyncio
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LONG = 600.0
"""Seconds that a program of the machine may run."""
_MANAGERS = {
    "apt": ("install", "update", "upgrade", "remove"), "apt-get": ("install", "update", "upgrade", "remove"),
    "pip": ("install", "uninstall"), "pip3": ("install", "uninstall"), "npm": ("install", "update", "uninstall"),
}  # fmt: skip
_OWN = ("identity.json", "key.pem", "state", "work", "workloads", "root")


class Refusal(Exception):
    """What is not done, and what would allow it, in a sentence."""


def now() -> str:
    """The time, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def run(*argv: str, timeout: float = LONG) -> str:
    """A program of the machine, without a shell; what it says. Raises Refusal where it fails or is not there."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        raise Refusal(f"{argv[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout):
            said, _ = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise Refusal(f"{argv[0]} ran longer than {timeout:.0f} s") from None
        raise
    text = said.decode("utf-8", "replace")[-64_000:]
    if process.returncode:
        raise Refusal(f"{' '.join(argv[:3])} ended with {process.returncode}: {text[-500:].strip()}")
    return text


async def net_config() -> str:
    """Interfaces and addresses, by whichever program is there."""
    for argv in (("ip", "address"), ("ifconfig",)):
        if shutil.which(argv[0]):
            return await run(*argv, timeout=10)
    raise Refusal("neither ip nor ifconfig is installed on this board")


class Device:
    """`restart` ends this agent's process so that it begins anew; `allow` names what the settings allow."""

    def __init__(self, home: Path, allow: frozenset[str], restart: Callable[[float], None]) -> None:
        self._home, self._allow, self._restart = home, allow, restart

    async def restart(self, parameters: Mapping[str, Any]) -> str:
        """Begin anew, after `delay` seconds."""
        self._restart(_delay(parameters))
        return "the agent restarts"

    async def reboot(self, parameters: Mapping[str, Any]) -> str:
        """Reboot the machine, where allowed."""
        self._needs("reboot", "DeviceReboot")
        delay = _delay(parameters)
        asyncio.get_running_loop().call_later(delay, lambda: asyncio.ensure_future(run("reboot", timeout=30)))
        return f"the board reboots in {delay:g} s"

    async def factory_reset(self, _parameters: Mapping[str, Any]) -> str:
        """Forget who this board is and all that it had: of this machine, only what the agent has made."""
        self._restart(1.0)
        for name in _OWN:
            path = self._home / name
            if path.is_dir():
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return "the board forgot its identity and all that it had; it needs a new code"

    async def package(self, parameters: Mapping[str, Any]) -> str:
        """Install software on the machine, where allowed."""
        self._needs("packages", "DevicePkgOperation")
        manager, command = str(parameters.get("manager")), str(parameters.get("command"))
        if command not in _MANAGERS.get(manager, ()):
            raise Refusal(f"{manager} {command}: managers are {', '.join(_MANAGERS)}, each with its own commands")
        package = str(parameters.get("package") or "")
        if package.startswith("-") or (not package and command not in ("update", "upgrade")):
            raise Refusal(f"{package!r} is no package")
        if parameters.get("version"):
            package += ("@" if manager == "npm" else "==" if manager.startswith("pip") else "=") + str(
                parameters["version"]
            )
        yes = ("-y",) if manager.startswith("apt") or (command == "uninstall" and manager != "npm") else ()
        return await run(manager, command, *yes, *((package,) if package else ()))

    async def rest(self, parameters: Mapping[str, Any]) -> str:
        """An HTTP request from the board, where allowed."""
        self._needs("rest", "DeviceRestSubmit")
        url, method = str(parameters.get("url")), str(parameters.get("method", "GET")).upper()
        if not url.startswith(("http://", "https://")):
            raise Refusal(f"{url!r} is no address of http or https")
        data = parameters.get("data")
        asked = urllib.request.Request(url, data=data.encode() if isinstance(data, str) else None, method=method,
                                       headers=dict(parameters.get("headers") or {}))  # fmt: skip
        return await asyncio.to_thread(_fetch, asked)

    async def mount(self, parameters: Mapping[str, Any]) -> str:
        """Run a mount command, where allowed; only `mount`, without a shell."""
        self._needs("mount", "DeviceMountFs")
        words = str(parameters.get("mnt_cmd", "")).split()
        if not words or words[0] not in ("mount", "umount"):
            raise Refusal("mnt_cmd begins with mount or umount")
        return await run(*words, timeout=60)

    async def upgrade(self, _parameters: Mapping[str, Any]) -> str:
        """Refused: an agent is upgraded as it was installed, never by its hub."""
        raise Refusal("DeviceUpgradeLR is not done: upgrade the agent as it was installed, then DeviceRestartLR")

    def _needs(self, what: str, method: str) -> None:
        if what not in self._allow:
            raise Refusal(f'{method} is not allowed on this board: its settings would have "allow": ["{what}"]')


def _delay(parameters: Mapping[str, Any]) -> float:
    try:
        return min(3600.0, max(0.5, float(parameters.get("delay") or 0)))
    except (TypeError, ValueError):
        raise Refusal(f"delay is {parameters.get('delay')!r}; it is a number of seconds") from None


def _fetch(asked: urllib.request.Request) -> str:
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return str(reply.read(1 << 20).decode("utf-8", "replace"))
    except OSError as error:
        raise Refusal(f"{asked.full_url}: {error}") from None
