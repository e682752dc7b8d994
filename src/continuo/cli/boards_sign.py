"""`continuo boards sign`: sign a plugin's code, so that boards whose policy names the key run it."""

from __future__ import annotations

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
def sign(file: Path, key_file: Path, name: str) -> None:
    """Sign FILE: a Python module, or a manifest with Plugins.

    Of a module the signature is printed, for spec.forProvider.signature; a manifest is printed with its Plugins' inline code
    signed. The public half of the key goes to the hub: `continuo hub keys add`.
    """
    from continuo.iot.signing import BadKey, key_at, public_hex

    new = not key_file.exists()
    try:
        key = key_at(key_file)
        text = file.read_text(encoding="utf-8")
    except (BadKey, OSError, UnicodeDecodeError) as error:
        raise BadInput(str(error)) from error
    if new:
        click.echo(f"made a key: {key_file}; its public half is {public_hex(key)}", err=True)
        click.echo(f"tell the hub: continuo hub keys add {name} {public_hex(key)}", err=True)
    if file.suffix in (".yaml", ".yml", ".json"):
        click.echo(_manifest(file, text, key, name), nl=False)
        return
    import yaml

    from continuo.iot.signing import sign as signed

    click.echo(yaml.safe_dump({"signature": signed(key, name, text).wire()}, sort_keys=False), nl=False)


def _manifest(file: Path, text: str, key: Any, name: str) -> str:
    import yaml

    from continuo.iot.signing import sign as signed
    from continuo.resources.boards import PLUGIN

    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise BadInput(f"{file} is no YAML: {error}") from error
    count = 0
    for document in documents:
        items = document.get("items", [document]) if isinstance(document, dict) else []
        for item in items:
            said = (item.get("spec") or {}).get("forProvider") if isinstance(item, dict) else None
            if isinstance(said, dict) and (item.get("apiVersion"), item.get("kind")) == (
                PLUGIN.api_version,
                PLUGIN.kind,
            ):
                if not isinstance(said.get("code"), str):
                    raise BadInput(
                        f"Plugin {item['metadata']['name']} has its code elsewhere: sign that file, and put the signature "
                        "into spec.forProvider.signature"
                    )
                said["signature"] = signed(key, name, said["code"]).wire()
                count += 1
    if not count:
        raise BadInput(f"{file} has no Plugin of {PLUGIN.api_version}")
    return str(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))
