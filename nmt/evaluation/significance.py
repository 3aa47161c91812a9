"""Whether a difference between two systems is more than chance: bootstrap intervals, and two paired tests.

Both tests draw and count as sacreBLEU's do, so that p is the same for the same seed: the bootstrap of Koehn (2004),
and approximate randomisation (Noreen 1989; Riezler and Maxwell 2005). One thing differs: a difference by chance that is
exactly as large as the real one counts as well, so that a system does not differ from its own copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from nmt.errors import CorpusError
from nmt.evaluation.scoring import LOWER_IS_BETTER, METRICS, Counts

Array = NDArray[np.float64]

SEED = 12345
"""sacreBLEU's own."""
RESAMPLES, TRIALS = 1000, 10_000
"""Of the bootstrap, and of approximate randomisation: sacreBLEU's defaults."""
LEVEL = 0.05
"""What p is compared with in words; intervals hold the other 95 %."""

_TIE = 1e-9
"""Scores that are equal but for rounding."""
_DRAWN_AT_ONCE = 1 << 22
"""Numbers drawn at a time; bounds memory. A multiple of 32: see `_coins`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 95 % of the resampled scores lie."""

    low: float
    high: float
    mean: float
    """Of all resamples."""

    @property
    def half(self) -> float:
        """Half its width: what sacreBLEU prints behind ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against another one by one metric. Differences are ours minus theirs, whichever is better."""

    metric: str
    ours: float
    theirs: float
    difference: Interval
    wins: float
    """Share of the resamples in which ours is better; half of the draws count."""
    p_bootstrap: float
    p_randomisation: float
    signature: str
    """sacreBLEU's, with resamples (bs), trials (ar) and seed."""

    @property
    def is_significant(self) -> bool:
        """By approximate randomisation, which assumes less."""
        return self.p_randomisation < LEVEL

    @property
    def is_better(self) -> bool:
        """Whether ours has the better score, by chance or not."""
        return (self.ours < self.theirs) if self.metric in LOWER_IS_BETTER else (self.ours > self.theirs)

    def as_dict(self) -> dict[str, object]:
        """As JSON types."""
        return {
            "metric": METRICS[self.metric],
            "score": self.ours,
            "other": self.theirs,
            "difference": self.ours - self.theirs,
            "difference_interval": {"low": self.difference.low, "high": self.difference.high},
            "wins": self.wins,
            "p_paired_bootstrap": self.p_bootstrap,
            "p_approximate_randomisation": self.p_randomisation,
            "signature": self.signature,
        }


def interval_of(samples: Array) -> Interval:
    """The middle 95 % of samples: as sacreBLEU, from the n // 40th to the one as far from the end."""
    ordered = np.sort(samples)
    cut = len(ordered) // 40
    return Interval(float(ordered[cut]), float(ordered[len(ordered) - cut - 1]), float(ordered.mean()))


def interval_as_dict(interval: Interval) -> dict[str, float]:
    """As JSON types."""
    return asdict(interval)


def resampled(
    counts: Counts, lines: Sequence[int] | None = None, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Array:
    """Scores, [resamples], of test sets drawn with replacement from these lines (default: all), as many as they are.

    Same number of lines and same seed: same draws, so resamples of two systems are paired.
    """
    table = counts.table if lines is None else counts.table[list(lines)]
    return np.concatenate([counts.values(weights @ table) for weights in _draws(len(table), resamples, seed)])


def confidence(
    counts: Counts, lines: Sequence[int] | None = None, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """The 95 % interval of a score by bootstrap resampling (Koehn 2004)."""
    return interval_of(resampled(counts, lines, resamples=resamples, seed=seed))


def compare(
    ours: Counts, theirs: Counts, *, resamples: int = RESAMPLES, trials: int = TRIALS, seed: int = SEED
) -> Comparison:
    """Both tests by one metric. Raises CorpusError where the systems have not translated the same lines."""
    if len(ours) != len(theirs) or ours.signature != theirs.signature:
        raise CorpusError(f"{len(ours)} and {len(theirs)} translations cannot be paired: the lines must be the same")
    one, other = resampled(ours, resamples=resamples, seed=seed), resampled(theirs, resamples=resamples, seed=seed)
    our_score, their_score = ours.score().value, theirs.score().value
    better = other - one if ours.metric in LOWER_IS_BETTER else one - other
    ties = np.abs(better) <= _TIE
    return Comparison(
        metric=ours.metric,
        ours=our_score,
        theirs=their_score,
        difference=interval_of(one - other),
        wins=float(((better > 0) & ~ties).mean() + ties.mean() / 2),
        p_bootstrap=bootstrap_p(one, other, our_score - their_score),
        p_randomisation=randomisation_p(ours, theirs, trials=trials, seed=seed),
        signature=_signature(ours.signature, resamples, trials, seed),
    )


def bootstrap_p(ours: Array, theirs: Array, difference: float) -> float:
    """p of a difference from paired resamples, [resamples] each, as sacreBLEU and Moses' script have it.

    The resampled differences, without sign and moved to a mean of 0, against the real one. Where one system is clearly
    ahead this is the test of one side. Where none is it says too much: it stays near 0.4 where there is no difference.
    """
    absolute = np.abs(ours - theirs)
    return _p(absolute - absolute.mean(), abs(difference))


def two_sided_bootstrap_p(ours: Array, theirs: Array, difference: float) -> float:
    """p of a difference from paired resamples, [resamples] each, two-sided.

    The resampled differences, moved to a mean of 0 and then without sign, against the real one (Efron & Tibshirani
    1993, 16.4). It goes with approximate randomisation, and with no difference it is 1.
    """
    differences = ours - theirs
    return _p(np.abs(differences - differences.mean()), abs(difference))


def randomisation_p(ours: Counts, theirs: Counts, *, trials: int = TRIALS, seed: int = SEED) -> float:
    """p of a difference by approximate randomisation, two-sided.

    If the systems were the same, nothing would change when some of their outputs changed places: each sentence's two
    outputs do so by the flip of a coin, in every trial anew. p is how often that makes a difference at least as large.
    """
    moved = theirs.table - ours.table
    our_total, their_total = ours.table.sum(axis=0), theirs.table.sum(axis=0)
    differences = []
    for coins in _coins(len(ours), trials, seed):
        sums = coins @ moved
        differences.append(np.abs(ours.values(our_total + sums) - theirs.values(their_total - sums)))
    return _p(np.concatenate(differences), abs(ours.score().value - theirs.score().value))


def _p(samples: Array, difference: float) -> float:
    """(c + 1) / (n + 1) with c samples of n at least as large (Noreen 1989)."""
    return (int(np.count_nonzero(samples >= difference - _TIE)) + 1) / (len(samples) + 1)


def _draws(lines: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each line is drawn, [some resamples, lines] at a time."""
    rng = np.random.default_rng(seed)
    for rows in _chunks(lines, resamples):
        drawn = rng.choice(lines, size=(rows, lines), replace=True) + np.arange(rows)[:, np.newaxis] * lines
        yield np.bincount(drawn.ravel(), minlength=rows * lines).reshape(rows, lines).astype(np.float64)


def _coins(lines: int, trials: int, seed: int) -> Iterator[Array]:
    """Zeros and ones, [some trials, lines] at a time."""
    rng = np.random.default_rng(seed)
    for rows in _chunks(lines, trials):
        # 32 flips come from one number: a chunk of another size would waste some, and draw otherwise than one big chunk
        yield rng.integers(2, size=(rows, lines), dtype=bool).astype(np.float64)


def _chunks(lines: int, rows: int) -> Iterator[int]:
    size = max(32, _DRAWN_AT_ONCE // max(lines, 1) // 32 * 32)
    yield from (min(size, rows - first) for first in range(0, rows, size))


def _signature(of_metric: str, resamples: int, trials: int, seed: int) -> str:
    """Where sacreBLEU has them: behind the references."""
    references, rest = of_metric.split("|", 1)
    return f"{references}|bs:{resamples}|ar:{trials}|seed:{seed}|{rest}"
