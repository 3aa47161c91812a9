"""Files translated line by line: in constant memory, with order and line count kept, and resumed where they stopped.

Lines end at "\\n" only. Work is cut into blocks by the input alone, so that a run that was killed goes on at a block's
border, wherever it was stopped. Knows nothing of models or terminals.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import math
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from nmt.data.corpus import not_utf8, open_bytes, reading
from nmt.errors import BundleError, CheckpointError, CorpusError, NmtError
from nmt.files import PARTIAL, sha256, write_atomic
from nmt.inference.types import Hypothesis, Translation

BLOCK_LINES = 1024
BLOCK_BYTES = 1 << 20
"""A block ends with the line that fills either: enough lines to batch by length, few enough to lose to a kill."""
LIVE_BYTES = 1 << 16
SUMS = "SHA256SUMS"
JOURNAL = ".journal"
JOURNAL_FORMAT = 1
JOURNAL_EVERY_S = 1.0
BOM = b"\xef\xbb\xbf"

Result = Translation | NmtError
TranslateTexts = Callable[[Sequence[str]], Iterable[Result]]
Options = Mapping[str, str | int | float | bool | None]
"""What decides the output beside input and model, under the names that a user knows."""


class Line(NamedTuple):
    """A line's text and what ended it: "\\n", "\\r\\n", or at the end of the input less."""

    text: str
    end: str


@dataclass(frozen=True)
class Block:
    """Lines in a row, and their bytes as they were read."""

    lines: Sequence[Line]
    raw: bytes


@dataclass(frozen=True)
class LineFormat:
    """How a translation becomes output lines.

    By default one line a line; scores, word links and flags follow in columns between tabs. With `n_best` above 1 every
    hypothesis has a line of its own, as Moses writes them: "number ||| text ||| score", numbers from 0.
    """

    n_best: int = 1
    scores: bool = False
    alignments: bool = False
    flags: bool = False

    def render(self, number: int, translation: Translation) -> list[str]:
        """The output lines, without their ends, of input line `number` (from 0)."""
        if self.n_best > 1:
            hypotheses = translation.alternatives or (Hypothesis(translation.text, translation.score),)
            return [" ||| ".join([str(number), *self._n_best_fields(found)]) for found in hypotheses]
        text = translation.text.replace("\n", " ")
        if not (self.scores or self.alignments or self.flags):
            return [text]
        columns = [text.replace("\t", " ")]
        if self.scores:
            columns.append(_score(translation.score))
        if self.alignments:
            columns.append(_links(translation.alignment))
        if self.flags:
            columns.append(",".join(sorted(translation.flags)))
        return ["\t".join(columns)]

    def _n_best_fields(self, found: Hypothesis) -> Iterator[str]:
        yield found.text.replace("\n", " ").replace("|||", "| | |")
        yield _score(found.score)
        if self.alignments:
            yield _links(found.alignment)


def _score(score: float) -> str:
    return f"{score:.4f}"


def _links(links: Sequence[tuple[int, int]]) -> str:
    """Pharaoh's notation: source word, hyphen, target word, from 0."""
    return " ".join(f"{source}-{target}" for source, target in links)


@dataclass(frozen=True)
class Done:
    """A block, its output, and the lines that could not be translated (number from 1, why).

    Their translation is empty, and its score -inf.
    """

    block: Block
    output: bytes
    failures: Sequence[tuple[int, NmtError]]


def translate_blocks(
    blocks: Iterable[Block], translate: TranslateTexts, form: LineFormat, *, first: int = 0
) -> Iterator[Done]:
    """Translate block by block; output lines end as the input's do. `first`: lines of the input before these."""
    for block in blocks:
        lines: list[str] = []
        failures: list[tuple[int, NmtError]] = []
        results = translate([line.text for line in block.lines])
        for number, (line, result) in enumerate(zip(block.lines, results, strict=True), start=first):
            if isinstance(result, NmtError):
                failures.append((number + 1, result))
                result = Translation("", score=-math.inf)  # below every score there is
            lines.append(_end_lines(form.render(number, result), line.end))
        yield Done(block, "".join(lines).encode("utf-8"), failures)
        first += len(block.lines)


def _end_lines(lines: Sequence[str], end: str) -> str:
    """Lines ended alike; where the input's last line has no newline, nor has the last of these."""
    return (end if end.endswith("\n") else "\n").join(lines) + end


def open_input(path: Path) -> BinaryIO:
    """A file to read, `.gz` decompressed. Raises CorpusError where it cannot be opened."""
    with reading(path):
        return open_bytes(path)


def open_stream(path: Path | None) -> io.FileIO:
    """Standard output, or a pipe or device, to be written as it comes. Raises CorpusError where it cannot be opened."""
    if path is None:
        if sys.stdout is None:
            raise CorpusError("standard output is closed: redirect it, or name a file with -o")
        return io.FileIO(sys.stdout.fileno(), "w", closefd=False)
    with _writing(path):
        return io.FileIO(path, "w")


def count_lines(file: BinaryIO, name: Path | str) -> int | None:
    """The number of lines from here to the end, the place kept; None for what can be read only once.

    Raises CorpusError as `read_blocks` does: before any time is spent on translating.
    """
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return None
    start = file.tell()
    count = sum(len(block.lines) for block in read_blocks(file, name))
    file.seek(start)
    return count


def read_blocks(file: BinaryIO, name: Path | str, *, first: int = 1) -> Iterator[Block]:
    """The rest of a file in blocks that depend on nothing but its content.

    `name` and `first`, the number of the first line, are for errors: CorpusError where the file cannot be read or a
    line is not valid UTF-8.
    """
    while True:
        with reading(name):
            raw = _next_lines(file)
        if not raw:
            return
        yield _block(raw, name, first)
        first += len(raw)


def live_blocks(file: BinaryIO, name: Path | str) -> Iterator[Block]:
    """Whatever whole lines have arrived, without waiting for more; `file` was not read from before.

    Compressed lines come in the blocks of `read_blocks`. Raises CorpusError as that does.
    """
    if _is_compressed(file):  # what arrives are not its lines
        yield from read_blocks(file, name)
        return
    first = 1
    pending: list[bytes] = []  # pieces of one line, joined once: a line may be very long
    while chunk := _arrived(file, name):
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            pending.append(tail)
            continue
        raw = io.BytesIO(b"".join([*pending, head, newline])).readlines()
        pending = [tail]
        yield _block(raw, name, first)
        first += len(raw)
    if last := b"".join(pending):
        yield _block([last], name, first)


def _is_compressed(file: object) -> bool:
    return isinstance(file, gzip.GzipFile)


def _arrived(file: BinaryIO, name: Path | str) -> bytes:
    """Waits for something, not for more."""
    with reading(name):
        return os.read(file.fileno(), LIVE_BYTES)


def _next_lines(file: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while len(lines) < BLOCK_LINES and size < BLOCK_BYTES and (line := file.readline()):
        lines.append(line)
        size += len(line)
    return lines


def _block(raw: Sequence[bytes], name: Path | str, first: int) -> Block:
    return Block([_line(line, name, number) for number, line in enumerate(raw, start=first)], b"".join(raw))


def _line(raw: bytes, name: Path | str, number: int) -> Line:
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    end = raw[len(body) :].decode("ascii")
    try:
        # a byte order mark says how the file is coded: it is no part of the first line
        return Line((body.removeprefix(BOM) if number == 1 else body).decode("utf-8"), end)
    except UnicodeDecodeError as error:
        raise not_utf8(error.object[error.start], name, number) from None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot be written: {error.strerror or error}", path=path) from None


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # a raw write may be short
        rest = rest[file.write(rest) or 0 :]


@dataclass(frozen=True)
class Journal:
    """What is known of a run under way: whose work it is, and how far it has come.

    The first `output_bytes` of OUT.partial are the translation of the first `input_bytes` (after decompression) of the
    input, which are `lines` whole lines.
    """

    model: str
    """Hash of the bundle."""
    options: Options
    lines: int = 0
    failed: int = 0
    """Lines among them that could not be translated."""
    input_bytes: int = 0
    input_sha256: str = hashlib.sha256().hexdigest()
    output_bytes: int = 0
    is_finished: bool = False
    """The whole input is done; only the renaming is left."""
    format: int = JOURNAL_FORMAT

    def difference(self, other: Journal) -> str:
        """In what `other` is a run of another kind; empty if it is not."""
        differences = ["the model is another one"] if self.model != other.model else []
        for name in sorted(self.options.keys() | other.options.keys()):
            before, now = self.options.get(name), other.options.get(name)
            if before != now:
                differences.append(f"{name} was {before}, now {now}")
        return ", ".join(differences)


def bundle_hash(folder: Path) -> str:
    """A hash of everything in a bundle, by way of its own list of hashes. Raises BundleError where that is missing."""
    try:
        return sha256(folder / SUMS)
    except OSError:
        raise BundleError(f"{folder}: not a model bundle (no {SUMS})") from None


def read_journal(path: Path) -> Journal | None:
    """The journal in a file; None where there is none. Raises CheckpointError for anything else."""
    try:
        raw = json.loads(path.read_bytes())
        if raw["format"] != JOURNAL_FORMAT:
            raise CheckpointError(f"{path}: a journal of another release: begin anew with --restart")
        return Journal(**raw)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError):
        raise CheckpointError(f"{path}: not the journal of a translation: begin anew with --restart") from None


class ResumableOutput:
    """A file that appears when it is complete, and until then grows as OUT.partial beside OUT.journal.

    Data reach the disk before the journal that counts them, so that a kill at any moment loses no more than the work
    since the last entry. Leaving the context without `finish` keeps what was done.
    """

    def __init__(self, path: Path, kind: Journal, *, restart: bool = False) -> None:
        """Open a new output, or go on with one. `kind`: a journal of nothing yet, which names model and options.

        Raises CheckpointError where the work of another run lies there (`restart` discards it) or one is going on,
        CorpusError where the file cannot be written.
        """
        self.path = path.resolve()  # a link stays a link
        self.partial, self.journal_path = self.work_files(path)
        self._compresses = path.suffix.lower() == ".gz"
        self._hash = hashlib.sha256()
        self._written_at = time.monotonic()
        with _writing(path):
            if self.path.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            # not truncated before it is known to be ours and nobody is writing it
            self._file = os.fdopen(os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            self._lock()
            self.journal = self._begin(kind, restart)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if self.journal.is_finished:
                return
            if self.journal.lines:
                self._write_journal()
            else:
                self.partial.unlink(missing_ok=True)
                self.journal_path.unlink(missing_ok=True)

    @staticmethod
    def work_files(path: Path) -> tuple[Path, Path]:
        """OUT.partial and OUT.journal."""
        path = path.resolve()
        return path.with_name(path.name + PARTIAL), path.with_name(path.name + JOURNAL)

    def skip_done(self, source: BinaryIO, name: Path | str) -> None:
        """Read past the input that is done. Raises CheckpointError where it is not what it was."""
        left = self.journal.input_bytes
        chunk = b"\n"
        with reading(name):
            while left and (chunk := source.read(min(left, BLOCK_BYTES))):
                self._hash.update(chunk)
                left -= len(chunk)
            was_at_end = self.journal.is_finished or not chunk.endswith(b"\n")
            has_grown = was_at_end and source.read(1)
        if left or has_grown or self._hash.hexdigest() != self.journal.input_sha256:
            raise self._other_run(f"the input is another one or has changed ({name})")

    def write(self, done: Done) -> None:
        """Append the output of the next block."""
        # a member a block: the same bytes wherever the run was stopped
        output = gzip.compress(done.output, mtime=0) if self._compresses else done.output
        raw = done.block.raw
        self._append(output)
        self._hash.update(raw)
        self.journal = replace(
            self.journal,
            lines=self.journal.lines + len(done.block.lines),
            failed=self.journal.failed + len(done.failures),
            input_bytes=self.journal.input_bytes + len(raw),
            input_sha256=self._hash.hexdigest(),
            output_bytes=self.journal.output_bytes + len(output),
        )
        if time.monotonic() - self._written_at >= JOURNAL_EVERY_S:
            self._write_journal()

    def finish(self) -> None:
        """Give the file its name and remove the journal."""
        if self._compresses and not self.journal.output_bytes:
            self._append(gzip.compress(b"", mtime=0))
        self.journal = replace(self.journal, is_finished=True)
        self._write_journal()
        with _writing(self.path):
            self.partial.replace(self.path)
            self.journal_path.unlink()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"{self.partial}: another process is writing it") from None

    def _begin(self, kind: Journal, restart: bool) -> Journal:
        """The journal to go on from, with the partial output cut to what it counts."""
        found = None if restart else read_journal(self.journal_path)
        size = os.fstat(self._file.fileno()).st_size
        if found is None and size and not restart:
            raise CheckpointError(f"{self.partial}: in the way, and without a journal: move it, or add --restart")
        if found is None or (found.is_finished and not size):  # the latter was killed just after its renaming
            # a journal of nothing stands before the first byte: what a kill leaves is then known to be ours
            self.journal = kind
            with _writing(self.partial):
                self._file.truncate(0)
            self._write_journal()
            return kind
        if difference := found.difference(kind):
            raise self._other_run(difference)
        if size < found.output_bytes:
            raise CheckpointError(f"{self.partial}: shorter than its journal says: begin anew with --restart")
        with _writing(self.partial):
            self._file.truncate(found.output_bytes)
            self._file.seek(found.output_bytes)
        return found

    def _other_run(self, difference: str) -> CheckpointError:
        return CheckpointError(
            f"{self.partial}: begun by another run: {difference}; go on as it was begun, choose another output, or "
            "discard it with --restart"
        )

    def _append(self, data: bytes) -> None:
        with _writing(self.partial):
            _write_all(self._file, data)

    def _write_journal(self) -> None:
        with _writing(self.partial):
            os.fsync(self._file.fileno())
            write_atomic(self.journal_path, json.dumps(asdict(self.journal), indent=2) + "\n")
        self._written_at = time.monotonic()


def translate_to_file(
    source: BinaryIO,
    name: Path | str,
    output: ResumableOutput,
    translate: TranslateTexts,
    form: LineFormat,
    report: Callable[[Done], None],
) -> None:
    """Translate an input from where `output` stands to its end. `report` hears of every block."""
    output.skip_done(source, name)
    lines = output.journal.lines
    for done in translate_blocks(read_blocks(source, name, first=lines + 1), translate, form, first=lines):
        output.write(done)
        report(done)
    output.finish()


def translate_to_stream(
    blocks: Iterable[Block],
    stream: io.RawIOBase,
    translate: TranslateTexts,
    form: LineFormat,
    report: Callable[[Done], None],
) -> None:
    """Translate blocks as they come; each is written before the next is asked for. `report` hears of every block.

    Raises BrokenPipeError where nobody reads the stream any more, CorpusError where it cannot be written otherwise.
    """
    for done in translate_blocks(blocks, translate, form):
        try:
            _write_all(stream, done.output)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CorpusError(f"the output cannot be written: {error.strerror or error}") from None
        report(done)
