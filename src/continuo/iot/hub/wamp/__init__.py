"""WAMP for boards: who they are, what they may do, and calls to them."""

from continuo.iot.hub.wamp.limits import Limits
from continuo.iot.hub.wamp.router import Router

__all__ = ["Limits", "Router"]
