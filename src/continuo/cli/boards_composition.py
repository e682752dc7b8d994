"""`continuo boards composition` and `continuo boards function`: slices of the continuum through Crossplane."""

from __future__ import annotations

from pathlib import Path

import click

from continuo.cli.failures import BadInput


@click.command()
@click.option("--package", metavar="IMAGE", help="The function's package: prints its Function and runtime, too.")
@click.option("--function", "name", default="continuo-compose", show_default=True, help="What the Function is called.")
@click.option("--package-meta", is_flag=True, help="Print crossplane.yaml instead, of which a package is built.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def composition(package: str | None, name: str, package_meta: bool, output: str) -> None:
    """Print what Crossplane needs for ContinuumSlices: definition, composition and rights.

    `continuo boards composition | kubectl apply --server-side -f -`
    """
    from continuo.iot.compose import definition
    from continuo.tosca.deployment import to_yaml

    if package_meta and package:
        raise BadInput("--package-meta is what a package is built of: leave --package out")
    objects = [definition.package_meta(name)] if package_meta else definition.slice_objects(name, package)
    if output == "json":
        import json

        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2))
        return
    click.echo(to_yaml(objects), nl=False)


@click.command()
@click.option("--address", default="0.0.0.0:9443", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--tls-certs-dir", type=click.Path(path_type=Path, file_okay=False), envvar="TLS_SERVER_CERTS_DIR", show_envvar=True,
    help="The folder with tls.crt, tls.key and ca.crt.",
)  # fmt: skip
@click.option("--insecure", is_flag=True, help="Without certificates, for trials.")
@click.option("--debug", is_flag=True, help="Log more.")
def function(address: str, tls_certs_dir: Path | None, insecure: bool, debug: bool) -> None:
    """Serve the composition function over gRPC, as Crossplane calls it."""
    import asyncio
    import logging

    from continuo.iot.compose.serving import serve
    from continuo.resources.errors import BadRequest

    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO)
    try:
        asyncio.run(serve(address, tls_certs_dir, insecure=insecure, listening=click.echo))
    except BadRequest as error:
        raise BadInput(str(error)) from error
