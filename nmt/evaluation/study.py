"""Everything there is to say of one system, or of one against others, on one test set: figures, no pictures.

`nmt.evaluation.report` makes a page of it, `as_dict` JSON, and the command line prints its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError
from nmt.evaluation.faults import Faults, find_faults
from nmt.evaluation.quality import EvaluationSet, QualityReport, by_length, count_all, tabulate
from nmt.evaluation.rarity import WordRow, word_accuracy
from nmt.evaluation.scoring import METRICS, Counts, Score
from nmt.evaluation.significance import (
    RESAMPLES,
    SEED,
    TRIALS,
    Comparison,
    Interval,
    compare,
    confidence,
    interval_as_dict,
)

HEADLINE = ("BLEU", "chrF2++", "TER")
"""What has intervals and is tested: TER only where it is wanted."""
OF_SENTENCES = "chrF2++"
"""The metric of single sentences: the BLEU of one hangs on its smoothing, and TER has no upper end."""
BY_LENGTH = "words in the source"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some of the lines, with the scores against the first reference."""

    kind: str
    """What the lines have in common: `BY_LENGTH`, or how rare their words are."""
    name: str
    lines: Sequence[int]
    scores: Mapping[str, tuple[Score, Interval]]
    """By metric."""


@dataclass(frozen=True)
class Measured:
    """One system on the test set."""

    name: str
    hypotheses: Sequence[str]
    report: QualityReport
    scores: Mapping[str, tuple[Score, Interval]]
    """By metric of `HEADLINE`, of all lines against all references."""
    buckets: Sequence[Bucket]
    sentences: NDArray[np.float64]
    """`OF_SENTENCES` of each line, [lines]."""
    faults: Faults
    words: Sequence[WordRow]

    def as_dict(self) -> dict[str, object]:
        """As JSON types."""
        return {
            "name": self.name,
            "scores": {METRICS[metric]: _as_dict(*pair) for metric, pair in self.scores.items()},
            **self.report.as_dict(),
            "buckets": [
                {
                    "kind": bucket.kind,
                    "name": bucket.name,
                    "sentences": len(bucket.lines),
                    **{METRICS[metric]: _as_dict(*pair) for metric, pair in bucket.scores.items()},
                }
                for bucket in self.buckets
            ],
            "faults": self.faults.as_dict(),
            "words": [row.as_dict() for row in self.words],
            "sentence_scores": {
                "metric": METRICS[OF_SENTENCES],
                "values": [round(value, 2) for value in self.sentences.tolist()],
            },
        }


@dataclass(frozen=True)
class Study:
    """One system, the first, and those that it is compared with."""

    against: EvaluationSet
    systems: Sequence[Measured]
    comparisons: Sequence[Sequence[Comparison]]
    """Of the first system with each of the others, by the metrics of `HEADLINE`."""
    resamples: int
    trials: int
    seed: int

    @property
    def system(self) -> Measured:
        return self.systems[0]

    @property
    def others(self) -> Sequence[Measured]:
        return self.systems[1:]

    def signatures(self) -> tuple[str, ...]:
        """Every signature of the tables once, with its metric in front."""
        tested = (f"{one.metric}|{one.signature}" for tests in self.comparisons for one in tests)
        return tuple(dict.fromkeys((*self.system.report.signatures(), *tested)))

    def as_dict(self) -> dict[str, object]:
        """As JSON types; `rows` are those of the first system."""
        return {
            **self.system.report.as_dict(),
            "resamples": self.resamples,
            "trials": self.trials,
            "seed": self.seed,
            "systems": [system.as_dict() for system in self.systems],
            "comparisons": [
                {"system": self.system.name, "other": other.name, "metrics": [one.as_dict() for one in tests]}
                for other, tests in zip(self.others, self.comparisons, strict=True)
            ],
        }


def check_count(name: str, hypotheses: Sequence[str], against: EvaluationSet) -> None:
    """Raise CorpusError naming the system where it has not a line for each of the references."""
    if len(hypotheses) != len(against):
        raise CorpusError(f"{name}: {len(hypotheses)} hypotheses, but {len(against)} lines of references")


def study(
    systems: Sequence[tuple[str, Sequence[str]]],
    against: EvaluationSet,
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    ter: bool = True,
    rarity: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    frequencies: Mapping[str, int] | None = None,
    resamples: int = RESAMPLES,
    trials: int = TRIALS,
    seed: int = SEED,
) -> Study:
    """Measure systems (name, translations), the first of them against each of the others.

    `ter`: whether TER is computed (see `scoring.WORDS_FOR_TER`). `rarity`: buckets of lines by kind and name
    (`nmt.evaluation.rarity`). `frequencies`: of the target language's words in training text.
    Raises as `quality.count_all`, and CorpusError naming the system whose lines are too few or many.
    """
    metrics = [metric for metric in METRICS if ter or metric != "TER"]
    tested = [metric for metric in HEADLINE if metric in metrics]
    kinds: dict[str, Mapping[str, Sequence[int]]] = {}
    if against.sources is not None:
        kinds[BY_LENGTH] = by_length(against.sources)
    rare = rarity or {}
    kinds |= rare
    further = {f"{kind}: {key}": lines for kind, some in rare.items() for key, lines in some.items()}
    measured, counts = [], []
    for name, hypotheses in systems:
        check_count(name, hypotheses, against)
        counted = count_all(hypotheses, against, tokenize=tokenize, lowercase=lowercase, metrics=metrics)
        first, every = ({one.metric: one for one in counted[key]} for key in ("first", list(counted)[-1]))
        counts.append(every)
        measured.append(
            Measured(
                name=name,
                hypotheses=hypotheses,
                report=tabulate(counted, against, further),
                scores={
                    metric: (every[metric].score(), confidence(every[metric], resamples=resamples, seed=seed))
                    for metric in tested
                },
                buckets=[
                    _bucket({metric: first[metric] for metric in tested}, kind, key, lines, resamples, seed)
                    for kind, some in kinds.items()
                    for key, lines in some.items()
                ],
                sentences=every[OF_SENTENCES].sentences(),
                faults=find_faults(hypotheses, against.references, against.sources),
                words=() if frequencies is None else word_accuracy(hypotheses, against.references[0], frequencies),
            )
        )
    comparisons = [
        [compare(counts[0][m], other[m], resamples=resamples, trials=trials, seed=seed) for m in tested]
        for other in counts[1:]
    ]
    return Study(against, measured, comparisons, resamples, trials, seed)


def _bucket(
    counts: Mapping[str, Counts], kind: str, name: str, lines: Sequence[int], resamples: int, seed: int
) -> Bucket:
    scores = {
        metric: (some.score(lines), confidence(some, lines, resamples=resamples, seed=seed))
        for metric, some in counts.items()
    }
    return Bucket(kind, name, lines, scores)


def _as_dict(score: Score, interval: Interval) -> dict[str, object]:
    return {"score": score.value, "interval": interval_as_dict(interval), "signature": score.signature}
