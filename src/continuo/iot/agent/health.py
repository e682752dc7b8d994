"""How the board and its agent are: load, memory, disk, the agent's own size, in the report and as metrics."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


def health(home: Path, started: float, confinement: Mapping[str, Any]) -> dict[str, Any]:
    """As it is reported. Sizes in bytes, `uptime` of the agent in seconds, `load` of the last minute."""
    disk = shutil.disk_usage(home)
    return {
        "cpus": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "memory": memory(),
        "disk": {"total": disk.total, "free": disk.free},
        "rss": rss(),
        "uptime": int(time.monotonic() - started),
        "confinement": dict(confinement),
    }


def rss() -> int:
    """Bytes of memory that this process has resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def memory() -> dict[str, int]:
    """Of the board, in bytes."""
    said = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name in ("MemTotal", "MemAvailable"):
            said[{"MemTotal": "total", "MemAvailable": "free"}[name]] = int(value.split()[0]) * 1024
    return said


def connectivity(host: str, port: int) -> dict[str, str]:
    """By which interface and address the board reaches its hub; empty where that cannot be said."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            address = probe.getsockname()[0]
    except OSError:
        return {}
    for name in sorted(path.name for path in Path("/sys/class/net").iterdir()):
        if address in _addresses(name):
            mac = (Path("/sys/class/net") / name / "address").read_text().strip()
            return {"iface": name, "local_ip": address, "mac": mac}
    return {"local_ip": address}


def _addresses(name: str) -> set[str]:
    """The interface's IPv4 address, asked of the kernel."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            said = fcntl.ioctl(probe, 0x8915, struct.pack("256s", name[:15].encode()))
        except OSError:
            return set()
    return {socket.inet_ntoa(said[20:24])}


def metrics(report: Mapping[str, Any], online: bool, sessions: int) -> str:
    """The same for Prometheus."""
    said = report["health"]
    lines = [
        ("continuo_agent_online", "Whether there is a session with the hub.", int(online)),
        ("continuo_agent_sessions_total", "Sessions since the start.", sessions),
        ("continuo_agent_resident_bytes", "Memory of the agent.", said["rss"]),
        ("continuo_agent_uptime_seconds", "Since the start.", said["uptime"]),
        ("continuo_board_load1", "Load of the last minute.", said["load"]),
        ("continuo_board_memory_available_bytes", "Memory of the board.", said["memory"].get("free", 0)),
        ("continuo_board_disk_free_bytes", "Where the agent keeps its files.", said["disk"]["free"]),
    ]
    text = ""
    for name, what, value in lines:
        kind = "counter" if name.endswith("_total") else "gauge"
        text += f"# HELP {name} {what}\n# TYPE {name} {kind}\n{name} {value}\n"
    text += "# HELP continuo_agent_plugins Plugins by state.\n# TYPE continuo_agent_plugins gauge\n"
    states = [plugin["state"] for plugin in report["plugins"].values()]
    for state in ("injected", "running", "dead", "refused", "failed"):
        text += f'continuo_agent_plugins{{state="{state}"}} {states.count(state)}\n'
    return text
