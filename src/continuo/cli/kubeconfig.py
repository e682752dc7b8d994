"""`continuo kubeconfig CLUSTER`: the credentials of a workload cluster, from the Secret that Cluster API keeps."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run


@click.command()
@click.argument("cluster")
@target_options
@run
async def kubeconfig(cluster: str, target: Target) -> None:
    """Print the kubeconfig of a workload cluster: its declared name, or orchestration-name/cluster."""
    async with connected(target) as management:
        namespace = target.namespace or management.access.namespace
        click.echo(await read_kubeconfig(management, namespace, cluster), nl=False)


async def read_kubeconfig(management: Any, namespace: str, cluster: str) -> str:
    """The kubeconfig text of a declared cluster. Raises BadInput for an unknown name, Failed while there is none yet."""
    return await _read(management, namespace, await _secret_name(management, namespace, cluster), cluster)


async def _secret_name(management: Any, namespace: str, cluster: str) -> str:
    """The kubeconfig Secret of a declared cluster; the name may be short, `orchestration/short` or Cluster API's."""
    from continuo.orchestrator.naming import cluster_name
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    listing = await management.list(LOW_LEVEL_ORCHESTRATION, namespace)
    found: dict[str, str] = {}
    for obj in listing.items:
        name = obj["metadata"]["name"]
        for spec in (obj.get("spec") or {}).get("clusters") or ():
            full = cluster_name(name, spec["name"])
            if cluster in (spec["name"], full, f"{name}/{spec['name']}"):
                found[f"{name}/{spec['name']}"] = spec.get("kubeconfig") or f"{full}-kubeconfig"
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise BadInput(f"cluster {cluster} is ambiguous; say one of {', '.join(sorted(found))}")
    known = sorted(
        f"{o['metadata']['name']}/{c['name']}"
        for o in listing.items
        for c in (o.get("spec") or {}).get("clusters") or ()
    )
    raise BadInput(
        f"no orchestration in namespace {namespace} declares a cluster {cluster}; "
        f"{'declared: ' + ', '.join(known) if known else 'none is declared'}"
    )


async def _read(management: Any, namespace: str, secret: str, cluster: str) -> str:
    from continuo.orchestrator.world import kubeconfig_text
    from continuo.resources import kinds
    from continuo.resources.errors import NotFound

    try:
        found = await management.get(kinds.SECRET, secret, namespace)
    except NotFound as error:
        raise Failed(
            f"cluster {cluster} has no kubeconfig yet: it is still being created (see `continuo status`)"
        ) from error
    text = kubeconfig_text(found)
    if text is None:
        raise Failed(f"Secret {namespace}/{secret} holds no kubeconfig under the key `value`")
    return text
