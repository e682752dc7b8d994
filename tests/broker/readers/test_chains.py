"""Readers behind readers, and the sum of several."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from broker.readers.doubles import Said, next_change
from continuo.broker.readers.amounts import parse, spell
from continuo.broker.readers.chain import Capped, Contracts, Filtered, Reserved
from continuo.broker.readers.port import ResourceReader
from continuo.broker.readers.total import Sum
from continuo.resources.errors import Unreachable

pytestmark = pytest.mark.anyio
GPU = {"cpu": "10", "memory": "1Gi", "nvidia.com/gpu": "4", "pods": "100"}


async def told(reader: ResourceReader, originator: str = "rome") -> dict[str, str]:
    return spell(await reader.read(originator))


async def test_a_share_is_kept_back() -> None:
    reader = Reserved(Said(cpu="10", memory="1Gi"), Fraction(1, 5), {"memory": Fraction(1, 2)})
    assert await told(reader) == {"cpu": "8", "memory": "512Mi"}


@pytest.mark.parametrize("share", [Fraction(-1, 5), Fraction(6, 5)])
def test_a_share_is_a_share(share: Fraction) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Reserved(Said(), share)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Reserved(Said(), Fraction(0), {"cpu": share})


async def test_gpus_are_for_those_who_may_have_them() -> None:
    reader = Filtered(Said(**GPU), {"nvidia.com/*": frozenset({"rome"})})
    assert "nvidia.com/gpu" in await told(reader, "rome")
    assert await told(reader, "oslo") == {"cpu": "10", "memory": "1Gi", "pods": "100"}


async def test_patterns_together_must_all_allow() -> None:
    reader = Filtered(Said(**GPU), {"nvidia.com/*": frozenset({"rome", "oslo"}), "*/gpu": frozenset({"oslo"})})
    assert "nvidia.com/gpu" not in await told(reader, "rome")
    assert "nvidia.com/gpu" in await told(reader, "oslo")


async def test_contracts_cap_and_without_one_there_is_nothing() -> None:
    contracts = Contracts()
    reader = Capped(Said(**GPU), contracts)
    assert await told(reader) == {}
    contracts.put("rome", "first", parse({"cpu": "2", "memory": "8Gi"}))
    assert await told(reader) == {"cpu": "2", "memory": "1Gi", "pods": "100"}
    contracts.put("rome", "second", parse({"cpu": "3"}))
    assert await told(reader) == {"cpu": "5", "memory": "1Gi", "pods": "100"}
    contracts.drop("rome", "first")
    assert await told(reader) == {"cpu": "3", "pods": "100"}
    await reader.remove("rome")
    assert await told(reader) == {"cpu": "3", "pods": "100"}, "leaving is not giving back"
    contracts.drop("rome")
    assert await told(reader) == {}


async def test_a_contract_is_a_change() -> None:
    source, contracts = Said(cpu="1"), Contracts()
    changes = Capped(source, contracts).subscribe()
    contracts.put("rome", "c", {})
    await next_change(changes)
    source.say(cpu="2")
    await next_change(changes)
    await changes.aclose()
    assert not len(source.bell) and not len(contracts.bell)


async def test_the_whole_chain() -> None:
    contracts = Contracts()
    contracts.put("rome", "c", parse({"cpu": "7", "nvidia.com/gpu": "4"}))
    chain = Capped(Filtered(Reserved(Said(**GPU), Fraction(1, 2)), {"nvidia.com/*": frozenset({"oslo"})}), contracts)
    assert await told(chain) == {"cpu": "5", "pods": "50"}


async def test_the_sum_is_the_sum() -> None:
    reader = Sum({"a": Said(cpu="1500m", memory="1Gi"), "b": Said(cpu="1", pods="5")})
    assert await told(reader) == {"cpu": "2500m", "memory": "1Gi", "pods": "5"}
    assert await told(reader, "a") == {"cpu": "1", "pods": "5"}, "a is not offered what is a's"


async def test_a_part_that_fails_adds_nothing_and_the_reason_is_kept() -> None:
    good, bad = Said(cpu="1"), Said(cpu="2")
    bad.error = Unreachable("b is away")
    reader = Sum({"good": good, "bad": bad})
    assert await told(reader) == {"cpu": "1"}
    assert reader.failed == {"bad": "b is away"}
    bad.error = None
    assert await told(reader) == {"cpu": "3"}
    assert not reader.failed


async def test_a_sum_of_silence_is_no_zero() -> None:
    bad = Said()
    bad.error = Unreachable("away")
    with pytest.raises(Unreachable, match="none of 1 readers answers: away"):
        await Sum({"bad": bad}).read("rome")
    assert await Sum().read("rome") == {}


async def test_parts_come_and_go_and_each_is_heard() -> None:
    first, second, late = Said(cpu="1"), Said(cpu="2"), Said(cpu="4")
    reader = Sum({"first": first, "second": second})
    changes = reader.subscribe()
    second.say(cpu="3")
    await next_change(changes)
    assert await told(reader) == {"cpu": "4"}
    reader.put("late", late)
    await next_change(changes)
    late.say(cpu="5")
    await next_change(changes)
    reader.drop("first")
    await next_change(changes)
    assert await told(reader) == {"cpu": "8"}
    await changes.aclose()
    assert not len(first.bell) and not len(second.bell) and not len(late.bell)


async def test_removal_reaches_all_even_if_one_is_away() -> None:
    good, bad = Said(), Said()
    bad.error = Unreachable("away")
    await Sum({"bad": bad, "good": good}).remove("rome")
    assert good.removed == ["rome"]


async def test_changes_while_one_is_busy_are_one_item() -> None:
    source = Said()
    changes = source.subscribe()
    for _ in range(5):
        source.bell.ring()
    await next_change(changes)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await changes.__anext__()
    await changes.aclose()
    with pytest.raises(StopAsyncIteration):
        await changes.__anext__()
