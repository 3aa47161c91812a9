"""Scores against sacreBLEU's own functions and closed forms; references, flags and mistakes in their files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import sacrebleu

from nmt.errors import ConfigError, CorpusError
from nmt.evaluation.quality import (
    TOKENIZERS,
    EvaluationSet,
    bleu,
    by_length,
    chrf,
    evaluate,
    read_evaluation_set,
)

HYPOTHESES = ["The cat sat on a mat, didn't it?", "He lives in Bonn .", "A man with a red hat walks home.", "Yes."]
FIRST = ["The cat sat on the mat, didn't it?", "He lives in Bonn.", "A man with a red hat is walking home.", "Yes."]
SECOND = ["A cat was on the mat.", "He's living in Bonn.", "A man wearing a red hat walks home.", "Yeah."]


def write(path: Path, lines: Sequence[str]) -> Path:
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("references", [[FIRST], [FIRST, SECOND]])
@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("tokenize", ["13a", "none", "intl", "char", "zh"])
def test_bleu_is_sacrebleus(references: list[list[str]], lowercase: bool, tokenize: str) -> None:
    expected = sacrebleu.corpus_bleu(HYPOTHESES, references, tokenize=tokenize, lowercase=lowercase)
    score = bleu(HYPOTHESES, references, tokenize=tokenize, lowercase=lowercase)
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert f"tok:{tokenize}" in score.signature
    assert f"nrefs:{len(references)}" in score.signature
    assert f"case:{'lc' if lowercase else 'mixed'}" in score.signature
    assert f"version:{sacrebleu.__version__}" in score.signature


@pytest.mark.parametrize("references", [[FIRST], [FIRST, SECOND]])
def test_chrf_is_sacrebleus(references: list[list[str]]) -> None:
    assert chrf(HYPOTHESES, references).value == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, references).score)
    assert "nc:6|nw:0" in chrf(HYPOTHESES, references).signature


@pytest.mark.parametrize("score", [bleu, chrf])
def test_identical_text_scores_100_and_nothing_in_common_scores_almost_0(score: object) -> None:
    assert callable(score)
    assert score(FIRST, [FIRST]).value == pytest.approx(100)
    assert score(FIRST, [FIRST]).value <= 100
    assert score(["qqqq wwww zzzz jjjj"], [["a b c d"]]).value < 15


def test_bleu_of_a_short_translation_is_the_brevity_penalty() -> None:
    # Every n-gram is right and 8 of 10 words are there: BLEU = exp(1 - 10 / 8), Papineni et al. 2002, section 2.3.
    reference = "a b c d e f g h i j"
    assert bleu(["a b c d e f g h"], [[reference]]).value == pytest.approx(100 * math.exp(1 - 10 / 8))


def test_any_of_several_references_will_do() -> None:
    assert bleu(["one two three four"], [["no such thing here"], ["one two three four"]]).value == pytest.approx(100)


def test_lines_may_have_different_numbers_of_references() -> None:
    hypotheses = ["one two three four", "five six seven eight"]
    several: list[list[str | None]] = [["no such thing here", "five six seven eight"], ["one two three four", None]]
    for score in (bleu(hypotheses, several), chrf(hypotheses, several)):
        assert score.value == pytest.approx(100)
        assert "nrefs:var" in score.signature


def test_lowercase_ignores_case() -> None:
    assert bleu(["A B C D"], [["a b c d"]]).value < 50
    assert bleu(["A B C D"], [["a b c d"]], lowercase=True).value == pytest.approx(100)
    assert chrf(["A B C D"], [["a b c d"]], lowercase=True).value == pytest.approx(100)


@pytest.mark.parametrize("tokenize", ["13b", "flores200", "spm"])
def test_tokenizers_that_do_not_exist_or_would_download_are_refused(tokenize: str) -> None:
    with pytest.raises(ConfigError, match=rf"no BLEU tokenizer '{tokenize}'; there are 13a, none"):
        bleu(HYPOTHESES, [FIRST], tokenize=tokenize)


def test_tokenizers_are_sacrebleus() -> None:
    assert set(TOKENIZERS) <= set(sacrebleu.metrics.bleu.BLEU.TOKENIZERS)


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [[]], "no hypotheses"),
        (["a"], [], "no references"),
        (["a", "b"], [["a"]], "2 hypotheses, but 1 references"),
        (["a", "b"], [["a", None], [None, None]], "line 2 has no reference"),
    ],
)
def test_what_cannot_be_scored_is_an_error(
    hypotheses: list[str], references: list[list[str | None]], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        bleu(hypotheses, references)


def test_files_become_an_evaluation_set(tmp_path: Path) -> None:
    all_references = ["a\tb\tc", "d", "e\t\tf\u2028g"]
    against = read_evaluation_set(
        [write(tmp_path / "test.allrefs.de.gz", all_references)],
        source=write(tmp_path / "test.en", ["A", "D", "E"]),
        flags=write(tmp_path / "test.near.gz", ["1", "0", "0"]),
    )
    assert against.references == [["a", "d", "e"], ["b", None, "f\u2028g"], ["c", None, None]]
    assert against.sources == ["A", "D", "E"]
    assert against.flags == [True, False, False]
    assert len(against) == 3


def test_tabs_are_columns_only_where_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "ref.de", ["a\tb", "c"])
    assert read_evaluation_set([path]).references == [["a\tb", "c"]]
    assert read_evaluation_set([path], tabs=True).references == [["a", "c"], ["b", None]]
    assert read_evaluation_set([path, path]).references == [["a\tb", "c"], ["a\tb", "c"]]


def test_mistakes_in_files_name_file_and_line(tmp_path: Path) -> None:
    two = write(tmp_path / "two.de", ["a", "b"])
    one = write(tmp_path / "one.en", ["a"])
    with pytest.raises(CorpusError, match=rf"{one}: 1 lines, but {two} has 2"):
        read_evaluation_set([two], source=one)
    with pytest.raises(CorpusError, match=rf"{one}: 1 lines"):
        read_evaluation_set([two, one])
    with pytest.raises(CorpusError, match=rf"{two}:1: a flag is 0 or 1, not 'a'"):
        read_evaluation_set([two], flags=two)
    with pytest.raises(CorpusError, match=r"x.allrefs.de:2: a line without any reference"):
        read_evaluation_set([write(tmp_path / "x.allrefs.de", ["a\tb", " \t"])])
    with pytest.raises(CorpusError, match=r"nothing.de: no such file"):
        read_evaluation_set([tmp_path / "nothing.de"])
    with pytest.raises(CorpusError, match=r"empty.de: the file is empty"):
        read_evaluation_set([write(tmp_path / "empty.de", [])])


def test_report_scores_all_lines_unflagged_lines_and_buckets_of_length() -> None:
    sources = ["eins zwei drei vier fünf", "eins", "eins zwei drei vier fünf sechs", " ".join(["wort"] * 40)]
    against = EvaluationSet([FIRST, SECOND], sources, [False, True, False, True])
    report = evaluate(HYPOTHESES, against)
    names = [(row.group, row.references, row.sentences) for row in report.rows]
    assert names == [
        ("all", "first", 4),
        ("all", "all", 4),
        ("unflagged", "first", 2),
        ("unflagged", "all", 2),
        ("1-5 words", "first", 2),
        ("6-10 words", "first", 1),
        ("31-40 words", "first", 1),
    ]
    by_name = {(row.group, row.references): row for row in report.rows}
    kept = [HYPOTHESES[0], HYPOTHESES[2]]
    expected = sacrebleu.corpus_bleu(kept, [[FIRST[0], FIRST[2]], [SECOND[0], SECOND[2]]]).score
    assert by_name["unflagged", "all"].bleu.value == pytest.approx(expected)
    assert by_name["31-40 words", "first"].bleu.value == pytest.approx(
        sacrebleu.corpus_bleu(["Yes."], [["Yes."]]).score
    )
    table = report.table()
    assert table[1] == ("all", "first", "4", f"{report.rows[0].bleu.value:.2f}", f"{report.rows[0].chrf.value:.2f}")
    assert {len(row) for row in table} == {5}
    assert len(report.signatures()) == 4
    json_rows = report.as_dict()["rows"]
    assert isinstance(json_rows, list)
    assert json_rows[0]["bleu"] == {"score": report.rows[0].bleu.value, "signature": report.rows[0].bleu.signature}


def test_report_without_extras_has_one_row() -> None:
    report = evaluate(FIRST, EvaluationSet([FIRST]))
    assert [(row.group, row.references) for row in report.rows] == [("all", "first")]
    assert report.rows[0].bleu.value == pytest.approx(100)


def test_report_refuses_another_number_of_lines() -> None:
    with pytest.raises(CorpusError, match="3 hypotheses, but 4 lines"):
        evaluate(FIRST[:3], EvaluationSet([FIRST]))


def test_every_source_is_in_the_bucket_of_its_length() -> None:
    sources = [" ".join(["w"] * words) for words in range(70)]
    buckets = by_length(sources)
    assert list(buckets) == ["1-5", "6-10", "11-15", "16-20", "21-25", "26-30", "31-40", "41-50", "51-60", "61+"]
    assert buckets["1-5"] == [0, 1, 2, 3, 4, 5]
    assert buckets["6-10"] == [6, 7, 8, 9, 10]
    assert buckets["31-40"] == list(range(31, 41))
    assert buckets["61+"] == list(range(61, 70))
