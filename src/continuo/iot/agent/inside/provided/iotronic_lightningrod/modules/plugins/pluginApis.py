"""What plugins ask of their board."""

import logging
import urllib.request
from typing import Any

LOG = logging.getLogger(__name__)
TIMEOUT = 30.0
"""Seconds for one request."""

board: dict[str, Any] = {"uuid": "", "location": None}
"""The board that the plugin runs on; the runner fills it."""


def getBoardID() -> str:
    """The board's UUID."""
    return str(board["uuid"])


def getLocation() -> Any:
    """Where the board is, as it was registered."""
    return board["location"]


def getBoardGpio() -> Any:
    """Pins: this agent drives none; a plugin opens the devices that the settings grant."""
    raise NotImplementedError("this board has no GPIO driver; open the devices that the agent's settings grant")


def sendRequest(url: str, action: str, headers: Any = None, body: Any = None, verbose: bool = False) -> Any:
    """An HTTP request; the reply's body, or None where there was none. Needs the network to be granted."""
    if not url.startswith(("http://", "https://")):
        LOG.error("sendRequest error: %s is no address of http or https", url)
        return None
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=action, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            sent = reply.read()
    except OSError as error:
        LOG.error("sendRequest error: %s", error)
        return None
    if verbose:
        LOG.info("%s %s: %d bytes", action, url, len(sent))
    return sent
