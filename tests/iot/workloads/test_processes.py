"""Jobs and services as confined processes: how they end, what they leave, and that each runs as often as declared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from iot.workloads.bed import UUID, board, job, shell

pytestmark = pytest.mark.anyio


async def test_a_job_leaves_its_exit_code_its_output_and_its_results(tmp_path: Path) -> None:
    script = (
        'cat in/greeting; echo oops >&2; echo "$WHO" > $RESULTS/who; mkdir $RESULTS/d; printf "\\377" > $RESULTS/d/raw'
    )
    async with board(tmp_path / "b") as bed:
        await bed.set(job(script, env={"WHO": "me"}, files={"in/greeting": "hello\n"}))
        said = await bed.until("Succeeded")
        assert (said["exitCode"], said["restarts"], said["message"], said["result"]) == (0, 0, "", "me\n")
        assert await bed.workloads.logs(UUID) == "hello\noops\n"
        found = await bed.workloads.results(UUID)
        assert found["files"] == {"d/raw": {"base64": "/w=="}, "who": "me\n"}
        assert (await bed.workloads.follow(UUID, 6, 0.0)) == {"text": "oops\n", "next": 11, "over": True}
    async with board(tmp_path / "b") as bed:  # the agent's next life
        await bed.set(job(script, env={"WHO": "me"}, files={"in/greeting": "hello\n"}))
        assert (await bed.until("Succeeded"))["started"] == said["started"]
        assert await bed.workloads.logs(UUID, 1) == "oops\n"
        assert (await bed.workloads.results(UUID))["files"]["who"] == "me\n"


async def test_whoever_follows_gets_what_is_printed_as_it_comes_and_hears_of_the_end(tmp_path: Path) -> None:
    script = 'echo one; echo two; until [ -e go ]; do sleep 0.05; done; printf "three \\303"'
    async with board(tmp_path / "b") as bed:
        await bed.set(job(script))
        await bed.until("Running")
        await bed.workloads._log(UUID).wait(7, 20.0)
        first = await bed.workloads.follow(UUID, None, tail=1)
        assert first == {"text": "two\n", "next": 8, "over": False}
        more = asyncio.create_task(bed.workloads.follow(UUID, 8, 60.0))
        for folder in (tmp_path / "b").rglob("work"):
            (folder / "go").write_text("x\n")
        said = await more
        assert (said["text"], said["next"]) == ("three ", 14)
        last = await bed.workloads.follow(UUID, 14, 60.0)
        assert (last["text"], last["next"]) == ("\ufffd", 15)
        end = await asyncio.wait_for(bed.workloads.follow(UUID, 15, 600.0), 30)
        assert end == {"text": "", "next": 15, "over": True}


async def test_a_job_that_fails(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(job("exit 3"))
        said = await bed.until("Failed")
        assert (said["exitCode"], said["message"]) == (3, "it ended with exit code 3")


async def test_another_generation_replaces_what_runs_and_what_was_left(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(shell("echo one > $RESULTS/r; echo one; exec sleep 1000"))
        await bed.until("Running")
        await bed.set(job("echo two", generation=2))
        assert (await bed.until("Succeeded"))["generation"] == 2
        assert await bed.workloads.logs(UUID) == "two\n"
        assert (await bed.workloads.results(UUID))["files"] == {}


async def test_what_is_no_more_desired_is_gone_with_all_it_left(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(shell("exec sleep 1000"))
        await bed.until("Running")
        await bed.set(None)
        assert bed.workloads.status() == {}
        assert list((tmp_path / "b" / "workloads").iterdir()) == []


async def test_a_service_is_started_again_and_counts(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(shell("exit 1"))
        await bed.changes.until(lambda: bed.said()["restarts"] >= 1)
        assert bed.said()["phase"] in ("Running", "Pending")


async def test_a_service_is_started_again_in_the_agents_next_life(tmp_path: Path) -> None:
    for _ in range(2):
        async with board(tmp_path / "b") as bed:
            await bed.set(shell("exec sleep 1000"))
            await bed.until("Running")


async def test_a_job_that_prints_for_ever_is_bounded_on_disk(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(job("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last"))
        await bed.until("Succeeded")
        kept = sum(path.stat().st_size for path in (tmp_path / "b" / "workloads" / UUID).glob("log.*"))
        assert kept <= 600_000
        assert await bed.workloads.logs(UUID, 1) == "last\n"
        assert (await bed.workloads.follow(UUID, 0, 0.0))["next"] == 3_000_006


async def test_results_are_bounded_and_nothing_is_followed(tmp_path: Path) -> None:
    script = "cd $RESULTS; ln -s /etc/passwd p; mkfifo f; head -c 2000000 /dev/zero > big; echo fine > small"
    async with board(tmp_path / "b") as bed:
        await bed.set(job(script))
        said = await bed.until("Succeeded")
        assert (await bed.workloads.results(UUID))["files"] == {"small": "fine\n"}
        assert said["exitCode"] == 0


async def test_memory_and_secrets_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "key").write_text("topmost")
    async with board(tmp_path / "b") as bed:
        await bed.set(job(f"cat {tmp_path}/b/key; cat /etc/shadow; echo done"))
        await bed.until("Succeeded")
        said = await bed.workloads.logs(UUID)
        assert "topmost" not in said and "root:" not in said and said.endswith("done\n")
        much = "import sys; x = b'x' * (300 << 20); print(len(x))"
        await bed.set(job("", generation=2, resources={"memory": "32Mi"}) | {"command": ["python3", "-c", much]})
        assert (await bed.until("Failed"))["message"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"command": []}, "command is empty; a process needs a program"),
        ({"command": "ls"}, "command is no list of texts"),
        ({"runtime": "vm"}, "runtime is 'vm'; it is one of process, container"),
        (
            {"runtime": "container"},
            "image is ''; a container needs the name of one, such as docker.io/library/busybox:1.37",
        ),
        ({"runtime": "container", "image": "-v"}, "image is '-v'; a container needs the name of one"),
        ({"restart": "Sometimes"}, "restart is 'Sometimes'; it is one of Always, OnFailure, Never"),
        ({"job": True, "restart": "Always"}, "restart is Always, but a job ends: it is OnFailure or Never"),
        ({"job": "yes"}, "job is neither true nor false, nor an object with retry"),
        ({"env": {"A B": "x"}}, "env has 'A B', which is no name of a variable"),
        ({"env": {"A": 1}}, "env has A, whose value is no text"),
        ({"files": {"/etc/passwd": ""}}, "files has '/etc/passwd'; paths lie within the working folder"),
        ({"files": {"a/../../b": ""}}, "files has 'a/../../b'; paths lie within the working folder"),
        ({"files": {"results/x": ""}}, "files has 'results/x'; results and tmp in the working folder"),
        ({"files": {"a": "", "a/b": ""}}, "files has one path twice, or as a file and as a folder"),
        ({"files": {"a": "x" * (4 << 20) + "y"}}, "files takes more than 4194304 bytes"),
        ({"resources": {"memory": "much"}}, "memory is 'much'; it is a positive number such as 0.5, 500m or 64Mi"),
        ({"resources": [1]}, "resources is no object with cpu and memory"),
        ({"generation": 0}, "generation is 0; it is a positive number"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(
    tmp_path: Path, wrong: dict[str, object], sentence: str
) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(shell("true") | wrong)
        assert bed.said()["phase"] == "Refused"
        assert sentence in bed.said()["message"]


async def test_a_program_that_is_not_there_fails_and_says_so(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(job("") | {"command": ["/bin/nothing-here"]})
        assert "/bin/nothing-here: No such file or directory" in (await bed.until("Failed"))["message"]


async def test_an_id_that_is_a_path_is_refused(tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(job("true"), uuid="../x")
        assert bed.said("../x")["message"] == "'../x' is no id of a workload"
        with pytest.raises(LookupError, match="workload nope is not on this board"):
            await bed.workloads.logs("nope")
