"""Programs of others run confined: `Confinement` says how, `Cell.start` runs one, `Cell.probe` says what this machine can.

Used for plugins and for workloads that are processes.
"""

from continuo.iot.agent.confinement.cell import Cell, Ended, Run, Starting
from continuo.iot.agent.confinement.limits import Confinement, Limits, quantity

__all__ = ["Cell", "Confinement", "Ended", "Limits", "Run", "Starting", "quantity"]
