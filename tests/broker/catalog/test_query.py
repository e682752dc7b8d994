"""Pages are what a plain search over everything finds, whichever way they are found, and of one revision each."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from continuo.broker.catalog import query as query_module
from continuo.broker.catalog import turns
from continuo.broker.catalog.bounds import Bounds
from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.index import Index
from continuo.broker.catalog.query import Asked, Queries
from continuo.broker.catalog.ranking import Key, order_of
from continuo.broker.catalog.where import bounds_of, compile_where
from continuo.broker.offers.model import Offer, Plan

pytestmark = pytest.mark.anyio
ORDERS = ("id", "price", "-price", "-resources.cpu", "region", "effective.latency")
CONDITIONS = (
    "", "price < 3", "price <= 3 && region == 'eu'", "3 >= price && price > 1.5", "price == 2.0", "price > 90",
    "!(price < 3)", "price < 2 || region == 'us'", "resources.cpu >= 8 && labels.tier == 'gold'", "price * 2.0 < 3.0",
)  # fmt: skip


@pytest.fixture(params=["as it is", "in small steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small steps every query looks at all offers, and gives way after each few."""
    if request.param == "in small steps":
        monkeypatch.setattr(query_module, "_CHUNK", 7)
        monkeypatch.setattr(query_module, "_AT_ONCE", 14)
        monkeypatch.setattr(turns, "LONGEST", -1.0)


def entry(number: int, revision: int, dice: random.Random) -> Entry:
    plans = tuple(
        Plan(size, size, str(dice.choice((0.5, 1, 1.5, 2, 3, 7))), {"cpu": str(dice.choice((2, 8, 32)))})
        for size in ("a", "b", "c")[: dice.randrange(1, 4)]
    )
    claims = {"latency": 5.0} if dice.random() < 0.3 else {}
    offer = Offer(
        f"o{number:03}", f"p{number % 3}", "n", "t", plans, region=dice.choice(("eu", "us")),
        labels={"tier": dice.choice(("gold", "silver"))}, claims=claims,
    )  # fmt: skip
    return Entry.of(offer, revision, 0.0, {"latency": dice.choice((1.0, 2.0))} if dice.random() < 0.5 else {})


def plainly(entries: dict[str, Entry], asked: Asked) -> list[tuple[str, tuple[str, ...]]]:
    """What is to be found, by looking at everything and sorting all of it."""
    key_of, keep = order_of(asked.order), compile_where(asked.where or "true")
    found: list[tuple[Key, str, tuple[str, ...]]] = []
    for id, each in entries.items():
        rows = keep((each.rows,))
        if not rows or (asked.provider and each.offer.provider != asked.provider):
            continue
        if key_of is None:
            found.append(((id,), id, tuple(row.plan for row in rows) if asked.where else ()))
        else:
            places = sorted((key_of(row), row.plan) for row in rows)
            found.append((places[0][0], id, tuple(plan for _, plan in places)))
    return [(id, plans) for _, id, plans in sorted(found)]


async def pages(queries: Queries, asked: Asked, limit: int) -> list[tuple[str, tuple[str, ...]]]:
    seen, cursor = [], None
    while True:
        page = await queries.page(asked, limit, cursor)
        seen += [(each.offer.id, plans) for _, each, plans in page.matches]
        cursor = page.cursor
        if cursor is None:
            return seen


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_are_what_a_plain_search_finds(order: str, steps: None) -> None:
    dice, index = random.Random(order), Index()
    queries = Queries(index)
    for revision in range(1, 400):
        if dice.random() < 0.2:
            index.remove(f"o{dice.randrange(120):03}")
        else:
            index.put(entry(dice.randrange(120), revision, dice))
        index.revision = revision
        if revision % 40 == 0:
            for where in CONDITIONS:
                asked = Asked(where, order, dice.choice(("", "", "p1")))
                entries = {each.offer.id: each for each in index.values()}
                assert await pages(queries, asked, dice.choice((1, 7, 50))) == plainly(entries, asked), asked


@pytest.mark.parametrize("order", ["id", "price", "-resources.cpu"])
async def test_a_page_is_of_one_revision_though_others_write_meanwhile(order: str, steps: None) -> None:
    dice, index = random.Random(4), Index()
    queries = Queries(index)
    states: dict[int, dict[str, Entry]] = {}

    def write(revision: int) -> None:
        index.put(entry(dice.randrange(60), revision, dice))
        index.revision = revision
        states[revision] = {each.offer.id: each for each in index.values()}

    for revision in range(1, 200):
        write(revision)
    over = asyncio.Event()

    async def writer() -> None:
        revision = 200
        while not over.is_set():
            write(revision)
            revision += 1
            await asyncio.sleep(0)

    writing = asyncio.create_task(writer())
    for _ in range(5):
        for where in CONDITIONS:
            asked = Asked(where, order)
            page = await queries.page(asked, 1000)
            found: list[Any] = [(each.offer.id, plans) for _, each, plans in page.matches]
            assert found == plainly(states[page.revision], asked), asked
    over.set()
    await writing


@pytest.mark.parametrize(
    ("where", "low", "high"),
    [
        ("price < 3", float("-inf"), 3), ("3 > price && region == 'eu'", float("-inf"), 3), ("price == 2", 2, 2),
        ("(price >= 1.5 && price < 4) && price <= 3", 1.5, 3), ("price < 3 || price > 5", float("-inf"), float("inf")),
        ("!(price < 3)", float("-inf"), float("inf")), ("price * 2.0 < 3.0", float("-inf"), float("inf")),
    ],
)  # fmt: skip
async def test_only_what_surely_bounds_the_price_counts(where: str, low: float, high: float) -> None:
    assert bounds_of(where) == Bounds(low, high)
