"""Intervals and tests against sacreBLEU's, against every possible shuffle, and where the truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from nmt.errors import CorpusError
from nmt.evaluation import significance
from nmt.evaluation.scoring import Counts, count
from nmt.evaluation.significance import (
    compare,
    confidence,
    interval_of,
    randomisation_p,
    resampled,
    two_sided_bootstrap_p,
)
from tests.evaluation.systems import sentences, worsened

_, REFERENCES = sentences(120)
OURS, THEIRS = worsened(REFERENCES, 0.20, seed=2), worsened(REFERENCES, 0.23, seed=3)
RESAMPLES, TRIALS, SEED = 400, 1000, 12345


def counted(metric: str, hypotheses: list[str]) -> Counts:
    return count(metric, hypotheses, [REFERENCES])


def theirs(kind: str, number: int) -> dict[str, tuple[float, float]]:
    """By sacreBLEU: the p of every metric, and half the interval of our score (of the bootstrap)."""
    metrics = {"BLEU": BLEU(), "chrF2++": CHRF(word_order=2), "TER": TER()}
    systems: list[tuple[str, Sequence[str]]] = [("theirs", THEIRS), ("ours", OURS)]
    found: Any
    _, found = PairedTest(systems, metrics, [REFERENCES], kind, n_samples=number)()
    return {name: (found[name][1].p_value, found[name][1].ci) for name in metrics}


def test_the_bootstrap_is_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", str(SEED))
    expected = theirs("bs", RESAMPLES)
    for metric, (p, half) in expected.items():
        ours = compare(counted(metric, OURS), counted(metric, THEIRS), resamples=RESAMPLES, trials=40, seed=SEED)
        # same draws; they sum in single precision, and a tie may fall otherwise
        assert ours.p_bootstrap == pytest.approx(p, abs=2 / RESAMPLES)
        assert confidence(counted(metric, OURS), resamples=RESAMPLES, seed=SEED).half == pytest.approx(half, rel=1e-3)


def test_approximate_randomisation_is_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", str(SEED))
    for metric, (p, _) in theirs("ar", TRIALS).items():
        found = randomisation_p(counted(metric, OURS), counted(metric, THEIRS), trials=TRIALS, seed=SEED)
        # TER counts few edits, so differences by chance are often exactly as large; sacreBLEU leaves them out
        assert found >= p - 1e-9
        assert found == pytest.approx(p, abs=0.06 if metric == "TER" else 1 / TRIALS)


def test_randomisation_comes_near_what_all_shuffles_give() -> None:
    ours, other = (count("chrF2++", some[:10], [REFERENCES[:10]]) for some in (OURS, worsened(REFERENCES, 0.35, 8)))
    real = abs(ours.score().value - other.score().value)
    both = np.stack([ours.table, other.table])
    larger = []
    for choice in product((0, 1), repeat=10):
        mine = both[list(choice), range(10)].sum(axis=0, keepdims=True)
        yours = both[[1 - k for k in choice], range(10)].sum(axis=0, keepdims=True)
        larger.append(abs(ours.values(mine)[0] - ours.values(yours)[0]) >= real - 1e-9)
    exact = np.mean(larger)
    assert 0.02 < exact < 0.98
    assert randomisation_p(ours, other, trials=4000, seed=1) == pytest.approx(exact, abs=0.03)


def test_systems_that_do_not_differ_are_seldom_told_apart() -> None:
    # two draws from one system: p is uniform, so a level of 5 % is passed by 5 % of them
    values = []
    for seed in range(60):
        one, other = (
            count("BLEU", worsened(REFERENCES[:40], 0.25, seed * 2 + side), [REFERENCES[:40]]) for side in (0, 1)
        )
        values.append(randomisation_p(one, other, trials=199, seed=seed))
    assert np.mean(np.array(values) <= 0.05) <= 0.15
    assert 0.35 < np.mean(values) < 0.65


@pytest.mark.parametrize("metric", ["BLEU", "chrF2++", "TER"])
def test_a_much_better_system_is_better_for_certain(metric: str) -> None:
    good, bad = counted(metric, worsened(REFERENCES, 0.1, 4)), counted(metric, worsened(REFERENCES, 0.4, 5))
    found = compare(good, bad, resamples=199, trials=199)
    assert found.is_better
    assert found.is_significant
    assert found.wins == 1
    assert found.p_bootstrap == found.p_randomisation == pytest.approx(1 / 200)
    assert found.difference.low * found.difference.high > 0
    turned = compare(bad, good, resamples=199, trials=199)
    assert not turned.is_better
    assert turned.wins == 0
    assert turned.p_randomisation == found.p_randomisation


def test_a_system_does_not_differ_from_its_copy() -> None:
    found = compare(counted("BLEU", OURS), counted("BLEU", list(OURS)), resamples=99, trials=99)
    assert (found.p_bootstrap, found.p_randomisation, found.wins) == (1, 1, 0.5)
    assert (found.difference.low, found.difference.high) == (0, 0)
    assert not found.is_better


def test_what_is_drawn_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = counted("BLEU", OURS), counted("BLEU", THEIRS)
    one = compare(ours, other, resamples=100, trials=100, seed=7)
    assert one != compare(ours, other, resamples=100, trials=100, seed=8)
    monkeypatch.setattr(significance, "_DRAWN_AT_ONCE", 1)  # 32 rows at a time, as a large test set has them
    assert one == compare(ours, other, resamples=100, trials=100, seed=7)


def test_an_interval_is_the_middle_of_the_samples() -> None:
    found = interval_of(np.arange(1000.0)[::-1])
    assert (found.low, found.high, found.mean) == (25, 974, 499.5)
    assert found.half == 474.5


def test_the_interval_of_a_part_is_wider() -> None:
    whole, part = confidence(counted("BLEU", OURS)), confidence(counted("BLEU", OURS), range(12))
    assert part.high - part.low > 2 * (whole.high - whole.low)
    assert whole.low < counted("BLEU", OURS).score().value < whole.high


def test_resamples_of_two_systems_are_of_the_same_lines() -> None:
    ours, other = resampled(counted("BLEU", OURS), resamples=100), resampled(counted("BLEU", THEIRS), resamples=100)
    apart = resampled(counted("BLEU", THEIRS), resamples=100, seed=1)
    assert np.std(ours - other) < np.std(ours - apart)


def test_the_signature_has_what_was_drawn() -> None:
    found = compare(counted("BLEU", OURS), counted("BLEU", THEIRS), resamples=40, trials=50, seed=3)
    assert found.signature.startswith("nrefs:1|bs:40|ar:50|seed:3|case:mixed|")
    assert found.as_dict()["p_paired_bootstrap"] == found.p_bootstrap


def test_other_lines_cannot_be_paired() -> None:
    with pytest.raises(CorpusError, match="120 and 3 translations cannot be paired"):
        compare(counted("BLEU", OURS), count("BLEU", OURS[:3], [REFERENCES[:3]]))
    with pytest.raises(CorpusError, match="cannot be paired"):
        compare(counted("BLEU", OURS), count("BLEU", OURS, [REFERENCES], lowercase=True))


@pytest.mark.parametrize("difference", [0.0, 0.3, -1.0, 2.0])
def test_the_two_sided_bootstrap_is_that_of_a_normal_difference(difference: float) -> None:
    rng = np.random.default_rng(1)
    theirs = rng.normal(30, 2, 100_000)
    ours = theirs + rng.normal(difference, 1, 100_000)
    expected = math.erfc(abs(difference) / math.sqrt(2))
    assert two_sided_bootstrap_p(ours, theirs, difference) == pytest.approx(expected, abs=0.01)
    assert two_sided_bootstrap_p(theirs, ours, -difference) == two_sided_bootstrap_p(ours, theirs, difference)
