"""BrokerPolicies ready for use: selectors that match, expressions that are compiled, once for each generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from continuo.broker.policies.facts import ConsumerFacts, PodFacts, ProviderFacts, quantity
from continuo.expressions.program import CONDITION, NUMBER, Program, compile_program
from continuo.expressions.tree import BadExpression
from continuo.resources.broker import (
    BoundSpec,
    BrokerPolicySpec,
    Missing,
    MovesSpec,
    RuleSpec,
    Selector,
    decode_spec,
)
from continuo.resources.errors import Invalid
from continuo.resources.meta import Object
from continuo.resources.selectors import LabelSelector
from continuo.resources.selectors import selects as labels_fit

AUTHORIZATION, COMPLIANCE, PERFORMANCE = "authorization", "compliance", "performance"
_STATIC = ("consumer", "provider", "pod")
_ALL = (*_STATIC, "measured")
_FUNCTIONS = {"quantity": quantity}


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of one policy. `asks` are the variables that it may depend on, `keys` the measured values (None: all)."""

    side: str
    name: str
    program: Program
    asks: frozenset[str]
    keys: frozenset[str] | None = frozenset()
    max_age: float = 0.0
    missing: Missing = Missing.DENY
    message: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy. With a `problem` it cannot be used, and what it covers is denied."""

    name: str
    generation: int
    spec: BrokerPolicySpec
    rules: tuple[Rule, ...] = ()
    rank: Rule | None = None
    problem: str | None = None
    uid: str = ""

    def same(self, obj: Object) -> bool:
        """Whether it was made of this state of a BrokerPolicy, apart from its status."""
        metadata = obj["metadata"]
        return (self.uid, self.generation) == (metadata.get("uid"), metadata.get("generation"))

    @property
    def moves(self) -> MovesSpec:
        """What becomes of running pods."""
        return self.spec.moves

    def covers(self, consumer: ConsumerFacts, provider: ProviderFacts) -> bool:
        """Whether the pair is in its scope."""
        return selects(self.spec.consumers, consumer.name, consumer.labels) and selects(
            self.spec.providers, provider.name, provider.labels
        )

    def covers_pod(self, pod: PodFacts) -> bool:
        """Whether the pod is in its scope."""
        return labels_fit(self.spec.pods, dict(pod.labels))

    @property
    def asks_for_pods(self) -> bool:
        """Whether its answer may depend on the pod."""
        rules = (*self.rules, *((self.rank,) if self.rank else ()))
        return self.spec.pods != LabelSelector() or any("pod" in rule.asks for rule in rules)


def compile_policy(obj: Object) -> Policy:
    """The policy of a BrokerPolicy; what cannot be read or compiled is its `problem`."""
    name, generation = obj["metadata"]["name"], int(obj["metadata"].get("generation") or 0)
    uid = str(obj["metadata"].get("uid") or "")
    try:
        spec = decode_spec(obj, BrokerPolicySpec)
    except Invalid as error:
        return Policy(name, generation, BrokerPolicySpec(), problem=str(error), uid=uid)
    try:
        rules = tuple(_rules(spec))
        rank = _rank(spec)
    except BadExpression as error:
        return Policy(name, generation, spec, problem=str(error), uid=uid)
    return Policy(name, generation, spec, rules, rank, uid=uid)


def _rules(spec: BrokerPolicySpec) -> Iterable[Rule]:
    for side, given in ((AUTHORIZATION, spec.authorization), (COMPLIANCE, spec.compliance)):
        for rule in given:
            program = _compiled(rule, side, _STATIC)
            yield Rule(side, rule.name, program, _asked(program), message=rule.message)
    for bound in spec.performance:
        program = _compiled(bound, PERFORMANCE, _ALL)
        yield Rule(
            PERFORMANCE, bound.name, program, _asked(program), program.keys_of("measured"), float(bound.max_age),
            bound.when_missing, bound.message,
        )  # fmt: skip


def _compiled(rule: RuleSpec | BoundSpec, side: str, variables: tuple[str, ...]) -> Program:
    try:
        return compile_program(rule.expression, variables, CONDITION, _FUNCTIONS)
    except BadExpression as error:
        raise BadExpression(f"spec.{side}[{rule.name}].expression: {error}") from error


def _rank(spec: BrokerPolicySpec) -> Rule | None:
    if spec.rank is None:
        return None
    try:
        program = compile_program(spec.rank, _ALL, NUMBER, _FUNCTIONS)
    except BadExpression as error:
        raise BadExpression(f"spec.rank: {error}") from error
    return Rule("rank", "rank", program, _asked(program), program.keys_of("measured"))


def _asked(program: Program) -> frozenset[str]:
    return frozenset(variable for variable in _ALL if program.mentions(variable))


# --- selectors --------------------------------------------------------------------------------------------------------
def selects(selector: Selector, name: str, labels: Mapping[str, str]) -> bool:
    """Whether an object of that name with these labels is meant."""
    if selector.names and name not in selector.names:
        return False
    return labels_fit(selector, labels)
