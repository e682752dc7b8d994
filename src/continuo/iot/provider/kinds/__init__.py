"""The kinds that the provider runs, one module each; `DRIVERS` is all of them."""

from __future__ import annotations

from typing import Any

from continuo.iot.provider.kinds.board import BOARDS
from continuo.iot.provider.kinds.call import CALLS
from continuo.iot.provider.kinds.fleet import FLEETS
from continuo.iot.provider.kinds.injection import INJECTIONS
from continuo.iot.provider.kinds.plugin import PLUGINS
from continuo.iot.provider.world import Driver

DRIVERS: tuple[Driver[Any], ...] = (BOARDS, FLEETS, PLUGINS, INJECTIONS, CALLS)
