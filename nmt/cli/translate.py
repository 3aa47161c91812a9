"""`nmt translate`: options, files and standard streams around `nmt.inference.offline`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, BinaryIO, Literal

import typer

from nmt.cli.documents import LINES, DocumentTask, chosen_format
from nmt.cli.main import EXIT_FAILED, EXIT_INTERRUPTED
from nmt.cli.models import (
    DeviceOption,
    EnsembleOption,
    EnsembleWeightsOption,
    MbrOption,
    ModelArgument,
    PrecisionOption,
    WorkersOption,
    bundle_folder,
    chosen_ensemble,
    load_translator,
)
from nmt.cli.options import finite
from nmt.cli.progress import LineProgress
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError
from nmt.inference import FORMATS, Diversity, Ensemble, Format, Fusion, Sampling, TranslateOptions
from nmt.inference.members import checked_weights
from nmt.inference.offline import (
    Done,
    Journal,
    LineFormat,
    ResumableOutput,
    TranslateTexts,
    bundle_hash,
    count_lines,
    live_blocks,
    open_input,
    open_stream,
    read_blocks,
    translate_to_file,
    translate_to_stream,
)

STDIN = "standard input"
MAX_WARNINGS = 10


def translate(
    model: ModelArgument,
    input_path: Annotated[
        Path | None, typer.Option("-i", "--input", metavar="FILE", help="Text, one line each; .gz is decompressed.")
    ] = None,
    output_path: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; .gz is compressed.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option("--beam", min=1, max=1000, help="Beam size; 1 is greedy. Default: the model's own.")
    ] = None,
    n_best: Annotated[int, typer.Option("--n-best", min=1, max=1000, help="Hypotheses a line.")] = 1,
    scores: Annotated[bool, typer.Option("--scores", help="Add a column with the score.")] = False,
    alignments: Annotated[
        bool, typer.Option("--alignments", help="Add a column with word links, source-target, from 0.")
    ] = False,
    flags: Annotated[
        bool, typer.Option("--flags", help="Add a column with what a reader should know, separated by commas.")
    ] = False,
    document_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help=f"{', '.join((LINES, *FORMATS))}. Default: by the end of the input's name; lines for .txt.",
        ),
    ] = None,
    markup: Annotated[
        str | None, typer.Option("--markup", metavar="html|xml", help="What the lines are written in. Tags are kept.")
    ] = None,
    attributes: Annotated[
        bool, typer.Option("--attributes", help="With --markup html: what people read in attributes, too.")
    ] = False,
    terms: Annotated[
        Path | None,
        typer.Option("--terms", metavar="FILE", help="Words and phrases and what stands for each, between tabs."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="A line is one sentence: no splitting, no repair. For benchmarks.")
    ] = False,
    replace_unknown: Annotated[
        bool,
        typer.Option(
            "--replace-unknown/--no-replace-unknown",
            help="Put words in the place of <unk>, where the model has a dictionary for that.",
        ),
    ] = True,
    no_repeat_ngram: Annotated[
        int | None,
        typer.Option("--no-repeat-ngram", min=0, help="No run of N pieces twice; 0: any. Default: the model's own."),
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="What every translation begins with.")] = "",
    forbid: Annotated[
        list[Path] | None,
        typer.Option("--forbid", metavar="FILE", help="Words and phrases not to be used, one a line; again for more."),
    ] = None,
    diverse: Annotated[
        int | None,
        typer.Option("--diverse", metavar="N", min=1, help="Split the beam into N groups that avoid each other."),
    ] = None,
    diversity: Annotated[
        float | None,
        typer.Option(
            "--diversity", min=0.0, callback=finite, help="With --diverse: how much, in nats a word. Default: 0.5."
        ),
    ] = None,
    mbr: MbrOption = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw translations instead of looking for the best.")
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.01, callback=finite, help="With --sample: below 1 surer, above 1 wilder."),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=0, help="With --sample: from the N likeliest pieces only; 0: all.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", min=0.001, max=1.0, help="With --sample: from the fewest pieces with this share only."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="With --sample: another draw. Default: 0.")] = None,
    lm: Annotated[
        Path | None, typer.Option("--lm", metavar="BUNDLE", help="A language model of the target that has its say.")
    ] = None,
    lm_weight: Annotated[
        float | None, typer.Option("--lm-weight", min=0.0, callback=finite, help="With --lm: how much. Default: 0.2.")
    ] = None,
    ensemble: EnsembleOption = None,
    ensemble_weights: EnsembleWeightsOption = "",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted run left beside the output.")
    ] = False,
) -> None:
    """Translate a file or standard input: text line by line, documents as they are.

    One output line an input line, in order, in constant memory. Scores and links follow in columns between tabs. With
    --n-best above 1 each hypothesis is a line "number ||| text ||| score", numbers from 0.

    With -o the output appears when it is complete. Until then OUT.partial and OUT.journal hold what is done, and the
    same command goes on from there, however it was interrupted.

    A document, which the end of its name or --format tells, is read whole and keeps its structure. It appears when it
    is complete, and is not gone on with.

    A line that cannot be translated gives an empty translation (score -inf), a warning and exit code 1.

    With --ensemble models over one target vocabulary translate together, on torch; MODEL says how they are searched.

    --mbr N widens the beam to N and chooses by minimum Bayes risk instead of the score; with --sample, of N samples.

    --sample, --diverse and --lm take the plain searches: in fp32, and slower by far.
    """
    if sample and (beam is not None or diverse is not None):
        raise ConfigError(f"--sample draws: it has no {'--beam' if beam is not None else '--diverse'}")
    options = TranslateOptions(
        beam_size=beam,
        n_best=n_best,
        alignments=alignments,
        raw=raw,
        replace_unknown=replace_unknown,
        no_repeat_ngram=no_repeat_ngram,
        prefix=prefix,
        forbidden=_phrases(forbid or []),
        sampling=_sampling(sample, temperature, top_k, top_p, seed),
        diversity=_diversity(diverse, diversity),
        mbr=mbr or 0,
        markup=_markup(markup, is_raw=raw),
        attributes=attributes,
        terms=() if terms is None else read_terms(terms),
    )
    if raw and terms is not None:
        raise ConfigError("--raw takes a line as it is: not with --terms")
    form = LineFormat(n_best=n_best, scores=scores, alignments=alignments, flags=flags)
    if attributes and (options.markup != "html" or alignments):
        raise ConfigError("--attributes goes with --markup html, and not with --alignments")
    if n_best > 1 and flags:
        raise ConfigError("--flags are of the best translation: not with --n-best")
    fusion = _fusion(lm, lm_weight)
    together = chosen_ensemble(ensemble, ensemble_weights)
    document = chosen_format(document_format, input_path)
    if document is not None:
        if input_path is not None and output_path is not None and input_path.resolve() == output_path.resolve():
            raise ConfigError(f"{input_path}: would be overwritten: name another file with -o")
        _refuse_for_documents(document, form, markup, is_raw=raw, has_attributes=attributes)
        work = DocumentTask(
            folder=bundle_folder(model),
            form=document,
            input_path=input_path,
            output_path=output_path,
            options=options,
            fusion=fusion,
            ensemble=together,
            device=device,
            precision=precision,
            workers=workers,
        )
        with _sigterm_interrupts():
            report = work.run()
        if report.failures:
            raise typer.Exit(EXIT_FAILED)
        return
    task = _Task(
        folder=bundle_folder(model),
        input_path=input_path,
        options=options,
        form=form,
        fusion=fusion,
        ensemble=together,
        device=device,
        precision=precision,
        workers=workers,
    )
    with _sigterm_interrupts():
        if output_path is None or _is_special(output_path):
            failed = _to_stream(task, output_path)
        else:
            failed = _to_file(task, output_path, restart=restart)
    if failed:
        typer.echo(f"{failed:,} lines could not be translated: they have an empty translation", err=True)
        raise typer.Exit(EXIT_FAILED)


def _refuse_for_documents(
    document: Format, form: LineFormat, markup: str | None, *, is_raw: bool, has_attributes: bool
) -> None:
    asked = {
        "--n-best": form.n_best > 1,
        "--scores": form.scores,
        "--alignments": form.alignments,
        "--flags": form.flags,
        "--markup": markup is not None,
        "--attributes": has_attributes,
        "--raw": is_raw,
    }
    for option, is_asked in asked.items():
        if is_asked:
            raise ConfigError(f"{option} is for lines, not for {document.title}: add --format lines, or leave it out")


def _markup(name: str | None, *, is_raw: bool) -> Literal["", "html", "xml"]:
    if name is None:
        return ""
    if name not in ("html", "xml"):
        raise ConfigError(f"--markup {name}: html or xml")
    if is_raw:
        raise ConfigError("--raw takes a line as it is: not with --markup")
    return "html" if name == "html" else "xml"


def read_terms(path: Path) -> tuple[tuple[str, str], ...]:
    """Words and phrases, each with what stands for it after a tab; blank lines are passed over. Raises CorpusError."""
    terms: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2 or not all(columns):
            raise CorpusError("a term and its translation, separated by a tab, are expected", path=path, line=number)
        if columns[0] in terms:
            raise CorpusError(f"a second translation of {columns[0]!r}", path=path, line=number)
        terms[columns[0]] = columns[1]
    return tuple(terms.items())


def _phrases(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for path in paths for line in read_lines(path) if line.strip()))


def _sampling(
    is_asked: bool, temperature: float | None, top_k: int | None, top_p: float | None, seed: int | None
) -> Sampling | None:
    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if is_asked:
        return Sampling(**chosen)
    if chosen:
        raise ConfigError(f"--{next(iter(chosen)).replace('_', '-')} needs --sample")
    return None


def _diversity(groups: int | None, penalty: float | None) -> Diversity | None:
    if groups is not None:
        return Diversity(groups) if penalty is None else Diversity(groups, penalty)
    if penalty is not None:
        raise ConfigError("--diversity needs --diverse")
    return None


def _fusion(lm: Path | None, weight: float | None) -> Fusion | None:
    if lm is not None:
        return Fusion(bundle_folder(lm)) if weight is None else Fusion(bundle_folder(lm), weight)
    if weight is not None:
        raise ConfigError("--lm-weight needs --lm")
    return None


def _hashes(ensemble: Ensemble | None) -> str | None:
    return None if ensemble is None else " ".join(map(bundle_hash, ensemble.folders))


def _weights(ensemble: Ensemble) -> str:
    return ",".join(f"{weight:g}" for weight in checked_weights(ensemble))


@dataclass(frozen=True)
class _Task:
    """What is to be translated, by what and how."""

    folder: Path
    input_path: Path | None
    options: TranslateOptions
    form: LineFormat
    fusion: Fusion | None
    ensemble: Ensemble | None
    device: str
    precision: str
    workers: int | None

    @property
    def name(self) -> Path | str:
        return self.input_path or STDIN

    @contextmanager
    def source(self) -> Iterator[BinaryIO]:
        if self.input_path is None:
            if sys.stdin is None:
                raise CorpusError("standard input is closed: redirect it, or name a file with -i")
            yield sys.stdin.buffer
        else:
            with open_input(self.input_path) as file:
                yield file

    @contextmanager
    def translator(self, lines: int | None) -> Iterator[TranslateTexts]:
        """For about this many lines."""
        with load_translator(
            self.folder,
            self.device,
            self.workers,
            lines,
            precision=self.precision,
            fusion=self.fusion,
            ensemble=self.ensemble,
        ) as translator:
            yield lambda texts: translator.results(texts, self.options)

    def journal(self) -> Journal:
        """Of a run that has not begun: the model, and the options that decide the output."""
        return Journal(
            bundle_hash(self.folder),
            {
                "--beam": self.options.beam_size,
                "--n-best": self.options.n_best,
                "--raw": self.options.raw,
                "--replace-unknown": self.options.replace_unknown,
                "--no-repeat-ngram": self.options.no_repeat_ngram,
                "--prefix": self.options.prefix or None,
                "--forbid": "\n".join(self.options.forbidden) or None,
                "--diverse": None if self.options.diversity is None else str(self.options.diversity),
                "--mbr": self.options.mbr or None,
                "--sample": None if self.options.sampling is None else str(self.options.sampling),
                "--lm": None if self.fusion is None else bundle_hash(self.fusion.folder),
                "--lm-weight": None if self.fusion is None else self.fusion.weight,
                "--ensemble": _hashes(self.ensemble),
                "--ensemble-weights": None if self.ensemble is None else _weights(self.ensemble),
                "--precision": self.precision,
                "--scores": self.form.scores,
                "--alignments": self.form.alignments,
                "--flags": self.form.flags or None,
                "--markup": self.options.markup or None,
                "--attributes": self.options.attributes or None,
                "--terms": "\n".join(f"{source}\t{target}" for source, target in self.options.terms) or None,
            },
        )


class _Report:
    """Tells of blocks as they are done: the bar moves, and a line that cannot be translated is named."""

    def __init__(self, name: Path | str, bar: LineProgress, failed: int = 0) -> None:
        self.failed = failed
        self._name = name
        self._bar = bar

    def __call__(self, done: Done) -> None:
        self._bar.advance(len(done.block.lines))
        for line, error in done.failures:
            self.failed += 1
            if self.failed <= MAX_WARNINGS:
                self._bar.message(f"warning: {self._name}:{line}: {error}")


def _to_stream(task: _Task, output_path: Path | None) -> int:
    """Translate to standard output, or a pipe or device; returns how many lines failed."""
    with ExitStack() as stack:
        source = stack.enter_context(task.source())
        lines = count_lines(source, task.name)
        stream = stack.enter_context(open_stream(output_path))
        translate = stack.enter_context(task.translator(lines))
        bar = stack.enter_context(LineProgress(lines, is_shown=output_path is not None or not sys.stdout.isatty()))
        report = _Report(task.name, bar)
        blocks = live_blocks(source, task.name) if lines is None else read_blocks(source, task.name)
        translate_to_stream(blocks, stream, translate, task.form, report)
    return report.failed


def _to_file(task: _Task, path: Path, *, restart: bool) -> int:
    """Translate to a file, or go on with one; returns how many lines failed."""
    with ExitStack() as stack:
        source = stack.enter_context(task.source())
        _refuse_own_input(task.input_path, path)
        lines = count_lines(source, task.name)
        output = stack.enter_context(ResumableOutput(path, task.journal(), restart=restart))
        done = output.journal.lines
        stack.enter_context(_interruption_told(output))
        translate = stack.enter_context(task.translator(None if lines is None else lines - done))
        bar = stack.enter_context(LineProgress(lines, done=done))
        if done:
            bar.message(f"{output.path}: going on after {done:,} lines")
        report = _Report(task.name, bar, output.journal.failed)
        translate_to_file(source, task.name, output, translate, task.form, report)
    return report.failed


@contextmanager
def _interruption_told(output: ResumableOutput) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if done := output.journal.lines:
            typer.echo(f"interrupted after {done:,} lines; the same command goes on from there", err=True)
        raise


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, and both end the program with the same code."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_special(path: Path) -> bool:
    """A pipe or a device, which cannot be replaced by renaming."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _refuse_own_input(source: Path | None, target: Path) -> None:
    for path in (target.resolve(), *ResumableOutput.work_files(target)):
        if source is not None and source.resolve() == path:
            raise ConfigError(f"{source}: the input would be overwritten: -o {target} needs that name for itself")
