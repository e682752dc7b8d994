"""Services of boards at public ports."""

from __future__ import annotations

import logging

from continuo.iot.hub.actions import Actions, Answer, Manner, Part, check_action
from continuo.iot.hub.expectations import expectation
from continuo.iot.hub.model import Board, Exposed, Json, Service
from continuo.iot.hub.ports import Tunnels
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused, not_connected
from continuo.iot.wire import Message, Outcome

log = logging.getLogger(__name__)
SERVICE_ACTIONS = ("ServiceEnable", "ServiceDisable", "ServiceRestore")


class Exposing:
    """Opens and closes public ports, and lets boards know."""

    def __init__(self, actions: Actions, tunnels: Tunnels) -> None:
        self._actions, self._tunnels = actions, tunnels
        self._registry = actions.registry

    async def start(self) -> None:
        """Open what was open: the same ports, before boards come."""
        for row in self._registry.table(Exposed).all():
            try:
                _, self._registry.tokens[row.uuid] = await self._tunnels.open(row.board, row.public_port)
            except OSError as error:
                log.error("service %s of board %s: %s", row.service, row.board, error)

    async def act(self, board: Board, service: Service, action: str, manner: Manner) -> Answer:
        """ServiceEnable, ServiceDisable or ServiceRestore."""
        check_action(action, SERVICE_ACTIONS)
        actions = self._actions
        again = actions.requests.repeated(board.project, manner.key, manner.asked)
        if again is not None:
            return await actions.answer(again.request, manner)
        async with actions.calls.lock(board.uuid, f"port of {service.uuid}"):
            change = Change()
            if action == "ServiceEnable":
                part = await self._enable(change, board, service)
            elif action == "ServiceRestore":
                part = await self._restore(change, board, self.find(board, service), service)
            else:
                part = await self._disable(change, board, self.find(board, service), service)
            actions.requests.remember(change, board.project, manner.key, manner.asked, part.opened.request.uuid)
            await actions.go(change, [part])
        return await actions.answer(part.opened.request.uuid, manner)

    def find(self, board: Board, service: Service) -> Exposed:
        """The exposure; raises Refused where there is none."""
        found = self._registry.table(Exposed).get(f"{board.uuid}/{service.uuid}")
        if found is None:
            raise Refused(404, f"Service {service.uuid} is not exposed on board {board.uuid}.")
        return found

    async def _enable(self, change: Change, board: Board, service: Service) -> Part:
        """Once more is no error: the same port."""
        key = f"{board.uuid}/{service.uuid}"
        found = self._registry.table(Exposed).get(key)
        if found is not None:
            return await self._restore(change, board, found, service)
        self._need(board)
        try:
            port, token = await self._tunnels.open(board.uuid)
        except OSError as error:
            raise Refused(503, f"service {service.name} cannot be exposed: {error}") from None
        self._registry.tokens[key] = token
        row = Exposed(
            uuid=key, created_at=self._registry.now(), board=board.uuid, service=service.uuid, public_port=port
        )
        change.add(row)
        return self._told(change, board, row, service, "ServiceEnable", new=True)

    async def _restore(self, change: Change, board: Board, row: Exposed, service: Service) -> Part:
        self._need(board)
        try:
            _, self._registry.tokens[row.uuid] = await self._tunnels.open(board.uuid, row.public_port)
        except OSError as error:
            raise Refused(503, f"service {service.name} cannot be exposed: {error}") from None
        change.add(self._registry.stamped(row))
        return self._told(change, board, row, service, "ServiceRestore", new=False)

    def _told(
        self, change: Change, board: Board, row: Exposed, service: Service, method: str, *, new: bool
    ) -> Part:  # fmt: skip
        change.event(board.project, "service.changed", board=board.uuid, object=service.uuid, service=service.uuid)
        public = self._registry.setting.public
        say = f"Cloud service '{service.name}' exposed on port {row.public_port} on {public}"
        if self._registry.speaks_desire(board):
            expect = expectation("services", service.uuid, "up", say)
            return self._actions.wishing(change, board, None, method, expect)
        return self._actions.calling(
            change, board, None, method, service_wire(service), row.public_port, object=service.uuid,
            after=lambda message: self._answered(row, message, new=new),
        )  # fmt: skip

    async def _answered(self, row: Exposed, message: Message, *, new: bool) -> None:
        if new and message.result is Outcome.ERROR:
            await self.close(row)
            await self._registry.records.commit(Change().remove(row))

    async def _disable(self, change: Change, board: Board, row: Exposed, service: Service) -> Part:
        wishes = self._registry.speaks_desire(board)
        if not wishes:
            self._need(board)
        await self.close(row)
        change.remove(row).event(
            board.project, "service.changed", board=board.uuid, object=service.uuid, service=service.uuid, state="gone"
        )
        say = f"Cloud service '{service.name}' tunnel disabled."
        if wishes:
            expect = expectation("services", service.uuid, "absent", say)
            return self._actions.wishing(change, board, None, "ServiceDisable", expect)
        return self._actions.calling(
            change, board, None, "ServiceDisable", service_wire(service), object=service.uuid
        )  # fmt: skip

    async def close(self, row: Exposed) -> None:
        """Close the public port."""
        self._registry.tokens.pop(row.uuid, None)
        await self._tunnels.close(row.public_port)

    async def restore_all(self, board: Board, manner: Manner) -> None:
        """ServiceRestore of each service of a board."""
        self._need(board)
        for row in self._registry.table(Exposed).by("board", board.uuid):
            service = self._registry.table(Service).get(row.service)
            if service is not None:
                await self.act(board, service, "ServiceRestore", Manner(at_once=manner.at_once))

    def status(self, board: Board) -> Json:
        """How each exposed service of a board is doing."""
        said = self._registry.report(board.uuid).get("services", {})
        return {
            row.service: {
                "public_port": row.public_port, "alive": self._tunnels.alive(row.public_port),
                "message": said.get(row.service, {}).get("message") or "",
            }
            for row in self._registry.table(Exposed).by("board", board.uuid)
        }  # fmt: skip

    def _need(self, board: Board) -> None:
        if not self._actions.calls.online(board):
            raise not_connected(board.uuid)


def service_wire(service: Service) -> Json:
    """A service as boards are told of it."""
    return {"uuid": service.uuid, "name": service.name, "port": service.port, "protocol": service.protocol}
