"""Every error a user can cause, as one tree. Bugs of ours are asserts and plain exceptions, never these.

NmtError
├── ConfigError          a recipe, an override or an option is wrong
├── CorpusError          a training or input file is unreadable, misaligned or not valid UTF-8
├── TokenizerError       a vocabulary cannot be trained, loaded or used
├── TrainingError        one of the processes of a training run has failed
├── CheckpointError      a training run or a file translation cannot be resumed or written
├── BundleError          a trained model on disk is missing, damaged or of another version
├── DeviceError          the device or precision asked for is not there
├── DocumentError        a document cannot be read as its format
│   └── DocumentTooLarge a document is over a limit
└── TranslationError     one text cannot be translated
    ├── InputTooLong     the text is over a limit
    ├── UnsupportedPair  no model translates from that language to that one
    ├── Overloaded       the queue is full; ask again later
    ├── DeadlineExceeded the answer did not come within the request's time
    └── Cancelled        the caller went away

A client of the service has its own below these: `nmt.client.ServiceError`.
"""

from __future__ import annotations

from pathlib import Path


class NmtError(Exception):
    """Base class. The message is one line that says what happened, what is allowed and what to do."""


class ConfigError(NmtError):
    """A recipe, an override or an option is wrong."""


class CorpusError(NmtError):
    """A text file cannot be used. Names the file and, where there is one, the line (counted from 1)."""

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(f"{where}{message}")


class TokenizerError(NmtError):
    """A vocabulary cannot be trained, loaded or used."""


class TrainingError(NmtError):
    """One of the processes of a training run has failed."""


class CheckpointError(NmtError):
    """A training run, or an interrupted translation of a file, cannot be resumed or written."""


class BundleError(NmtError):
    """A trained model on disk is missing, damaged or of another format version."""


class DeviceError(NmtError):
    """The device or the precision asked for is not there."""


class DocumentError(NmtError):
    """A document cannot be read as its format. Names the place in it where there is one."""

    def __init__(self, message: str, *, place: str = "") -> None:
        self.place = place
        super().__init__(f"{place}: {message}" if place else message)


class DocumentTooLarge(DocumentError):
    """A document, or what it unpacks to, is over a limit."""


class TranslationError(NmtError):
    """One text cannot be translated; its neighbours are not affected."""


class InputTooLong(TranslationError):
    """The text is over a limit."""


class UnsupportedPair(TranslationError):
    """No loaded model translates from that language to that one."""


class Overloaded(TranslationError):
    """The queue is full. `retry_after_s` is a sensible time to wait, in seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(TranslationError):
    """The answer did not come within the request's time."""


class Cancelled(TranslationError):
    """The caller went away before the answer was ready."""
