"""OpenStack's IoTronic 0.4.17 in one process: REST, conductor and WAMP agent. Runs in an environment of its own.

    iotronic_program.py --config-file FILE        a line on standard output: the port of REST

REST, the conductor and the agent's side of the conductor are IoTronic's, started as their own programs start them, but in
threads. The WAMP router and the boards behind it are doubles: `Lab` calls what the agent offers to boards, and answers what
it calls of them in Lightning-rod's words. `POST /lab/<what>` moves them.

SQLite keeps no foreign keys here. With them, as in MariaDB, IoTronic 0.4.17 deletes no board that was ever connected.
"""

# ruff: noqa: E402
import asyncio
import itertools
import json
import os
import pickle
import signal
import socketserver
import sys
import threading
import time
import wsgiref.simple_server as wsgi

import txaio

txaio.use_asyncio()  # others would choose otherwise

from iotronic.common import service
from oslo_config import cfg
from oslo_log import log
from oslo_serialization import jsonutils

signal.signal = lambda *_: None  # its parts set handlers, which threads may not; who ends this kills it
service.prepare_service(sys.argv)
cfg.ConfigOpts.__call__ = lambda *_, **__: None  # each part would read the settings anew, under the others' feet
log.register_options = log.setup = lambda *_, **__: None

from iotronic.api import app
from iotronic.conductor import manager
from iotronic.db.sqlalchemy import api, models
from iotronic.wamp import agent, functions

HOST = "lab"


class Server(socketserver.ThreadingMixIn, wsgi.WSGIServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


class Handler(wsgi.WSGIRequestHandler):
    """Every request is a line on standard error."""

    def log_message(self, format, *args):
        sys.stderr.write("REST %s\n" % (format % args))


class Board:
    """What a Lightning-rod 0.5.0 has, and says."""

    def __init__(self, uuid):
        self.uuid, self.plugins, self.services = uuid, {}, {}

    def call(self, method, data):
        """(result, message); a method that there is not is KeyError."""
        known = {
            name: getattr(self, "on_" + name)
            for name in ("PluginInject", "PluginStart", "PluginStop", "PluginStatus", "PluginCall", "PluginRemove")
        }
        known.update(ServiceEnable=self.on_service, ServiceRestore=self.on_service, ServiceDisable=self.on_disable)
        return known[method](*data)

    def on_PluginInject(self, plugin, onboot):
        before = self.plugins.get(plugin["uuid"])
        try:
            code = pickle.loads(plugin["code"].encode())
        except Exception as error:
            return "ERROR", f"unpickling: {error}"
        self.plugins[plugin["uuid"]] = {"name": plugin["name"], "code": code, "onboot": onboot, "alive": False}
        return "SUCCESS", "PluginInject result: " + ("UPDATED" if before else "INJECTED")

    def on_PluginStart(self, uuid, parameters):
        if self.plugins[uuid]["alive"]:
            return "ERROR", "ALREADY STARTED!"
        self.plugins[uuid].update(alive=True, parameters=parameters)
        return "SUCCESS", "STARTED"

    def on_PluginStop(self, uuid, parameters):
        if not self.plugins[uuid]["alive"]:
            return "WARNING", "not running"
        self.plugins[uuid]["alive"] = False
        return "SUCCESS", "STOPPED"

    def on_PluginStatus(self, uuid):
        return "SUCCESS", "ALIVE" if self.plugins.get(uuid, {}).get("alive") else "DEAD"

    def on_PluginCall(self, uuid, parameters):
        return "SUCCESS", "{}: {}".format(self.plugins[uuid]["name"], json.dumps(parameters))

    def on_PluginRemove(self, uuid):
        if self.plugins.pop(uuid, None) is None:
            return "ERROR", "Plugin paths or files do not exist!"
        return "SUCCESS", f"PluginRemove result: {uuid} removed!"

    def on_service(self, service, public_port):
        self.services[service["uuid"]] = {"port": service["port"], "public_port": public_port}
        return "SUCCESS", "Cloud service '{}' exposed on port {}".format(service["name"], public_port)

    def on_disable(self, service):
        self.services.pop(service["uuid"], None)
        return "SUCCESS", "Cloud service '{}' tunnel disabled.".format(service["name"])


class Lab:
    """Stands where the agent's connection to the router would be."""

    def __init__(self):
        self.loop = agent.LOOP = asyncio.new_event_loop()
        self.boards, self.sessions, self.next = {}, {}, itertools.count(1001)
        agent.wamp_request = self.asked
        Lab.only = self

    def start(self):
        self.loop.run_forever()

    async def asked(self, kwarg):
        """The agent calls a board. A broker would hand over JSON; the one in memory hands over the objects themselves."""
        data = json.loads(jsonutils.dumps(kwarg["data"], default=plain))
        _, session, uuid, method = kwarg["wamp_rpc_call"].split(".")
        if self.sessions.get(uuid) != int(session):
            raise RuntimeError("wamp.error.no_such_procedure")
        try:
            result, message = self.boards[uuid].call(method, data)
        except KeyError:
            raise RuntimeError("wamp.error.no_such_procedure") from None
        return json.dumps({"message": message, "result": result})

    def register(self, code):
        """A board comes with a registration code, and connects as whom that makes it."""
        told = json.loads(functions.registration(code, next(self.next)))
        uuid = told["message"]["iotronic"]["board"]["uuid"]
        self.boards[uuid] = Board(uuid)
        return self.come(uuid)

    def come(self, uuid):
        """Its agent connects."""
        self.sessions[uuid] = next(self.next)
        functions.connection(uuid, self.sessions[uuid], {"lr_version": "0.5.0", "connectivity": {"iface": "eth0"}})
        return self.have(uuid)

    def leave(self, uuid):
        """Its session ends."""
        functions.board_on_leave(self.sessions.pop(uuid))
        return self.have(uuid)

    def have(self, uuid):
        """What is on it."""
        board = self.boards[uuid]
        return {"uuid": uuid, "plugins": board.plugins, "services": board.services}

    def over(self, app):
        """REST, and the lab's own path beside it."""

        def answer(environ, start_response):
            path = environ["PATH_INFO"]
            if not path.startswith("/lab/"):
                return app(environ, start_response)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
            told = getattr(self, path[5:])(body)
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(told).encode()]

        return answer


def plain(value):
    return value.as_dict() if hasattr(value, "as_dict") else jsonutils.to_primitive(value)


def listen():
    """REST, in threads; its port."""
    own = Lab.only.over(app.VersionSelectorApplication())
    server = wsgi.make_server(cfg.CONF.api.host_ip, cfg.CONF.api.port, own, Server, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main():
    ready = os.dup(1)
    os.dup2(2, 1)  # its parts write logs to both
    models.Base.metadata.create_all(api.get_engine())
    known = {"hostname": HOST, "wsurl": cfg.CONF.wamp.wamp_transport_url, "ragent": True}
    api.get_backend().register_wampagent(known)  # else the conductor would wait in steps of five seconds
    agent.WampManager = Lab
    threading.Thread(target=manager.ConductorManager, args=(HOST,), daemon=True).start()
    threading.Thread(target=agent.WampAgent, args=(HOST,), daemon=True).start()
    while not hasattr(Lab, "only"):
        time.sleep(0.05)
    os.write(ready, b"%d\n" % listen())
    os.close(ready)
    threading.Event().wait()


if __name__ == "__main__":
    main()
