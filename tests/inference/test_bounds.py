"""Prefixes and forbidden words, from a caller's words to the text that comes out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nmt.bundle import Bundle
from nmt.config import TextConfig
from nmt.errors import TranslationError
from nmt.inference import TranslateOptions, Translation
from nmt.inference.bounds import Bounds
from nmt.inference.loading import load_pipeline
from nmt.inference.pipeline import Pipeline
from nmt.text.tokenizer import UNK_ID, train_tokenizers
from tests.bundles import make_bundle, toy_sentences
from tests.corpora import toy_pair

TEXTS = toy_sentences(30)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    search = {"beam_size": 3, "max_length_factor": 0.8, "max_length_offset": 4}
    return make_bundle(tmp_path_factory.mktemp("bounds") / "toy", search=search)


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Pipeline:
    assert bundle.folder is not None
    return load_pipeline(bundle.folder, "cpu")


def texts(pipeline: Pipeline, options: TranslateOptions) -> list[str]:
    results = pipeline.translate(TEXTS, options)
    assert all(isinstance(result, Translation) for result in results)
    return [result.text for result in results if isinstance(result, Translation)]


def test_forbidden_words_do_not_come(pipeline: Pipeline) -> None:
    """Not even in other pieces: words that came without are gone."""
    before = texts(pipeline, TranslateOptions(raw=True))
    words = sorted({word for text in before for word in text.split() if word.isalpha() and len(word) > 2})
    after = texts(pipeline, TranslateOptions(forbidden=tuple(words), raw=True))
    assert len(words) >= 3
    assert not {word for text in after for word in text.split()}.intersection(words)
    assert sum(a != b for a, b in zip(before, after, strict=True)) > 5


def test_every_way_to_write_a_word_is_forbidden(bundle: Bundle) -> None:
    target = bundle.tokenizers.target
    ways = Bounds(target, bundle.forbidden_ids).forbidden(("the dog",))
    assert len(ways) > 5
    assert tuple(target.encode("the dog")) in ways
    assert {target.decode(ids) for ids in ways} == {"the dog"}


def test_a_word_that_the_model_cannot_say_need_not_be_forbidden() -> None:
    """A vocabulary of words: the unknown one is not forbidden in the place of every unknown word."""
    pairs = [toy_pair(random.Random(i)) for i in range(50)]
    words = train_tokenizers(pairs, TextConfig(kind="word", vocab_size=60), seed=1).target
    bounds = Bounds(words, words.forbidden_ids)
    known = next(piece for piece in words.pieces(range(4, words.size)) if piece[1:].isalpha())[1:]
    assert bounds.forbidden(("xyzzy", known, " ")) == (tuple(words.encode(known)),)
    assert UNK_ID in words.encode("xyzzy")
    with pytest.raises(TranslationError, match="no word for"):
        bounds.prefix(f"{known} xyzzy")
    assert bounds.prefix("") == ()


def test_translations_begin_with_a_prefix_however_long_it_is(pipeline: Pipeline) -> None:
    prefix = "the dog sees the old tree and the man and the woman and the other man"
    for result in texts(pipeline, TranslateOptions(prefix=prefix, raw=True)):
        assert result.startswith(prefix)
        assert len(result) > len(prefix)


def test_a_prefix_is_that_of_the_first_segment(pipeline: Pipeline) -> None:
    result = pipeline.translate(["\n" + " ".join(TEXTS[:3])], TranslateOptions(prefix="man"))[0]
    assert isinstance(result, Translation)
    assert result.text.startswith("\nman")
    assert result.text.count("man") < 3


def test_a_prefix_with_a_line_break_is_one_line(pipeline: Pipeline) -> None:
    result = pipeline.translate(TEXTS[:1], TranslateOptions(prefix="the\ndog", raw=True))[0]
    assert isinstance(result, Translation)
    assert result.text.startswith("the dog")


def test_a_bundle_may_bring_its_own_rule_for_repeats(tmp_path: Path, pipeline: Pipeline) -> None:
    search = {"beam_size": 3, "max_length_factor": 0.8, "max_length_offset": 4, "no_repeat_ngram": 1}
    strict = make_bundle(tmp_path / "strict", search=search)
    assert strict.folder is not None
    own = load_pipeline(strict.folder, "cpu")
    expected = texts(pipeline, TranslateOptions(no_repeat_ngram=1))
    assert texts(own, TranslateOptions()) == expected
    assert texts(own, TranslateOptions(no_repeat_ngram=0)) == texts(pipeline, TranslateOptions()) != expected
