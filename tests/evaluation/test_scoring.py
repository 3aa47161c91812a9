"""Corpus scores, scores of subsets and of sentences against sacreBLEU's own functions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import sacrebleu

from nmt.errors import ConfigError
from nmt.evaluation.scoring import METRICS, count, longest_line
from tests.evaluation.systems import sentences, worsened

_, FIRST = sentences(40)
SECOND = worsened(FIRST, 0.3, seed=5)
HYPOTHESES = worsened(FIRST, 0.3, seed=6)


def theirs(metric: str, hypotheses: list[str], references: list[list[str]]) -> float:
    match metric:
        case "BLEU":
            return float(sacrebleu.corpus_bleu(hypotheses, references).score)
        case "chrF2":
            return float(sacrebleu.corpus_chrf(hypotheses, references).score)
        case "chrF2++":
            return float(sacrebleu.corpus_chrf(hypotheses, references, word_order=2).score)
        case _:
            return float(sacrebleu.corpus_ter(hypotheses, references).score)


@pytest.mark.parametrize("references", [[FIRST], [FIRST, SECOND]], ids=["one", "two"])
@pytest.mark.parametrize("metric", METRICS)
def test_scores_of_a_corpus_and_of_any_part_of_it_are_sacrebleus(metric: str, references: list[list[str]]) -> None:
    counts = count(metric, HYPOTHESES, references)
    assert counts.score().value == pytest.approx(theirs(metric, HYPOTHESES, references))
    part = [3, 5, 5, 31]
    expected = theirs(metric, [HYPOTHESES[k] for k in part], [[column[k] for k in part] for column in references])
    assert counts.score(part).value == pytest.approx(expected)
    assert f"nrefs:{len(references)}" in counts.signature
    assert f"version:{sacrebleu.__version__}" in counts.signature


def test_scores_of_sentences_are_sacrebleus() -> None:
    values = count("chrF2++", HYPOTHESES, [FIRST, SECOND]).sentences()
    expected = [
        sacrebleu.sentence_chrf(hypothesis, list(references), word_order=2).score
        for hypothesis, *references in zip(HYPOTHESES, FIRST, SECOND, strict=True)
    ]
    np.testing.assert_allclose(values, expected)


def test_chrf_plus_plus_counts_words_as_well() -> None:
    assert "nc:6|nw:2" in count("chrF2++", HYPOTHESES, [FIRST]).signature
    # the same letters without blanks are the same to chrF, not to its words
    text, split = ["ab cd ef gh ij"], ["abc def ghij"]
    assert count("chrF2", text, [split]).score().value == pytest.approx(100)
    assert count("chrF2++", text, [split]).score().value < 80


def test_ter_is_edits_over_words_of_the_reference() -> None:
    # two words replaced of eight; a phrase that has moved is one edit (Snover et al. 2006)
    reference = ["a b c d e f g h"]
    assert count("TER", ["a b X d e Y g h"], [reference]).score().value == pytest.approx(25)
    assert count("TER", ["e f g h a b c d"], [reference]).score().value == pytest.approx(12.5)
    assert count("TER", ["A B C D E F G H"], [reference]).score().value == 0
    assert count("TER", ["x " * 20], [reference]).score().value > 100


def test_perfect_text_is_never_above_100() -> None:
    for metric in ("BLEU", "chrF2", "chrF2++"):
        assert count(metric, FIRST, [FIRST]).score().value <= 100


@pytest.mark.parametrize("tokenize", ["none", "13a"])
def test_tokens_are_warned_of_where_text_was_to_come(tokenize: str) -> None:
    # sacreBLEU's warning, which a process gives once
    code = f"from nmt.evaluation.scoring import bleu; bleu(t := ['a red shirt .'] * 200, [t], tokenize={tokenize!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ("forgot to detokenize" in done.stderr) == (tokenize == "13a")


def test_a_metric_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no metric 'METEOR'; there are BLEU, chrF2, chrF2\+\+, TER"):
        count("METEOR", HYPOTHESES, [FIRST])


def test_the_longest_line_is_of_any_version() -> None:
    assert longest_line(["a", "b b"], [["a a a", "b"], [None, "b b b b"]]) == (2, 4)
    assert longest_line(["a " * 7, "b"], [["a", "b"]]) == (1, 7)


def test_what_sacrebleu_warns_of_is_said_once() -> None:
    program = (
        "from nmt.evaluation.scoring import bleu\n"
        "lines = ['one , two .'] * 200\n"
        "for _ in range(3): bleu(lines, [lines])\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert said.count("tokenized period") == 1
