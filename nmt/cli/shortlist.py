"""`nmt shortlist`: gives a bundle a lexical shortlist, learnt from the text that the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.models import DeviceOption, ModelArgument, bundle_folder, one_thread_a_process, output_folder
from nmt.cli.progress import LineProgress
from nmt.data.corpus import check_corpus, read_pairs
from nmt.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from nmt.training.shortlist import Coverage


def shortlist(
    model: ModelArgument,
    source: Annotated[
        list[Path] | None, typer.Option("--source", metavar="FILE", help="Text of the source language, one line each.")
    ] = None,
    target: Annotated[
        list[Path] | None,
        typer.Option("--target", metavar="FILE", help="Its translation, line by line; as many as --source."),
    ] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option("--corpus", metavar="FILE", help="Pairs in one file, .tsv or .tmx.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where to write the bundle. Default: in its own place."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs drawn at random from the text.")] = 200_000,
    per_token: Annotated[int, typer.Option(min=1, help="Most target pieces of one source piece.")] = 300,
    min_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Leave out what gets less of a source piece's attention."),
    ] = 0.0001,
    common: Annotated[int, typer.Option(min=0, help="Most frequent target pieces, always allowed.")] = 200,
    seed: Annotated[int, typer.Option(help="Which pairs are drawn.")] = 1,
    device: DeviceOption = "auto",
) -> None:
    """Learn which target pieces each source piece may need, and put that into the bundle.

    nmt shortlist MODEL --source train.en --target train.de

    nmt shortlist MODEL --corpus train.tsv

    Translation then computes a part of the output words for a sentence instead of all. 1 % of the pairs (at most 1,000)
    are kept apart, to print how much of their translations the shortlist lets through.
    """
    folder = bundle_folder(model)
    into = output_folder(output) if output is not None else folder
    corpora = _corpora(source or [], target or [], corpus or [])
    one_thread_a_process()
    import torch

    from nmt.bundle import load_bundle, rewrite_shortlist
    from nmt.hardware import pick_device, pick_precision
    from nmt.training.shortlist import build_shortlist, count_links, draw, encode_pairs, measure

    place = pick_device(device)
    bundle = load_bundle(folder)
    languages = (bundle.config.source_lang, bundle.config.target_lang)
    for paths in corpora:
        check_corpus(paths, *languages)
    drawn, held_out = draw(_texts(corpora, languages), pairs, seed)

    limit = bundle.config.search.max_source_tokens
    precision = pick_precision("auto", place)
    with LineProgress(len(drawn)) as bar, torch.autocast(place.type, precision, enabled=precision != torch.float32):
        counts = count_links(
            bundle.build_model().to(place),
            encode_pairs(bundle.tokenizers, drawn, limit),
            bundle.config.tgt_vocab,
            place,
            advance=bar.advance,
        )
    if not counts.pairs:
        raise CorpusError(f"{len(drawn):,} sentence pairs, each with an empty side or one of over {limit} pieces")
    learnt = build_shortlist(
        counts,
        bundle.tokenizers,
        per_token=per_token,
        min_share=min_share,
        common=common,
        forbidden_ids=bundle.forbidden_ids,
    )
    rewrite_shortlist(folder, learnt, into)
    size = (into / "shortlist.safetensors").stat().st_size
    typer.echo(f"{into}: shortlist of {len(learnt.targets):,} target pieces for {learnt.src_vocab:,} source pieces")
    typer.echo(f"{size:,} bytes, learnt from {counts.pairs:,} pairs")
    apart = list(encode_pairs(bundle.tokenizers, held_out, limit))
    if apart:
        typer.echo(_coverage(measure(learnt, apart), len(apart), bundle.config.tgt_vocab))


def _corpora(sources: Sequence[Path], targets: Sequence[Path], single: Sequence[Path]) -> list[list[str]]:
    """Each corpus as its one or two files, as a recipe gives them. Raises ConfigError."""
    if len(sources) != len(targets):
        raise ConfigError(f"{len(sources)} files by --source, but {len(targets)} by --target: they come in pairs")
    if not sources and not single:
        raise ConfigError("no text: give --source and --target, or --corpus; best is what the model was trained on")
    return [[str(s), str(t)] for s, t in zip(sources, targets, strict=True)] + [[str(path)] for path in single]


def _texts(corpora: Sequence[Sequence[str]], languages: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for pair in chain.from_iterable(read_pairs(paths, *languages) for paths in corpora):
        yield pair.source, pair.target


def _coverage(coverage: Coverage, pairs: int, tgt_vocab: int) -> str:
    return (
        f"{pairs:,} pairs kept apart: {coverage.tokens:.2%} of their target pieces are in their sentence's shortlist, "
        f"{coverage.sentences:.1%} of sentences are wholly; {coverage.words:,.0f} words a sentence of {tgt_vocab:,}"
    )
