"""BLEU, chrF2, chrF2++ and TER by sacreBLEU, for a corpus, for its sentences and for samples of them.

We compute no score of our own: sacreBLEU counts each sentence's matches and makes a score of any sum of such counts.
What stands here chooses options, refuses what cannot be scored, and keeps the counts for those who score subsets
(`nmt.evaluation.quality`) and resamples (`nmt.evaluation.significance`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from nmt.errors import ConfigError, CorpusError

References = Sequence[Sequence[str | None]]
"""One list a reference, each as long as the hypotheses, as sacreBLEU takes them; None where a line has fewer."""

TOKENIZERS = ("13a", "none", "intl", "char", "zh", "ja-mecab", "ko-mecab")
"""sacreBLEU's, without those that download a model when they are first used (spm, flores101, flores200)."""

METRICS: Mapping[str, str] = {"BLEU": "bleu", "chrF2": "chrf", "chrF2++": "chrfpp", "TER": "ter"}
"""Each metric's name and its key in JSON."""
LOWER_IS_BETTER = frozenset({"TER"})
WORDS_FOR_TER = 100
"""In longer lines TER's search for shifts takes seconds each: 1 s at 100 words, 5 s at 300, measured on poor output."""


class _Once(logging.Filter):
    """Lets each message through the first time: training scores tokenised text many times over."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self._said
        self._said.add(message)
        return is_new


logging.getLogger("sacrebleu").addFilter(_Once())


@dataclass(frozen=True, slots=True)
class Score:
    """A corpus score and sacreBLEU's signature of how it was made.

    From 0 to 100, higher is better; TER counts edits for 100 words of reference: lower is better, and above 100 is
    possible.
    """

    metric: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.2f}"


@dataclass(frozen=True)
class Counts:
    """What a metric has counted in every sentence; any sum of rows has a score.

    `table`: [sentences, counts] (matched and total n-grams; edits and words).
    """

    metric: str
    table: NDArray[np.float64]
    signature: str
    scorer: Metric

    def __len__(self) -> int:
        return len(self.table)

    def score(self, lines: Sequence[int] | None = None) -> Score:
        """The corpus score of these lines; by default of all."""
        rows = self.table if lines is None else self.table[list(lines)]
        return Score(self.metric, float(self.values(rows.sum(axis=0, keepdims=True))[0]), self.signature)

    def values(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each row of sums, [samples, counts]."""
        # sacreBLEU's own tests of significance enter here too
        scores = [self.scorer._compute_score_from_stats(row).score for row in sums.tolist()]
        values = np.array(scores, dtype=np.float64)
        # rounding lifts a perfect score above 100
        return values if self.metric in LOWER_IS_BETTER else np.minimum(values, 100.0)

    def sentences(self) -> NDArray[np.float64]:
        """The score of every sentence by itself: meant for chrF. The BLEU of one sentence is mostly its smoothing."""
        return self.values(self.table)


def count(
    metric: str, hypotheses: Sequence[str], references: References, *, tokenize: str = "13a", lowercase: bool = False
) -> Counts:
    """Count for one of `METRICS`. `tokenize` is BLEU's; `lowercase` BLEU's and chrF's; TER never minds the case.

    TER has sacreBLEU's defaults, which are Tercom's (Snover et al. 2006): no case, no splitting of punctuation.
    Raises ConfigError for a tokenizer that is not in `TOKENIZERS` or not installed, CorpusError where counts differ.
    """
    _check(hypotheses, references)
    scorer = _scorer(metric, tokenize, lowercase)
    # sacreBLEU takes None for a missing reference; its annotation has not caught up.
    streams = cast(list[list[str]], [list(reference) for reference in references])
    rows: list[Any] = scorer._extract_corpus_statistics(list(hypotheses), streams)  # the signature counts references
    return Counts(metric, np.array(rows, dtype=np.float64), str(scorer.get_signature()), scorer)


def check_tokenizer(name: str) -> None:
    """Raise ConfigError for a tokenizer of BLEU that is not in `TOKENIZERS` or not installed."""
    _bleu_scorer(name, lowercase=False)


def longest_line(hypotheses: Sequence[str], references: References) -> tuple[int, int]:
    """The number, from 1, of the line with the most words in any version, and its words: see `WORDS_FOR_TER`."""
    words = [
        max(len(text.split()) for text in versions if text is not None)
        for versions in zip(hypotheses, *references, strict=True)
    ]
    longest = max(range(len(words)), key=words.__getitem__)
    return longest + 1, words[longest]


def bleu(hypotheses: Sequence[str], references: References, *, tokenize: str = "13a", lowercase: bool = False) -> Score:
    """Corpus BLEU (Papineni et al. 2002). One reference a line: `bleu(hypotheses, [references])`.

    Raises ConfigError for a tokenizer that is not in `TOKENIZERS` or not installed, CorpusError where counts differ.
    """
    return count("BLEU", hypotheses, references, tokenize=tokenize, lowercase=lowercase).score()


def chrf(hypotheses: Sequence[str], references: References, *, lowercase: bool = False) -> Score:
    """Corpus chrF2 (Popović 2015): character 6-grams, no word n-grams. Raises CorpusError where counts differ."""
    return count("chrF2", hypotheses, references, lowercase=lowercase).score()


def _scorer(metric: str, tokenize: str, lowercase: bool) -> Metric:
    match metric:
        case "BLEU":
            return _bleu_scorer(tokenize, lowercase)
        case "chrF2":
            return CHRF(lowercase=lowercase)
        case "chrF2++":  # Popović 2017: word 2-grams as well
            return CHRF(word_order=2, lowercase=lowercase)
        case "TER":
            return TER()
        case _:
            raise ConfigError(f"no metric {metric!r}; there are {', '.join(METRICS)}")


def _bleu_scorer(tokenize: str, lowercase: bool) -> Metric:
    if tokenize not in TOKENIZERS:
        raise ConfigError(f"no BLEU tokenizer {tokenize!r}; there are {', '.join(TOKENIZERS)}")
    try:
        # who asks for no tokenizer has tokens: sacreBLEU need not warn of them
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=tokenize == "none")
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"the BLEU tokenizer {tokenize} cannot be used: {' '.join(str(error).split())}") from None


def _check(hypotheses: Sequence[str], references: References) -> None:
    if not hypotheses or not references:
        raise CorpusError("nothing to score: there are no hypotheses or no references")
    for reference in references:
        if len(reference) != len(hypotheses):
            raise CorpusError(f"{len(hypotheses)} hypotheses, but {len(reference)} references: they go line by line")
    for line, alternatives in enumerate(zip(*references, strict=True), start=1):
        if all(alternative is None for alternative in alternatives):
            raise CorpusError(f"line {line} has no reference")
