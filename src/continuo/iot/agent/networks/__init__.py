"""A board's ends of layer-2 networks: a TAP for each port, whose frames go over TLS to the hub's switch."""

from continuo.iot.agent.networks.ports import Ports

__all__ = ["Ports"]
