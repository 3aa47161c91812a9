"""`nmt evaluate`: what a model's translations, or translations from anywhere, are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import (
    DeviceOption,
    PrecisionOption,
    WorkersOption,
    bundle_folder,
    load_translator,
    one_thread_a_process,
)
from nmt.cli.progress import LineProgress
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError, NmtError
from nmt.evaluation.alignment import (
    Link,
    check_fits,
    evaluate_alignment,
    grow_diag_final_and,
    pharaoh,
    read_gold,
    read_links,
)
from nmt.evaluation.quality import TOKENIZERS, evaluate, read_evaluation_set
from nmt.files import write_atomic
from nmt.inference import TranslateOptions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Score translations and word alignments."""


@app.command()
def quality(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="Folder of the model bundle that translates --source.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", metavar="FILE", help="Text to translate.")] = None,
    references: Annotated[
        list[Path] | None,
        typer.Option("--reference", metavar="FILE", help="Its translation by people; again for further ones."),
    ] = None,
    hypothesis: Annotated[
        Path | None, typer.Option("--hypothesis", metavar="FILE", help="Score this file instead of a model's output.")
    ] = None,
    flags: Annotated[
        Path | None,
        typer.Option("--flags", metavar="FILE", help="A 0 or 1 a line: the lines with 0 are scored by themselves too."),
    ] = None,
    tabs: Annotated[
        bool | None,
        typer.Option(
            "--tabs/--no-tabs",
            help="Several references a line, between tabs. Default: if .allrefs. is in the name.",
        ),
    ] = None,
    tokenize: Annotated[str, typer.Option(help=f"BLEU's tokenizer: {', '.join(TOKENIZERS)}.")] = "13a",
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Compare without case.")] = False,
    beam: Annotated[
        int | None, typer.Option("--beam", min=1, max=1000, help="Beam size. Default: the model's own.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="A line is one sentence: no splitting, no repair. As benchmarks are run.")
    ] = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """BLEU and chrF, with sacreBLEU's signatures.

    nmt evaluate quality MODEL --source FILE --reference FILE

    nmt evaluate quality --hypothesis FILE --reference FILE
    """
    if (model is None) == (hypothesis is None):
        raise ConfigError("name either a model, with --source, or --hypothesis with a file of translations")
    if model is not None and source is None:
        raise ConfigError("a model needs --source: the text that it is to translate")
    folder = None if model is None else bundle_folder(model)
    against = read_evaluation_set(references or [], source=source, flags=flags, tabs=tabs)
    if hypothesis is not None:
        hypotheses: Sequence[str] = list(read_lines(hypothesis))
    else:
        assert folder is not None
        assert against.sources is not None
        options = TranslateOptions(beam_size=beam, raw=raw)
        hypotheses = _translations(folder, against.sources, options, device, precision, workers)
    report = evaluate(hypotheses, against, tokenize=tokenize, lowercase=lowercase)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _print_table(report.table(), {"lines", "references"})
        console = Console(highlight=False)
        console.print()
        for signature in report.signatures():
            console.print(signature, markup=False, soft_wrap=True)


def _translations(
    folder: Path,
    sources: Sequence[str],
    options: TranslateOptions,
    device: str,
    precision: str,
    workers: int | None,
) -> list[str]:
    """A text a source; empty, with a warning, where there is no translation."""
    texts: list[str] = []
    with (
        load_translator(folder, device, workers, len(sources), precision=precision) as translator,
        LineProgress(len(sources)) as bar,
    ):
        for line, result in enumerate(translator.results(sources, options), start=1):
            if isinstance(result, NmtError):
                bar.message(f"warning: line {line}: {result}")
            texts.append("" if isinstance(result, NmtError) else result.text)
            bar.advance(1)
    return texts


@app.command()
def alignment(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="Folder of the model bundle whose attention is the aligner."),
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", metavar="FILE", help="Text, words between blanks.")] = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="FILE", help="Its translation by people, line by line.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", metavar="FILE", help="People's links: i-j (sure), i?j or ipj (possible).")
    ] = None,
    backward: Annotated[
        Path | None,
        typer.Option("--backward", metavar="MODEL", help="A bundle of the other direction: both are joined, too."),
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", metavar="FILE", help="Score these links, i-j, instead of a model's.")
    ] = None,
    first_word: Annotated[
        int, typer.Option("--first-word", min=0, max=1, help="The number of a sentence's first word in --gold.")
    ] = 0,
    target_first: Annotated[
        bool, typer.Option("--target-first", help="In --gold the target word comes first: j-i.")
    ] = False,
    step: Annotated[
        str,
        typer.Option(help="Whose weights are a word's: of the step that predicts it, or of the one reading it."),
    ] = "predicting",
    output_path: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write the links; with --backward those of grow-diag-final-and."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Alignment error rate: a model's attention as a word aligner, against links that people made.

    nmt evaluate alignment MODEL --source FILE --target FILE --gold FILE

    nmt evaluate alignment --links FILE --gold FILE

    The model reads each source with its translation (forced decoding), and every target word is linked to the source
    word that its pieces attend to most.
    """
    if gold is None:
        raise ConfigError("--gold is missing: the links that people made")
    if (model is None) == (links is None):
        raise ConfigError("name either a model, with --source and --target, or --links with a file of links")
    if links is not None and backward is not None:
        raise ConfigError("--backward needs a model for the other direction, not --links")
    if model is not None and (source is None or target is None):
        raise ConfigError("a model needs --source and --target: the text and its translation by people")
    right = read_gold(gold, first_word=first_word, target_first=target_first)
    pairs = None if source is None or target is None else _read_sides(source, target)
    if pairs is not None:
        check_fits([one.possible for one in right], pairs, gold)
    if links is not None:
        forward, other = read_links(links), None
    else:
        assert model is not None
        assert pairs is not None
        forward, other = _linked(bundle_folder(model), backward and bundle_folder(backward), pairs, step)
    report = evaluate_alignment(forward, right, other)
    if output_path is not None:
        joined = forward if other is None else list(map(grow_diag_final_and, forward, other))
        write_atomic(output_path, "".join(f"{pharaoh(some)}\n" for some in joined))
    if as_json:
        typer.echo(json.dumps({"sentences": len(right), "scores": report.as_dict()}, indent=2))
    else:
        _print_table(report.table(), {"links"})


def _read_sides(source: Path, target: Path) -> list[tuple[str, str]]:
    sides = list(read_lines(source)), list(read_lines(target))
    if len(sides[0]) != len(sides[1]):
        raise CorpusError(f"{len(sides[1])} lines, but {source} has {len(sides[0])}: they go line by line", path=target)
    return list(zip(*sides, strict=True))


def _linked(
    folder: Path, backward: Path | None, pairs: Sequence[tuple[str, str]], step: str
) -> tuple[list[frozenset[Link]], list[frozenset[Link]] | None]:
    """Links (source, target) by the model, and by the one of the other direction."""
    one_thread_a_process()
    from nmt.bundle import load_bundle
    from nmt.inference.aligner import STEPS, align_pairs

    chosen = next((known for known in STEPS if known == step), None)
    if chosen is None:
        raise ConfigError(f"no --step {step}: {' or '.join(STEPS)}")
    bundle = load_bundle(folder)
    other = None if backward is None else load_bundle(backward)
    languages = bundle.config.source_lang, bundle.config.target_lang
    if other is not None and (other.config.target_lang, other.config.source_lang) != languages:
        raise ConfigError(f"{backward}: --backward must be a model from {languages[1]} to {languages[0]}")
    turned = [(target, source) for source, target in pairs]
    with LineProgress(len(pairs) * (1 if other is None else 2)) as bar:
        found = align_pairs(bundle, pairs, step=chosen, advance=bar.advance)
        back = None if other is None else align_pairs(other, turned, step=chosen, advance=bar.advance)
    forward = [frozenset(one) for one in found]
    return forward, None if back is None else [frozenset((i, j) for j, i in one) for one in back]


def _print_table(rows: Sequence[tuple[str, ...]], text_columns: set[str]) -> None:
    """A header and rows, numbers to the right."""
    header, *rows = rows
    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name, justify="left" if name in text_columns else "right")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
