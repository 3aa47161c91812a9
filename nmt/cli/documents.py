"""`nmt translate` on a document: read whole, translated, written whole."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from nmt.bundle import load_config
from nmt.cli.models import load_translator, worker_count
from nmt.cli.progress import LineProgress
from nmt.errors import ConfigError, CorpusError, DocumentError
from nmt.files import check_outputs, write_output
from nmt.inference import (
    FORMATS,
    DocumentReport,
    DocumentTranslation,
    Ensemble,
    Format,
    Fusion,
    TranslateOptions,
    format_of,
)
from nmt.inference.documents import translate_work
from nmt.inference.types import FLAGS

LINES = "lines"
MAX_WARNINGS = 10


def chosen_format(name: str | None, path: Path | None) -> Format | None:
    """The format that is asked for, else that of the file's name; None for text that is translated line by line.

    Raises ConfigError for a name that is not known.
    """
    if name == LINES:
        return None
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(f"--format {name}: not known; there are {', '.join((LINES, *FORMATS))}")
        return FORMATS[name]
    found = None if path is None else format_of(path.name)
    return None if found is None or found.name == "text" else found


@dataclass(frozen=True)
class DocumentTask:
    """What is to be translated, by what and how."""

    folder: Path
    form: Format
    input_path: Path | None
    output_path: Path | None
    options: TranslateOptions
    fusion: Fusion | None
    ensemble: Ensemble | None
    device: str
    precision: str
    workers: int | None

    def run(self) -> DocumentReport:
        """Translate the document. Raises NmtError where there is none to write."""
        name = self.input_path or "standard input"
        check_outputs(self.output_path)
        stdout = sys.stdout
        if self.output_path is None and stdout is not None and stdout.isatty() and self.form.is_binary:
            raise ConfigError(f"{self.form.title}s are no text for a terminal: name a file with -o")
        config = load_config(self.folder)
        try:
            work = DocumentTranslation(self._read(), self.form, config.source_lang, config.target_lang, self.options)
        except DocumentError as error:
            raise CorpusError(str(error), path=name) from None
        with ExitStack() as stack:
            translator = stack.enter_context(
                load_translator(
                    self.folder,
                    self.device,
                    self.workers or worker_count(self.device, work.texts),
                    work.texts,
                    precision=self.precision,
                    fusion=self.fusion,
                    ensemble=self.ensemble,
                )
            )
            bar = stack.enter_context(LineProgress(work.texts, is_shown=self.output_path is not None, unit="texts"))
            try:
                data, report = translate_work(work, translator.results, bar.advance)
            except DocumentError as error:
                raise CorpusError(str(error), path=name) from None
        self._write(data)
        tell(report, name)
        return report

    def _read(self) -> bytes:
        try:
            if self.input_path is not None:
                return self.input_path.read_bytes()
            if sys.stdin is None:
                raise CorpusError("standard input is closed: redirect it, or name a file with -i")
            return sys.stdin.buffer.read()
        except OSError as error:
            raise CorpusError(f"cannot be read: {error.strerror or error}", path=self.input_path) from None

    def _write(self, data: bytes) -> None:
        if self.output_path is not None:
            write_output(self.output_path, data)
            return
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CorpusError(f"standard output cannot be written: {error.strerror or error}") from None


def tell(report: DocumentReport, name: Path | str) -> None:
    """What a user should know of a translated document, on standard error."""
    for place, reason in report.failures[:MAX_WARNINGS]:
        typer.echo(f"warning: {name}: {place}: not translated: {reason}", err=True)
    flags = ", ".join(f"{number:,} {flag} ({FLAGS.get(flag, flag)})" for flag, number in sorted(report.flags.items()))
    told = f"{report.translated:,} of {report.texts:,} texts translated"
    typer.echo(f"{name}: {told}{f'; look at {flags}' if flags else ''}", err=True)
