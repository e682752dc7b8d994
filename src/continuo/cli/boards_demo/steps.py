"""The steps of the demo: each does something, looks at what came of it, and says so."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continuo.cli.boards_demo import facts, leavings, scene, wires
from continuo.cli.boards_demo.facts import Board
from continuo.cli.boards_demo.hub import page
from continuo.cli.boards_demo.stage import PATIENCE, Stage, resident
from continuo.cli.boards_demo.view import View, good, seen, why
from continuo.cli.boards_demo.wire_tap import tapping
from continuo.cli.demo import examples
from continuo.cli.demo_saying import head, say, since
from continuo.cli.failures import Failed
from continuo.cli.hub_admin import ask, public_of
from continuo.cli.output import print_table
from continuo.resources.boards import BOARD, EXPOSED_SERVICE, MANAGED_KINDS, PORT, WORKLOAD
from continuo.resources.meta import Object, condition

QUIET = 2.0
"""Seconds that a killed board's programs have to be gone."""


@dataclass(slots=True)
class Play:
    """What the steps share."""

    console: Any
    stage: Stage
    view: View
    timeout: float
    began: float
    step: int = 1
    held: list[tuple[str, str, bool | None]] = field(default_factory=list)
    """What was seen: what, its figure, whether it is as it should be; None where it could not be looked at."""

    def head(self, what: str) -> None:
        """Begin a step."""
        self.step += 1
        self.console.print()
        head(self.console, self.step, what)

    def say(self, what: str) -> None:
        """A sentence."""
        say(self.console, what)

    def saw(self, what: str, figure: str, holds: bool | None = True) -> None:
        """Note something for the summary."""
        self.held.append((what, figure, holds))

    def boards(self) -> list[Board]:
        return [facts.board_of(self.view, name) for name in scene.BOARDS]

    async def run(self, *command: str) -> str:
        """Run a command, shown as it would be typed; raises Failed with what it says."""
        shown = " ".join(command).replace(str(self.stage.data), "$DATA").replace(str(examples()), "examples")
        self.console.print(f"  $ {shown}", highlight=False, markup=False, soft_wrap=True)
        words = [sys.executable, "-m", "continuo.cli.main", *command[1:]] if command[0] == "continuo" else list(command)
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(self.stage.kubeconfig)},
        )  # fmt: skip
        try:
            async with asyncio.timeout(self.timeout):
                out, err = await process.communicate()
        except TimeoutError:
            raise Failed(f"{shown}: it took more than {self.timeout:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise Failed(f"{shown}: {err.decode(errors='replace').strip() or out.decode(errors='replace').strip()}")
        return out.decode()

    async def kubectl(self, verb: str, file: Path) -> None:
        """Apply or delete a file as users do; where there is no kubectl, by our own client."""
        if shutil.which("kubectl") is not None:
            said = await self.run("kubectl", verb, "-f", str(file), *_WAIT[verb])
            self.say(f"{len(said.splitlines())} objects")
        elif verb == "apply":
            await self.run("continuo", "apply", "-f", str(file))
        else:
            for obj in documents(file):
                kind = next(each.kind for each in MANAGED_KINDS if each.kind.kind == obj["kind"])
                await self.stage.cluster.delete(kind, obj["metadata"]["name"], scene.SPACE)
            self.say("there is no kubectl here: each object was deleted by Continuo's own client")


_MARKS = {True: "✔", False: "✘", None: "-"}
_WAIT = {"apply": (), "delete": ("--wait=false",)}


def documents(file: Path) -> list[Object]:
    """The objects of a file."""
    import yaml

    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


async def perform(play: Play, hold: bool) -> None:
    """All of them but the first, which begins; raises Failed where something is not as it should be."""
    _begun(play)
    await _boards(play)
    before = await leavings.left(play.stage, play.boards())
    file = await _apply(play)
    await _look(play)
    await _results(play)
    await _kill(play)
    if hold:
        _sum(play)
        await _hold(play, file)
    await _delete(play, file, before)
    await _dismiss(play)
    _sum(play)


def _begun(play: Play) -> None:
    stage = play.stage
    play.saw("engine, hub and provider start", since(play.began))
    if stage.wires is not None:
        play.say(
            f"ready after {since(play.began)}; each board will be a network namespace with one wire, to the hub at "
            f"{stage.host}"
        )
    else:
        play.say(f"ready after {since(play.began)}; boards will share this machine's network, since {stage.why}")


async def _boards(play: Play) -> None:
    play.head("five Boards are declared; an agent for each registers with the code in its Secret:")
    began = time.perf_counter()
    await play.kubectl("apply", examples() / scene.FILE_OF_BOARDS)
    view, stage = play.view, play.stage
    await view.until(
        lambda: len(view.all(BOARD)) == len(scene.BOARDS) and all(map(_declared, view.all(BOARD))), play.timeout,
        "the Boards to be known to the hub",
    )  # fmt: skip
    registered = since(began)
    for name in scene.BOARDS:
        await stage.bootstrap(name)
    starting = time.perf_counter()
    for name in scene.BOARDS:
        stage.start_agent(name)
    await view.until(lambda: all(map(good, view.all(BOARD))), play.timeout, "all boards to be online")
    online = since(starting)
    sizes = {name: resident(stage.agents[name].pid) for name in scene.BOARDS}
    rows = [
        (obj["metadata"]["name"], seen(obj)["uuid"], seen(obj)["status"], f"{sizes[obj['metadata']['name']]:.0f} MB")
        for obj in view.all(BOARD)
    ]
    print_table(("  BOARD", "UUID", "STATUS", "AGENT"), [(f"  {row[0]}", *row[1:]) for row in rows])
    play.saw("five boards are known to the hub", registered)
    play.saw("five agents start, register and are online", online)
    play.saw("an agent's memory", f"{statistics.median(sizes.values()):.0f} MB")


def _declared(obj: Object) -> bool:
    return bool((condition(obj, "Synced") or {}).get("status") == "True" and seen(obj).get("uuid"))


async def _apply(play: Play) -> Path:
    play.head("one file: a fleet, a plugin, a service, a network, a job. It is signed and applied:")
    stage, view = play.stage, play.view
    key, file = stage.data / "key.pem", stage.data / scene.FILE_OF_WORK
    signed = await play.run(
        "continuo", "boards", "sign", str(examples() / scene.FILE_OF_WORK), "--key", str(key), "--name", scene.KEY
    )  # fmt: skip
    file.write_text(signed, encoding="utf-8")
    await ask(stage.hub_folder, None, "keys add", name=scene.KEY, public=public_of(str(key)))
    wanted = _names(documents(file))
    began = time.perf_counter()
    await play.kubectl("apply", file)
    await view.until(
        lambda: wanted <= _names(view.objects()) and _all_ready(play),
        play.timeout,
        "everything in the file to be ready",
    )
    play.saw(f"{len(wanted)} objects are ready on their boards", since(began))
    view.print()
    return file


def _names(objects: list[Object]) -> set[tuple[str, str]]:
    return {(obj["kind"], obj["metadata"]["name"]) for obj in objects}


def _all_ready(play: Play) -> bool:
    return all(_as_far_as_can_be(play, obj) for obj in play.view.objects())


def _as_far_as_can_be(play: Play, obj: Object) -> bool:
    """Ready; without namespaces ports only have to say what they lack."""
    if obj["kind"] != PORT.kind or play.stage.wires is not None or good(obj):
        return good(obj)
    return "/dev/net/tun" in why(obj)


async def _look(play: Play) -> None:
    play.head("what was declared, looked at from outside:")
    exposed = seen(play.view.all(EXPOSED_SERVICE)[0])
    began = time.perf_counter()
    answer = await page(exposed["host"], exposed["publicPort"])
    holds = answer == scene.PAGE
    play.say(f"GET http://{exposed['host']}:{exposed['publicPort']}/ -> {(answer or 'nothing').strip()!r}")
    play.saw("a board's service answers at its public port", since(began), holds)
    await _ping(play)


async def _ping(play: Play) -> None:
    stage = play.stage
    ports = {name: play.view.get(PORT, name) for name in scene.CONNECTED}
    if stage.wires is None:
        said = why(ports[scene.CONNECTED[0]]) or "it is ready, but all boards are in one network here"
        play.say(f"NOT SHOWN: pinging across the VirtualNetwork, since {stage.why}")
        play.say(f"Port {scene.CONNECTED[0]} says: {said}")
        play.saw("three boards ping each other", "not shown", None)
        return
    first, rows, worst = scene.CONNECTED[0], [], 0.0
    with tapping(stage.wires.outer(scene.number_of(first)), wires.PATTERN * 2) as tapped:
        pairs = [(one, other) for one in scene.CONNECTED for other in scene.CONNECTED if one < other]
        addresses = {name: str(seen(obj)["ip"]) for name, obj in ports.items()}
        took = await asyncio.gather(
            *(asyncio.to_thread(wires.ping, stage.entering(one), addresses[other]) for one, other in pairs)
        )
    for (one, other), milliseconds in zip(pairs, took, strict=True):
        rows.append((f"  {one}", other, addresses[other], "-" if milliseconds is None else f"{milliseconds:.1f} ms"))
        worst = max(worst, milliseconds or 0.0)
    print_table(("  FROM", "TO", "ADDRESS", "PING"), rows)
    all_came = None not in took
    play.saw("three boards ping each other", f"{worst:.1f} ms at most" if all_came else "lost", all_came)
    hidden = tapped.frames > 0 and tapped.readable == 0
    play.say(
        f"meanwhile {tapped.frames} frames passed {first}'s wire; {tapped.readable} of them had a ping's text in clear"
    )
    play.saw("what passes a wire is encrypted", f"{tapped.readable} of {tapped.frames} frames readable", hidden)
    address = addresses[scene.CONNECTED[1]]
    outside = await asyncio.to_thread(wires.ping, stage.entering(scene.BOARDS[-1]), address)
    play.saw(
        "a board without a port does not get in", "no answer" if outside is None else "it answers", outside is None
    )


async def _results(play: Play) -> None:
    play.head("the job's results came back from every board:")
    job = seen(play.view.get(WORKLOAD, "pi"))
    rows, inside, total = [], 0, 0
    for run in sorted(job["boards"], key=lambda each: each["name"]):
        result = json.loads(run["result"])
        inside, total = inside + result["inside"], total + result["of"]
        rows.append((f"  {run['name']}", run["phase"], f"{run.get('exitCode', '-')}", run["result"]))
    print_table(("  BOARD", "PHASE", "EXIT CODE", "RESULT"), rows)
    pi = 4 * inside / total
    play.say(f"together: pi is about {pi:.4f}")
    holds = len(rows) == len(scene.BOARDS) and abs(pi - 3.14159) < 0.05
    play.saw(f"a job ran on {len(rows)} boards, its results are here", f"pi ~ {pi:.4f}", holds)


async def _kill(play: Play) -> None:
    stage, view, board = play.stage, play.view, facts.board_of(play.view, scene.KILLED)
    play.head(f"{board.name} is killed (SIGKILL), and its agent is started again:")
    wanted = facts.declared(view, board, ports=stage.wires is not None)
    before, report = await facts.has(stage, view, board)
    child = stage.agents[board.name]
    programs = facts.family(child.pid)
    began = time.perf_counter()
    child.kill()
    await asyncio.to_thread(child.wait)
    await view.until(lambda: not good(view.get(BOARD, board.name)), play.timeout, f"{board.name} to be seen offline")
    play.say(
        f"Kubernetes knows after {since(began)}: {(condition(view.get(BOARD, board.name), 'Ready') or {}).get('message')}"
    )
    left = await _dead(programs)
    play.saw("its programs died with it", f"{len(programs) - len(left)} of {len(programs)}", not left)
    began = time.perf_counter()
    stage.start_agent(board.name)
    after, anew = await _returned(play, board, wanted, began)
    rows = [
        (f"  {what}", wanted.get(what, "-"), "as before" if after.get(what) == before.get(what) == wanted.get(what)
         else f"{before.get(what, '-')}, then {after.get(what, '-')}")
        for what in sorted({*wanted, *before, *after})
    ]  # fmt: skip
    print_table(("  WHAT", "DECLARED AND BEFORE", "AFTER"), rows)
    play.saw("a killed board is what it was declared to be", since(began), after == before == wanted)
    once = facts.runs(report) == facts.runs(anew)
    play.saw("its job was not run again", "the same run" if once else "another run", once and bool(facts.runs(anew)))
    await view.until(
        lambda: all(_as_far_as_can_be(play, obj) for obj in view.objects()),
        play.timeout,
        "everything to be ready again",
    )


async def _dead(programs: set[int]) -> set[int]:
    """Those that live on: the kernel takes a moment to end them."""
    deadline = time.perf_counter() + QUIET
    while (left := facts.alive(programs)) and time.perf_counter() < deadline:  # noqa: ASYNC110 - not our children
        await asyncio.sleep(0.02)
    return left


async def _returned(play: Play, board: Board, wanted: facts.Facts, began: float) -> tuple[facts.Facts, Any]:
    """What it has when it has what is declared, by the report of its new life; else what it has at last."""
    view = play.view
    await view.until(lambda: good(view.get(BOARD, board.name)), play.timeout, f"{board.name} to be online again")
    while True:
        found, report = await facts.has(play.stage, view, board)
        lasted = time.perf_counter() - began
        if (found == wanted and report["health"]["uptime"] <= lasted) or lasted > play.timeout:
            return found, report
        await asyncio.sleep(0.1)


async def _delete(play: Play, file: Path, before: leavings.Left) -> None:
    play.head("the file is deleted, and nothing of it is left anywhere:")
    view = play.view
    exposed = seen(view.all(EXPOSED_SERVICE)[0])
    began = time.perf_counter()
    await play.kubectl("delete", file)
    await view.until(
        lambda: len(view.objects()) == len(scene.BOARDS), play.timeout, "the objects of the file to be gone"
    )
    gone = since(began)
    beyond = await _cleared(play, before)
    rows = [(f"  {what}", ", ".join(found[:4]) or "nothing") for what, found in beyond.items()]
    answers = await leavings.answers(exposed["host"], exposed["publicPort"])
    rows.append((f"  port {exposed['publicPort']}", "somebody answers" if answers else "nobody listens"))
    print_table(("  WHERE", "LEFT"), rows)
    play.saw("the file's objects are deleted", gone)
    play.saw("nothing is left at the hub and on the boards", since(began), not any(beyond.values()) and not answers)
    view.print()


async def _cleared(play: Play, before: leavings.Left) -> dict[str, list[str]]:
    """What there is more than before, when that is nothing; else after a while."""
    deadline = time.perf_counter() + PATIENCE
    while True:
        beyond = (await leavings.left(play.stage, play.boards())).beyond(before)
        if not any(beyond.values()) or time.perf_counter() > deadline:
            return beyond
        await asyncio.sleep(0.2)


async def _dismiss(play: Play) -> None:
    play.head("the Boards are deleted, too: the hub knows none, and their agents end:")
    began = time.perf_counter()
    await play.kubectl("delete", examples() / scene.FILE_OF_BOARDS)
    await play.view.until(lambda: not play.view.objects(), play.timeout, "the Boards to be gone")
    rows = (await play.stage.hub.get("boards"))["boards"]
    codes = await asyncio.gather(*(_ended(play, name) for name in scene.BOARDS))
    play.saw("no board is left at the hub", since(began), not rows)
    play.saw(
        "agents end, since the hub does not know them",
        f"{codes.count(1)} of {len(codes)}",
        codes.count(1) == len(codes),
    )


async def _ended(play: Play, name: str) -> int | None:
    try:
        return await asyncio.to_thread(play.stage.agents[name].wait, PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def _sum(play: Play) -> None:
    play.head(f"in all ({since(play.began)}):")
    rows = [(f"  {_MARKS[holds]} {what}", figure) for what, figure, holds in play.held]
    print_table(("  WHAT WAS SEEN", "MEASURED"), rows)
    wrong = [what for what, _, holds in play.held if holds is False]
    if wrong:
        raise Failed(f"{len(wrong)} of {len(play.held)} did not hold: {'; '.join(wrong)}")


async def _hold(play: Play, file: Path) -> None:
    """Say how to look around, and wait to be ended."""
    stage, told = play.stage, play.stage.told()
    board, exposed = scene.CONNECTED[0], seen(play.view.all(EXPOSED_SERVICE)[0])
    address = seen(play.view.get(PORT, scene.CONNECTED[1])).get("ip", "")
    lines = [
        "", "It goes on until Ctrl-C. Look around in another terminal:",
        f"  export KUBECONFIG={stage.kubeconfig}",
        "  kubectl get iot",
        "  continuo boards tree",
        "  continuo boards logs page",
        f"  curl http://{exposed['host']}:{exposed['publicPort']}/",
        *([f"  {' '.join(stage.entering(board))} ping -c 3 {address}"] if stage.wires is not None else []),
        f"  kill -9 {stage.agents[scene.BOARDS[-1]].pid}   # {scene.BOARDS[-1]}",
        f"  continuo hub board ls --data {stage.hub_folder}",
        f"  kubectl delete -f {file}",
        f"REST is at {told['rest']}, boards connect to {told['wamp']}",
    ]  # fmt: skip
    play.console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    await asyncio.Event().wait()
