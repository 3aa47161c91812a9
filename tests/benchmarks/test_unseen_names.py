"""Names that were never seen: translated rightly by copying and by replacing, within seconds and to a stated share."""

from __future__ import annotations

import pytest

from benchmarks.unseen_names import WAYS, NamePair, NameScore, corpora, judge, score_names

LEAST_NAMES, LEAST_SENTENCES = 0.85, 0.75


def test_no_name_of_the_test_is_in_the_training_text() -> None:
    train, test = corpora(1)
    known = {word for pair in train for word in pair.target.split()}
    for pair in test:
        assert 1 <= len(pair.places) <= 2
        for place, word in enumerate(pair.target.split()):
            assert (word in known) == (place not in pair.places)
            assert (word in pair.source.split()) == (place in pair.places)


def test_a_name_counts_where_it_should_stand() -> None:
    pairs = [NamePair("a Bo Ci", "Ci Bo x", (0, 1)), NamePair("a Bo", "Bo x", (0,))]
    assert judge(["Ci Bo x", "Bo x"], pairs) == NameScore(1.0, 1.0)
    assert judge(["Bo Bo x", "x Bo"], pairs) == NameScore(1 / 3, 0.0)
    assert judge(["", "Bo y x"], pairs) == NameScore(1 / 3, 0.0)


@pytest.mark.parametrize("way", ["replace", "copying"])
def test_names_that_were_never_seen_come_through(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From training to text, `<unk>` and copies included. A model that may say neither gets no name right."""
    found = score_names(WAYS[way], updates=350)
    assert found.names >= LEAST_NAMES
    assert found.sentences >= LEAST_SENTENCES
    assert capsys.readouterr() == ("", "")
