"""A TAP: the interface of a port in the board's kernel. It is there as long as we hold it, and leaves nothing behind.

Made by the kernel's own call; given its addresses by `ip` with lists of arguments: a netlink library would cost the agent
a quarter of its memory for five commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Protocol

from continuo.iot.agent.networks.desired import Port

DEVICE = Path("/dev/net/tun")
PERMISSION = (
    "no permission to make a TAP: grant the agent CAP_NET_ADMIN, and reading and writing /dev/net/tun "
    "(systemd: AmbientCapabilities=CAP_NET_ADMIN, DeviceAllow=/dev/net/tun rw; "
    "containers: --cap-add NET_ADMIN --device /dev/net/tun)"
)
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_SECONDS = 10.0


class TapError(Exception):
    """There can be no TAP; the sentence says why, and what to do."""


class Device(Protocol):
    """What frames are read from and written to."""

    fd: int
    """Not blocking; each read is one frame, and each write."""

    def close(self) -> None:
        """Let it go."""


class Tap:
    """A TAP that we hold."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)


async def make(port: Port) -> Device:
    """The port's TAP, up and with its addresses; raises TapError."""
    tap = Tap(_open(port.vif))
    try:
        await _configure(port)
    except BaseException:
        tap.close()
        raise
    return tap


def permitted() -> str | None:
    """Why this process can make no TAP; None: it can, as far as can be told without making one."""
    if not DEVICE.exists():
        return f"{DEVICE} is not there: load the kernel's module tun, or pass the device to the container"
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return None if effective >> 12 & 1 and os.access(DEVICE, os.R_OK | os.W_OK) else PERMISSION


def _open(name: str) -> int:
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TapError(_why(error, name)) from None
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    except OSError as error:
        os.close(fd)
        raise TapError(_why(error, name)) from None
    return fd


def _why(error: OSError, name: str) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return PERMISSION
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"{DEVICE} is not there: load the kernel's module tun, or pass the device to the container"
    if error.errno in (errno.EBUSY, errno.EINVAL):
        return f"there is another interface {name}, which is not ours: remove it, or give the port another vif"
    return f"no TAP {name}: {error.strerror}"


async def _configure(port: Port) -> None:
    _no_ipv6(port.vif)
    await _ip("link", "set", "dev", port.vif, "address", port.mac, "mtu", str(port.mtu))
    await _ip("address", "replace", port.ip, "dev", port.vif)
    await _ip("link", "set", "dev", port.vif, "up")
    for route in port.routes:
        await _ip("route", "replace", route.to, "via", route.via, "dev", port.vif)


def _no_ipv6(name: str) -> None:
    """No link-local address: the port has an IPv4 address only, and the hub would drop all else.

    Where it cannot be turned off (no IPv6 in the kernel, or a read-only /proc/sys) the hub drops it all the same.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


async def _ip(*arguments: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "ip", *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise TapError("the command ip is not there: install iproute2") from None
    try:
        _, said = await asyncio.wait_for(process.communicate(), _SECONDS)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if isinstance(error, TimeoutError):
            raise TapError(f"ip {' '.join(arguments)} did not end within {_SECONDS:g} s") from None
        raise
    if process.returncode:
        why = said.decode(errors="replace").strip()
        raise TapError(PERMISSION if "not permitted" in why else f"ip {' '.join(arguments)}: {why}")
