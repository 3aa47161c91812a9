"""`nmt inspect --gradients`: how far gradients reach back, in bundles and in networks that nobody has trained yet."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import bundle_folder, one_thread_a_process
from nmt.config import load_recipe
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from nmt.bundle import Bundle
    from nmt.training.gradients import Reach

FRESH_SIZES = ("embedding_size=64", "hidden_size=128", "decoder_layers=1", "tying=none", "dropout=0")
FRESH_VOCABULARY = 1000
COLUMNS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Distances in the table, as far as they are measured."""
WIDTH = 250
"""Of the table at most, in characters: no name is cut."""
FADED = 1e-3
"""A gradient is said to be lost where so much of it is left."""


@dataclass(frozen=True)
class Question:
    """What is measured: whose gradients, over which text, how far back."""

    models: Sequence[Path]
    fresh: Sequence[str]
    """Networks by keys of [model], "cell=gru hidden_size=64", each a language model with random weights."""
    text: Path | None
    source: Path | None
    target: Path | None
    steps: int = 50
    """From the loss to the state that is farthest from it."""
    sequences: int = 64
    seed: int = 1

    @property
    def words(self) -> int:
        """Read up to the loss: the last one's state is no step away."""
        return self.steps + 1


@dataclass(frozen=True)
class Series:
    """The gradients of one network."""

    network: str
    reaches: Sequence[Reach]


def inspect_gradients(question: Question, picture: Path | None, *, as_json: bool) -> None:
    """Measure, draw and print. Raises ConfigError and CorpusError."""
    if not question.models and not question.fresh:
        raise ConfigError("whose gradients? name a bundle, or a network with --fresh, for example --fresh cell=rnn")
    if (question.source is None) != (question.target is None):
        raise ConfigError("--source and --target go together: a text and its translation")
    if picture is not None:
        from nmt.evaluation.pictures import check_picture

        check_picture(picture)
    folders = [bundle_folder(model) for model in question.models]
    _check_texts(question, folders)
    one_thread_a_process()
    found = [_of_fresh(network, question) for network in question.fresh]
    found += [_of_bundle(folder, question) for folder in folders]
    if picture is not None:
        from nmt.evaluation.pictures import gradient_reach
        from nmt.training.gradients import fit

        curves = [(one.network, reach.name, reach.norms, fit(reach.norms)) for one in found for reach in one.reaches]
        gradient_reach(curves, picture)
    if as_json:
        typer.echo(json.dumps([_as_dict(one) for one in found], indent=2))
    else:
        _print(found)


def _check_texts(question: Question, folders: Sequence[Path]) -> None:
    """Raise ConfigError for a text that none of the networks would read."""
    from nmt.bundle import load_config

    tasks = {load_config(folder).task for folder in folders}
    if question.text is not None and "language-model" not in tasks:
        raise ConfigError("--text is for the bundle of a language model, and there is none: it would not be read")
    if question.source is not None and "translation" not in tasks:
        raise ConfigError("--source and --target are for a translator, and there is none: they would not be read")


def _of_fresh(network: str, question: Question) -> Series:
    """A language model with random weights that reads random words."""
    import torch

    from nmt.model.language_model import build_language_model
    from nmt.training.gradients import reach_of_language_model

    keys = [*FRESH_SIZES, *network.split()]
    recipe = load_recipe(None, ["task=language-model", "text.joint=false", *(f"model.{key}" for key in keys)])
    torch.manual_seed(question.seed)
    model = build_language_model(recipe.model, FRESH_VOCABULARY)
    return Series(network, reach_of_language_model(model, _random_rows(FRESH_VOCABULARY, question)))


def _of_bundle(folder: Path, question: Question) -> Series:
    from nmt.bundle import load_bundle

    bundle = load_bundle(folder, ["translation", "language-model"])
    name = str(folder)
    if bundle.config.task == "language-model":
        return Series(name, _of_language_model(bundle, question))
    return Series(name, _of_translator(bundle, question))


def _of_language_model(bundle: Bundle, question: Question) -> Sequence[Reach]:
    from nmt.training.gradients import language_rows, reach_of_language_model

    tokenizer = bundle.tokenizers.target
    if question.text is None:
        rows = _random_rows(tokenizer.size, question)
    else:
        lines = tokenizer.encode_batch(list(read_lines(question.text)))
        choices = {"steps": question.words, "rows": question.sequences, "seed": question.seed}
        rows = language_rows(lines, **choices, runs_on=bundle.config.running_text)
    return reach_of_language_model(bundle.build_language_model(), rows)


def _of_translator(bundle: Bundle, question: Question) -> Sequence[Reach]:
    from nmt.training.gradients import reach_of_translator, translation_rows

    source, target = bundle.tokenizers
    if question.source is None or question.target is None:
        source_rows = _random_rows(source.size, question).tolist()
        target_rows = _random_rows(target.size, replace(question, seed=question.seed + 1)).tolist()
        pairs = [(s[:-1], t[:-1]) for s, t in zip(source_rows, target_rows, strict=True)]
    else:
        lines = list(read_lines(question.source)), list(read_lines(question.target))
        if len(lines[0]) != len(lines[1]):
            message = f"{len(lines[1])} lines, but {question.source} has {len(lines[0])}: they go line by line"
            raise CorpusError(message, path=question.target)
        pairs = list(zip(source.encode_batch(lines[0]), target.encode_batch(lines[1]), strict=True))
    batch = translation_rows(pairs, question.words, question.sequences, question.seed)
    return reach_of_translator(bundle.build_model(), batch, question.words)


def _random_rows(vocabulary: int, question: Question) -> Any:
    """Words drawn by the seed, all equally likely."""
    import torch

    from nmt.text.tokenizer import SPECIAL_IDS

    generator = torch.Generator().manual_seed(question.seed)
    shape = (question.sequences, question.words + 1)
    return torch.randint(len(SPECIAL_IDS), vocabulary, shape, generator=generator)


def _print(found: Sequence[Series]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("network", no_wrap=True)
    table.add_column("state", no_wrap=True)
    longest = max(len(reach.norms) for one in found for reach in one.reaches) - 1
    distances = [distance for distance in COLUMNS if distance <= longest]
    for name in ("gamma", "lost after", *(f"{distance} back" for distance in distances)):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        for reach in one.reaches:
            norms = [f"{reach.norms[d]:.1e}" if d < len(reach.norms) else "" for d in distances]
            table.add_row(one.network, reach.name, f"{reach.gamma:.3f}", _lost_after(reach.gamma), *norms)
    Console(highlight=False, width=WIDTH).print(table)


def _lost_after(gamma: float) -> str:
    """Steps until a thousandth of the gradient is left, at this rate."""
    return f"{math.ceil(math.log(FADED) / math.log(gamma)):,}" if 0 < gamma < 1 else "never" if gamma >= 1 else ""


def _as_dict(one: Series) -> dict[str, Any]:
    """As JSON types; gamma and scale are null where they are unknown."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "network": one.network,
        "states": [
            {
                "name": reach.name,
                "gamma": number(reach.gamma),
                "scale": number(reach.scale),
                "norms": reach.norms.tolist(),
            }
            for reach in one.reaches
        ],
    }
