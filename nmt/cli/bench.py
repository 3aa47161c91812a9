"""`nmt bench`: how fast a bundle is on this machine, and how often its searches miss the best."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import (
    DeviceOption,
    ModelArgument,
    PrecisionOption,
    WorkersOption,
    bundle_folder,
    one_thread_a_process,
    worker_count,
)
from nmt.cli.progress import LineProgress
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError
from nmt.files import check_outputs, write_output
from nmt.hardware import available_cores, processor

if TYPE_CHECKING:
    from nmt.inference.speed import Rate
    from nmt.text.tokenizer import Tokenizer

BEAMS = (1, 2, 5, 10, 20, 50)
BUDGET = 20_000
LENGTH = 15
"""Target tokens where no text is given: what a model makes of random pieces has no natural length."""
MAX_QUEUE = 1 << 17

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Measure speed, and what beams miss."""


@app.command()
def speed(
    model: ModelArgument,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", metavar="FILE", help="Text to translate. Default: random pieces, as many as sentences have."
        ),
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Lines of the text, at most.")] = 1000,
    length: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Force every translation to N pieces. Default: {LENGTH} without --source, else none."
        ),
    ] = None,
    beam: Annotated[
        list[int] | None, typer.Option("--beam", min=1, max=1000, help="Beam size; again for further ones.")
    ] = None,
    in_flight: Annotated[
        list[int] | None,
        typer.Option(
            "--in-flight", "--batch", min=1, max=65536, help="Texts under way at once; again for further ones."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Time of each measurement, at least.")] = 5.0,
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write JSON, too.")] = None,
) -> None:
    """Sentences and tokens a second, waiting time, memory, and the share of what the machine can multiply.

    Measures a file translated as a whole, and texts sent one by one.
    """
    folder = bundle_folder(model)
    check_outputs(json_path)
    one_thread_a_process()
    subject = _read(folder, source, sentences)
    if source is None:
        length = length or LENGTH
    report = _measure(
        subject,
        folder,
        length=length,
        beams=beam or [subject.beam_size],
        in_flight=list(dict.fromkeys([1, *(in_flight or [])])),
        seconds=seconds,
        precision=precision,
        device=device,
        workers=workers or worker_count(device),
    )
    if json_path is not None:
        write_output(json_path, json.dumps(report, indent=2) + "\n")
    _print(report)


@app.command()
def search(
    model: ModelArgument,
    source: Annotated[Path, typer.Option("--source", metavar="FILE", help="Text to translate, one sentence a line.")],
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="FILE", help="Its translation by people, for BLEU and length.")
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Lines of the text, at most.")] = 100,
    beam: Annotated[
        list[int] | None, typer.Option("--beam", min=1, max=1000, help="Beam size; again for further ones.")
    ] = None,
    length_penalty: Annotated[
        list[float] | None,
        typer.Option("--length-penalty", min=0.0, help="Beside 0; again for further ones. Default: the model's own."),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", min=2, help="Most pieces of a translation. Default: the model's limit."),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Most steps that exact search may take for a sentence.")] = BUDGET,
    device: DeviceOption = "auto",
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write JSON, too.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw it: .png, .svg or .pdf (needs matplotlib).")
    ] = None,
) -> None:
    """Search errors of each beam size against exact search, and what wider beams do to quality and length.

    In fp32, each line as one sentence. An empty translation is allowed here: exact search often likes it best.
    """
    folder = bundle_folder(model)
    one_thread_a_process()
    from nmt.bundle import load_bundle
    from nmt.evaluation.pictures import beam_curve, check_picture
    from nmt.inference.search_errors import measure_search

    check_outputs(json_path)
    if picture is not None:
        check_picture(picture)
    bundle = load_bundle(folder)
    texts, references = _sentences(source, reference, sentences, bundle.tokenizers.source)
    sizes = sorted(set(beam or BEAMS))
    penalties = sorted({0.0, *(length_penalty or [bundle.config.search.length_penalty])})
    with LineProgress(len(texts) * (len(sizes) * len(penalties) + 1)) as bar:
        report = measure_search(
            bundle,
            texts,
            references,
            beams=sizes,
            length_penalties=penalties,
            max_length=max_length,
            budget=budget,
            device=device,
            advance=bar.advance,
        ).as_dict()
    report = {"model": folder.resolve().name, "version": bundle.version, **report}
    if json_path is not None:
        write_output(json_path, json.dumps(report, indent=2) + "\n")
    if picture is not None:
        beam_curve(report["rows"], picture)
    _print_search(report)


def _sentences(
    source: Path, reference: Path | None, count: int, tokenizer: Tokenizer
) -> tuple[list[str], list[str] | None]:
    """The first `count` lines in which there is something to translate, and their references.

    Raises ConfigError where there is none, or one text ends before the other.
    """
    texts: list[str] = []
    references: list[str] = []
    lines: Iterable[tuple[str | None, str | None]] = ((line, "") for line in read_lines(source))
    if reference is not None:
        lines = zip_longest(read_lines(source), read_lines(reference))
    for number, (text, translation) in enumerate(lines):
        if text is None:
            raise ConfigError(f"{reference}: more lines than the {number} of {source}: they go line by line")
        if len(texts) == count:
            break
        if translation is None:
            raise ConfigError(f"{reference}: {number} lines, too few for {source}: they go line by line")
        if tokenizer.encode(text):
            texts.append(text)
            references.append(translation)
    if not texts:
        raise ConfigError(f"{source}: no text in it")
    return texts, None if reference is None else references


def _print_search(report: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    has_bleu = report["rows"][0]["bleu"] is not None
    table = Table(box=None, pad_edge=False)
    names = ["beam", "length penalty", "search errors", "nats behind", "log p", "pieces", "empty"]
    for name in [*names, *(["length ratio", "BLEU"] if has_bleu else [])]:
        table.add_column(name, justify="right")
    for row in report["rows"]:
        name = str(row["beam"])
        if row["beam"] is None:
            name = "exact" if row["sentences"] == report["sentences"] else f"exact ({row['sentences']:,})"
        table.add_row(
            name,
            f"{row['length_penalty']:g}",
            "" if row["errors"] is None else f"{row['errors'] / row['sentences']:.1%}",
            "" if row["behind"] is None else f"{row['behind']:.2f}",
            f"{row['log_prob']:.2f}",
            f"{row['length']:.1f}",
            f"{row['empty']:.1%}",
            *([f"{row['length_ratio']:.3f}", f"{row['bleu']:.1f}"] if has_bleu else []),
        )
    console.print(f"{report['model']}, fp32: {report['sentences']:,} sentences", markup=False)
    known = f"the likeliest translation of {report['proven']:,} of them is known"
    console.print(f"{known}, after {report['steps']:,} steps of exact search", markup=False, soft_wrap=True)
    console.print()
    console.print(table)


@dataclass(frozen=True)
class _Subject:
    """What is measured. The weights are not in it: they would count as memory of the service."""

    texts: Sequence[str]
    beam_size: int
    words: float
    operations: float
    """Of one decoder step of one hypothesis."""
    facts: Mapping[str, Any]


def _read(folder: Path, source: Path | None, sentences: int) -> _Subject:
    from nmt.bundle import load_bundle
    from nmt.inference.speed import decoder_operations, mean_words, random_texts

    bundle = load_bundle(folder)
    if source is None:
        texts = random_texts(bundle.tokenizers.source, sentences)
    else:
        tokenizer = bundle.tokenizers.source
        # of what has no letter or digit nothing is searched for: it comes back as it is
        lines = (line for line in read_lines(source) if any(map(str.isalnum, line)) and tokenizer.encode(line))
        texts = list(islice(lines, sentences))
        if not texts:
            raise ConfigError(f"{source}: no text in it")
    words = mean_words(bundle, texts)
    return _Subject(
        texts,
        bundle.config.search.beam_size,
        words,
        decoder_operations(bundle.config.model, words),
        {"model": folder.resolve().name, "version": bundle.version, "parameters": bundle.parameters},
    )


def _measure(
    subject: _Subject,
    folder: Path,
    *,
    length: int | None,
    beams: Sequence[int],
    in_flight: Sequence[int],
    seconds: float,
    precision: str,
    device: str,
    workers: int,
) -> dict[str, Any]:
    """All measurements of one bundle, as JSON types."""
    from nmt.inference.pool import Pool
    from nmt.inference.speed import PeakMemory, forced_length, gemm_ceiling, operations, time_file, time_in_flight
    from nmt.inference.translator import Translator

    rates: list[Rate] = []
    with ExitStack() as stack:
        if length is not None:
            folder = stack.enter_context(forced_length(folder, length))
        memory = stack.enter_context(PeakMemory())
        with Translator.load(folder, device=device, precision=precision, workers=workers) as translator:
            info = translator.info
            rates += [time_file(translator, subject.texts, size, seconds) for size in beams]
        with Pool([folder], device=device, precision=precision, workers=workers, max_queue=MAX_QUEUE) as pool:
            place = pool.status().device
            rates += [time_in_flight(pool, subject.texts, size, n, seconds) for size in beams for n in in_flight]
    ceiling = gemm_ceiling(info.precision, place, workers)
    return {
        **subject.facts,
        "runner": info.runner,
        "precision": info.precision,
        "device": place,
        "workers": workers,
        "processor": processor(),
        "cores": available_cores(),
        "texts": len(subject.texts),
        "length": length,
        "output_words": round(subject.words, 1),
        "operations_a_step": round(subject.operations),
        "ceiling_gops": round(ceiling / 1e9, 1),
        "memory_bytes": memory.bytes,
        "rates": [
            {
                "beam": rate.beam,
                "in_flight": rate.in_flight,
                "sentences": rate.sentences,
                "seconds": round(rate.seconds, 3),
                "sentences_per_s": round(rate.sentences_per_s, 1),
                "tokens_per_s": round(rate.tokens_per_s, 1),
                "p50_ms": _rounded(rate.percentile_ms(50)),
                "p99_ms": _rounded(rate.percentile_ms(99)),
                "share_of_ceiling": None
                if length is None
                else round(operations(rate, length, subject.operations) / rate.seconds / ceiling, 4),
            }
            for rate in rates
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _print(report: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    lengths = "of their own length" if report["length"] is None else f"of {report['length']} pieces each"
    facts = [
        f"{report['model']}, {report['parameters']:,} weights, {report['precision']} on the {report['runner']} runner",
        f"{report['processor']}: {report['device']}, {report['workers']} workers on {report['cores']} cores",
        f"{report['texts']:,} texts, translations {lengths}; {report['output_words']:,.0f} output words a sentence",
        f"{report['memory_bytes'] / 1e6:,.0f} MB at its peak; best product {report['ceiling_gops']:,.0f} GOP/s",
    ]
    table = Table(box=None, pad_edge=False)
    for name in ("beam", "under way", "sentences/s", "tokens/s", "p50 ms", "p99 ms", "share of best product"):
        table.add_column(name, justify="right")
    for rate in report["rates"]:
        share = rate["share_of_ceiling"]
        table.add_row(
            str(rate["beam"]),
            "file" if rate["in_flight"] is None else f"{rate['in_flight']:,}",
            f"{rate['sentences_per_s']:,.1f}",
            f"{rate['tokens_per_s']:,.0f}",
            *("" if rate[name] is None else f"{rate[name]:,.2f}" for name in ("p50_ms", "p99_ms")),
            "" if share is None else f"{share:.1%}",
        )
    for fact in facts:
        console.print(fact, markup=False, soft_wrap=True)
    console.print()
    console.print(table)
