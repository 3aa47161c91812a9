"""`nmt score`: how likely a model finds given text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.lines import blocks_of
from nmt.cli.models import DeviceOption, ModelArgument, bundle_folder, one_thread_a_process
from nmt.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from nmt.inference.language import LineScore


def score(
    model: ModelArgument,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Text; default: standard input.")] = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FILE", help="What FILE translates; a translator needs it.")
    ] = None,
    pieces: Annotated[bool, typer.Option("--pieces", help="Add a column with every piece and its log p.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Say how likely a language model finds each line, or a translator each translation.

    An output line is log p (of the line and its end, in nats), tokens and perplexity, between tabs. Standard error gets
    the same for the whole text. Of running text each line is judged after those before it.
    """
    folder = bundle_folder(model)
    one_thread_a_process()
    from nmt.bundle import load_config

    is_translator = load_config(folder).task == "translation"
    if is_translator and source is None:
        raise ConfigError(f"{folder}: a translator; name the text that was translated with --source")
    if source is not None and not is_translator:
        raise ConfigError(f"{folder}: no translator, so --source makes no sense")
    from nmt.inference.language import PairScorer, TextModel

    log_prob, tokens = 0.0, 0
    scores: Iterable[LineScore]
    with closing(blocks_of(file)) as lines:
        if source is None:
            scores = TextModel.load(folder, device).scores(lines)
        else:
            scores = PairScorer.load(folder, device).scores(_pairs(source, lines))
        for line in scores:
            log_prob, tokens = log_prob + line.log_prob, tokens + len(line.log_probs)
            columns = [f"{line.log_prob:.4f}", str(len(line.log_probs)), f"{line.perplexity:.4f}"]
            if pieces:
                by_piece = zip(line.pieces, line.log_probs, strict=True)
                columns.append(" ".join(f"{piece}:{value:.4f}" for piece, value in by_piece))
            typer.echo("\t".join(columns))
    if tokens:
        perplexity = math.exp(min(-log_prob / tokens, 700.0))
        typer.echo(f"log p {log_prob:,.2f}, {tokens:,} tokens, perplexity {perplexity:.4f}", err=True)


def _pairs(source: Path, lines: Iterable[list[str]]) -> Iterator[list[tuple[str, str]]]:
    """Each block with the lines of the source beside it. Raises CorpusError where one text is longer."""
    sources = (line for block in blocks_of(source) for line in block)
    for block in lines:
        # the block first: at its end nothing of the source has been taken
        pairs = [(source_line, line) for line, source_line in zip(block, sources, strict=False)]
        if len(pairs) < len(block):
            raise CorpusError("fewer lines than its translation", path=source)
        yield pairs
    if next(sources, None) is not None:
        raise CorpusError("more lines than its translation", path=source)
