"""The catalog as an application of its own, and its routers for the whole one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI

from continuo.broker.catalog.accounts import Accounts
from continuo.broker.catalog.catalog import Catalog
from continuo.broker.catalog.contracts import Contracts
from continuo.broker.catalog.following import Followable, Follower
from continuo.broker.catalog.peering import HandOver, Peering
from continuo.broker.catalog.query import Queries
from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.catalog.tokens import Signer
from continuo.broker.measurements.publishing import Publisher
from continuo.broker.measurements.store import Measurements
from continuo.server.catalog_face import CatalogParts, OperatorCheck, Rotation, handle_refusals, running
from continuo.server.catalog_fan import Fan
from continuo.server.failures import handle_failures
from continuo.server.limits import BodyLimit
from continuo.server.problems import Problem
from continuo.server.routes.catalog_accounts import accounts_router
from continuo.server.routes.catalog_contract_events import contract_events_router
from continuo.server.routes.catalog_contracts import contracts_router
from continuo.server.routes.catalog_events import events_router
from continuo.server.routes.catalog_measurements import measurements_router
from continuo.server.routes.catalog_offers import offers_router
from continuo.server.routes.catalog_thesis import thesis_router
from continuo.server.routes.health import health_router
from continuo.server.subjects import Gate
from continuo.storage.database import Database


def make_catalog(
    url: str,
    operator: OperatorCheck,
    *,
    name: str = "catalog",
    anonymous: bool = False,
    origins: frozenset[str] = frozenset(),
    peering: Peering | None = None,
    keep: int = 20_000,
    interval: float = 0.1,
    clock: Callable[[], float] = time.time,
    rotation: Rotation | None = None,
) -> CatalogParts:
    """The catalog over a database; `name` is the audience of its tokens, `keep` how many changes can be resumed."""
    database = Database(url, SCHEMA)
    catalog = Catalog(database, keep=keep, interval=interval, clock=clock)
    signer = Signer(database, name, clock)
    accounts = Accounts(database, signer, clock)
    contracts = Contracts(database, catalog, peering or HandOver(), clock)
    follower = Follower(database, contracts, peering, clock) if isinstance(peering, Followable) else None
    queries = Queries(catalog.index)
    measured = Publisher(Measurements(database, name, clock), catalog.measure)
    fan = Fan(catalog.feed)
    return CatalogParts(
        database,
        catalog,
        accounts,
        signer,
        queries,
        contracts,
        measured,
        operator,
        fan,
        rotation or Rotation(),
        anonymous,
        origins,
        follower=follower,
    )


def gate_operator(gate: Gate) -> OperatorCheck:
    """The operator is whom the management cluster knows as an administrator."""

    async def check(token: str) -> bool:
        try:
            return gate.policy.admin(await gate.admit(f"Bearer {token}"))
        except Problem:
            return False

    return check


def include_catalog(app: FastAPI, parts: CatalogParts) -> None:
    """All routes of the catalog."""
    offers = (thesis_router, offers_router, events_router)
    contracts = (contract_events_router, contracts_router)  # in this order: `events` is no contract's ID
    for router in (*offers, accounts_router, *contracts, measurements_router):
        app.include_router(router(parts))
    handle_refusals(app)


def create_catalog_app(parts: CatalogParts, *, runs: bool = False) -> FastAPI:
    """The catalog alone; `runs` says that somebody else keeps it running."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with nullcontext() if runs else running(parts):
            yield

    app = FastAPI(
        title="Continuo catalog", summary="Offers of providers, for consumers to find, follow and buy.",
        lifespan=lifespan, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.include_router(health_router(lambda: parts.database.trouble))
    include_catalog(app, parts)
    handle_failures(app)
    app.add_middleware(BodyLimit)
    return app
