"""Tables of scores: all lines, those that are no near copies of training text, and buckets of them.

Reads references, refuses what does not fit together, and leaves the scores to `nmt.evaluation.scoring`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError
from nmt.evaluation.scoring import METRICS, TOKENIZERS, Counts, References, Score, bleu, chrf, count

__all__ = [
    "BUCKETS",
    "METRICS",
    "TOKENIZERS",
    "EvaluationSet",
    "QualityReport",
    "QualityRow",
    "References",
    "Score",
    "bleu",
    "by_length",
    "chrf",
    "count_all",
    "evaluate",
    "read_evaluation_set",
    "tabulate",
]

BUCKETS = (1, 6, 11, 16, 21, 26, 31, 41, 51, 61)
"""First length, in words, of each bucket of sources."""


@dataclass(frozen=True)
class EvaluationSet:
    """What hypotheses are scored against. `flags`: True for a line to be left out of the second table row."""

    references: References
    sources: Sequence[str] | None = None
    flags: Sequence[bool] | None = None

    def __len__(self) -> int:
        return len(self.references[0])


def read_evaluation_set(
    references: Sequence[Path],
    *,
    source: Path | None = None,
    flags: Path | None = None,
    tabs: bool | None = None,
) -> EvaluationSet:
    """Read references, and sources and flags where given; text or `.gz`, lines aligned.

    `references`: files of one reference a line each, or, with `tabs`, of any number a line between tabs; by default
    the files with ".allrefs." in their name are read so. `flags`: a 0 or 1 a line, 1 for a line to be left out of a
    second score, such as a near copy of training text.
    Raises CorpusError, with file and line, for a file that cannot be read or does not fit the others.
    """
    if not references:
        raise ConfigError("at least one file of references is needed")
    streams: list[Sequence[str | None]] = []
    for path in references:
        has_tabs = ".allrefs." in path.name if tabs is None else tabs
        streams += _alternatives(path) if has_tabs else [list(read_lines(path))]
        _check_count(path, len(streams[-1]), references[0], len(streams[0]))
    count = len(streams[0])
    if not count:
        raise CorpusError("the file is empty", path=references[0])
    sources = None
    if source is not None:
        sources = list(read_lines(source))
        _check_count(source, len(sources), references[0], count)
    marks = None
    if flags is not None:
        marks = _read_flags(flags)
        _check_count(flags, len(marks), references[0], count)
    return EvaluationSet(streams, sources, marks)


def _alternatives(path: Path) -> list[Sequence[str | None]]:
    """The columns of a file of tab-separated references: as many as the longest line has, None where one is shorter."""
    lines = [[field for field in line.split("\t") if field.strip()] for line in read_lines(path)]
    for number, line in enumerate(lines, start=1):
        if not line:
            raise CorpusError("a line without any reference", path=path, line=number)
    width = max((len(line) for line in lines), default=1)
    return [[line[column] if column < len(line) else None for line in lines] for column in range(width)]


def _read_flags(path: Path) -> list[bool]:
    flags = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() not in {"0", "1"}:
            raise CorpusError(f"a flag is 0 or 1, not {line[:40]!r}", path=path, line=number)
        flags.append(line.strip() == "1")
    return flags


def _check_count(path: Path, count: int, other: Path, expected: int) -> None:
    if count != expected:
        raise CorpusError(f"{count} lines, but {other} has {expected}: the files go line by line", path=path)


@dataclass(frozen=True, slots=True)
class QualityRow:
    """Scores of some of the lines. `group` says which; `references` is how many a line may have."""

    group: str
    references: str
    sentences: int
    scores: Mapping[str, Score]
    """By metric."""

    @property
    def bleu(self) -> Score:
        return self.scores["BLEU"]

    @property
    def chrf(self) -> Score:
        """chrF2."""
        return self.scores["chrF2"]


@dataclass(frozen=True)
class QualityReport:
    """The scores of one set of translations; the first row is the one to quote."""

    rows: tuple[QualityRow, ...]

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows as text, ready for any table printer."""
        header = ("lines", "references", "sentences", *self.rows[0].scores)
        return [header, *((r.group, r.references, str(r.sentences), *_values(r)) for r in self.rows)]

    def signatures(self) -> tuple[str, ...]:
        """Every signature in the table once, in order, with its metric in front: "BLEU|nrefs:1|..."."""
        scores = (score for row in self.rows for score in row.scores.values())
        return tuple(dict.fromkeys(f"{score.metric}|{score.signature}" for score in scores))

    def as_dict(self) -> dict[str, object]:
        """The report as JSON types."""
        return {
            "rows": [
                {
                    "lines": row.group,
                    "references": row.references,
                    "sentences": row.sentences,
                    **{
                        METRICS[score.metric]: {"score": score.value, "signature": score.signature}
                        for score in row.scores.values()
                    },
                }
                for row in self.rows
            ]
        }


def _values(row: QualityRow) -> tuple[str, ...]:
    return tuple(f"{score.value:.2f}" for score in row.scores.values())


def evaluate(
    hypotheses: Sequence[str],
    against: EvaluationSet,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    metrics: Sequence[str] = ("BLEU", "chrF2"),
    buckets: Mapping[str, Sequence[int]] | None = None,
) -> QualityReport:
    """Score translations: all lines, the lines without a flag, and buckets of source length.

    Lines with and without flags are scored against the first reference and, where there are more, against all;
    buckets against the first. `buckets`: further ones, indices of lines by name. Raises as `count` does.
    """
    counted = count_all(hypotheses, against, tokenize=tokenize, lowercase=lowercase, metrics=metrics)
    return tabulate(counted, against, buckets or {})


def count_all(
    hypotheses: Sequence[str],
    against: EvaluationSet,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    metrics: Sequence[str] = tuple(METRICS),
) -> Mapping[str, Sequence[Counts]]:
    """Counts by metric, against the "first" reference and, where there are more, against "all". Raises as `count`."""
    if len(hypotheses) != len(against):
        raise CorpusError(f"{len(hypotheses)} hypotheses, but {len(against)} lines of references")
    several = {"first": against.references[:1]}
    if len(against.references) > 1:
        several["all"] = against.references
    return {
        name: [count(metric, hypotheses, references, tokenize=tokenize, lowercase=lowercase) for metric in metrics]
        for name, references in several.items()
    }


def tabulate(
    counted: Mapping[str, Sequence[Counts]], against: EvaluationSet, buckets: Mapping[str, Sequence[int]]
) -> QualityReport:
    """The rows of `evaluate`, of what `count_all` has counted."""
    groups: dict[str, Sequence[int]] = {"all": range(len(against))}
    if against.flags is not None and any(against.flags):
        groups["unflagged"] = [index for index, flag in enumerate(against.flags) if not flag]
    chosen = [(group, name, lines) for group, lines in groups.items() for name in counted]
    if against.sources is not None:
        chosen += [(f"{words} words", "first", lines) for words, lines in by_length(against.sources).items()]
    chosen += [(name, "first", lines) for name, lines in buckets.items()]
    return QualityReport(tuple(_row(group, name, lines, counted[name]) for group, name, lines in chosen if lines))


def _row(group: str, name: str, lines: Sequence[int], counted: Iterable[Counts]) -> QualityRow:
    return QualityRow(group, name, len(lines), {counts.metric: counts.score(lines) for counts in counted})


def by_length(sources: Iterable[str]) -> Mapping[str, list[int]]:
    """Indices of the sources by their length in white-space words: "1-5", "6-10", ... "61+"; no empty bucket."""
    buckets: dict[int, list[int]] = {}
    for index, source in enumerate(sources):
        words = max(len(source.split()), BUCKETS[0])
        buckets.setdefault(max(first for first in BUCKETS if first <= words), []).append(index)
    return {_bucket_name(first): buckets[first] for first in sorted(buckets)}


def _bucket_name(first: int) -> str:
    following = next((other for other in BUCKETS if other > first), None)
    return f"{first}+" if following is None else f"{first}-{following - 1}"
