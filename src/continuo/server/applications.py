"""The application management function: blueprints in, applications of an orchestration out. Knows no HTTP framework."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from continuo.resources.errors import ApiError, NotFound
from continuo.resources.meta import Key, Object, deleting
from continuo.resources.orchestration_types import MAX_APPS
from continuo.runtime.controller import Controller, Result
from continuo.server.app_secrets import AppSecrets
from continuo.server.entries import Entry, entries, finished, referenced_secrets, same
from continuo.server.orchestrations import Orchestrations
from continuo.server.preconditions import IfMatch
from continuo.server.problems import Problem
from continuo.server.subjects import Policy, Subject
from continuo.telemetry.tracing import span
from continuo.tosca.clusters import targets
from continuo.tosca.convert import Conversion, Options, convert_text

ANY = IfMatch()
"""No condition on what is there."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A blueprint as a caller hands it in."""

    blueprint: str | bytes
    id: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    orchestration: str | None = None


class Applications:
    """What callers may do with applications; every method names who calls."""

    CONVERSIONS = 2
    """Blueprints that are converted at once, in threads: a large one must not hold up the others' requests."""

    def __init__(
        self, orchestrations: Orchestrations, secrets: AppSecrets, policy: Policy, default: str | None
    ) -> None:
        self._orchestrations, self._secrets, self._policy, self._default = orchestrations, secrets, policy, default
        self._converting = asyncio.Semaphore(self.CONVERSIONS)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._sweeper: Controller[Key] = Controller("amf-sweeper", self._sweep, workers=1)
        self.on_problems: Callable[[Iterable[str]], None] = lambda _: None
        """Told the codes of what is found in each blueprint."""

    # --- life ---------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Follow the orchestrations, and clean up after applications that are gone."""
        informer = self._orchestrations.informer
        informer.on_change(self._changed)
        informer.start()
        self._sweeper.start()

    async def stop(self) -> None:
        """Stop following."""
        await self._sweeper.stop(grace=2.0)
        await self._orchestrations.informer.stop()

    def trouble(self) -> str:
        """Why answers may be old; empty while they are fresh."""
        return self._orchestrations.trouble()

    # --- reading ------------------------------------------------------------------------------------------------------
    def list(self, subject: Subject, owner: str | None = None) -> list[Entry]:
        """The subject's applications; for administrators everybody's, or one owner's."""
        self._must_know()
        wanted = owner if self._policy.admin(subject) else subject.name
        if owner is not None and owner != wanted:
            return []
        found = self._orchestrations.all() if wanted is None else self._orchestrations.with_owner(wanted)
        return [entry for obj in found for entry in entries(obj) if wanted is None or entry.owner == wanted]

    def get(self, subject: Subject, handle: str) -> Entry:
        """One application by the caller's id, or by name; somebody else's does not exist."""
        self._must_know()
        found = self._visible(subject, handle)
        if not found:
            raise Problem(404, "application-unknown", f"you have no application {handle}")
        return found[0]

    def _visible(self, subject: Subject, handle: str) -> Sequence[Entry]:
        """By id first; then by name, unless that is another application's id."""
        candidates = [
            entry
            for obj in self._orchestrations.with_handle(handle)
            for entry in entries(obj)
            if handle in (entry.handle, entry.name) and (entry.owner == subject.name or self._policy.admin(subject))
        ]
        return sorted(candidates, key=lambda entry: (entry.handle != handle, entry.owner != subject.name, entry.going))

    # --- writing ------------------------------------------------------------------------------------------------------
    async def validate(self, subject: Subject, submission: Submission) -> Conversion:
        """What the blueprint would become; nothing is written."""
        return await self._converted(subject, submission, self._orchestration(submission.orchestration))

    async def rehearse(self, subject: Subject, submission: Submission) -> Conversion:
        """Everything that a submission does, the management cluster's own judgement included, but the writing."""
        obj = self._orchestration(submission.orchestration)
        conversion, app = await self._accepted(subject, submission, obj)
        made = {secret["metadata"]["name"] for secret in conversion.secrets}
        await self._secrets.check(referenced_secrets(app) - made, subject.name)
        decide = functools.partial(self._admit, app=app, subject=subject)
        await self._declare(obj, decide, dry_run=True)
        return conversion

    async def submit(self, subject: Subject, submission: Submission) -> tuple[Entry, Conversion]:
        """Declare a new application; the same one again changes nothing."""
        obj = self._orchestration(submission.orchestration)
        conversion, app = await self._accepted(subject, submission, obj)
        name = obj["metadata"]["name"]
        async with self._lock(name, app["name"]):
            fresh = self._admit(obj, app=app, subject=subject) is not None
            written = await self._write(obj, app, conversion, subject, fresh=fresh)
        return _entry(written, app["name"]), conversion

    async def replace(
        self, subject: Subject, handle: str, submission: Submission, seen: IfMatch = ANY
    ) -> tuple[Entry, Conversion]:
        """Give an application that exists a new blueprint, in place."""
        before = await self._current(subject, handle, seen)
        if before.going or before.spec is None:
            raise Problem(
                409, "application-going", f"application {handle} is being removed; submit it again when it is gone"
            )
        owner = Subject(before.owner, subject.groups)
        asked = Submission(submission.blueprint, before.spec.get("id"), submission.inputs)
        conversion, app = await self._accepted(owner, asked, before.orchestration)
        if app["name"] != before.name:
            detail = f"the blueprint is of application {app['name']}, not of {before.name}: submit it as a new one"
            raise Problem(409, "name-differs", detail)
        async with self._lock(before.orchestration["metadata"]["name"], app["name"]):
            written = await self._write(before.orchestration, app, conversion, owner, update=True, seen=seen)
        return _entry(written, app["name"]), conversion

    async def delete(self, subject: Subject, handle: str, seen: IfMatch = ANY) -> Entry:
        """Take an application away; the answer is the same while it goes."""
        entry = await self._current(subject, handle, seen)
        if not entry.going:
            name = entry.orchestration["metadata"]["name"]
            async with self._lock(name, entry.name):
                await self._orchestrations.remove(name, entry.name, entry.handle, seen.check)
        return entry

    async def _current(self, subject: Subject, handle: str, seen: IfMatch) -> Entry:
        """The application; the newest there is where a condition depends on it, for watches may be late."""
        entry = self.get(subject, handle)
        if seen.tags is None:
            return entry
        await self._orchestrations.refresh(entry.orchestration["metadata"]["name"])
        return self.get(subject, handle)

    async def _write(
        self,
        obj: Object,
        app: Object,
        conversion: Conversion,
        owner: Subject,
        *,
        fresh: bool = False,
        update: bool = False,
        seen: IfMatch = ANY,
    ) -> Object:
        """Secrets first, so that nothing is ever declared that cannot start; what failed leaves none behind."""
        name = obj["metadata"]["name"]
        made = {secret["metadata"]["name"] for secret in conversion.secrets}
        await self._secrets.check(referenced_secrets(app) - made, owner.name)
        decide = functools.partial(self._admit, app=app, subject=owner, update=update, seen=seen)
        if update:
            await self._fits(obj, app, decide)
        try:
            await self._secrets.put(conversion.secrets, name, app["name"], owner.name)
            written = await self._declare(obj, decide)
        except (ApiError, Problem):
            if fresh and made:
                await self._secrets.drop(name, app["name"])
            raise
        if update:
            await self._secrets.drop(name, app["name"], keep=made)
        return written

    async def _fits(self, obj: Object, app: Object, decide: Any) -> None:
        """Refuse a change that would only half take effect because others set fields of the entry too."""
        result = await self._declare(obj, decide, dry_run=True)
        entry = _entry(result, app["name"])
        if not same(entry.spec or {}, app):
            detail = f"application {app['name']} has fields that were set past this API; remove them there first"
            raise Problem(409, "managed-elsewhere", detail)

    async def _declare(self, obj: Object, decide: Any, *, dry_run: bool = False) -> Object:
        name = obj["metadata"]["name"]
        try:
            return await self._orchestrations.declare(name, decide, dry_run=dry_run)
        except NotFound as error:
            raise _no_orchestration(name) from error

    def _admit(
        self, obj: Object, *, app: Object, subject: Subject, update: bool = False, seen: IfMatch = ANY
    ) -> Object | None:
        """The entry to write, None when it stands there already; raises the problem when it may not."""
        if deleting(obj):
            raise Problem(409, "orchestration-going", f"orchestration {obj['metadata']['name']} is being deleted")
        handle = app.get("id") or app["name"]
        if update and not any(entry.name == app["name"] and not entry.going for entry in entries(obj)):
            raise Problem(404, "application-unknown", f"you have no application {handle}")
        for entry in entries(obj):
            if entry.name == app["name"]:
                self._may_take(entry, app, subject, update)
                seen.check(entry)
                if entry.spec is not None and same(entry.spec, app):
                    return None
            elif handle in (entry.handle, entry.name) or app["name"] == entry.handle:
                raise _taken(handle)
        here = obj["metadata"]["name"]
        if not update and len((obj.get("spec") or {}).get("apps") or ()) >= MAX_APPS:
            detail = f"orchestration {here} has {MAX_APPS} applications, which is the most one may have: name another"
            raise Problem(409, "orchestration-full", detail)
        for entry in self._visible(Subject(subject.name), handle):
            if entry.orchestration["metadata"]["name"] != here:
                raise _taken(handle)
        return app

    @staticmethod
    def _may_take(entry: Entry, app: Object, subject: Subject, update: bool) -> None:
        if entry.owner != subject.name:
            raise Problem(409, "name-taken", f"the name {entry.name} belongs to another owner: choose another")
        if entry.spec is not None and not update and not same(entry.spec, app):
            detail = (
                f"application {entry.name} exists with another content: send the new one with PUT to {entry.handle}"
            )
            raise Problem(409, "application-exists", detail)

    # --- helpers ------------------------------------------------------------------------------------------------------
    def _must_know(self) -> None:
        if not self._orchestrations.informer.synced.is_set():
            raise Problem(503, "not-ready", self.trouble(), headers={"Retry-After": "1"})

    def _orchestration(self, asked: str | None) -> Object:
        self._must_know()
        name = asked or self._default
        if not name:
            raise Problem(
                422, "orchestration-required", "say which orchestration the application is for: `orchestration`"
            )
        obj = self._orchestrations.get(name)
        if obj is None:
            raise _no_orchestration(name)
        return obj

    async def _accepted(self, owner: Subject, submission: Submission, obj: Object) -> tuple[Conversion, Object]:
        conversion = await self._converted(owner, submission, obj)
        if conversion.app is None:
            count = len(conversion.errors)
            detail = f"the blueprint has {count} error{'s' if count != 1 else ''}; nothing was changed"
            problems = [problem.to_dict() for problem in conversion.problems]
            raise Problem(422, "blueprint-invalid", detail, {"problems": problems})
        return conversion, conversion.app

    async def _converted(self, owner: Subject, submission: Submission, obj: Object) -> Conversion:
        options = Options(
            owner=owner.name,
            clusters=targets((obj.get("spec") or {}).get("clusters") or ()),
            inputs=submission.inputs,
            app_id=submission.id,
            prefix=f"{obj['metadata']['name']}-",
        )
        async with self._converting:
            with span("convert blueprint"):
                converted = await asyncio.to_thread(convert_text, submission.blueprint, options, file="blueprint")
        self.on_problems(problem.code for problem in converted.problems)
        return converted

    def _lock(self, orchestration: str, app: str) -> asyncio.Lock:
        """One change of an application at a time: its Secrets and its entry belong together."""
        return self._locks.setdefault((orchestration, app), asyncio.Lock())

    def _changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and finished(new):
            self._sweeper.add((self._orchestrations.namespace, new["metadata"]["name"]))

    async def _sweep(self, key: Key) -> Result:
        """Remove the Secrets and the mark of applications that are gone."""
        obj = self._orchestrations.get(key[1])
        for app in finished(obj) if obj is not None else ():
            async with self._lock(key[1], app):
                current = self._orchestrations.get(key[1])
                if current is not None and app in finished(current):
                    await self._secrets.drop(key[1], app)
                    await self._orchestrations.forget(key[1], app)
        return Result()


def _entry(obj: Object, app: str) -> Entry:
    return next(entry for entry in entries(obj) if entry.name == app)


def _taken(handle: str) -> Problem:
    return Problem(409, "id-taken", f"the id {handle} is in use: choose another")


def _no_orchestration(name: str) -> Problem:
    return Problem(
        404, "orchestration-unknown", f"there is no orchestration {name} here; an administrator has to create it"
    )
