"""`continuo boards sign`: sign plugins' code and what workloads run, so that boards whose policy names the key run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import BadInput

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The private key (Ed25519, PEM); made where there is none.")  # fmt: skip
@click.option("--name", required=True, help="What the hub's policy calls the key.")
@click.option("--grant", "granted", multiple=True, metavar="NAME[=VALUE]",
              help="What the module is granted, as its Plugin will say it: network, memory=64Mi, time=60.")  # fmt: skip
def sign(file: Path, key_file: Path, name: str, granted: tuple[str, ...]) -> None:
    """Sign FILE: a Python module, or a manifest with Plugins, Workloads or ContinuumSlices.

    Of a module the signature is printed, for spec.forProvider.signature; a manifest is printed with the inline code of its
    Plugins and what its Workloads run signed, each with what it is granted, those of slices too. Values that come from
    Secrets or from the slice are left open, by name. The public half of the key goes to the hub: `continuo hub keys add`.
    """
    from continuo.iot.signing import BadKey, key_at, public_hex

    grants, new = _grants(granted), not key_file.exists()
    try:
        key = key_at(key_file)
        text = file.read_text(encoding="utf-8")
    except (BadKey, OSError, UnicodeDecodeError) as error:
        raise BadInput(str(error)) from error
    if new:
        click.echo(f"made a key: {key_file}; its public half is {public_hex(key)}", err=True)
        click.echo(f"tell the hub: continuo hub keys add {name} {public_hex(key)}", err=True)
    if file.suffix in (".yaml", ".yml", ".json"):
        if grants:
            raise BadInput("--grant is for modules: in a manifest each Plugin says its own grants")
        click.echo(_manifest(file, text, key, name), nl=False)
        return
    import yaml

    from continuo.iot.signing import sign as signed

    click.echo(yaml.safe_dump({"signature": signed(key, name, text, grants).wire()}, sort_keys=False), nl=False)


def _grants(said: tuple[str, ...]) -> dict[str, Any]:
    """From the options: a number of seconds is one, everything else stays as it is spelled."""
    from continuo.iot.signing import GRANTS

    found: dict[str, Any] = {}
    for each in said:
        name, _, value = each.partition("=")
        if name not in GRANTS or (name == "network") is bool(value):
            raise BadInput(f"--grant {each}: it is network, or one of {', '.join(GRANTS[1:])} with =VALUE")
        found[name] = True if name == "network" else int(value) if value.isdecimal() else value
    return found


def _manifest(file: Path, text: str, key: Any, name: str) -> str:
    import yaml

    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise BadInput(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    count = 0
    for document in documents:
        listed = document.get("items", [document]) if isinstance(document, dict) else None
        for item in listed if isinstance(listed, list) else ():
            for kind, called, said in _signable(item):
                said["signature"] = (_plugin if kind == "Plugin" else _workload)(said, called, key, name)
                count += 1
    if not count:
        raise BadInput(f"{file} has no Plugin, Workload or ContinuumSlice with something to sign")
    return str(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))


def _signable(item: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What of an object is signed: of which kind it is, how it is called, and its parameters."""
    from continuo.iot.compose.claim import CONTINUUM_SLICE
    from continuo.resources.boards import PLUGIN, WORKLOAD

    if not isinstance(item, dict) or not isinstance(spec := item.get("spec"), dict):
        return
    which, metadata = (item.get("apiVersion"), item.get("kind")), item.get("metadata")
    called = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
    for kind in (PLUGIN, WORKLOAD):
        if which == (kind.api_version, kind.kind) and isinstance(said := spec.get("forProvider"), dict):
            yield kind.kind, f"{kind.kind} {called}", said
    if which == (CONTINUUM_SLICE.api_version, CONTINUUM_SLICE.kind):
        for field, kind in (("plugins", PLUGIN), ("workloads", WORKLOAD)):
            for said in spec.get(field) or ():
                if isinstance(said, dict):
                    yield kind.kind, f"{kind.kind} {said.get('name')} of ContinuumSlice {called}", said


def _plugin(said: dict[str, Any], called: str, key: Any, name: str) -> dict[str, Any]:
    from continuo.iot.signing import sign as signed

    if not isinstance(said.get("code"), str):
        raise BadInput(
            f"{called} has its code elsewhere: sign that file, and put the signature into its parameters as signature"
        )
    return signed(key, name, said["code"], said.get("grants")).wire()


def _workload(said: dict[str, Any], called: str, key: Any, name: str) -> dict[str, Any]:
    from continuo.iot.signing import sign_workload

    try:
        left_open = [*((said.get("signature") or {}).get("openEnv") or ()), *(said.get("secretEnv") or ())]
        left_open += [each["env"] for each in said.get("endpoints") or ()]
        return sign_workload(key, name, said, left_open).wire()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{called} is no workload that could be signed: {error!r}") from error
