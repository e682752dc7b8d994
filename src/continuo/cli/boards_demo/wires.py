"""Boards as network namespaces, each wired to the hub's machine and to no other board.

board ── wire (198.18.N.11) ──── cdb....1 ──┐
board ── wire (198.18.N.12) ──── cdb....2 ──┴── this machine, where the hub listens on 198.18.N.1
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from continuo.cli.failures import Failed
from continuo.iot.agent.networks.tap import permitted

PATIENCE = 10.0
"""Seconds that a command of the system may take."""
PATTERN = b"continuo"
"""What pings carry."""
_FREE = IPv4Network("198.18.0.0/15")
"""For benchmarks of networks (RFC 2544): nobody's addresses."""


class NotPossible(Exception):
    """Why there are no namespaces for us on this machine, in a sentence."""


@dataclass(frozen=True, slots=True)
class Wires:
    """The namespaces of some boards. Their names come from a folder, so that whoever has it finds what was left there."""

    prefix: str
    network: IPv4Network

    @property
    def hub(self) -> str:
        """The hub's address."""
        return str(self.network[1])

    def outer(self, number: int) -> str:
        """Our end of a board's wire, which sees everything that the board and the hub say to each other."""
        return f"{self.prefix}.{number}"

    def space(self, number: int) -> str:
        """The namespace of a board."""
        return f"{self.prefix}-{number}"

    def entering(self, number: int) -> list[str]:
        """What a command begins with to be run there. Mounts stay as they are, unlike with `ip netns exec`."""
        return ["nsenter", f"--net=/run/netns/{self.space(number)}", "--"]

    def begin(self, count: int) -> None:
        """Make them all; raises NotPossible, and then nothing of it is there."""
        try:
            _ip("link", "add", self.prefix, "type", "veth", "peer", "name", f"{self.prefix}.0")
            _ip("address", "add", f"{self.hub}/32", "dev", self.prefix)
            _ip("link", "set", self.prefix, "up")
            for number in range(1, count + 1):
                self._wire(number)
        except Failed as error:
            end(self.prefix)
            raise NotPossible(error.message) from None
        except BaseException:
            end(self.prefix)
            raise

    def _wire(self, number: int) -> None:
        space, address = self.space(number), str(self.network[10 + number])
        _ip("netns", "add", space)
        _ip("link", "add", self.outer(number), "type", "veth", "peer", "name", "wire", "netns", space)
        _ip("link", "set", self.outer(number), "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "address", "add", f"{address}/32", "dev", "wire")
        _ip("-n", space, "link", "set", "wire", "up")
        _ip("-n", space, "route", "add", f"{self.hub}/32", "dev", "wire")
        _ip("route", "add", f"{address}/32", "dev", self.outer(number), "src", self.hub)

    def interfaces(self, number: int) -> list[tuple[str, str, str]]:
        """What a board has: name, MAC and IPv4 address of each interface."""
        found = json.loads(_ip("-n", self.space(number), "-j", "address"))
        return sorted(
            (link["ifname"], link.get("address", ""),
             " ".join(f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["family"] == "inet"))
            for link in found
        )  # fmt: skip


def prefix_of(data: Path) -> str:
    """What the names of everything begin with that a demo on that folder makes."""
    return f"cdb{_digest(data).hex()[:6]}"


def left(prefix: str) -> tuple[list[str], list[str]]:
    """Interfaces of this machine and namespaces that are there."""
    links = [link["ifname"] for link in json.loads(_ip("-j", "link"))]
    folder = Path("/run/netns")
    spaces = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    mine = sorted(link for link in links if link == prefix or link.startswith(f"{prefix}."))
    return mine, sorted(space for space in spaces if space.startswith(f"{prefix}-"))


def end(prefix: str) -> None:
    """Nothing of it is there any more, nor who runs in it."""
    for space in left(prefix)[1]:
        _end_within(space)
        _ip("netns", "delete", space)
    for link in left(prefix)[0]:
        with contextlib.suppress(Failed):  # the other end's namespace took it along
            _ip("link", "delete", link)


def _digest(data: Path) -> bytes:
    return hashlib.sha256(os.fsencode(data)).digest()


def wires(data: Path) -> Wires:
    """Those of a demo's folder; its addresses are free on this machine."""
    digest, prefix = _digest(data), prefix_of(data)
    taken = [IPv4Interface(f"{each['local']}/{each['prefixlen']}").network
             for link in json.loads(_ip("-j", "address")) if link["ifname"] != prefix
             for each in link["addr_info"] if each["family"] == "inet"]  # fmt: skip
    choices = list(_FREE.subnets(new_prefix=24))
    first = digest[0] << 8 | digest[1]
    for step in range(len(choices)):
        network = choices[(first + step) % len(choices)]
        if not any(network.overlaps(other) for other in taken):
            return Wires(prefix, network)
    raise NotPossible(f"this machine has addresses in all of {_FREE}")


def impossible() -> str | None:
    """Why boards cannot be namespaces here; None: they can, as far as can be told without making one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "nsenter", "ping") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (iproute2, util-linux, iputils-ping)"
    return permitted()


def ping(entering: Sequence[str], address: str) -> float | None:
    """Milliseconds there and back, the quickest of three; None where nothing came back."""
    answer = subprocess.run(
        [*entering, "ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", "-p", PATTERN.hex(), address],
        capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "LC_ALL": "C"}, check=False,
    )  # fmt: skip
    if answer.returncode or "min/avg/max" not in answer.stdout:
        return None
    return float(answer.stdout.rpartition("= ")[2].split("/")[0])


def _end_within(space: str) -> None:
    for pid in _ip("netns", "pids", space).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _ip(*arguments: str) -> str:
    try:
        answer = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"ip {' '.join(arguments)}: {error}") from None
    if answer.returncode:
        raise Failed(f"ip {' '.join(arguments)}: {answer.stderr.strip() or 'failed'}")
    return answer.stdout
