"""The objects that a claim means: those that all boards share, and those of each board. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.iot.compose.claim import Endpoint, Expose, Network, Plugin, Spec, Workload, encoded
from continuo.iot.compose.names import EXTERNAL, child_name, key
from continuo.resources import boards_networks, boards_plugins, boards_workloads
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

BOARD = "iot.continuo.dev/board"
"""The annotation that says of which board an object is: by it, a board is known that was not asked for yet."""
ORCHESTRATION, NETWORK, PLUGIN = "orchestration", "network", "plugin"
INJECT, EXPOSE, PORT, RUN = "inject", "expose", "port", "run"


@dataclass(frozen=True, slots=True)
class Slice:
    """A claim, and what its objects are named after."""

    name: str
    namespace: str
    spec: Spec
    orchestration: Object | None
    """The part about clusters as it was written."""

    def managed(
        self, kind: Kind, parts: tuple[str, ...], parameters: Mapping[str, Any], *, board: str = "", fixed: str = ""
    ) -> Object:
        """An object of `iot.continuo.dev`; `fixed`: what of it cannot change."""
        spec: Object = {"forProvider": dict(parameters)}
        if self.spec.provider_config_ref is not None:
            spec["providerConfigRef"] = encoded(self.spec.provider_config_ref)
        metadata = {"annotations": {BOARD: board}} if board else {}
        return kind.new(child_name(self.name, *parts, fixed=fixed), self.namespace, metadata=metadata, spec=spec)

    def external(self, *parts: str, fixed: str = "") -> str:
        """A name at the endpoint, where those of a project are told apart: so the namespace belongs to it."""
        return child_name(self.name, *parts, self.namespace, fixed=fixed, longest=EXTERNAL)

    @property
    def addresses(self) -> str:
        """What of the network cannot change; who changes it gets another network."""
        network = self.spec.network
        return f"{network.cidr}-{network.gateway or ''}".replace("/", "-").rstrip("-") if network is not None else ""

    @property
    def network_name(self) -> str:
        """The VirtualNetwork's."""
        return child_name(self.name, NETWORK, fixed=self.addresses)


def network_key(slice_: Slice) -> str:
    """The network's name in the pipeline."""
    return key(NETWORK, slice_.addresses)


def port_key(slice_: Slice, board: str) -> str:
    """That of a board's port in it."""
    return key(PORT, slice_.addresses, board)


def expose_key(expose: Expose, board: str) -> str:
    """That of a board's exposed port; another port is another object, since it cannot change."""
    return key(EXPOSE, f"{expose.name}-{expose.port}", board)


def orchestration_name(name: str) -> str:
    """What the slice's LowLevelOrchestration is called. Not like the slice: somebody may have one of that name."""
    return child_name(name)


def shared(slice_: Slice) -> Iterator[tuple[str, Object]]:
    """What there is once: clusters, the network, the plugins; each under its name in the pipeline."""
    if slice_.orchestration is not None:
        name = orchestration_name(slice_.name)
        yield ORCHESTRATION, LOW_LEVEL_ORCHESTRATION.new(name, slice_.namespace, spec=slice_.orchestration)
    if slice_.spec.network is not None:
        yield network_key(slice_), _network(slice_, slice_.spec.network)
    for plugin in slice_.spec.plugins:
        yield key(PLUGIN, plugin.name), _plugin(slice_, plugin)


def of_board(slice_: Slice, board: str, variables: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, Object]]:
    """What one board gets. `variables`: by workload, those with addresses; a workload that is not in it waits for them."""
    if slice_.spec.network is not None:
        yield port_key(slice_, board), _port(slice_, board, slice_.spec.network)
    for plugin in slice_.spec.plugins:
        yield key(INJECT, plugin.name, board), _injection(slice_, board, plugin)
    for expose in slice_.spec.expose:
        yield expose_key(expose, board), _exposed(slice_, board, expose)
    for workload in slice_.spec.workloads:
        if workload.name in variables:
            yield key(RUN, workload.name, board), _workload(slice_, board, workload, variables[workload.name])


def per_board(spec: Spec) -> int:
    """How many objects each board gets."""
    return len(spec.plugins) + len(spec.expose) + len(spec.workloads) + (spec.network is not None)


def wanted_endpoints(spec: Spec) -> tuple[Endpoint, ...]:
    """The addresses that workloads are to be given."""
    return tuple(endpoint for workload in spec.workloads for endpoint in workload.endpoints)


def _network(slice_: Slice, network: Network) -> Object:
    parameters = {"name": slice_.external(NETWORK, fixed=slice_.addresses), **encoded(network)}
    return slice_.managed(boards_networks.VIRTUAL_NETWORK, (NETWORK,), parameters, fixed=slice_.addresses)


def _plugin(slice_: Slice, plugin: Plugin) -> Object:
    told = encoded(plugin)
    kept = {
        name: told[name]
        for name in ("code", "codeFrom", "callable", "signature", "parameters", "grants")
        if name in told
    }
    parameters = {**kept, "name": slice_.external(PLUGIN, plugin.name)}
    return slice_.managed(boards_plugins.PLUGIN, (PLUGIN, plugin.name), parameters)


def _injection(slice_: Slice, board: str, plugin: Plugin) -> Object:
    parameters: Object = {
        "boardRef": {"name": board},
        "pluginRef": {"name": child_name(slice_.name, PLUGIN, plugin.name)},
        "state": plugin.state.value,
        "onboot": plugin.onboot,
    }
    if plugin.parameters:
        parameters["parameters"] = dict(plugin.parameters)
    return slice_.managed(boards_plugins.PLUGIN_INJECTION, (INJECT, plugin.name, board), parameters, board=board)


def _exposed(slice_: Slice, board: str, expose: Expose) -> Object:
    parameters = {"boardRef": {"name": board}, "port": expose.port}
    parts = (EXPOSE, expose.name, board)
    return slice_.managed(boards_networks.EXPOSED_SERVICE, parts, parameters, board=board, fixed=str(expose.port))


def _port(slice_: Slice, board: str, network: Network) -> Object:
    parameters: Object = {
        "name": slice_.external(PORT, board, fixed=slice_.addresses),
        "boardRef": {"name": board},
        "networkRef": {"name": slice_.network_name},
    }
    if network.security_groups:
        parameters["securityGroups"] = [group.name for group in network.security_groups]
    return slice_.managed(boards_networks.PORT, (PORT, board), parameters, board=board, fixed=slice_.addresses)


def _workload(slice_: Slice, board: str, workload: Workload, variables: Mapping[str, str]) -> Object:
    told = encoded(workload)
    parameters = {name: value for name, value in told.items() if name not in ("name", "endpoints", "env")}
    parameters |= {"name": slice_.external(RUN, workload.name, board), "boardRef": {"name": board}}
    if env := {**workload.env, **variables}:
        parameters["env"] = env
    return slice_.managed(boards_workloads.WORKLOAD, (RUN, workload.name, board), parameters, board=board)
