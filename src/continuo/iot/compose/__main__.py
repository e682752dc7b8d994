"""`python -m continuo.iot.compose`: the function alone, without the command line's own packages."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from continuo.iot.compose.serving import ADDRESS, CERTIFICATES, serve
from continuo.resources.errors import BadRequest


def main() -> int:
    """Serve until a signal; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m continuo.iot.compose", description="Serve the composition function."
    )
    parser.add_argument("--address", default=ADDRESS, help="Where to listen (%(default)s).")
    parser.add_argument(
        "--tls-certs-dir", type=Path, default=os.environ.get(CERTIFICATES), help="tls.crt, tls.key, ca.crt."
    )
    parser.add_argument("--insecure", action="store_true", help="Without certificates: on this machine only.")
    parser.add_argument("--debug", action="store_true", help="Log each request.")
    told = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if told.debug else logging.INFO)
    try:
        asyncio.run(serve(told.address, told.tls_certs_dir, insecure=told.insecure, listening=print))
    except BadRequest as error:
        print(f"continuo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
