"""Names that mean the same: of manufacturers, who are spelled in many ways, and of sensors' other words."""

from __future__ import annotations

import re
from functools import lru_cache

ST = "STMicroelectronics"
_ALIASES = {
    ST: ("st", "stm", "stm32", "stmicro", "stmicroelecronics", "sgsthomson"),
    "Bosch Sensortec": ("bosch", "boschsensortecgmbh"),
    "Texas Instruments": ("ti", "texasinstrumentsinc"),
    "NXP Semiconductors": ("nxp",),
    "Sensirion": ("sensirionag",),
    "TDK InvenSense": ("invensense",),
    "Honeywell": ("honeywellinternational",),
    "Infineon": ("infineontechnologies",),
    "Analog Devices": ("adi", "analogdevicesinc"),
}
"""By usual name. STM32 is what STMicroelectronics calls its boards: who asks for an STM32 sensor gets one of that maker.
FLUIDOS' own samples lack a letter of the name."""
_NOISE = re.compile(r"[^a-z0-9]+")


def _key(name: str) -> str:
    return _NOISE.sub("", name.casefold()) or name.casefold()


_USUAL = {_key(spelled): usual for usual, others in _ALIASES.items() for spelled in (usual, *others)}


@lru_cache(maxsize=4096)
def manufacturer(name: str) -> str:
    """The usual name of a manufacturer; one that is not known keeps its own."""
    return _USUAL.get(_key(name), name.strip())


def folded(text: str) -> str:
    """Text for comparing: case does not matter."""
    return text.strip().casefold()
