"""Layer-2 networks between boards: a switch in user space, whose ports are TLS connections."""

from continuo.iot.hub.networks.server import NetworkServer, serve

__all__ = ["NetworkServer", "serve"]
