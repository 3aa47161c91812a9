"""Invariant 1: a translation depends on its text alone. (What the search finds is in test_runners.py.)"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from nmt.errors import TranslationError
from nmt.inference import Hypothesis, TranslateOptions, Translation, Translator
from nmt.inference.loading import load_pipeline
from tests.bundles import make_bundle, toy_sentences

TOLERANCE = 1e-4
"""Scores closer than this are a near-tie, where either order is right."""

SHORT = {"beam_size": 3, "max_length_factor": 0.8, "max_length_offset": 4}
"""A random network seldom ends by itself: shorter outputs cost less and say as much."""


def is_same(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> bool:
    """Same texts in the same order with like scores, near-ties apart."""
    if len(found) != len(expected):
        return False
    close = all(abs(a.score - b.score) <= TOLERANCE for a, b in zip(found, expected, strict=True))
    if [h.text for h in found] == [h.text for h in expected]:
        return close
    gaps = [a.score - b.score for a, b in pairwise(expected)]
    return close and min(gaps, default=1.0) < TOLERANCE


def is_same_text(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> bool:
    return found[0].text == expected[0].text


def mixed_texts(count: int, seed: int) -> list[str]:
    """Sentences, several sentences at once, and what people send besides."""
    rng = random.Random(seed)
    sentences = toy_sentences(count, seed)
    odd = ["", "   ", "!?", "x", "Ünïcode wörds", "42", "THE OLD DOG.", "a\tb", "word " * 40, "\U0001f600 dog"]
    return [
        rng.choice(odd) if rng.random() < 0.1 else " ".join(rng.sample(sentences, rng.choice((1, 1, 1, 2, 4))))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = make_bundle(tmp_path_factory.mktemp("invariance") / "toy", decoder_layers=2, search=SHORT)
    assert bundle.folder is not None
    return bundle.folder


@pytest.mark.parametrize(("precision", "count"), [("auto", 1000), ("fp32", 1000), ("bf16", 300)])
def test_a_translation_does_not_depend_on_its_batch_or_route(folder: Path, precision: str, count: int) -> None:
    """At int8 and fp32 none does; at bf16, where sums are rounded to 8 bits, one in a hundred may."""
    texts = mixed_texts(count, seed=5)
    options = TranslateOptions(n_best=2)
    with Translator.load(folder, device="cpu", precision=precision) as translator:
        batched = translator.translate(texts, options)
        rng = random.Random(6)
        alone = {
            index: translator.translate([texts[index]], options)[0] for index in rng.sample(range(count), count // 7)
        }
        shuffled = rng.sample(range(count), count)
        others = dict(zip(shuffled, translator.translate([texts[i] for i in shuffled], options), strict=True))
    with Translator.load(folder, device="cpu", precision=precision, workers=2) as translator:
        by_workers = translator.translate(texts, options)
    different = [
        texts[index]
        for results in (alone, others, dict(enumerate(by_workers)))
        for index, result in results.items()
        if not (is_same if precision != "bf16" else is_same_text)(result.alternatives, batched[index].alternatives)
    ]
    assert len(different) <= (0.01 * 2 * count if precision == "bf16" else 0), different


def test_texts_are_translated_at_all(folder: Path) -> None:
    """Guards the test above: outputs that are all alike would be invariant too."""
    with Translator.load(folder) as translator:
        results = translator.translate(toy_sentences(50))
    assert len({result.text for result in results}) > 15
    assert all(result.text for result in results)


def test_one_bad_text_does_not_fail_its_neighbours(folder: Path) -> None:
    with Translator.load(folder) as translator:
        good = translator.translate(["The dog sees the man here."])[0]
        first, bad, last = translator.results(["The dog sees the man here.", "\ud800", "The dog sees the man here."])
    assert isinstance(first, Translation)
    assert isinstance(bad, TranslationError)
    assert isinstance(last, Translation)
    assert first.text == last.text == good.text


def test_white_space_and_untranslatable_parts_are_kept(folder: Path) -> None:
    with Translator.load(folder) as translator:
        results = translator.translate(["", "  \n ", "...", "  The dog.\n\n\tThe man.  "])
    assert [result.text for result in results[:3]] == ["", "  \n ", "..."]
    text = results[3].text
    assert text.startswith("  ")
    assert text.endswith("  ")
    assert "\n\n\t" in text
    assert text.count("\n") == 2


def test_n_best_of_a_long_text_is_sorted_and_begins_with_its_answer(folder: Path) -> None:
    with Translator.load(folder) as translator:
        result = translator.translate([" ".join(toy_sentences(4))], TranslateOptions(n_best=5))[0]
    assert len(result.alternatives) == 5
    assert result.text == result.alternatives[0].text
    scores = [hypothesis.score for hypothesis in result.alternatives]
    assert scores == sorted(scores, reverse=True)
    assert len({hypothesis.text for hypothesis in result.alternatives}) == 5


def test_alignment_links_stay_inside_both_texts(folder: Path) -> None:
    texts = mixed_texts(60, seed=9)
    with Translator.load(folder) as translator:
        results = translator.translate(texts, TranslateOptions(alignments=True))
    assert any(result.alignment for result in results)
    for text, result in zip(texts, results, strict=True):
        for source, target in result.alignment:
            assert 0 <= source < len(text.split())
            assert 0 <= target < len(result.text.split())


def test_a_truncated_translation_says_so(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "toy", search={"max_length_factor": 0.1, "max_length_offset": 1})
    assert bundle.folder is not None
    pipeline = load_pipeline(bundle.folder, "cpu")
    results = pipeline.translate(toy_sentences(20), TranslateOptions())
    translations = [result for result in results if isinstance(result, Translation)]
    assert len(translations) == 20
    assert any("truncated" in result.flags for result in translations)
    assert all(result.target_tokens <= max(1, int(result.source_tokens * 0.1) + 1) for result in translations)


def test_raw_refuses_what_the_model_cannot_take_at_once(tmp_path: Path) -> None:
    make_bundle(tmp_path / "toy", search={"max_source_tokens": 8})
    pipeline = load_pipeline(tmp_path / "toy", "cpu")
    text = " ".join(toy_sentences(3))
    split, raw = (pipeline.translate([text], TranslateOptions(raw=raw))[0] for raw in (False, True))
    assert isinstance(split, Translation)
    assert "takes 8" in str(raw)
