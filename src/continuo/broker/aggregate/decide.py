"""How much each consumer is shown of what the providers have together. Pure, exact, never negative.

What is in use is in use. A quota is a promise: as much of the pool is set aside for it, oldest aggregate first, whether it
is used or not. What then remains is shown to every aggregate without a quota for the resource, less what the others
among them use: there the first to come is the first to be served. An over-subscribed aggregate shows `factor` times what
is set aside for it, so that its promise takes only that part of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from continuo.broker.aggregate.model import Amounts, Offer, Picture, Pool, Want
from continuo.broker.readers.amounts import ZERO


def decide(picture: Picture) -> dict[str, Offer]:
    """By name of the aggregate: its offer."""
    order = sorted(picture.wants, key=lambda want: (want.created, want.name))
    shares: dict[str, dict[str, dict[str, Fraction]]] = {want.name: {} for want in order}
    short: dict[str, dict[str, Fraction]] = {want.name: {} for want in order}
    for resource in sorted({name for pool in picture.pools.values() for name in pool.has or ()}):
        books = _Books.of(picture.pools, resource)
        promised = [want for want in order if resource in want.quota]
        claims = _claims(promised)
        for want in promised:
            lacking = _promise(want, resource, books, claims, shares[want.name])
            if lacking:
                short[want.name][resource] = lacking
        shown: set[tuple[str, str]] = set()
        for want in order:
            if resource not in want.quota:
                _open(want, resource, books, shares[want.name], shown)
    return {want.name: _offer(want, picture.pools, shares[want.name], short[want.name]) for want in order}


@dataclass(slots=True)
class _Books:
    """One resource at all providers: what each has, what consumers use of it, and what is promised to them."""

    has: dict[str, Fraction]
    used: dict[str, dict[str, Fraction]]
    promised: dict[str, dict[str, Fraction]]
    held: dict[str, Fraction]
    """By provider: the sum over consumers of what they use or what they are promised, whichever is more."""

    @classmethod
    def of(cls, pools: Mapping[str, Pool], resource: str) -> _Books:
        has = {
            name: pool.has[resource] for name, pool in pools.items() if pool.has is not None and resource in pool.has
        }
        used = {
            name: {who: used[resource] for who, used in pools[name].used.items() if used.get(resource)} for name in has
        }
        return cls(has, used, {name: {} for name in has}, {name: sum(by.values(), ZERO) for name, by in used.items()})

    def left_for(self, consumer: str, provider: str) -> Fraction:
        """What neither others hold, nor another aggregate of the same consumer has been promised."""
        if provider not in self.has:
            return ZERO
        others = self.held[provider] - self._holds(consumer, provider)
        return max(ZERO, self.has[provider] - others - self.promised[provider].get(consumer, ZERO))

    def promise(self, consumer: str, provider: str, amount: Fraction) -> None:
        """Set so much aside."""
        self.held[provider] -= self._holds(consumer, provider)
        self.promised[provider][consumer] = self.promised[provider].get(consumer, ZERO) + amount
        self.held[provider] += self._holds(consumer, provider)

    def _holds(self, consumer: str, provider: str) -> Fraction:
        return max(self.used[provider].get(consumer, ZERO), self.promised[provider].get(consumer, ZERO))


def _claims(promised: list[Want]) -> dict[str, int]:
    """How many promises each provider may have to keep."""
    counts: dict[str, int] = {}
    for want in promised:
        for provider in want.providers:
            counts[provider] = counts.get(provider, 0) + 1
    return counts


def _promise(
    want: Want, resource: str, books: _Books, claims: Mapping[str, int], shares: dict[str, dict[str, Fraction]]
) -> Fraction:
    """Set the quota aside, from where the consumer's pods are first, then where the fewest others claim; what lacks."""
    open_ = want.quota[resource]

    def first(provider: str) -> tuple[Fraction, int, str]:
        used = books.used.get(provider, {}).get(want.consumer, ZERO)
        return -used, claims[provider], provider

    for provider in sorted(want.providers, key=first):
        shown = min(open_, _visible(want, resource, books, provider))
        if provider in books.has:
            shares.setdefault(provider, {})[resource] = shown
        if shown:
            books.promise(want.consumer, provider, shown / want.factor)
            open_ -= shown
    return open_


def _open(
    want: Want, resource: str, books: _Books, shares: dict[str, dict[str, Fraction]], shown: set[tuple[str, str]]
) -> None:
    """Show what is left; of several aggregates of one consumer only the oldest does, or it would see it twice."""
    for provider in want.providers:
        if provider in books.has:
            again = (want.consumer, provider) in shown
            shown.add((want.consumer, provider))
            shares.setdefault(provider, {})[resource] = ZERO if again else _visible(want, resource, books, provider)


def _visible(want: Want, resource: str, books: _Books, provider: str) -> Fraction:
    """What one provider could add."""
    whole = books.left_for(want.consumer, provider) * want.factor
    return min(whole, want.provider_quota.get(resource, whole))


def _offer(
    want: Want, pools: Mapping[str, Pool], shares: Mapping[str, Amounts], short: Mapping[str, Fraction]
) -> Offer:
    capacity: dict[str, Fraction] = {}
    for share in shares.values():
        for resource, amount in share.items():
            capacity[resource] = capacity.get(resource, ZERO) + amount
    silent = {}
    for provider in want.providers:
        pool = pools.get(provider)
        if pool is None or pool.has is None:
            silent[provider] = (pool.why if pool else "") or f"provider {provider} does not answer"
    answering = tuple(provider for provider in want.providers if provider not in silent)
    return Offer(capacity, shares, answering, silent, short)
