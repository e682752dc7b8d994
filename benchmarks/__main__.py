"""`python -m benchmarks [NAME [--engine embedded|kubernetes] [OPTIONS]]`: all benchmarks, or one with its options.

Exit code 1 when a bar is missed, 2 when what is asked for makes no sense.
"""

from __future__ import annotations

import argparse
import importlib
import sys

NAMES = (
    "startup",
    "runtime_vs_kopf",
    "applications",
    "offloading",
    "idle",
    "catalog",
    "scheduling",
    "scheduling_apart",
    "http",
    "sensors",
    "relay",
    "networks",
    "tunnels",
    "agent",
    "boards",
    "placement",
    "placement_loop",
)
REAL = ("provisioning", "capi_fifty", "stream")
"""These need real engines (`make testbed`), so they run only when they are named."""
MODULES = {"http": "http_latency"}
"""Where a module is called otherwise than its benchmark: this one would hide Python's own."""

ENGINES: dict[tuple[str, str], tuple[str, list[str]]] = {
    ("offloading", "kubernetes"): ("offloading_real", []),
    ("provisioning", "embedded"): ("provisioning", ["--no-real"]),
}
"""The module, and its options, where a benchmark can run on another engine than its own."""


def engine_of(options: list[str]) -> tuple[str | None, list[str]]:
    """What `--engine` says, and the options without it."""
    parser = argparse.ArgumentParser(prog="benchmarks", add_help=False, allow_abbrev=False)
    parser.add_argument("--engine", choices=("embedded", "kubernetes"))
    known, rest = parser.parse_known_args(options)
    return known.engine, rest


def module_of(name: str, engine: str | None) -> tuple[str, list[str]]:
    """The module that runs a benchmark on an engine; raises ValueError with one sentence where none does."""
    own = "kubernetes" if name in REAL else "embedded"
    if engine in (None, own):
        return MODULES.get(name, name), []
    if (name, engine) not in ENGINES:
        others = ", ".join(sorted({other for other, at in ENGINES if at == engine}))
        raise ValueError(f"{name} runs on the engine {own} only; with --engine {engine} there is: {others}")
    return ENGINES[name, engine]


def main(arguments: list[str]) -> int:
    """Run what is named."""
    names = [argument for argument in arguments if argument in (*NAMES, *REAL)]
    options = [argument for argument in arguments if argument not in (*NAMES, *REAL)]
    if options and len(names) != 1:
        print(f"usage: python -m benchmarks [{'|'.join((*NAMES, *REAL))} [OPTIONS]]", file=sys.stderr)
        return 2
    engine, options = engine_of(options)
    try:
        modules = {name: module_of(name, engine) for name in names or NAMES}
    except ValueError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    codes = {
        name: importlib.import_module(f"benchmarks.{module}").main([*more, *options])
        for name, (module, more) in modules.items()
    }
    if 2 in codes.values():
        return 2
    failed = [name for name, code in codes.items() if code]
    print(f"\nmissed: {', '.join(failed)}" if failed else "\nall bars are met")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
