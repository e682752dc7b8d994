"""The function as a process: which certificates, where, and until when."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from continuo.iot.compose.function import run
from continuo.iot.compose.serve import Certificates, FunctionServer
from continuo.resources.errors import BadRequest

ADDRESS: Final = "0.0.0.0:9443"
CERTIFICATES: Final = "TLS_SERVER_CERTS_DIR"
"""The variable by which Crossplane says where it mounted the certificates."""
log = logging.getLogger(__name__)


async def serve(
    address: str, certificates: Path | None, *, insecure: bool, listening: Callable[[str], None]
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; BadRequest where it cannot begin."""
    if insecure and certificates is not None:
        certificates = None
    if not insecure and certificates is None:
        raise BadRequest(
            f"the function needs certificates: give --tls-certs-dir or {CERTIFICATES}, or --insecure for trials"
        )
    server = FunctionServer(run, address, Certificates.read(certificates) if certificates is not None else None)
    await server.start()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    listening(f"composition function on {address.rpartition(':')[0]}:{server.port}")
    await stopping.wait()
    await server.stop()
