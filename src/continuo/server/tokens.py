"""Two ways to know whose a bearer token is: a file of static tokens, and the management cluster's TokenReview.

Neither keeps a token: both remember keyed hashes, so that looking one up takes the same time whatever was guessed.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from continuo.kube.port import Cluster
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Kind, Object
from continuo.server.subjects import Subject

TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)


class _Hashes:
    """Keyed hashes: nobody outside can choose a token whose hash is near another's."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), hashlib.sha256)


class TokenFile:
    """Static tokens, in kube-apiserver's format: `token,user,uid,"group1,group2"` per line."""

    def __init__(self, text: str, name: str = "the token file") -> None:
        self._hash = _Hashes()
        self._subjects: dict[bytes, Subject] = {}
        rows = csv.reader(text.splitlines(), skipinitialspace=True)
        for row in rows:
            if row and not row[0].startswith("#"):
                self._add(row, f"{name}, line {rows.line_num}")
        if not self._subjects:
            raise BadRequest(f'{name} has no tokens; a line is: token,user,uid,"group1,group2"')

    def _add(self, row: Sequence[str], where: str) -> None:
        if not 3 <= len(row) <= 4 or not row[0].strip() or not row[1].strip():
            raise BadRequest(f'{where}: must be token,user,uid and perhaps "group1,group2", not {len(row)} fields')
        hashed = self._hash(row[0].strip())
        if hashed in self._subjects:
            raise BadRequest(f"{where}: this token was given before, to {self._subjects[hashed].name}")
        groups = row[3].split(",") if len(row) == 4 else []
        self._subjects[hashed] = Subject(row[1].strip(), frozenset(g.strip() for g in groups if g.strip()))

    async def identify(self, token: str) -> Subject | None:
        """Who the token was given to."""
        return self._subjects.get(self._hash(token))


class TokenReviews:
    """Asks the management cluster, and remembers its answer for a short while."""

    SIZE = 4096

    def __init__(
        self,
        cluster: Cluster,
        *,
        audiences: Sequence[str] = (),
        known_seconds: float = 60.0,
        unknown_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._audiences = cluster, tuple(audiences)
        self._known_seconds, self._unknown_seconds, self._clock = known_seconds, unknown_seconds, clock
        self._hash = _Hashes()
        self._answers: OrderedDict[bytes, tuple[float, Subject | None]] = OrderedDict()

    async def identify(self, token: str) -> Subject | None:
        """Who the management cluster says it is; raises ApiError when it cannot say."""
        hashed, now = self._hash(token), self._clock()
        known = self._answers.get(hashed)
        if known is not None and known[0] > now:
            return known[1]
        subject = await self._ask(token)
        lasts = self._known_seconds if subject is not None else self._unknown_seconds
        self._answers[hashed] = (now + lasts, subject)
        self._answers.move_to_end(hashed)
        while len(self._answers) > self.SIZE:
            self._answers.popitem(last=False)
        return subject

    async def _ask(self, token: str) -> Subject | None:
        spec: Object = {"token": token}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        review: Object = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "metadata": {},
            "spec": spec,
        }
        status = (await self._cluster.create(review)).get("status") or {}
        if status.get("authenticated") is not True:
            return None
        if self._audiences and set(self._audiences).isdisjoint(status.get("audiences") or ()):
            return None  # a server that does not know audiences must not be taken for one that checked them
        user = status.get("user") or {}
        return Subject(str(user.get("username") or ""), frozenset(user.get("groups") or ()))
