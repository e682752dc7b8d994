"""What an issuer keeps: keys, entries, federations. One folder, for its owner alone; each file appears by one rename."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from continuo.trust.bundle_docs import BadBundle, Bundle, parse_bundle
from continuo.trust.ids import TrustDomain, parse_domain
from continuo.trust.issuer.authority import Authority, from_record, to_record
from continuo.trust.issuer.entries import Entries, Entry
from continuo.trust.issuer.relations import Relation


class BadStore(ValueError):
    """A file that is not what this issuer wrote; `str()` is one sentence."""


class Store:
    """The folder of one issuer. Entries and federations are also changed by the command line, under a lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)

    # keys

    def load_keys(self, domain: TrustDomain) -> tuple[Sequence[Authority], int]:
        """The generations and the sequence number; none and 0 when there are none yet."""
        path = self.folder / "keys.json"
        found = self._read(path)
        if found is None:
            return (), 0
        if found.get("trustDomain") != domain.name:
            raise BadStore(f"{path} has the keys of {found.get('trustDomain')}, not of {domain}; give another folder")
        try:
            return [from_record(domain, record) for record in found["generations"]], int(found["sequence"])
        except (KeyError, TypeError, ValueError):
            raise BadStore(f"{path} cannot be read; put a copy back, or move it away to begin with new keys") from None

    def save_keys(self, authorities: Sequence[Authority], sequence: int) -> None:
        """Durably, readable for the owner alone."""
        records = [to_record(one) for one in authorities]
        domain = authorities[0].domain.name
        self.write("keys.json", {"trustDomain": domain, "sequence": sequence, "generations": records})

    # entries and federations

    def entries(self) -> Entries:
        """All entries; BadStore when the file is broken."""
        return Entries(self._list("entries.json", Entry))

    def save_entries(self, entries: Iterable[Entry]) -> None:
        self.write("entries.json", msgspec.to_builtins(list(entries)))

    def relations(self) -> list[Relation]:
        """The trust domains to federate with."""
        return self._list("federations.json", Relation)

    def save_relations(self, relations: Iterable[Relation]) -> None:
        self.write("federations.json", msgspec.to_builtins(list(relations)))

    def bundle(self, domain: TrustDomain) -> Bundle | None:
        """The last good bundle of a foreign trust domain."""
        path = self._bundle_path(domain)
        try:
            return parse_bundle(path.read_bytes())
        except FileNotFoundError:
            return None
        except BadBundle as error:
            raise BadStore(f"{path} is no bundle: {error}") from error

    def save_bundle(self, domain: TrustDomain, document: bytes) -> None:
        self.write_text(self._bundle_path(domain), document.decode())

    def drop_bundle(self, domain: TrustDomain) -> None:
        self._bundle_path(domain).unlink(missing_ok=True)

    def _bundle_path(self, domain: TrustDomain) -> Path:
        folder = self.folder / "federated"
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder / f"{parse_domain(domain.name).name}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For reading, changing and writing: nobody else does it at the same time."""
        descriptor = os.open(self.folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # files

    def _list(self, name: str, kind: type[Any]) -> list[Any]:
        path = self.folder / name
        try:
            return msgspec.convert(self._read(path) or [], list[kind])  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise BadStore(f"{path} is wrong: {error}") from error

    def _read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise BadStore(f"{path} cannot be read: it is not JSON, or not readable") from None

    def write(self, name: str, document: Any) -> None:
        """A JSON file of this folder, durably."""
        self.write_text(self.folder / name, json.dumps(document, indent=1))

    def write_text(self, path: Path, text: str) -> None:
        new = path.with_name(f"{path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
