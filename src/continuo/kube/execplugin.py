"""Credentials from an exec plugin: a program that the kubeconfig names and that prints a token or a certificate.

It runs only for kubeconfigs that the user of this process chose; never for one that came out of a Secret.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from continuo.kube.access import Identity, bearer
from continuo.kube.kubeconfig import ExecEntry
from continuo.resources.errors import Unauthorized

EXPIRY_MARGIN = 30.0


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: str | None = None


class _ExecCredential(msgspec.Struct):
    status: _Status


class ExecPlugin:
    """Runs the plugin when there is no identity yet, when it expires, and after a 401."""

    def __init__(
        self,
        entry: ExecEntry,
        base: Identity,
        *,
        folder: Path | None = None,
        cluster_info: Mapping[str, Any] | None = None,
        timeout: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entry, self._base, self._folder = entry, base, folder
        self._cluster_info, self._timeout, self._now = cluster_info, timeout, now
        self._identity: Identity | None = None
        self._expires: float | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Identity:
        async with self._lock:
            expired = self._expires is not None and self._now() >= self._expires - EXPIRY_MARGIN
            if self._identity is None or expired:
                self._accept(await self._run())
            assert self._identity is not None
            return self._identity

    def invalidate(self) -> bool:
        self._identity = None
        return True

    def _accept(self, status: _Status) -> None:
        if not status.token and not (status.client_certificate_data and status.client_key_data):
            raise Unauthorized(
                f"the exec plugin {self._entry.command} printed neither a token nor a certificate with key"
            )
        self._identity = Identity(
            bearer(status.token) if status.token else self._base.authorization,
            status.client_certificate_data or self._base.certificate,
            status.client_key_data or self._base.key,
            self._base.headers,
        )
        self._expires = _timestamp(status.expiration_timestamp) if status.expiration_timestamp else None

    async def _run(self) -> _Status:
        entry = self._entry
        try:
            process = await asyncio.create_subprocess_exec(
                self._command(),
                *(entry.args or ()),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f"; {entry.install_hint.strip()}" if entry.install_hint else ""
            raise Unauthorized(f"cannot run the exec plugin {entry.command}: {error.strerror}{hint}") from error
        try:
            async with asyncio.timeout(self._timeout):
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise Unauthorized(f"the exec plugin {entry.command} gave no answer in {self._timeout:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            said = errors.decode("utf-8", "replace").strip()[:300]
            raise Unauthorized(f"the exec plugin {entry.command} failed with exit code {process.returncode}: {said}")
        return self._decode(output)

    def _decode(self, output: bytes) -> _Status:
        try:
            return msgspec.json.decode(output, type=_ExecCredential).status
        except msgspec.DecodeError as error:
            raise Unauthorized(f"the exec plugin {self._entry.command} printed no ExecCredential: {error}") from error

    def _command(self) -> str:
        # As in kubectl: a path with a separator is relative to the kubeconfig, a bare name is looked up in PATH.
        if self._folder is not None and "/" in self._entry.command:
            return str(self._folder / self._entry.command)
        return self._entry.command

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": False}
        if self._entry.provide_cluster_info and self._cluster_info is not None:
            spec["cluster"] = dict(self._cluster_info)
        info = {"apiVersion": self._entry.api_version, "kind": "ExecCredential", "spec": spec}
        extra = {item.name: item.value for item in self._entry.env or ()}
        return {**os.environ, **extra, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}


def _timestamp(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise Unauthorized(f"the exec plugin's expirationTimestamp {text!r} is no RFC 3339 time") from error
