"""The class that a plugin's Worker derives from: a thread with parameters, a queue for its result, and a wish to end."""

import abc
import threading
from typing import Any


class Plugin(threading.Thread, metaclass=abc.ABCMeta):
    """One run of a plugin."""

    def __init__(self, uuid: str, name: str, q_result: Any = None, params: Any = None) -> None:
        threading.Thread.__init__(self, name=str(name), daemon=True)
        self.uuid = uuid
        self.name = str(name)
        self.params = params
        self.q_result = q_result
        self.status = "INITED"
        self.type = type
        self._is_running = True

    @abc.abstractmethod
    def run(self) -> None:
        """What the plugin does."""

    def stop(self) -> None:
        """Ask it to end: a loop over `self._is_running` does."""
        self._is_running = False

    def checkStatus(self) -> str:
        """What was last said of it."""
        return self.status

    def setStatus(self, status: str) -> None:
        """Say something of it."""
        self.status = status

    def complete(self, rpc_name: str, result: str) -> str:
        """How a call of it ended."""
        self.setStatus(result)
        return f"{rpc_name} result: {result}"
