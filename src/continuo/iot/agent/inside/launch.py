"""Confine this process as the agent says, then become the program that it names. Standard library only, told over a pipe.

Three processes, so that nothing of a program outlives it: this one waits outside, a first process in a namespace of its own
reaps and takes all others with it when it ends, and the program. Without such a namespace this one adopts what is left.
What was not possible is told before the program starts, and where it is required the program does not start.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, NoReturn

from continuo.iot.agent.inside import filters, landlock, root, system

REFUSED = 125
_SPACES = system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC | system.CLONE_NEWUTS


class Launch:
    """One program on its way into its confinement."""

    def __init__(self, told: dict[str, Any], status: int) -> None:
        self.told = told
        self.status = status
        self.got: dict[str, str] = {}
        """What is enforced, and by what."""
        self.lacks: dict[str, str] = {}
        """What is not, and why."""

    def say(self, **what: Any) -> None:
        """Tell the agent, in one line."""
        with suppress(BrokenPipeError):
            os.write(self.status, json.dumps(what).encode() + b"\n")

    def run(self) -> int:
        """The whole way; the exit code for this process."""
        self._join_cgroups()
        spaces = self._namespaces()
        system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
        system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._guarded(self._inside if spaces else self._program, parent)
        self._let_go()
        signal.signal(signal.SIGTERM, lambda *_: _kill(child, signal.SIGTERM))
        code = _wait(child)
        _end_the_rest()
        if not spaces or os.WIFSIGNALED(code):
            self._end(code)
        return 0

    def _guarded(self, step: Any, parent: int) -> NoReturn:
        """In a child: do it; what fails is told, and ends the child."""
        code = REFUSED
        try:
            code = step(parent)
        except BaseException as error:  # the agent hears why; nothing else may run on in a forked process
            self.say(refused=f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)

    def _end(self, code: int) -> None:
        if os.WIFSIGNALED(code):
            self.say(signal=os.WTERMSIG(code))
        elif os.WEXITSTATUS(code) != REFUSED:
            self.say(exit=os.WEXITSTATUS(code))

    def _let_go(self) -> None:
        """Whoever only waits keeps no end of the program's pipes."""
        for descriptor in (0, 1, 2, *self.told["keep"]):
            with suppress(OSError):
                os.close(descriptor)

    # Outside

    def _join_cgroups(self) -> None:
        for what, path in self.told["cgroups"]:
            try:
                with open(path, "w") as file:
                    file.write("0")
                self.got[what] = "cgroup"
            except OSError as error:
                self.lacks[what] = f"{path}: {error.strerror}"
        self.lacks.setdefault("cpu", "no control group: it only yields to others")
        with suppress(OSError):
            os.nice(self.told["nice"])

    def _namespaces(self) -> bool:
        """Own namespaces of processes, mounts and, unless granted, the network; as root or in a namespace of users."""
        flags = _SPACES | (0 if self.told["network"] else system.CLONE_NEWNET)
        try:
            if os.geteuid() == 0 and "user namespace" not in self.told["without"]:
                self._separate(flags)
            else:
                _as_user(flags, "namespaces" in self.told["without"])
        except OSError as error:
            self.lacks["processes"] = f"no namespaces ({error.strerror})"
            if not self.told["network"]:
                self.lacks["network"] = f"no network namespace ({error.strerror})"
            return False
        if not self.told["network"]:
            self.got["network"] = "none, in a namespace"
        self.got["processes"] = "namespace"
        return True

    def _separate(self, flags: int) -> None:
        if "namespaces" in self.told["without"]:
            _refuse("turned off")
        system.unshare(flags)

    # The first process of the namespace

    def _inside(self, _parent: int) -> int:
        system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
        if not self.told["network"]:
            with suppress(OSError):
                _loopback_up()
        owner = self._owner()
        try:
            root.enter(
                self.told["stage"], self.told["readable"], self.told["devices"], self.told["folder"],
                self.told["disk"], owner,
            )  # fmt: skip
            self.got["files"] = "own root"
            self.got["disk"] = "memory" if self.told["folder"] is None else "watched"
        except OSError as error:
            self.lacks["root"] = f"no own root: {error}"
        child = os.fork()
        if child == 0:
            self._guarded(self._program, os.getppid())
        self._let_go()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: _kill(child, received))
        self._end(_wait(child))
        return 0

    # The program

    def _program(self, _parent: int) -> int:
        rooted = "files" in self.got
        work = root.WORK if rooted else self.told["fallback"]
        self._limits()
        self._user()
        system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
        self._landlock(rooted, work)
        self._filter()
        if not rooted:
            self.got["disk"] = "watched"
            system.prctl(system.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(work)
        self.lacks = {name: why for name, why in self.lacks.items() if name not in self.got}
        missing = [name for name in self.told["require"] if name not in self.got]
        if missing:
            why = "; ".join(f"{name}: {self.lacks.get(name, 'not possible here')}" for name in missing)
            self.say(got=self.got, lacks=self.lacks)
            self.say(refused=f"this machine cannot confine it as required: {why}")
            return REFUSED
        self.say(got=self.got, lacks=self.lacks, work=work)
        return self._become(work)

    def _become(self, work: str) -> int:
        os.umask(0o077)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in self.told["keep"]:
            os.set_inheritable(descriptor, True)
        environment = {"HOME": work, "TMPDIR": f"{work}/tmp" if "files" in self.got else work, **self.told["env"]}
        if os.path.isdir(f"{work}/results"):
            environment["RESULTS"] = f"{work}/results"
        program = self.told["argv"]
        try:
            os.execvpe(program[0], program, environment)
        except OSError as error:
            self.say(refused=f"{program[0]}: {error.strerror}")
        return REFUSED

    def _owner(self) -> tuple[int, int]:
        uid = self.told["uid"] if os.geteuid() == 0 and self.told["uid"] is not None else os.geteuid()
        return uid, uid if uid != os.geteuid() else os.getegid()

    def _limits(self) -> None:
        told = self.told["limits"]
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_NOFILE, told["open_files"])
        _limit(resource.RLIMIT_FSIZE, told["file_size"])
        if told.get("cpu_seconds"):
            _limit(resource.RLIMIT_CPU, told["cpu_seconds"])
        if self.got.get("memory") != "cgroup":
            _limit(resource.RLIMIT_DATA, told["memory"])
            self.got["memory"] = "each process for itself"
        if self.got.get("tasks") != "cgroup":
            _limit(resource.RLIMIT_NPROC, told["processes"])
            self.got["tasks"] = "its user's processes"
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")

    def _user(self) -> None:
        """Another user than the agent's, where root; and no capability that a program could get back."""
        uid, gid = self._owner()
        if os.geteuid() == 0 and self.told["uid"] is not None:
            system.drop_bounding_set()
            os.setgroups(self.told["groups"])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            self.got["user"] = "own user"
        elif os.geteuid() == 0:
            self.lacks["user"] = "it runs as root: name a range of user ids in the settings"
        elif "processes" in self.got:
            self.got["user"] = "the agent's, in a namespace"
        else:
            self.lacks["user"] = "it runs as the agent's user: start the agent as root, or allow user namespaces"

    def _landlock(self, rooted: bool, work: str) -> None:
        readable = [*self.told["readable"], *(("/proc",) if rooted else ())]
        writable = [work, *self.told["devices"], *root.DEVICES]
        try:
            got = landlock.restrict(readable, writable, self.told["network"]) if self._may("landlock") else frozenset()
        except OSError as error:
            self.lacks["files"] = str(error)
            got = frozenset()
        if "files" in got:
            self.got["files"] = "own root, landlock" if rooted else "landlock"
        elif not rooted:
            self.lacks.setdefault("files", "neither mount namespaces nor Landlock")
        if "signals" in got:
            self.got.setdefault("processes", "signals only among its own")
        if "tcp" in got and "network" not in self.got:
            self.lacks["network"] = "no network namespace: no TCP, but other protocols"

    def _filter(self) -> None:
        program = filters.program(system.MACHINE, self.told["network"]) if self._may("seccomp") else None
        if program is None:
            self.lacks["calls"] = f"no filter of system calls for {system.MACHINE}"
            return
        try:
            system.set_filter(program)
        except OSError as error:
            self.lacks["calls"] = str(error)
            return
        self.got["calls"] = "filtered"
        if not self.told["network"]:
            self.got.setdefault("network", "none, by filter")

    def _may(self, what: str) -> bool:
        return what not in self.told["without"]


def _refuse(why: str) -> None:
    raise PermissionError(1, why)


def _as_user(flags: int, off: bool) -> None:
    """Namespaces for somebody who is not root: in a namespace of users, in which they stay who they are."""
    if off:
        _refuse("turned off")
    uid, gid = os.geteuid(), os.getegid()
    system.unshare(flags | system.CLONE_NEWUSER)
    for path, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(text)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        fcntl.ioctl(opened, 0x8914, struct.pack("16sh14x", b"lo", 0x49))


def _limit(what: int, value: int) -> None:
    """Both limits, or what there is if that is less."""
    _soft, hard = resource.getrlimit(what)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (least, least))


def _kill(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _wait(child: int) -> int:
    """Wait for that one and reap everybody else on the way; how it ended."""
    while True:
        ended, code = os.wait()
        if ended == child:
            return code


def _end_the_rest() -> None:
    """Kill what the program left behind: this process has adopted it."""
    for _round in range(1000):
        children = _children()
        if not children:
            return
        for child in children:
            _kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.wait()


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def main() -> None:
    """`launch SPEC-FD STATUS-FD`."""
    spec, status = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(spec, "rb") as file:
        told = json.load(file)
    os.set_inheritable(status, False)
    launch = Launch(told, status)
    try:
        code = launch.run()
    except OSError as error:
        launch.say(refused=str(error))
        code = REFUSED
    os._exit(code)


if __name__ == "__main__":
    main()
