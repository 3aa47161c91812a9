"""`nmt inspect`: verifies a bundle and prints what it holds, as tables or JSON. Gradients: `nmt.cli.gradients`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.gradients import Question, inspect_gradients
from nmt.cli.models import bundle_folder, one_thread_a_process
from nmt.cli.options import LAST_SEED, given
from nmt.errors import ConfigError
from nmt.files import sha256

if TYPE_CHECKING:
    from nmt.bundle import Bundle


PARTS = (
    "embedding",
    "src_embedding",
    "tgt_embedding",
    "encoder",
    "bridge",
    "decoder",
    "attention",
    "project",
    "output",
)
"""The network from its input to its output; matrices that are shared count where they come first."""


def inspect(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL", help="Folder of a model bundle; with --gradients any number."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Measure how far gradients reach back in time instead.")
    ] = False,
    fresh: Annotated[
        list[str] | None,
        typer.Option(
            "--fresh",
            metavar="KEYS",
            help="Of an untrained language model, by keys of [model] between blanks: 'cell=gru hidden_size=64'; again.",
        ),
    ] = None,
    text: Annotated[
        Path | None, typer.Option("--text", metavar="FILE", help="What language models read. Default: random words.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FILE", help="What translators read. Default: random words.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="FILE", help="Its translation, line by line.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=2, max=10_000, help="How many steps back from the loss. Default: 50."),
    ] = None,
    sequences: Annotated[
        int | None,
        typer.Option("--sequences", min=1, max=10_000, help="Sequences to take the mean over, at most. Default: 64."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=LAST_SEED, help="Which are drawn, and the weights of --fresh. Default: 1."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the norms as .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Verify a model bundle and say what it holds.

    Every file is compared with its hash, and the weights with the network that config.json describes.

    With --gradients: the norm of the gradient of the loss with respect to the state so many steps before it, of every
    layer, and gamma of norm ~ c gamma^steps.
    """
    if gradients:
        numbers = {"steps": steps, "sequences": sequences, "seed": seed}
        chosen = {name: number for name, number in numbers.items() if number is not None}
        question = Question(models or [], fresh or [], text, source, target, **chosen)
        inspect_gradients(question, picture, as_json=as_json)
        return
    of_gradients = given(
        fresh=fresh,
        text=text,
        source=source,
        target=target,
        steps=steps,
        sequences=sequences,
        seed=seed,
        picture=picture,
    )
    if of_gradients:
        raise ConfigError(f"{of_gradients} goes with --gradients")
    if models is None or len(models) != 1:
        raise ConfigError("name one model bundle; several only with --gradients")
    folder = bundle_folder(models[0])
    one_thread_a_process()
    from nmt.bundle import KINDS, load_bundle

    bundle = load_bundle(folder, KINDS)
    bundle.build_network()  # raises where the weights do not fit
    facts = describe(bundle, folder)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print(facts)


def describe(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """What a bundle holds, as JSON types."""
    config = bundle.config
    parts = Counter[str]()
    for name, weight in bundle.weights.items():
        parts[_part(name)] += weight.size
    return {
        "name": folder.resolve().name,
        "format": config.format,
        "task": config.task,
        "source_lang": config.source_lang,
        "target_lang": config.target_lang,
        "version": bundle.version,
        "parameters": bundle.parameters,
        "parameters_by_part": {part: parts[part] for part in sorted(parts, key=_place)},
        "storage": config.storage,
        "vocabulary": {
            "joint": bundle.tokenizers.is_joint,
            "source_pieces": config.src_vocab,
            "target_pieces": config.tgt_vocab,
        },
        "model": config.model.model_dump(mode="json"),
        "search": config.search.model_dump(mode="json"),
        "training": config.training,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
            if path.is_file()
        ],
    }


def _part(parameter: str) -> str:
    """The part of the network that a parameter belongs to, as the papers divide it."""
    first, _, rest = parameter.partition(".")
    return "attention" if first == "decoder" and rest.startswith("attention") else first


def _place(part: str) -> int:
    return PARTS.index(part) if part in PARTS else len(PARTS)


def _print(facts: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    vocabulary = facts["vocabulary"]
    sides = f"{vocabulary['source_pieces']:,} pieces of {facts['source_lang']}, "
    sides += f"{vocabulary['target_pieces']:,} of {facts['target_lang']}"
    is_translator = facts["task"] == "translation"
    if facts["task"] in ("tagging", "classification"):
        sides = f"{vocabulary['source_pieces']:,} pieces, {vocabulary['target_pieces']:,} labels, special ones counted"
    elif vocabulary["joint"]:
        sides = f"{vocabulary['source_pieces']:,} pieces" + (", joint" if is_translator else "")
    languages = f"{facts['source_lang']} to {facts['target_lang']}" if is_translator else facts["source_lang"]
    rows = [
        ("task", facts["task"]),
        ("languages" if is_translator else "language", languages),
        ("version", facts["version"]),
        ("parameters", f"{facts['parameters']:,}"),
        *((f"  {part}", f"{count:,}") for part, count in facts["parameters_by_part"].items()),
        ("storage", facts["storage"]),
        ("vocabulary", sides),
        ("network", _settings(facts["model"].items())),
        ("search", _settings(facts["search"].items())),
        *((f"training {key}", _value(value)) for key, value in facts["training"].items() if key != "recipe"),
    ]
    console.print(_grid(rows))
    files = Table("file", "SHA-256", box=None, pad_edge=False)
    files.add_column("bytes", justify="right")
    for file in facts["files"]:
        files.add_row(file["name"], file["sha256"][:16], f"{file['bytes']:,}")
    console.print()
    console.print(files)
    console.print("\nverified: every file is as SHA256SUMS says")


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return _settings((key, item) for key, item in value.items() if not key.endswith("_signature"))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _settings(items: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{key} {str(value).lower() if isinstance(value, bool) else value}" for key, value in items)
