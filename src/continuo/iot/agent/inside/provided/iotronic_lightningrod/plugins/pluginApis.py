"""The same functions under their earlier name."""

from ..modules.plugins.pluginApis import getBoardGpio, getBoardID, getLocation, sendRequest  # noqa: TID252

__all__ = ["getBoardGpio", "getBoardID", "getLocation", "sendRequest"]
