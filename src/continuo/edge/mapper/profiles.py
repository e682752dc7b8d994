"""Boards that are known: their sensors, as manufacturers describe them. Data only."""

from __future__ import annotations

from dataclasses import dataclass

ENVIRONMENTAL, MOTION = "Environmental", "Motion"
CHARACTERISTICS = {
    ENVIRONMENTAL: "00140000-0001-11e1-ac36-0002a5d5c51b",
    MOTION: "00e00000-0001-11e1-ac36-0002a5d5c51b",
    "Acoustic": "04000000-0001-11e1-ac36-0002a5d5c51b",
}
"""BlueST's characteristics, by the category of the sensors that they carry."""


@dataclass(frozen=True, slots=True)
class Part:
    """A sensor of a board. Numbers are as in the annotation: ms, mW, Hz."""

    model: str
    category: str
    types: tuple[str, ...]
    units: tuple[str, ...]
    accuracy: tuple[str, ...]
    latency: str
    consumption: str
    rate: float
    """Readings a second."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A board."""

    name: str
    manufacturer: str
    parts: tuple[Part, ...]


_HTS221 = Part("hts221", ENVIRONMENTAL, ("Temperature", "Humidity"), ("°C", "%"), ("0.5", "3.5"), "14", "0.9", 1.0)
_LPS22HH = Part("lps22hh", ENVIRONMENTAL, ("Pressure",), ("hPa",), ("0.5",), "20", "0.4", 1.0)
_STTS751 = Part("stts751", ENVIRONMENTAL, ("Temperature",), ("°C",), ("1.0",), "24", "0.3", 1.0)
_LSM6DSOX = Part("lsm6dsox", MOTION, ("Acceleration", "AngularVelocity"), ("g", "dps"), ("0.02", "1"), "4", "0.6", 10.0)
_IIS2MDC = Part("iis2mdc", MOTION, ("MagneticField",), ("G",), ("0.06",), "10", "0.4", 5.0)
_MICROPHONE = Part("imp34dt05", "Acoustic", ("Audio",), ("dB",), ("3",), "8", "1.3", 2.0)
_SHT40 = Part("sht40ad1b", ENVIRONMENTAL, ("Temperature", "Humidity"), ("°C", "%"), ("0.2", "1.8"), "9", "0.5", 1.0)
_STTS22H = Part("stts22h", ENVIRONMENTAL, ("Temperature",), ("°C",), ("0.5",), "18", "0.2", 1.0)

_ST = "STMicroelectronics"
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("STWIN", _ST, (_HTS221, _LPS22HH, _STTS751, _LSM6DSOX, _IIS2MDC, _MICROPHONE)),
        Profile("STWINKT1B", _ST, (_HTS221, _LPS22HH, _STTS751, _LSM6DSOX, _IIS2MDC, _MICROPHONE)),
        Profile("STWIN.box", _ST, (_STTS22H, _LPS22HH, _LSM6DSOX, _IIS2MDC, _MICROPHONE)),
        Profile("SensorTile", _ST, (_HTS221, _LPS22HH, _LSM6DSOX, _MICROPHONE)),
        Profile("SensorTile.box", _ST, (_HTS221, _LPS22HH, _STTS751, _LSM6DSOX, _MICROPHONE)),
        Profile("SensorTile.box-PRO", _ST, (_SHT40, _LPS22HH, _STTS22H, _LSM6DSOX, _IIS2MDC, _MICROPHONE)),
    )
}
