"""Words in the place of `<unk>`: which one, on every route, and what the answer says of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.bundle import Bundle, load_bundle, save_bundle
from nmt.inference import TranslateOptions
from nmt.inference.alignment import word_links
from nmt.inference.pipeline import Pipeline
from nmt.inference.runner import Found
from nmt.inference.torch_runner import TorchRunner
from nmt.inference.types import Translation
from nmt.inference.unknown import stand_ins
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, UNKNOWN
from tests.bundles import make_bundle
from tests.inference.runners import RUNNERS, Factory, reference

DICTIONARY = Dictionary({"dog": "Dackel", "zebra": "Zebra-Tier", "hears": "vernimmt"})
SEARCH = {"beam_size": 3, "max_length_factor": 1.0, "max_length_offset": 3}


def unknown_bundle(folder: Path, dictionary: Dictionary | None = DICTIONARY, **choices: object) -> Bundle:
    """A random network of few words that likes to say `<unk>`."""
    search = SEARCH | choices
    bundle = make_bundle(folder, text={"kind": "word", "vocab_size": 16, "joint": False}, tying="none", search=search)
    weights = dict(bundle.weights)
    weights["output.bias"] = weights["output.bias"].copy()
    weights["output.bias"][UNK_ID] += 0.5
    save_bundle(replace(bundle, weights=weights, dictionary=dictionary), folder)
    return load_bundle(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return unknown_bundle(tmp_path_factory.mktemp("unknown") / "toy")


WORDS = ("the", "old", "dog", "sees", "zebra", "Zarkov", "hears", "today")
SYMBOLS = ("(tree)", "3.5%", "Oslo's")


def texts(count: int, words: Sequence[str] = WORDS + SYMBOLS) -> list[str]:
    """One sentence each, of known words and unknown ones, some of them in the dictionary."""
    rng = random.Random(4)
    return [" ".join(rng.choices(words, k=rng.randint(2, 8))) for _ in range(count)]


def test_the_word_looked_at_most_is_translated_or_copied() -> None:
    attention = np.array(
        [[0.1, 0.6, 0.1, 0.2], [0.2, 0.1, 0.6, 0.1], [0.1, 0.2, 0.0, 0.7], [0, 0, 0, 1], [0, 0, 0, 1]], np.float32
    )
    source = ["▁Zarkov", "▁dog", "!"]

    def chosen(*tokens: int) -> list[str]:
        return stand_ins(tokens, [None] * tokens.count(UNK_ID), source, attention, DICTIONARY)

    # the second token is a word of the model's own; EOS has the largest weight in the third step, but is no word
    assert chosen(UNK_ID, 7, UNK_ID) == ["▁Dackel", "▁Dackel"]
    assert chosen(7, UNK_ID, UNK_ID) == ["!", "▁Dackel"]
    assert chosen(7, 7, 7, UNK_ID) == [UNKNOWN]
    assert chosen(7, 7) == []
    assert stand_ins([UNK_ID], [None], [], attention, DICTIONARY) == [UNKNOWN]
    assert stand_ins([UNK_ID, UNK_ID], ["▁x", None], source, attention, DICTIONARY) == ["▁x", "!"]
    assert stand_ins([UNK_ID, UNK_ID], ["▁x", None], source, None, None) == ["▁x", UNKNOWN]


def expected_text(bundle: Bundle, text: str, found: Found) -> str:
    """By hand: the pieces of a hypothesis, one after the other."""
    source, target = bundle.tokenizers
    assert found.attention is not None
    pieces = []
    for token, weights in zip(found.tokens, found.attention, strict=False):
        if token == UNK_ID:
            looked_at = source.split(text)[int(np.argmax(weights[:-1]))]
            pieces.append(DICTIONARY.translate(looked_at))
        else:
            pieces.append(target.pieces([token])[0])
    return "".join(pieces).replace("\uffed\u2581", "").replace("\uffed", "").replace("\u2581", " ").strip()


@pytest.mark.parametrize("make", RUNNERS.values(), ids=RUNNERS)
def test_every_route_puts_the_same_words_in(bundle: Bundle, make: Factory) -> None:
    """What the plain search finds, with each `<unk>` replaced by hand."""
    options = TranslateOptions(n_best=2, raw=True)
    pipeline = Pipeline(bundle, make(bundle))
    found = pipeline.translate(texts(40), options)
    sentences = [
        (ids, pipeline._search_options(len(ids), options)) for ids in map(bundle.tokenizers.source.encode, texts(40))
    ]
    replaced = 0
    for text, mine, hypotheses in zip(texts(40), found, reference(bundle, sentences), strict=True):
        assert isinstance(mine, Translation)
        assert mine.flags <= {"truncated"}
        assert [h.text for h in mine.alternatives] == [expected_text(bundle, text, h) for h in hypotheses]
        replaced += UNK_ID in hypotheses[0].tokens
    assert replaced > 10


def translate(bundle: Bundle, texts: list[str], **options: object) -> list[Translation]:
    results = Pipeline(bundle, TorchRunner(bundle, torch.device("cpu"))).translate(
        texts,
        TranslateOptions(**{"raw": True} | options),  # type: ignore[arg-type]
    )
    assert all(isinstance(result, Translation) for result in results)
    return results  # type: ignore[return-value]


def test_unknown_words_that_stay_are_flagged(bundle: Bundle) -> None:
    kept = translate(bundle, texts(60), replace_unknown=False)
    assert {"unknown_words" in t.flags for t in kept} == {True, False}
    for translation in kept:
        assert ("<unk>" in translation.text) == ("unknown_words" in translation.flags)
    replaced = translate(bundle, texts(60))
    for old, new in zip(kept, replaced, strict=True):
        assert ("<unk>" in old.text) == (old.text != new.text)
        assert old.score == new.score


def test_where_nothing_becomes_of_them_they_are_never_said(tmp_path: Path) -> None:
    """As before there were dictionaries."""
    without = unknown_bundle(tmp_path / "a", None)
    assert UNK_ID in without.forbidden_ids
    barred = unknown_bundle(tmp_path / "b", DICTIONARY, unknown_words="bar")
    for bundle in (without, barred):
        for translation in translate(bundle, texts(10)):
            assert "<unk>" not in translation.text
            assert "unknown_words" not in translation.flags


def test_a_bundle_may_keep_them(tmp_path: Path) -> None:
    kept = unknown_bundle(tmp_path / "a", None, unknown_words="keep")
    assert any("<unk>" in translation.text for translation in translate(kept, texts(10)))
    both = unknown_bundle(tmp_path / "b", DICTIONARY, unknown_words="keep")
    assert [t.text for t in translate(both, texts(10))] == [t.text for t in translate(kept, texts(10))]


def test_links_count_the_words_that_stand_in_the_text(bundle: Bundle) -> None:
    """An unknown source word is a word, and what replaces `<unk>` is as many words as it is in the text."""
    source, target = bundle.tokenizers
    for text, translation in zip(texts(60), translate(bundle, texts(60), alignments=True), strict=True):
        assert [t for _, t in translation.alignment] == list(range(len(translation.text.split())))
        assert max(s for s, _ in translation.alignment) < len(text.split())
    assert word_links(np.eye(3, dtype=np.float32), source.split("Zarkov dog"), target.split("x y")) == ((0, 0), (1, 1))


def test_what_replaces_an_unknown_word_is_linked_to_where_it_comes_from(bundle: Bundle) -> None:
    origin = {"Dackel": "dog", "vernimmt": "hears", "Zebra-Tier": "zebra", "Zarkov": "Zarkov"}
    linked = 0
    for text, translation in zip(texts(60, WORDS), translate(bundle, texts(60, WORDS), alignments=True), strict=True):
        for s, t in translation.alignment:
            if came_from := origin.get(translation.text.split()[t]):
                linked += 1
                assert text.split()[s] == came_from
    assert linked > 10
