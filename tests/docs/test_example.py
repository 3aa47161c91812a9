"""The example corpus of the README: small, clean, and its test sentences can be learnt from its training sentences."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from nmt.config import load_recipe
from nmt.data.corpus import check_corpus, read_pairs
from nmt.data.prepared import prepare

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example"


def sides(name: str) -> tuple[list[str], list[str]]:
    pairs = list(read_pairs([str(EXAMPLE / name)], "en", "eo"))
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def test_corpora_are_well_formed() -> None:
    assert check_corpus([str(EXAMPLE / "train.tsv")], "en", "eo") >= 450
    assert check_corpus([str(EXAMPLE / "test.tsv")], "en", "eo") >= 30


def test_no_test_sentence_is_in_the_training_text() -> None:
    for trained, tested in zip(sides("train.tsv"), sides("test.tsv"), strict=True):
        assert not set(trained) & set(tested)


def test_every_word_of_the_test_sentences_is_in_the_training_text() -> None:
    for trained, tested in zip(sides("train.tsv"), sides("test.tsv"), strict=True):
        known = {word for line in trained for word in words(line)}
        assert {word for line in tested for word in words(line)} <= known


def test_no_sentence_has_two_translations() -> None:
    for name in ("train.tsv", "test.tsv"):
        sources, targets = sides(name)
        assert len(set(sources)) == len(sources)
        assert len(set(targets)) == len(targets)


def test_esperanto_is_spelt_with_its_own_letters() -> None:
    for name in ("train.tsv", "test.tsv"):
        _, targets = sides(name)
        assert set("".join(targets).lower()) <= set("abcĉdefgĝhĥijĵklmnoprsŝtuŭvz .,!?-")


def test_cleaning_drops_nothing(tmp_path: Path) -> None:
    # paths in the recipe are relative to the top of the repository
    raw = tomllib.loads((EXAMPLE / "recipe.toml").read_text("utf-8"))
    data = load_recipe(EXAMPLE / "recipe.toml").data
    assert raw["data"]["train"] == [["docs/example/train.tsv"]]
    data = data.model_copy(update={"train": ((str(EXAMPLE / "train.tsv"),),), "test": (str(EXAMPLE / "test.tsv"),)})
    corpus = prepare(data, tmp_path / "data", seed=1)
    assert sum(corpus.report.dropped.values()) == 0
