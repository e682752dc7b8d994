"""The rules of the kinds of boards that no single field can say; the API server runs them.

What a resource needs is asked for only where the provider may create or update: who only observes names the external
object in an annotation, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from continuo.resources.boards_config import (
    AuthType,
    Credentials,
    CredentialsSource,
    ProviderConfigSpec,
)
from continuo.resources.boards_networks import (
    ExposedServiceParameters,
    PortParameters,
    SecurityRule,
    ServiceParameters,
    VirtualNetworkParameters,
)
from continuo.resources.boards_plugins import (
    CodeSource,
    PluginCallParameters,
    PluginInjectionParameters,
    PluginParameters,
)
from continuo.resources.boards_workloads import WorkloadParameters
from continuo.resources.orchestration_rules import COMPARED, Rule
from continuo.resources.selectors import Requirement

_WRITES = "!has(self.managementPolicies) || self.managementPolicies.exists(p, p in ['*', 'Create', 'Update'])"


def targets(*fields: str) -> tuple[str, ...]:
    """The three ways to name each: `board` -> boardId, boardRef, boardSelector."""
    return tuple(f"{field}{way}" for field in fields for way in ("Id", "Ref", "Selector"))


def _has(fields: Iterable[str], self_: str) -> str:
    return " || ".join(f"has({self_}.{field})" for field in fields)


def _needs(fields: Iterable[str], message: str) -> Rule:
    """One of the fields has to be there, unless the provider only observes."""
    field = next(iter(fields))
    return Rule(f"!({_WRITES}) || {_has(fields, 'self.forProvider')}", message, f"forProvider.{field}", required=True)


def _fixed(field: str, why: str) -> Rule:
    """What cannot change once it is there."""
    same = f"has(self.{field}) && self.{field} == oldSelf.{field}"
    return Rule(f"!has(oldSelf.{field}) || ({same})", f"cannot change {why}", field)


def _not_both(one: Iterable[str], other: Iterable[str], message: str, field: str) -> Rule:
    return Rule(f"!(({_has(one, 'self')}) && ({_has(other, 'self')}))", message, field)


_ANEW = "once it is set: delete this object and make another"
_FLEET_OR_BOARD = _not_both(targets("board"), targets("fleet"), "must not be given together with a fleet", "boardId")
_WHERE = _needs(targets("board", "fleet"), "is needed: name a board (boardId, boardRef, boardSelector) or a fleet")
_BOARD = _needs(targets("board"), "is needed: name a board by boardId, boardRef or boardSelector")
_PLUGIN = _needs(targets("plugin"), "is needed: name a plugin by pluginId, pluginRef or pluginSelector")

SPEC_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    PluginParameters: (_needs(("code", "codeFrom"), "is needed: give the code, or say where it is with codeFrom"),),
    PluginInjectionParameters: (_WHERE, _PLUGIN),
    PluginCallParameters: (_WHERE, _PLUGIN),
    ServiceParameters: (_needs(("port",), "is needed: the TCP port on which boards listen"),),
    ExposedServiceParameters: (
        _BOARD,
        _needs(("port", *targets("service")), "is needed: give the board's port, or name a service"),
    ),
    VirtualNetworkParameters: (_needs(("cidr",), "is needed: the network's addresses, such as 10.20.0.0/24"),),
    PortParameters: (
        _BOARD,
        _needs(targets("network"), "is needed: name a network by networkId, networkRef or networkSelector"),
    ),
    WorkloadParameters: (_WHERE,),
}
"""Rules about `spec`."""

RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    Requirement: (COMPARED,),
    CodeSource: (
        Rule("has(self.configMapKeyRef) != has(self.url)", "must name either configMapKeyRef or url", "url"),
        Rule("has(self.url) == has(self.sha256)", "belongs to url, and url needs it", "sha256"),
    ),
    PluginParameters: (_not_both(("code",), ("codeFrom",), "must not be given together with codeFrom", "code"),),
    PluginInjectionParameters: (
        _FLEET_OR_BOARD, _fixed("boardId", _ANEW), _fixed("fleetId", _ANEW), _fixed("pluginId", _ANEW),
    ),
    PluginCallParameters: (_FLEET_OR_BOARD,),
    ExposedServiceParameters: (
        _not_both(("port",), targets("service"), "must not be given together with a service", "port"),
        _fixed("boardId", _ANEW), _fixed("serviceId", _ANEW), _fixed("port", _ANEW),
    ),
    SecurityRule: (
        Rule("!has(self.portMax) || has(self.portMin)", "needs portMin", "portMax"),
        Rule("!has(self.portMax) || !has(self.portMin) || self.portMin <= self.portMax",
             "must not be less than portMin", "portMax"),
        Rule("!has(self.portMin) || (has(self.protocol) && self.protocol in ['tcp', 'udp'])",
             "needs protocol tcp or udp", "portMin"),
        Rule("!(has(self.remoteCidr) && has(self.remoteGroup))",
             "must not be given together with remoteGroup", "remoteCidr"),
    ),
    VirtualNetworkParameters: (_fixed("cidr", _ANEW), _fixed("gateway", _ANEW)),
    PortParameters: (
        _fixed("boardId", _ANEW), _fixed("networkId", _ANEW), _fixed("subnetId", _ANEW), _fixed("mac", _ANEW),
        _fixed("ip", _ANEW),
    ),
    WorkloadParameters: (
        _FLEET_OR_BOARD, _fixed("boardId", _ANEW), _fixed("fleetId", _ANEW),
        Rule("!(has(self.runtime) && self.runtime == 'container') || has(self.image)",
             "is needed with runtime container", "image", required=True),
        Rule("!(has(self.job) && has(self.restart) && self.restart == 'Always')",
             "must be OnFailure or Never for a job, which ends", "restart"),
        Rule("!((has(self.replicas) || has(self.placement)) && (" + _has(targets("board"), "self") + "))",
             "needs a fleet: one board is one replica", "replicas"),
    ),
    Credentials: (
        Rule(f"!has(self.source) || self.source != '{CredentialsSource.SECRET}' || has(self.secretRef)",
             "is needed with source Secret", "secretRef", required=True),
        Rule(f"!has(self.source) || self.source != '{CredentialsSource.ENVIRONMENT}' || has(self.env)",
             "is needed with source Environment", "env", required=True),
        Rule(f"!has(self.source) || self.source != '{CredentialsSource.FILESYSTEM}' || has(self.fs)",
             "is needed with source Filesystem", "fs", required=True),
    ),
    ProviderConfigSpec: (
        Rule(f"!has(self.authType) || self.authType != '{AuthType.KEYSTONE}' || has(self.authUrl)",
             "is needed with authType keystone", "authUrl", required=True),
        Rule(f"!has(self.authType) || self.authType == '{AuthType.NOAUTH}' || "
             "(has(self.credentials) && has(self.credentials.source) && "
             f"self.credentials.source != '{CredentialsSource.NONE}')",
             "are needed unless authType is noauth: say where they are", "credentials", required=True),
    ),
}  # fmt: skip
"""Rules about each struct."""

OWN_CREDENTIALS = Rule(
    "!has(self.credentials) || !has(self.credentials.source) || self.credentials.source in ['None', 'Secret']",
    "must be None or Secret: the provider's own environment and files are for ClusterProviderConfigs",
    "credentials.source",
)
"""Who may write into one namespace only does not read what the provider has."""

CLUSTER_CREDENTIALS = Rule(
    "!has(self.credentials) || !has(self.credentials.secretRef) || has(self.credentials.secretRef.__namespace__)",
    "is needed: a ClusterProviderConfig has no namespace of its own",
    "credentials.secretRef.namespace",
    required=True,
)
