"""OpenStack's IoTronic 0.4.17 in one process: REST, conductor and WAMP agent. Runs in an environment of its own.

    iotronic_program.py --config-file FILE        a line on standard output: the port of REST

Its parts are started as their own programs start them, but in threads. Two things are added: what the agent hands to a board
goes through JSON, as it would on RabbitMQ, and SQLite keeps foreign keys, as MariaDB does.
"""

import importlib
import json
import os
import signal
import socketserver
import sys
import threading
import wsgiref.simple_server as wsgi

import txaio

txaio.use_asyncio()  # eventlet's dependencies would otherwise choose first

import oslo_messaging  # noqa: E402
from iotronic.common import service  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402
from oslo_serialization import jsonutils  # noqa: E402
from sqlalchemy import engine, event  # noqa: E402

HOST = "lab"


class Server(socketserver.ThreadingMixIn, wsgi.WSGIServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


class Handler(wsgi.WSGIRequestHandler):
    """Every request is a line on standard error."""

    def log_message(self, format, *args):
        sys.stderr.write("REST %s\n" % (format % args))


@event.listens_for(engine.Engine, "connect")
def keep_foreign_keys(connection, _record):
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=30000")


def through_json(wamp_request):
    """The broker between conductor and agent hands over JSON; the one in memory hands over the objects themselves."""

    async def asked(kwarg):
        return await wamp_request(json.loads(jsonutils.dumps(kwarg, default=plain)))

    return asked


def plain(value):
    return value.as_dict() if hasattr(value, "as_dict") else jsonutils.to_primitive(value)


def main():
    ready = os.dup(1)
    os.dup2(2, 1)  # its parts write logs to both
    signal.signal = lambda *_: None  # its parts set handlers, which threads may not; who ends this kills it
    service.prepare_service(sys.argv)
    cfg.ConfigOpts.__call__ = lambda *_, **__: None  # each part would read the settings anew, under the others' feet
    log.register_options = log.setup = lambda *_, **__: None
    from iotronic.api import app
    from iotronic.conductor import manager
    from iotronic.db.sqlalchemy import api, models
    from iotronic.wamp import agent

    oslo_messaging.set_transport_defaults("openstack")
    models.Base.metadata.create_all(api.get_engine())
    importlib.import_module("iotronic.wamp.functions")  # it sets up messages: before anybody sends any
    agent.wamp_request = through_json(agent.wamp_request)
    known = {"hostname": HOST, "wsurl": cfg.CONF.wamp.wamp_transport_url, "ragent": True}
    api.get_backend().register_wampagent(known)  # else the conductor would wait in steps of five seconds
    threading.Thread(target=manager.ConductorManager, args=(HOST,), daemon=True).start()

    rest = wsgi.make_server(cfg.CONF.api.host_ip, cfg.CONF.api.port, app.VersionSelectorApplication(), Server, Handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    os.write(ready, b"%d\n" % rest.server_port)
    os.close(ready)
    agent.WampAgent(HOST)


if __name__ == "__main__":
    main()
