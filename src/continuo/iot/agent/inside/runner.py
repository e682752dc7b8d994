"""Run one plugin in Lightning-rod's format: the last program of a confinement. Standard library only, no import of ours.

Told on standard input, one JSON object in a line: first the plugin, later `{"stop": true}`. Says on the descriptor that its
argument names what happens: `started`, `result` (once), `ended`, `failed`. What it prints are its logs.
"""

import contextlib
import importlib
import inspect
import json
import logging
import os
import queue
import sys
import threading
import traceback
from typing import Any

MOST = 256 * 1024
"""Characters of a result."""
SPARE = 1 << 20
"""Bytes that are let go when a plugin has failed: where it used up all memory, there is some to say so with."""


class Channel:
    """Where the agent hears of the plugin; lines do not mix."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb", 0)
        self._lock = threading.Lock()

    def say(self, event: str, **more: Any) -> None:
        """One event."""
        with self._lock:
            self._file.write(json.dumps({"event": event, **more}).encode() + b"\n")


class Results(queue.Queue):  # type: ignore[type-arg]
    """The plugin's q_result: the first item is the answer, and what comes after it is only logged."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._once = threading.Lock()
        self.given = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        """Give the result."""
        with self._once:
            first, self.given = not self.given, True
        if not first:
            logging.getLogger("plugin").warning("a second result is not told: %.200r", item)
            return
        value = plain(item)
        if len(json.dumps(value)) > MOST:
            self._channel.say("failed", error=f"its result is longer than {MOST} characters")
            return
        self._channel.say("result", value=value)


def plain(item: Any) -> Any:
    """As JSON has it; what JSON has no word for, as text."""
    try:
        return json.loads(json.dumps(item))
    except (TypeError, ValueError, RecursionError):
        return str(item)


def worker_of(told: dict[str, Any], results: Results) -> Any:
    """The plugin's Worker; raises whatever its code raises, and LookupError where there is none."""
    module = type(sys)("plugin")
    sys.modules["plugin"] = module
    exec(compile(told["code"], f"<plugin {told['name']}>", "exec", dont_inherit=True), module.__dict__)
    kind = module.__dict__.get("Worker")
    if not isinstance(kind, type):
        raise LookupError("the code has no class Worker")
    return kind(told["uuid"], told["name"], q_result=results, params=told["parameters"])


def describe(error: BaseException) -> str:
    """What an exception says, and where in the plugin."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename.startswith("<plugin ")]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}"[:2000] + where


def run(told: dict[str, Any], channel: Channel) -> int:
    """The plugin's whole life; the exit code."""
    results = Results(channel)
    failed: list[str] = []
    spare = [bytearray(SPARE)]

    def fell(args: threading.ExceptHookArgs) -> None:
        spare.clear()
        failed.append(describe(args.exc_value or args.exc_type()))

    threading.excepthook = fell
    try:
        worker = worker_of(told, results)
        worker.start()
    except BaseException as error:  # whatever a plugin raises, also SystemExit, is how it failed
        spare.clear()
        channel.say("failed", error=f"it did not start: {describe(error)}")
        traceback.print_exc()
        return 1
    channel.say("started")
    threading.Thread(target=listen, args=(worker,), daemon=True).start()
    worker.join()
    if failed:
        channel.say("failed", error=f"it raised {failed[0]}")
        return 1
    channel.say("ended", result=results.given)
    return 0


def listen(worker: Any) -> None:
    """Until the agent closes the pipe or says that the plugin shall stop; then it has little time."""
    for line in sys.stdin:
        if json.loads(line).get("stop"):
            stopping = worker.stop()
            if inspect.iscoroutine(stopping):
                with contextlib.suppress(StopIteration):
                    stopping.send(None)
            return
    os._exit(0)


def main() -> None:
    """`runner DESCRIPTOR`."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "provided"))
    sys.path.append(os.path.join(here, "provided", "later"))
    channel = Channel(int(sys.argv[1]))
    told = json.loads(sys.stdin.readline())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    threading.stack_size(1 << 20)
    importlib.import_module("iotronic_lightningrod.modules.plugins.pluginApis").board.update(told["board"])
    sys.argv = [told["name"]]
    code = run(told, channel)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
