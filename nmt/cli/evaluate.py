"""`nmt evaluate`: what a model's translations, or translations from anywhere, are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import DeviceOption, PrecisionOption, WorkersOption, bundle_folder, load_translator
from nmt.cli.progress import LineProgress
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, NmtError
from nmt.evaluation.quality import TOKENIZERS, QualityReport, evaluate, read_evaluation_set
from nmt.inference import TranslateOptions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Score translations."""


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
        _print(report)


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


def _print(report: QualityReport) -> None:
    header, *rows = report.table()
    table = Table(box=None, pad_edge=False)
    for name in header:
        is_text = name in {"lines", "references"}
        table.add_column(name, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    console.print()
    for signature in report.signatures():
        console.print(signature, markup=False, soft_wrap=True)
