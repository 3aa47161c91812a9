"""BLEU and chrF by sacreBLEU, each with the signature that makes it comparable, and tables of them.

We compute no score of our own: what stands here chooses options, reads references and refuses what cannot be scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError

References = Sequence[Sequence[str | None]]
"""One list a reference, each as long as the hypotheses, as sacreBLEU takes them; None where a line has fewer."""

TOKENIZERS = ("13a", "none", "intl", "char", "zh", "ja-mecab", "ko-mecab")
"""sacreBLEU's, without those that download a model when they are first used (spm, flores101, flores200)."""

BUCKET_WORDS = 5
LAST_BUCKET = 31
"""Sources of this many words or more share one bucket."""


@dataclass(frozen=True, slots=True)
class Score:
    """A corpus score from 0 to 100, higher is better, and sacreBLEU's signature of how it was made."""

    metric: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.2f}"


def bleu(hypotheses: Sequence[str], references: References, *, tokenize: str = "13a", lowercase: bool = False) -> Score:
    """Corpus BLEU (Papineni et al. 2002). One reference a line: `bleu(hypotheses, [references])`.

    Raises ConfigError for a tokenizer that is not in `TOKENIZERS` or not installed, CorpusError where counts differ.
    """
    if tokenize not in TOKENIZERS:
        raise ConfigError(f"no BLEU tokenizer {tokenize!r}; there are {', '.join(TOKENIZERS)}")
    try:
        metric = BLEU(tokenize=tokenize, lowercase=lowercase)
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"the BLEU tokenizer {tokenize} cannot be used: {' '.join(str(error).split())}") from None
    return _score("BLEU", metric, hypotheses, references)


def chrf(hypotheses: Sequence[str], references: References, *, lowercase: bool = False) -> Score:
    """Corpus chrF2 (Popović 2015): character 6-grams, no word n-grams. Raises CorpusError where counts differ."""
    return _score("chrF2", CHRF(lowercase=lowercase), hypotheses, references)


def _score(name: str, metric: Metric, hypotheses: Sequence[str], references: References) -> Score:
    if not hypotheses or not references:
        raise CorpusError("nothing to score: there are no hypotheses or no references")
    for reference in references:
        if len(reference) != len(hypotheses):
            raise CorpusError(f"{len(hypotheses)} hypotheses, but {len(reference)} references: they go line by line")
    for line, alternatives in enumerate(zip(*references, strict=True), start=1):
        if all(alternative is None for alternative in alternatives):
            raise CorpusError(f"line {line} has no reference")
    # sacreBLEU takes None for a missing reference; its annotation has not caught up.
    streams = cast(list[list[str]], [list(reference) for reference in references])
    value = metric.corpus_score(list(hypotheses), streams).score  # before the signature, which counts the references
    return Score(name, min(100.0, float(value)), str(metric.get_signature()))


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
    bleu: Score
    chrf: Score


@dataclass(frozen=True)
class QualityReport:
    """The scores of one set of translations; the first row is the one to quote."""

    rows: tuple[QualityRow, ...]

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows as text, ready for any table printer."""
        header = ("lines", "references", "sentences", "BLEU", "chrF2")
        return [header, *((r.group, r.references, str(r.sentences), *_values(r)) for r in self.rows)]

    def signatures(self) -> tuple[str, ...]:
        """Every signature in the table once, in order, with its metric in front: "BLEU|nrefs:1|..."."""
        scores = (score for row in self.rows for score in (row.bleu, row.chrf))
        return tuple(dict.fromkeys(f"{score.metric}|{score.signature}" for score in scores))

    def as_dict(self) -> dict[str, object]:
        """The report as JSON types."""
        return {
            "rows": [
                {
                    "lines": row.group,
                    "references": row.references,
                    "sentences": row.sentences,
                    "bleu": {"score": row.bleu.value, "signature": row.bleu.signature},
                    "chrf": {"score": row.chrf.value, "signature": row.chrf.signature},
                }
                for row in self.rows
            ]
        }


def _values(row: QualityRow) -> tuple[str, str]:
    return f"{row.bleu.value:.2f}", f"{row.chrf.value:.2f}"


def evaluate(
    hypotheses: Sequence[str],
    against: EvaluationSet,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> QualityReport:
    """Score translations: all lines, the lines without a flag, and buckets of source length.

    Lines with and without flags are scored against the first reference and, where there are more, against all;
    buckets against the first. Raises as `bleu` does.
    """
    if len(hypotheses) != len(against):
        raise CorpusError(f"{len(hypotheses)} hypotheses, but {len(against)} lines of references")
    groups: dict[str, Sequence[int]] = {"all": range(len(hypotheses))}
    if against.flags is not None and any(against.flags):
        groups["unflagged"] = [index for index, flag in enumerate(against.flags) if not flag]
    first = against.references[:1]
    several = {"first": first, "all": against.references} if len(against.references) > 1 else {"first": first}
    chosen = [(group, name, lines, refs) for group, lines in groups.items() for name, refs in several.items()]
    if against.sources is not None:
        buckets = by_length(against.sources)
        chosen += [(f"{words} words", "first", lines, first) for words, lines in buckets.items()]
    rows = []
    for group, name, lines, references in chosen:
        if not lines:
            continue
        some = [hypotheses[line] for line in lines]
        some_references = [[reference[line] for line in lines] for reference in references]
        rows.append(
            QualityRow(
                group,
                name,
                len(lines),
                bleu(some, some_references, tokenize=tokenize, lowercase=lowercase),
                chrf(some, some_references, lowercase=lowercase),
            )
        )
    return QualityReport(tuple(rows))


def by_length(sources: Iterable[str]) -> Mapping[str, list[int]]:
    """Indices of the sources by their length in white-space words: "1-5", "6-10", ... "31+"; no empty bucket."""
    buckets: dict[int, list[int]] = {}
    for index, source in enumerate(sources):
        words = len(source.split())
        first = min(LAST_BUCKET, (max(words, 1) - 1) // BUCKET_WORDS * BUCKET_WORDS + 1)
        buckets.setdefault(first, []).append(index)
    return {_bucket_name(first): buckets[first] for first in sorted(buckets)}


def _bucket_name(first: int) -> str:
    return f"{first}+" if first == LAST_BUCKET else f"{first}-{first + BUCKET_WORDS - 1}"
