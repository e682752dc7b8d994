"""The kinds that the provider runs, one module each; `DRIVERS` is all of them."""

from __future__ import annotations

from typing import Any

from continuo.iot.provider.kinds.board import BOARDS
from continuo.iot.provider.kinds.call import CALLS
from continuo.iot.provider.kinds.exposed import EXPOSED_SERVICES
from continuo.iot.provider.kinds.fleet import FLEETS
from continuo.iot.provider.kinds.injection import INJECTIONS
from continuo.iot.provider.kinds.network import VIRTUAL_NETWORKS
from continuo.iot.provider.kinds.plugin import PLUGINS
from continuo.iot.provider.kinds.port import PORTS
from continuo.iot.provider.kinds.service import SERVICES
from continuo.iot.provider.kinds.workload import WORKLOADS
from continuo.iot.provider.world import Driver

DRIVERS: tuple[Driver[Any], ...] = (
    BOARDS, FLEETS, PLUGINS, INJECTIONS, CALLS, SERVICES, EXPOSED_SERVICES, VIRTUAL_NETWORKS, PORTS, WORKLOADS,
)  # fmt: skip
