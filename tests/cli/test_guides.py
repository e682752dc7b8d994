"""What the guides show is true: files are accepted, commands parse, links lead somewhere, the named tests are there."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from continuo.cli.host import Host
from continuo.cli.main import cli
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.broker import BROKER_KINDS
from continuo.resources.crds.fluidos import fluidos_crds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from . import guide_pages as pages

OF_OTHERS = (kinds.NAMESPACE, kinds.DEPLOYMENT, kinds.KNOWN_CLUSTER, kinds.SOLVER)
KINDS = {kind.kind: kind for kind in (LOW_LEVEL_ORCHESTRATION, *(of.kind for of in BROKER_KINDS), *OF_OTHERS)}
"""What the pages declare, and the management cluster of the engine serves."""


@pytest.fixture
async def api() -> AsyncIterator[Any]:
    """An engine's management cluster; nothing acts on what is declared there."""
    host = Host(None, seed=1)
    await host.start()
    client = connect(host.engine.kubeconfig("management"), name="management", transports=Transports())
    for definition in fluidos_crds():
        await client.create(definition)
    try:
        yield client
    finally:
        await client.close()
        await host.stop()


def declarations(page: Path) -> list[tuple[pages.Block, Object]]:
    """The page's YAML in order: objects of our kinds, and lists of clusters as orchestrations that have them."""
    found = []
    for block in pages.blocks(page, "yaml"):
        for obj in yaml.safe_load_all(block.text):
            if "kind" not in obj:
                assert list(obj) == ["clusters"], f"{block.place}: neither an object nor a list of clusters"
                obj = LOW_LEVEL_ORCHESTRATION.new(f"clusters-{block.line}", spec=obj)
            assert obj["kind"] in KINDS, f"{block.place}: a {obj['kind']} is not checked here"
            found.append((block, obj))
    return found


async def refusal(api: Any, obj: Object, manager: str) -> str:
    """What a strict dry run says against applying this; empty when it is accepted, and then it is applied."""
    meta = obj["metadata"]
    path = KINDS[obj["kind"]].path(meta.get("namespace"), meta["name"])
    query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "false", "dryRun": "All"}
    try:
        await api._send("apply", "PATCH", path, query, json.dumps(obj).encode(), "application/apply-patch+yaml")
    except ApiError as error:
        return str(error)
    await api.apply(obj, manager=manager, force=False)
    return ""


@pytest.mark.anyio
async def test_every_declaration_on_the_pages_is_accepted(api: Any) -> None:
    wrong, count = [], 0
    for page in pages.GUIDES:
        namespace = page.stem.lower()
        await api.apply(kinds.NAMESPACE.new(namespace), manager="test")
        seen: set[str] = set()
        for block, obj in declarations(page):
            name = obj["metadata"]["name"]
            manager = "second" if name in seen else "first"  # a later file of the same name is another writer's part
            if KINDS[obj["kind"]].namespaced:
                obj["metadata"]["namespace"] = namespace
            said = await refusal(api, obj, manager)
            wrong += [f"{block.place}: {said}"] if said else []
            seen.add(name)
            count += 1
    assert wrong == []
    assert count >= 8, "the pages show fewer declarations than they did, or they are not found any more"


@pytest.mark.anyio
async def test_a_wrong_declaration_is_found(api: Any) -> None:
    ((_, good),) = declarations(pages.ROOT / "README.md")
    bad = LOW_LEVEL_ORCHESTRATION.new("shop", "default", spec={**good["spec"], "cluster": []})
    assert "cluster" in await refusal(api, bad, "first")


def test_the_readme_shows_the_example_file() -> None:
    ((_, shown),) = declarations(pages.ROOT / "README.md")
    assert shown == yaml.safe_load((pages.ROOT / "examples" / "shop.yaml").read_text(encoding="utf-8"))


def leaf(words: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    """The click command that the words name, and its arguments."""
    command: click.Command = cli
    rest = list(words[1:])
    while isinstance(command, click.Group):
        own = own_options(command, rest)
        if own == len(rest) or rest[own].startswith("-"):
            break
        rest = rest[own:]
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise click.UsageError(f"there is no command {rest[0]}")
        command, rest = found, rest[1:]
    return command, rest


def own_options(command: click.Command, words: list[str]) -> int:
    """How many of the first words are options of this command, with their values."""
    takes = {
        name: 0 if getattr(option, "is_flag", False) else option.nargs
        for option in command.get_params(click.Context(command)) if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    }  # fmt: skip
    at = 0
    while at < len(words) and (name := words[at].partition("=")[0]) in takes:
        at += 1 + (0 if "=" in words[at] else takes[name])
    return min(at, len(words))


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Let click read a whole command line: each group's own options, then its subcommand's."""
    with command.make_context(command.name or "continuo", words, parent=parent) as context:
        rest = [*context._protected_args, *context.args] if isinstance(command, click.Group) else []
        if isinstance(command, click.Group) and rest:
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            parse(found, rest, context)


def complaint(words: tuple[str, ...]) -> str:
    """What click says against this command line, without running it; empty when it can be run."""
    try:
        command, _ = leaf(words)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            raise click.UsageError("a command is missing")
        parse(cli, list(words[1:]))
    except click.ClickException as error:
        return error.format_message()
    return ""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the reader's: the examples are there, and so is every file that a command names."""
    (tmp_path / "examples").symlink_to(pages.ROOT / "examples")
    for command in (command for page in pages.GUIDES for command in pages.commands(page)):
        for word in command.words:
            if word.endswith((".yaml", ".csv", ".json")) and "/" not in word:
                (tmp_path / word).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_on_the_pages_parses(desk: Path) -> None:
    shown = [command for page in pages.GUIDES for command in pages.commands(page) if command.words[0] == "continuo"]
    wrong = [f"{command}: {said}" for command in shown if (said := complaint(command.words))]
    assert wrong == []
    assert len(shown) >= 40, "the pages show fewer commands than they did, or they are not found any more"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("continuo explain", "there is no command explain"),
        ("continuo plan -f shop.yaml --color", "No such option"),
        ("continuo apply", "Missing option"),
        ("continuo up --speed fast", "not a valid float"),
        ("continuo tosca", "a command is missing"),
        ("continuo hub nonsense", "there is no command nonsense"),
        ("continuo hub --data d nonsense", "there is no command nonsense"),
        ("continuo hub --data=d --insecure token nonsense", "there is no command nonsense"),
        ("continuo hub --data d token", "a command is missing"),
        ("continuo hub --data d token add --projekt p", "No such option"),
        ("continuo hub --speed 3 token ls", "No such option"),
        ("sed 's/a|b/c/' x.yaml | continuo apply -f - --what > out.txt 2>/dev/null # why", "No such option"),
    ],
)
def test_a_wrong_command_is_found(line: str, says: str) -> None:
    command = pages.simple_commands(line)[-1]
    assert command[0] == "continuo"
    assert says in complaint(command)


def test_every_command_in_a_sentence_exists() -> None:
    wrong = []
    shown = [command for page in pages.PAGES for command in pages.inline_commands(page)]
    for command in shown:
        try:
            found, rest = leaf(command.words)
        except click.UsageError as error:
            wrong.append(f"{command}: {error.message}")
            continue
        known = {
            name for option in found.get_params(click.Context(found)) for name in (*option.opts, *option.secondary_opts)
        }
        wrong += [
            f"{command}: {word}" for word in rest if word.startswith("--") and word.partition("=")[0] not in known
        ]
    assert wrong == []
    assert len(shown) >= 20


def test_the_files_of_this_repository_that_commands_name_exist() -> None:
    named = [
        (command.place, word)
        for page in pages.GUIDES
        for command in pages.commands(page)
        for word in (part.lstrip("@") for part in command.words)
        if word.startswith(("examples/", "charts/", "docs/"))
    ]
    assert [f"{where}: {word}" for where, word in named if not (pages.ROOT / word).exists()] == []
    assert named


def dead_links(page: Path) -> list[str]:
    """Links of a page to a file or a heading that is not there."""
    found = []
    for line, target in pages.links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            found.append(f"{pages.place(page, line)}: {target} is not there")
        elif anchor and anchor not in pages.anchors(file):
            found.append(f"{pages.place(page, line)}: {target} has no such heading")
    return found


def test_every_link_leads_somewhere() -> None:
    assert [sentence for page in pages.PAGES for sentence in dead_links(page)] == []
    assert sum(len(pages.links(page)) for page in pages.PAGES) >= 20


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`-three\n\n## Again\n\n## Again\n\n[a](#one-two-three) [b](#again-1) [c](page.md#again) [d](https://x.y/)\n"
        "```yaml\n# Not a heading\n[e](nowhere.md)\n```\n[f](#not-a-heading) ![g](nowhere.svg) `[h](code.md)`\n"
    )
    assert [sentence.partition("page.md:")[2] for sentence in dead_links(page)] == [
        "12: #not-a-heading has no such heading",
        "12: nowhere.svg is not there",
    ]


def test_every_guide_is_listed_in_the_readme() -> None:
    listed = {target for _, target in pages.links(pages.ROOT / "README.md")}
    assert [page.name for page in pages.GUIDES[1:] if str(page.relative_to(pages.ROOT)) not in listed] == []


@pytest.mark.parametrize("row", pages.requirements(), ids=lambda row: row.id)
def test_every_requirement_names_code_and_tests_that_are_there(row: pages.Requirement) -> None:
    wrong = [pages.missing(pages.ROOT / "src" / "continuo", path) for path in row.code]
    wrong += [pages.missing(pages.ROOT / "tests", path) for path in row.tests]
    wrong += [f"{path} is too vague: name a test" for path in row.tests if re.search(r"/$|test_\w+\.py$", path)]
    assert [sentence for sentence in wrong if sentence] == []
    assert row.code and any("::test_" in path for path in row.tests)


def test_a_wrong_path_is_found() -> None:
    tests = pages.ROOT / "tests"
    assert "no cli/test_nothing.py" in pages.missing(tests, "cli/test_nothing.py")
    assert "has no test_nothing" in pages.missing(tests, "cli/test_guides.py::test_nothing")
    assert pages.missing(tests, "cli/test_guides.py::test_a_wrong_path_is_found") == ""
    assert len({row.id for row in pages.requirements()}) == len(pages.requirements()) >= 36
