"""A double of podman's command line: containers are plain processes, what is known of them lies in $ENGINE_HOME.

Each call is written to $ENGINE_HOME/calls. `run` of the image `absent` fails as an engine fails that cannot fetch it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ.get("ENGINE_HOME", "/nowhere"))
KEEPER = (
    "import os, subprocess, sys; place = sys.argv[1];"
    "child = subprocess.Popen(sys.argv[2:], stdout=open(place + '/log', 'wb'), stderr=subprocess.STDOUT);"
    "open(place + '/pid', 'w').write(str(child.pid)); code = child.wait();"
    "open(place + '/code.new', 'w').write(str(code if code >= 0 else 128 - code));"
    "os.rename(place + '/code.new', place + '/code')"
)
VALUED = {"--name", "--label", "--network", "--memory", "--cpus", "--pids-limit", "--security-opt", "-v", "-e", "-w"}


def wait_for(path: Path) -> str:
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return path.read_text()


def run(words: list[str]) -> int:
    options: dict[str, list[str]] = {}
    while words[0].startswith("-"):
        word = words.pop(0)
        if word in VALUED:
            options.setdefault(word, []).append(words.pop(0))
    image, *command = words
    if image == "absent":
        print("Trying to pull absent...\nError: initializing source docker://absent: nobody has it", file=sys.stderr)
        return 125
    place = HOME / options["--name"][0]
    place.mkdir()
    (place / "label").write_text(options["--label"][0].partition("=")[2])
    work = options["-v"][0].partition(":")[0]
    env = {**os.environ, "RESULTS": f"{work}/results", "NAMED": " ".join(options["-e"])}
    subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(place), *command],
        env=env, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    wait_for(place / "pid")
    return 0


def known(name: str) -> Path:
    place = HOME / name
    if not place.is_dir():
        print(f"Error: no such container {name}", file=sys.stderr)
        raise SystemExit(1)
    return place


def end(place: Path) -> None:
    if not (place / "code").exists():
        os.kill(int((place / "pid").read_text()), signal.SIGKILL)
        wait_for(place / "code")


def main(words: list[str]) -> int:
    with (HOME / "calls").open("a") as calls:
        calls.write(" ".join(words).replace("\n", " ") + "\n")
    verb, *rest = words
    if verb == "run":
        return run(rest)
    if verb == "ps":
        wanted = next((word.rpartition("=")[2] for word in rest if word.startswith("label=")), None)
        for label in HOME.glob("*/label"):
            if label.read_text() == wanted:
                print(label.parent.name)
        return 0
    place = known(rest[-1])
    if verb == "inspect":
        print("exited" if (place / "code").exists() else "running")
    elif verb == "wait":
        print(wait_for(place / "code"))
    elif verb == "logs":
        wait_for(place / "code") if "-f" in rest else None
        if "--since" not in rest:
            print((place / "log").read_text(), end="")
    elif verb == "stop":
        end(place)
    elif verb == "rm":
        end(place)
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
