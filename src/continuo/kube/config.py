"""From a kubeconfig, or the pod we run in, to a client.

Two degrees of trust: a kubeconfig that the user of this process named may run exec plugins and name files; one that came
as text (out of a Secret, from a form) may not, because whoever wrote it would read our files and run our programs.
"""

from __future__ import annotations

import base64
import binascii
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from continuo.kube import kubeconfig
from continuo.kube.access import Access, Credentials, Fixed, Identity, Tls, TokenFile, basic, bearer
from continuo.kube.client import KubeCluster
from continuo.kube.execplugin import ExecPlugin
from continuo.kube.kubeconfig import Chosen
from continuo.kube.transport import Transports
from continuo.resources.errors import BadRequest

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT = Path("~/.kube/config")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect(
    source: str | Path | Mapping[str, Any] | None = None,
    *,
    context: str | None = None,
    name: str | None = None,
    trusted: bool | None = None,
    transports: Transports | None = None,
    environ: Mapping[str, str] = os.environ,
    **settings: Any,
) -> KubeCluster:
    """A client for a cluster; no request is sent yet.

    `source` is a kubeconfig's path (`Path`), its text (`str`), its decoded form (a mapping), or None: then KUBECONFIG,
    `~/.kube/config`, or the pod's own service account, whichever is there first. `settings` go to `KubeCluster`.
    """
    access = access_from(source, context=context, trusted=trusted, environ=environ)
    return KubeCluster(name or access.context or "cluster", access, transports=transports, **settings)


def access_from(
    source: str | Path | Mapping[str, Any] | None = None,
    *,
    context: str | None = None,
    trusted: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Access:
    """What `connect` connects with; raises BadRequest with one sentence when the configuration does not fit."""
    if isinstance(source, Path):
        return _access(kubeconfig.read(source).choose(context), True if trusted is None else trusted, environ)
    if isinstance(source, str):
        return _access(kubeconfig.parse_text(source, "the kubeconfig").choose(context), bool(trusted), environ)
    if source is not None:
        return _access(kubeconfig.parse(source, "the kubeconfig").choose(context), bool(trusted), environ)
    return _from_environment(context, environ)


def _from_environment(context: str | None, environ: Mapping[str, str]) -> Access:
    named = [Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    existing = [path for path in named if path.exists()]
    if named and not existing:
        raise BadRequest(f"KUBECONFIG names {', '.join(map(str, named))}, and there is no such file")
    default = DEFAULT.expanduser()
    if not existing and default.exists():
        existing = [default]
    if existing:
        return _access(kubeconfig.merge(map(kubeconfig.read, existing)).choose(context), True, environ)
    if "KUBERNETES_SERVICE_HOST" in environ:
        return in_cluster(environ)
    raise BadRequest(
        "no cluster is configured: pass --kubeconfig FILE, set KUBECONFIG, or start one with `continuo up`"
    )


def in_cluster(environ: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Access:
    """The access of the pod that we run in."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise BadRequest("KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod")
    try:
        ca = (folder / "ca.crt").read_text(encoding="utf-8")
        namespace_file = folder / "namespace"
        namespace = namespace_file.read_text(encoding="utf-8").strip() if namespace_file.exists() else "default"
    except OSError as error:
        raise BadRequest(f"this pod has no usable service account: {error}") from error
    address = f"[{host}]" if ":" in host else host
    credentials = TokenFile(folder / "token", Identity())
    return Access(f"https://{address}:{port}", Tls(ca=ca), credentials, None, namespace, "in-cluster")


def _access(chosen: Chosen, trusted: bool, environ: Mapping[str, str]) -> Access:
    cluster = chosen.cluster
    parts = urlsplit(cluster.server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(
            f"the server of cluster {chosen.context.cluster!r} is {cluster.server!r}: it must be an http or https address"
        )
    if not trusted:
        _refuse_local(chosen)
    ca = _pem(cluster.certificate_authority_data, cluster.certificate_authority, chosen.cluster_folder, "cluster CA")
    tls = Tls(ca, cluster.insecure_skip_tls_verify, cluster.tls_server_name)
    access = Access(
        cluster.server.rstrip("/"),
        tls,
        _credentials(chosen),
        _proxy(cluster.proxy_url, cluster.server, environ),
        chosen.context.namespace or "default",
        chosen.name,
    )
    _check_tls(access)
    return access


def _check_tls(access: Access) -> None:
    """Fail now, with a sentence, rather than at the first request."""
    if access.server.startswith("https:"):
        try:
            access.tls.context()
        except ValueError as error:
            raise BadRequest(f"context {access.context!r}: {error}") from error


def _refuse_local(chosen: Chosen) -> None:
    user, cluster = chosen.user, chosen.cluster
    files = {
        "certificate-authority": cluster.certificate_authority,
        "client-certificate": user.client_certificate,
        "client-key": user.client_key,
        "tokenFile": user.token_file,
    }
    if user.exec is not None:
        raise BadRequest(
            f"user {chosen.context.user!r} runs the program {user.exec.command}: a kubeconfig that is not a local file "
            "may not run programs; give it a token or a client certificate"
        )
    for field, value in files.items():
        if value:
            raise BadRequest(
                f"{field} names the local file {value}: a kubeconfig that is not a local file may not; put the data in"
            )


def _credentials(chosen: Chosen) -> Credentials:
    user, folder = chosen.user, chosen.user_folder
    if user.auth_provider is not None:
        raise BadRequest(
            f"user {chosen.context.user!r} uses auth-provider, which Kubernetes removed: use an exec plugin"
        )
    certificate = _pem(user.client_certificate_data, user.client_certificate, folder, "client certificate")
    key = _pem(user.client_key_data, user.client_key, folder, "client key")
    if bool(certificate) != bool(key):
        missing = "client-key" if certificate else "client-certificate"
        raise BadRequest(f"user {chosen.context.user!r} has no {missing}: a certificate and its key come together")
    identity = Identity(_authorization(chosen), certificate, key, _impersonation(chosen))
    if user.token_file and not user.token:
        return TokenFile(_resolve(user.token_file, folder), identity)
    if user.exec is not None and identity.authorization is None:
        return ExecPlugin(user.exec, identity, folder=folder, cluster_info=_cluster_info(chosen))
    return Fixed(identity)


def _authorization(chosen: Chosen) -> str | None:
    user = chosen.user
    if user.token:
        return bearer(user.token)
    if user.username and user.password is not None:
        return basic(user.username, user.password)
    return None


def _impersonation(chosen: Chosen) -> tuple[tuple[str, str], ...]:
    user = chosen.user
    if user.as_groups or user.as_uid:
        raise BadRequest(f"user {chosen.context.user!r} sets as-groups or as-uid: only `as` is supported")
    return (("Impersonate-User", user.as_user),) if user.as_user else ()


def _cluster_info(chosen: Chosen) -> dict[str, Any]:
    cluster = chosen.cluster
    info: dict[str, Any] = {
        "server": cluster.server,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
    }
    ca = _pem(cluster.certificate_authority_data, cluster.certificate_authority, chosen.cluster_folder, "cluster CA")
    if ca:
        info["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    if cluster.tls_server_name:
        info["tls-server-name"] = cluster.tls_server_name
    if cluster.proxy_url:
        info["proxy-url"] = cluster.proxy_url
    return info


def _pem(data: str | None, file: str | None, folder: Path | None, what: str) -> str | None:
    if data:
        try:
            return base64.b64decode(data, validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadRequest(f"the {what} data is not base64 of PEM text") from error
    if not file:
        return None
    path = _resolve(file, folder)
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"cannot read the {what} {path}: {getattr(error, 'strerror', None) or 'not PEM text'}"
        ) from error


def _resolve(file: str, folder: Path | None) -> Path:
    path = Path(file)
    if path.is_absolute() or folder is not None:
        return path if path.is_absolute() else folder / path  # type: ignore[operator]
    raise BadRequest(f"{file} is a relative path in a kubeconfig that is no file: use an absolute path")


def _proxy(url: str | None, server: str, environ: Mapping[str, str]) -> str | None:
    if url:
        if urlsplit(url).scheme not in ("http", "https"):
            raise BadRequest(f"proxy-url is {url!r}: only http and https proxies are supported")
        return url
    parts = urlsplit(server)
    host = parts.hostname or ""
    if host in _LOOPBACK or host.startswith("127."):
        return None
    lower = {key.lower(): value for key, value in environ.items() if key.lower().endswith("_proxy")}
    if urllib.request.proxy_bypass_environment(host, {"no": lower.get("no_proxy", "")}):  # type: ignore[attr-defined]
        return None
    return lower.get(f"{parts.scheme}_proxy") or None
