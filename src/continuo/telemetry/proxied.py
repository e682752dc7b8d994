"""Federation of clusters whose Prometheus has no address of its own for us: through their API servers' proxy.

A job for each cluster, since credentials belong to a job; all of them say that they are the one federation.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from continuo.resources.meta import Object
from continuo.telemetry.scraping import FEDERATION, federation

SERVICE = "monitoring/prometheus-operated:9090"
"""NAMESPACE/NAME:PORT of the Service that every Prometheus operator makes for its Prometheus."""


@dataclass(frozen=True, slots=True)
class Through:
    """One cluster, and how its API server is entered. Files are named as Prometheus finds them."""

    orchestration: str
    cluster: str
    server: str
    """The API server's URL."""
    service: str = SERVICE
    ca_file: str = ""
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""


def through(place: Through) -> Object:
    """The job of one cluster."""
    url = urlsplit(place.server)
    namespace, _, service = place.service.partition("/")
    path = f"{url.path.rstrip('/')}/api/v1/namespaces/{namespace}/services/{service}/proxy/federate"
    tls = {"ca_file": place.ca_file, "server_name": place.server_name, "cert_file": place.cert_file,
           "key_file": place.key_file}  # fmt: skip
    how: Object = {"scheme": url.scheme}
    if said := {name: value for name, value in tls.items() if value}:
        how["tls_config"] = said
    if place.token_file:
        how["authorization"] = {"type": "Bearer", "credentials_file": place.token_file}
    labels = {"job": FEDERATION, "orchestration": place.orchestration, "cluster": place.cluster}
    source: Object = {"static_configs": [{"targets": [_address(place.server)], "labels": labels}]}
    name = f"{FEDERATION}:{place.orchestration}/{place.cluster}"
    return federation(source, job=name, path=path, **how)


def _address(server: str) -> str:
    url = urlsplit(server)
    return url.netloc if url.port is not None else f"{url.netloc}:{443 if url.scheme == 'https' else 80}"
