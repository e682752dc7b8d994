"""Workloads are code: what nobody signed whom the policy names is refused, and ends when the policy is another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.iot.agent.plugins.spec import Policy
from continuo.iot.agent.workloads.spec import check_signature
from continuo.iot.signing import public_hex, sign_workload
from iot.workloads.bed import Board, board, job, shell

pytestmark = pytest.mark.anyio

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OPS = Policy(keys={"ops": public_hex(KEY)})


class Ruled:
    """The policy of the moment."""

    def __init__(self, policy: Policy = OPS) -> None:
        self.policy = policy

    def __call__(self, wanted: Mapping[str, Any]) -> None:
        check_signature(wanted, self.policy.keys, self.policy.unsigned)


def signed(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "extra": {"signature": sign_workload(KEY, "ops", said).wire()}}


async def _refused(bed: Board, sentence: str) -> None:
    said = await bed.until("Refused")
    assert sentence in said["message"], said


async def test_only_what_was_signed_runs(tmp_path: Path) -> None:
    async with board(tmp_path / "b", allow=Ruled()) as bed:
        wanted = job("echo one")
        await bed.set(wanted)
        await _refused(bed, "the workload is not signed, and the policy allows signed code only")
        await bed.set({**signed(wanted), "command": ["/bin/sh", "-c", "echo two"]})
        await _refused(bed, "the signature by 'ops' is not of this workload")
        await bed.set(signed(wanted))  # the same generation: a signature changes nothing of what should run
        await bed.until("Succeeded")


async def test_an_unsigned_one_runs_where_the_policy_says_so_and_a_wrong_signature_nowhere(tmp_path: Path) -> None:
    async with board(tmp_path / "b", allow=Ruled(Policy(unsigned=True))) as bed:
        await bed.set(job("true"))
        await bed.until("Succeeded")
        await bed.set(signed(job("true", generation=2)))
        await _refused(bed, "which the policy does not name (it names none)")


async def test_a_key_that_is_named_no_more_ends_what_it_signed_and_what_had_ended_keeps_its_end(tmp_path: Path) -> None:
    ruled, service, done = Ruled(), signed(shell("exec sleep 1000")), signed(job("echo x > $RESULTS/x"))
    async with board(tmp_path / "b", allow=ruled) as bed:
        both = {"s": service, "j": done}
        await bed.workloads.set(both)
        await bed.until("Running", "s")
        await bed.until("Succeeded", "j")
        ruled.policy = Policy()
        await bed.workloads.set(both)
        await bed.until("Refused", "s")
        assert bed.said("j")["phase"] == "Succeeded"
    async with board(tmp_path / "b", allow=ruled) as bed:  # the agent's next life
        await bed.workloads.set(both)
        await bed.until("Refused", "s")
        await bed.until("Succeeded", "j")
        assert (await bed.workloads.results("j"))["files"] == {"x": "x\n"}
        ruled.policy = OPS
        await bed.workloads.set(both)
        await bed.until("Running", "s")


async def test_other_contents_with_the_same_generation_do_not_run_under_the_old_signature(tmp_path: Path) -> None:
    async with board(tmp_path / "b", allow=Ruled()) as bed:
        await bed.set(signed(shell("exec sleep 1000")))
        await bed.until("Running")
        await bed.set({**signed(shell("exec sleep 1000")), "env": {"LD_PRELOAD": "x"}})
        await _refused(bed, "is not of this workload")
