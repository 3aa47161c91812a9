"""Learning a dictionary: words whose translation is known."""

from __future__ import annotations

import random

import pytest

from nmt.config import TextConfig
from nmt.text.tokenizer import UNK_ID, TokenizerPair, train_tokenizers
from nmt.training import dictionary
from nmt.training.dictionary import learn_dictionary
from tests.corpora import LEXICON, toy_pair


def tokenizers(size: int) -> TokenizerPair:
    rng = random.Random(1)
    return train_tokenizers(
        [toy_pair(rng) for _ in range(400)], TextConfig(kind="word", vocab_size=size, joint=False), seed=1
    )


def test_every_unknown_word_of_the_lexicon_is_found_and_no_known_one() -> None:
    """Half the lexicon is beyond the vocabulary. Source words stand for it even where they are known themselves."""
    pair = tokenizers(14)
    rng = random.Random(2)
    learnt = learn_dictionary([toy_pair(rng) for _ in range(300)], pair, seed=1).entries
    unknown = {s: t.lower() for s, t in LEXICON.items() if UNK_ID in pair.target.encode(t.lower())}
    assert 4 <= len(unknown) < len(LEXICON)
    assert {s: learnt[s] for s in unknown} == unknown
    assert all(UNK_ID in pair.target.encode(word) for word in learnt.values())
    assert all(dictionary.has_letter(word) for word in (*learnt, *learnt.values()))


def test_a_dictionary_depends_on_its_seed_and_limits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tokenizers(14)
    rng = random.Random(2)
    pairs = [toy_pair(rng) for _ in range(100)]
    whole = learn_dictionary(pairs, pair, seed=1).entries
    assert learn_dictionary(iter(pairs), pair, seed=1).entries == whole
    monkeypatch.setattr(dictionary, "MOST_CELLS", 600)
    part = learn_dictionary(pairs, pair, seed=1).entries
    assert part not in ({}, whole)
    assert learn_dictionary([], pair, seed=1).entries == {}


def test_a_vocabulary_that_has_every_word_leaves_nothing_to_learn() -> None:
    rng = random.Random(2)
    assert learn_dictionary([toy_pair(rng) for _ in range(50)], tokenizers(100), seed=1).entries == {}
