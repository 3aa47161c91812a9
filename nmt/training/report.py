"""What a training run tells people while it goes on, and the record of it that stays.

`History` is the record: JSON lines in one file. `Reporter` feeds it, and shows progress: a bar on a terminal, plain
lines at a bounded rate elsewhere, TensorBoard events where asked for. Decides nothing about training.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn
from rich.text import Text

from nmt.errors import CheckpointError
from nmt.evaluation.quality import Score
from nmt.files import unwritten

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Record = Mapping[str, int | float | str | None]

HISTORY_FILE = "history.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

RECORD_EVERY = 50
"""Updates in one "train" record. Counted, not timed: a resumed run writes records at the same updates."""
PLAIN_EVERY_S = 30.0
BAR_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The dev set's figures. `loss` is nats a token (a label); `samples` are (source, reference, output)."""

    loss: float
    perplexity: float
    bleu: Score | None = None
    chrf: Score | None = None
    accuracy: float | None = None
    """Share of the labels that are right."""
    samples: Sequence[tuple[str, str, str]] = ()
    seconds: float = 0.0


class History:
    """An append-only file of records, one JSON object a line, each with "kind" and "update".

    A kill can leave a last line that is torn: it is never read, and the next `append` removes it. A figure that is
    not finite is stored as null, because JSON knows no NaN.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_mended = False

    def append(self, record: Record) -> None:
        """Add a record, whole or not at all as far as a reader can see. Creates file and folder.

        Raises CheckpointError where that cannot be written.
        """
        line = _line(record)
        try:
            if not self._is_mended:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._mend()
            # One unbuffered write: a kill between records leaves whole lines.
            with self.path.open("ab", buffering=0) as file:
                written = file.write(line)
        except OSError as error:
            raise CheckpointError(unwritten(self.path, error)) from None
        if written != len(line):
            self._is_mended = False
            raise CheckpointError(f"{self.path}: only {written} of {len(line)} bytes were written; is the disk full?")

    def records(self) -> list[Record]:
        """All whole records, oldest first; none where there is no file. Raises CheckpointError for a damaged one."""
        try:
            *lines, _torn = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        records: list[Record] = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                record["kind"], record["update"]
            except (ValueError, KeyError, TypeError):
                raise CheckpointError(f"{self.path}:{number}: not a record; move the file away to go on") from None
            records.append(record)
        return records

    def truncate(self, update: int) -> None:
        """Drop the records made after `update`, by an atomic replacement of the file."""
        records = self.records()
        kept = [record for record in records if _update(record) <= update]
        if len(kept) == len(records):
            return
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("wb") as file:
            file.writelines(_line(record) for record in kept)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def _mend(self) -> None:
        """Cut a torn last line off."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.truncate(self.path, whole)
        self._is_mended = True


def _line(record: Record) -> bytes:
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in record.items()
    }
    return json.dumps(finite, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _update(record: Record) -> int:
    update = record["update"]
    assert isinstance(update, int), record
    return update


class Reporter:
    """Progress of one run. `train` is called at every update and costs microseconds; a context manager closes it.

    `folder` is the run's.
    `console` and `clock` (seconds, monotonic) are there for tests and for callers with a console of their own.
    """

    def __init__(
        self,
        folder: Path,
        tensorboard: bool = False,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.history = History(folder / HISTORY_FILE)
        self._folder = folder
        self._total = 0
        self._wants_tensorboard = tensorboard
        self._console = console or Console()
        self._clock = clock
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._events: SummaryWriter | None = None
        self._shown_signatures: set[str] = set()
        self._first_update = 0
        self._first_time = self._shown_time = clock()
        self._window, self._earlier = _Window(clock()), _Window(clock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self, update: int, epoch: int, total_updates: int) -> None:
        """Begin, or go on, after `update` updates of so many. The history of later ones, lost in a kill, is dropped."""
        self.history.truncate(update)
        self._total = total_updates
        self._first_update = update
        self._first_time = self._shown_time = self._clock()
        self._window, self._earlier = _Window(self._clock()), _Window(self._clock())
        if self._wants_tensorboard:
            self._open_events(update)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # No refresh thread: it would take the interpreter from the training loop.
            columns = BarColumn(bar_width=None), TaskProgressColumn()
            self._progress = _Bar(*columns, console=self._console, auto_refresh=False, transient=True, expand=True)
            self._task = self._progress.add_task("", total=self._total, completed=update, status=f"epoch {epoch}")
            self._progress.start()

    def train(self, update: int, epoch: int, loss: float, tokens: int, learning_rate: float) -> None:
        """After each update: its mean loss in nats a target token, and the target tokens it was computed from."""
        self._window.add(update, epoch, loss, tokens, learning_rate)
        now = self._clock()
        if now - self._shown_time >= (PLAIN_EVERY_S if self._progress is None else BAR_EVERY_S):
            self._shown_time = now
            self._show(now)
        if update % RECORD_EVERY == 0:
            self._record_training(now)

    def validation(self, update: int, epoch: int, result: ValidationResult) -> None:
        """After each validation: its row and its samples."""
        self._record_training(self._clock() - result.seconds)
        figures: dict[str, int | float | str | None] = {"loss": result.loss, "perplexity": result.perplexity}
        if result.accuracy is not None:
            figures["accuracy"] = result.accuracy
        for name, score in (("bleu", result.bleu), ("chrf", result.chrf)):
            if score is not None:
                figures |= {name: score.value, f"{name}_signature": score.signature}
        figures["seconds"] = round(result.seconds, 3)
        self.history.append({"kind": "validation", "update": update, "epoch": epoch, **figures})
        self._print_validation(update, epoch, result)
        self._write_events("dev", update, figures)
        if self._events is not None:
            for number, sample in enumerate(result.samples, start=1):
                self._events.add_text(f"dev/sample {number}", _markdown(sample), update)
            self._events.flush()
        self._window = _Window(self._clock())

    def message(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        # soft_wrap: a log line stays one line; no markup: "[...]" in a translation is text.
        self._console.print(_printable(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Write what is pending and take the bar away. May be called twice."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._record_training(self._clock())
        if self._events is not None:
            self._events.close()
            self._events = None

    def _show(self, now: float) -> None:
        status = self._status(now)
        if self._progress is None:
            self.message(status)
        else:
            self._progress.update(self._task, completed=self._window.update, status=status)
            self._progress.refresh()

    def _status(self, now: float) -> str:
        window, earlier = self._window, self._earlier
        # Two windows together: figures of a window that has just begun would jump about.
        tokens = window.tokens + earlier.tokens
        loss = (window.loss_sum + earlier.loss_sum) / max(1, tokens)
        seconds = earlier.seconds + now - window.since
        parts = [
            f"update {window.update:,}/{self._total:,}",
            f"epoch {window.epoch}",
            f"loss {loss:.3f}",
            f"{tokens / max(1e-9, seconds):,.0f} tokens/s",
            f"lr {window.learning_rate:.3g}",
        ]
        done = window.update - self._first_update
        if done > 0:
            left_s = max(0, self._total - window.update) * (now - self._first_time) / done
            parts.append(f"{timedelta(seconds=round(left_s))} left")
        return "  ".join(parts)

    def _record_training(self, now: float) -> None:
        """Close the window of updates since the last record, at the time `now`."""
        window, self._window = self._window, _Window(self._clock())
        if not window.tokens:
            return
        window.seconds = now - window.since
        self._earlier = window
        figures: dict[str, int | float | str | None] = {
            "loss": window.loss_sum / window.tokens,
            "tokens_per_s": round(window.tokens / max(1e-9, window.seconds), 1),
            "learning_rate": window.learning_rate,
            "seconds": round(window.seconds, 3),
        }
        self.history.append({"kind": "train", "update": window.update, "epoch": window.epoch, **figures})
        self._write_events("train", window.update, figures)

    def _print_validation(self, update: int, epoch: int, result: ValidationResult) -> None:
        scores = [score for score in (result.bleu, result.chrf) if score is not None]
        figures = [f"loss {result.loss:.3f}", f"perplexity {result.perplexity:.2f}", *map(str, scores)]
        if result.accuracy is not None:
            figures.append(f"accuracy {result.accuracy:.2%}")
        place = [f"validation at update {update:,}", f"epoch {epoch}"]
        self.message("  ".join([*place, *figures, f"{result.seconds:.1f} s"]))
        for score in scores:
            if score.signature not in self._shown_signatures:
                self._shown_signatures.add(score.signature)
                self.message(f"  {score.metric} signature: {score.signature}")
        for sample in result.samples:
            lines = zip(("source", "reference", "output"), sample, strict=True)
            # of a sample from a language model there is an output only
            self.message("".join(f"  {name:<9}  {text}\n" for name, text in lines if text or name == "output"))

    def _open_events(self, update: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.message("no TensorBoard events written: tensorboard is not installed (pip install tensorboard)")
            return
        # purge_step hides what an earlier, killed run wrote behind the point we go on from.
        self._events = SummaryWriter(str(self._folder / TENSORBOARD_FOLDER), purge_step=update + 1)

    def _write_events(self, group: str, update: int, figures: Record) -> None:
        if self._events is None:
            return
        for name, value in figures.items():
            if isinstance(value, float) and name != "seconds":
                self._events.add_scalar(f"{group}/{name}", value, update)


class _Bar(Progress):
    """The status on a line of its own below the bar: beside it, 80 columns would leave the bar no room."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            yield Text(task.fields["status"])


class _Window:
    """Sums over the updates since the time `since`; `seconds` is how long it took, once it is closed."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.seconds = self.loss_sum = self.learning_rate = 0.0
        self.update = self.epoch = self.tokens = 0

    def add(self, update: int, epoch: int, loss: float, tokens: int, learning_rate: float) -> None:
        self.update, self.epoch, self.learning_rate = update, epoch, learning_rate
        self.loss_sum += loss * tokens
        self.tokens += tokens


def _printable(text: str) -> str:
    """Without control characters: a translation must not steer the reader's terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _markdown(sample: tuple[str, str, str]) -> str:
    """A sample as an indented block, which Markdown shows as it is."""
    return "\n".join(f"    {line}" for line in sample)
