"""`nmt train`: a recipe, overrides, and a corpus given on the command line become one checked recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.main import EXIT_INTERRUPTED
from nmt.config import TaskName, load_recipe
from nmt.errors import ConfigError

TRY: Mapping[TaskName, str] = {
    "translation": "echo 'Hello.' | nmt translate {}",
    "language-model": "nmt sample {}",
    "tagging": "echo 'Some words .' | nmt label {}",
    "classification": "echo 'Some text.' | nmt label {}",
}
"""A first use of what has been trained."""


_OVERRIDE = re.compile(r"[-\w.]+\s*=")
"""What no path to a recipe in a folder looks like: runs/lr=0.01/recipe.toml is one."""


class StorageOption(StrEnum):
    """How the bundle's weights lie on disk."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


def train(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE.toml] [SECTION.KEY=VALUE]...",
            help="A recipe, and any of its keys set anew: nmt train recipe.toml model.hidden_size=256",
        ),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--corpus", help="Training text: one .tsv or .tmx, or --corpus twice for a pair of text files."),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Source language, e.g. en.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Target language, e.g. de.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the run.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    storage: Annotated[
        StorageOption | None,
        typer.Option(
            help="How the bundle's weights lie on disk.",
            show_default="that of the run's bundle with --resume, else float16",
        ),
    ] = None,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard events into the run folder.")] = True,
) -> None:
    """Train a translator on parallel text; or a language model, tagger or classifier, as the recipe's task says.

    The run folder receives checkpoints, the learning curve and the finished model in OUTPUT/bundle. Ctrl-C leaves a
    checkpoint; --resume continues as if nothing had happened.
    """
    recipe_path, overrides = _split(settings or [])
    overrides += _from_options(corpus or [], source, target, output)
    recipe = load_recipe(recipe_path, overrides)
    if not recipe.data.train:
        raise ConfigError(
            "no training text: give a recipe with data.train, --corpus pairs.tsv (source, tab, target), "
            "or --corpus text.en --corpus text.de"
        )
    from nmt.training.trainer import train as run

    outcome = run(recipe, resume=resume, storage=storage.value if storage else None, tensorboard=tensorboard)
    if outcome.reason == "interrupted":
        typer.echo(f"interrupted at update {outcome.position.update}: go on with --resume", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    typer.echo(f"{outcome.bundle}: try  {TRY[recipe.task].format(outcome.bundle)}")


def _split(settings: list[str]) -> tuple[Path | None, list[str]]:
    """The recipe's path, if one is given, and the overrides."""
    overrides = [item for item in settings if _OVERRIDE.match(item)]
    paths = [item for item in settings if item not in overrides]
    if len(paths) > 1:
        raise ConfigError(f"one recipe at a time, not {len(paths)}: {' '.join(paths)}")
    return (Path(paths[0]) if paths else None), overrides


def _from_options(corpus: list[Path], source: str | None, target: str | None, output: Path | None) -> list[str]:
    overrides: list[str] = []
    if corpus:
        if len(corpus) > 2:
            raise ConfigError("--corpus takes one file or a pair; give more corpora in a recipe's data.train")
        overrides.append(f"data.train=[[{', '.join(_quote(path) for path in corpus)}]]")
    for key, value in (("data.source_lang", source), ("data.target_lang", target), ("output", output)):
        if value is not None:
            overrides.append(f"{key}={_quote(value)}")
    return overrides


def _quote(value: str | Path) -> str:
    """A TOML basic string."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
