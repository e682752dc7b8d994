"""`python -m continuo.iot.agent`: the agent without the rest of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from continuo.iot.agent.command import start


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="continuo-agent", description="Run this machine as a board.")
    parser.add_argument("--settings", type=Path, help="the bootstrap file that the hub gave for this board")
    parser.add_argument("--home", type=Path, required=True, help="the agent's own folder")
    parser.add_argument("--code", help="the registration code, if not in the settings")
    parser.add_argument("--hub", metavar="URL", help="like wss://hub.example.org:8181")
    parser.add_argument("--ca", type=Path, help="certificates that vouch for the hub")
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve /metrics on this machine")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    said = parser.parse_args()
    code, sentence = start(said.settings, said.home, said.code, said.hub, said.ca, said.metrics, said.verbose)
    if sentence:
        print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
