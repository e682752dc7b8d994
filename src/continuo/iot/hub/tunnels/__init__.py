"""The hub's end of reverse tunnels."""

from continuo.iot.hub.tunnels.server import TunnelServer, serve
from continuo.iot.hub.tunnels.tunnel import Limits

__all__ = ["Limits", "TunnelServer", "serve"]
