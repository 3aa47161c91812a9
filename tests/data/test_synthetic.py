"""Synthetic sentences are translated by the lexicon and the rules they name, and their links are exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.data.synthetic import CLASSES, RULES, SyntheticLanguage, recall_lines, write_corpus

LANGUAGE = SyntheticLanguage(
    words={"noun": ("dog", "cat"), "adjective": ("old", "red"), "verb": ("sees",), "adverb": ("now",)},
    lexicon={
        "dog": ("chien",),
        "cat": ("chat",),
        "old": ("vieux",),
        "red": ("rouge", "vif"),
        "sees": ("voit",),
        "now": ("en", "ce"),
    },
)
SENTENCE = [("old", "adjective"), ("dog", "noun"), ("sees", "verb"), ("red", "adjective"), ("cat", "noun")]


@pytest.mark.parametrize(
    ("rules", "target", "links"),
    [
        ((), "vieux chien voit rouge vif chat", "0-0 1-1 2-2 3-3 3-4 4-5"),
        (("swap",), "chien vieux voit chat rouge vif", "0-1 1-0 2-2 3-4 3-5 4-3"),
        (("verb-final",), "vieux chien rouge vif chat voit", "0-0 1-1 2-5 3-2 3-3 4-4"),
        (("reverse",), "chat rouge vif voit chien vieux", "0-5 1-4 2-3 3-1 3-2 4-0"),
        (("swap", "verb-final"), "chien vieux chat rouge vif voit", "0-1 1-0 2-5 3-3 3-4 4-2"),
    ],
)
def test_rules_of_order_by_hand(rules: tuple[str, ...], target: str, links: str) -> None:
    pair = SyntheticLanguage(LANGUAGE.words, LANGUAGE.lexicon, rules).translate(SENTENCE)
    assert (pair.source, pair.target) == ("old dog sees red cat", target)
    assert " ".join(f"{i}-{j}" for i, j in pair.links) == links


def test_only_the_adjective_next_to_its_noun_is_swapped() -> None:
    sentence = [("old", "adjective"), ("red", "adjective"), ("dog", "noun"), ("sees", "verb"), ("cat", "noun")]
    pair = SyntheticLanguage(LANGUAGE.words, LANGUAGE.lexicon, ("swap",)).translate(sentence)
    assert pair.target == "vieux chien rouge vif voit chat"


@pytest.mark.parametrize("rules", [(), *((rule,) for rule in RULES), ("swap", "verb-final")])
def test_links_join_each_word_with_all_of_its_translation(rules: tuple[str, ...]) -> None:
    language = SyntheticLanguage.draw(seed=5, doubles=0.3, rules=rules)
    pairs = language.pairs(50, seed=2)
    assert len(pairs) == 50
    for pair in pairs:
        source, target = pair.source.split(), pair.target.split()
        assert sorted(j for _, j in pair.links) == list(range(len(target)))
        for i, word in enumerate(source):
            assert tuple(target[j] for k, j in pair.links if k == i) == language.lexicon[word]


def test_a_drawn_lexicon_is_one_to_one_but_for_the_share_that_is_doubled() -> None:
    language = SyntheticLanguage.draw(seed=1, size=4, doubles=0.25)
    assert len(language.lexicon) == 4 * sum(CLASSES.values())
    doubled = [word for word, translation in language.lexicon.items() if len(translation) == 2]
    assert len(doubled) == round(0.25 * len(language.lexicon))
    spellings = [*language.lexicon, *(word for translation in language.lexicon.values() for word in translation)]
    assert len(set(spellings)) == len(spellings)


def test_the_seeds_decide_language_and_sentences() -> None:
    language = SyntheticLanguage.draw(seed=1)
    assert language == SyntheticLanguage.draw(seed=1)
    assert language.lexicon != SyntheticLanguage.draw(seed=2).lexicon
    assert language.pairs(20, seed=1) == language.pairs(20, seed=1) != language.pairs(20, seed=2)


def test_a_rule_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="shuffle"):
        SyntheticLanguage.draw(seed=1, rules=("shuffle",))


def test_a_corpus_is_three_files_line_by_line(tmp_path: Path) -> None:
    pairs = LANGUAGE.pairs(3, seed=1)
    source, target, gold = write_corpus(tmp_path, "toy", pairs)
    assert source.read_text("utf-8").splitlines() == [pair.source for pair in pairs]
    assert target.read_text("utf-8").splitlines() == [pair.target for pair in pairs]
    assert gold.read_text("utf-8").splitlines()[0] == " ".join(f"{i}-{j}" for i, j in pairs[0].links)


def test_lines_to_recall_end_as_they_begin_and_say_nothing_in_between() -> None:
    lines = [line.split() for line in recall_lines(50, 7, seed=1, keys=3)]
    assert len(lines) == 50
    assert {len(line) for line in lines} == {7 + 2}
    assert all(line[0] == line[-1] for line in lines)
    assert len({line[0] for line in lines}) == 3
    assert len({tuple(line[1:-1]) for line in lines}) == 1
    assert set(lines[0][1:-1]).isdisjoint({line[0] for line in lines})
