"""An MQTT broker of the distribution's, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from continuo.cli.companions import remember

_NAME = "mosquitto-"


def where() -> str | None:
    """The program; None where it is not installed. Debian has it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def is_one(companion: str) -> bool:
    """Whether a companion of that name is one that `start` made."""
    return companion.startswith(_NAME)


def start(data: Path, edge: str, port: int) -> int:
    """Run it for an edge node on loopback; its process. Who connects before it listens tries again."""
    program = where()
    assert program is not None
    config = data / f"continuo-{edge}.conf"  # by this name in its command line it is known for ours
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n", encoding="utf-8")
    with (data / f"{_NAME}{edge}.log").open("ab") as log:
        child = subprocess.Popen(
            [program, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    remember(data, f"{_NAME}{edge}", child.pid)
    return child.pid
