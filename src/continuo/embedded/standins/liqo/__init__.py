"""Liqo, played inside the process: two clusters become one by the objects that real Liqo works with."""

from continuo.embedded.standins.liqo.install import install, uninstall
from continuo.embedded.standins.liqo.standin import LiqoStandIn

__all__ = ["LiqoStandIn", "install", "uninstall"]
