"""`python -m benchmarks [NAME [OPTIONS]]`: run all benchmarks, or one with its options; exit code 1 when a bar is missed."""

from __future__ import annotations

import importlib
import sys

NAMES = ("startup", "runtime_vs_kopf", "applications", "offloading", "idle")
REAL = ("provisioning", "capi_fifty", "stream")
"""These need real engines (`make testbed`), so they run only when they are named."""


def main(arguments: list[str]) -> int:
    """Run what is named."""
    names = [argument for argument in arguments if argument in (*NAMES, *REAL)]
    options = [argument for argument in arguments if argument not in (*NAMES, *REAL)]
    if options and len(names) != 1:
        print(f"usage: python -m benchmarks [{'|'.join((*NAMES, *REAL))} [OPTIONS]]", file=sys.stderr)
        return 2
    failed = [name for name in names or NAMES if importlib.import_module(f"benchmarks.{name}").main(options)]
    print(f"\nmissed: {', '.join(failed)}" if failed else "\nall bars are met")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
