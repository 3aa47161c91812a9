"""The manual against the program: links lead somewhere, and what the code offers is documented with its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import typer

from app.main import create_app
from app.schemas import TranslateRequest
from app.settings import PREFIX, Settings
from nmt.cli.main import COMMANDS, build_app
from nmt.config import Recipe, Section, load_recipe
from nmt.data.cleaning import RULES
from nmt.inference.types import FLAGS
from nmt.model.attention import SCORES
from nmt.model.cells import CELLS
from tests.layers.test_imports import ROWS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md"))
    if ".venv" not in path.parts
)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```.*?^```|(?: {4}|\t).*?$)", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`((?:nmt|app|tests|models|docker|benchmarks)/[\w./-]+\.\w+)`")
_COMMAND = re.compile(r"(?:^|[`\s/])nmt ([a-z]+)\b(.*)", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
            yield page, target


@pytest.mark.parametrize(("page", "target"), [pytest.param(p, t, id=f"{p.relative_to(ROOT)}:{t}") for p, t in links()])
def test_link_resolves(page: Path, target: str) -> None:
    if re.match(r"[a-z]+:", target):
        assert target.startswith("https://"), "links go out by https"
        return
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    assert place.exists(), f"{target} is not there"
    if anchor:
        assert anchor in anchors(place)


def table(page: str) -> dict[str, str]:
    """First cell (a single name in backquotes) to second cell of every table row of a page."""
    rows = {}
    for line in (DOCS / page).read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) > 1 and (name := re.fullmatch(r"`([^`]+)`", cells[0])):
            rows[name[1]] = cells[1].strip("`")
    return rows


def keys(section: type[Section], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and defaults of all keys of a recipe."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field.default


KEYS = dict(keys(Recipe))


def toml(value: Any) -> str:
    written = tomli_w.dumps({"x": list(value) if isinstance(value, tuple) else value})
    return re.sub(r"\[ | \]", lambda m: m[0].strip(), " ".join(written.partition("= ")[2].split())).replace(",]", "]")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_a_recipe_is_documented_with_its_default(key: str) -> None:
    assert table("training.md")[key] == toml(KEYS[key])


def test_no_key_is_documented_that_is_not_there() -> None:
    documented = {name for name in table("training.md") if "." in name and "/" not in name}
    files_of_a_run = {"recipe.toml", "history.jsonl", "curve.png"}
    assert documented - files_of_a_run <= set(KEYS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_of_the_service_is_documented_with_its_default(name: str) -> None:
    stated = table("service.md")[PREFIX + name.upper()]
    default = Settings.model_fields[name].default
    if default is None:
        assert stated == "unset" or "core" in stated
    elif isinstance(default, tuple):
        assert stated == ",".join(default)
    elif isinstance(default, float):
        assert float(stated) == default
    else:
        assert stated == str(default)


def test_no_setting_is_documented_that_is_not_there() -> None:
    documented = {name for name in table("service.md") if name.startswith(PREFIX)}
    assert documented == {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_route_is_documented(tmp_path: Path) -> None:
    manual = (DOCS / "service.md").read_text("utf-8")
    paths = create_app(Settings(models=tmp_path)).openapi()["paths"]
    assert paths
    for path, methods in paths.items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in manual, f"{method.upper()} {path}"


def test_every_field_of_a_translation_request_is_documented() -> None:
    section = (DOCS / "service.md").read_text("utf-8").partition("## `POST /translate`")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))))
    assert documented == set(TranslateRequest.model_fields)


@cache
def options(name: str) -> frozenset[str]:
    """All options of a command and its sub-commands but --help."""
    command: Any = typer.main.get_command(build_app(name))
    command = command.commands[name]
    leaves = getattr(command, "commands", {"": command}).values()
    spelt = (spelling for leaf in leaves for p in leaf.params for spelling in (*p.opts, *p.secondary_opts))
    return frozenset(spelling for spelling in spelt if spelling.startswith("-")) - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    section = (DOCS / "cli.md").read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", section))
    assert section
    assert documented == options(name)


def calls() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Page, command and options of every `nmt COMMAND ...` in the manual."""
    for page in PAGES:
        for command, rest in _COMMAND.findall(page.read_text("utf-8").replace("\\\n", " ")):
            used = re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", re.split(r"[`|<]", rest)[0])
            if command in COMMANDS:
                yield str(page.relative_to(ROOT)), command, frozenset(used)


@pytest.mark.parametrize(("page", "command", "used"), [call for call in dict.fromkeys(calls()) if call[2]])
def test_options_of_commands_shown_in_the_manual_exist(page: str, command: str, used: frozenset[str]) -> None:
    assert used <= options(command) | {"--help"}


def test_recipes_in_the_tree_are_valid() -> None:
    recipes = [path for folder in ("benchmarks", "docs", "models") for path in (ROOT / folder).rglob("*.toml")]
    assert recipes
    for path in recipes:
        load_recipe(path)


def test_every_cleaning_rule_is_documented() -> None:
    assert set(RULES) <= set(table("data.md"))


def test_every_flag_is_documented() -> None:
    assert set(FLAGS) == {name for name in table("text.md") if name in FLAGS}


def test_every_cell_is_documented() -> None:
    assert set(CELLS) <= set(table("model.md"))


def test_every_attention_score_is_documented() -> None:
    assert set(SCORES) <= set(table("model.md"))


def test_the_map_has_every_part_of_the_library() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    on_map = set(re.findall(r"^ {6}(\w+)(?:/|\.py) ", page.partition("## The map")[2], re.MULTILINE))
    in_tree = {
        path.stem for path in (ROOT / "nmt").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert on_map == in_tree - {"__init__"}


def test_the_table_of_imports_is_the_one_that_is_held() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8").partition("## Who may import whom")[2]
    rows = [re.findall(r"`(\w+)`", cell) for cell in re.findall(r"^\| \d+ \| ([^|]+) \|", page, re.MULTILINE)]
    in_tree = {path.stem for path in (ROOT / "nmt").iterdir()} | {"app"}
    assert rows == [[part for part in row if part in in_tree] for row in ROWS]


def test_files_that_the_manual_names_are_there() -> None:
    for page in DOCS.glob("*.md"):
        for name in _FILE.findall(page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_contributing_documents_what_make_offers() -> None:
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [target for target in targets if target != "help" and f"make {target}" not in contributing] == []


def test_shapes_are_explained_by_one_key() -> None:
    import nmt.model

    key = inspect.getdoc(nmt.model) or ""
    letters = set(re.findall(r"(?:^|\s{2,})([A-Z])  ", key))
    assert {"B", "K", "N", "S", "T", "E", "H", "L", "V"} <= letters
