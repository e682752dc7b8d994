"""Direct networks between the consumers and the providers of a broker, for as long as pods need them."""

from continuo.broker.paths.loop import Paths, Standing

__all__ = ["Paths", "Standing"]
