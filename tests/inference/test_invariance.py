"""Invariants 1 and 2: a translation depends on its text alone, and the engine finds what the reference search finds."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.bundle import Bundle
from nmt.errors import TranslationError
from nmt.inference import Hypothesis, TranslateOptions, Translation, Translator
from nmt.inference.pipeline import Pipeline
from nmt.inference.torch_runner import Runner, SearchOptions
from nmt.model.attention import SCORES, SPANS
from nmt.search.beam import Hypothesis as Ids
from nmt.search.beam import beam_search
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle, toy_sentences

TOLERANCE = 1e-4
"""Scores closer than this are a near-tie, where either order is right."""

CPU = torch.device("cpu")

SHORT = {"beam_size": 3, "max_length_factor": 0.8, "max_length_offset": 4}
"""A random network seldom ends by itself: shorter outputs cost less and say as much."""


def is_same(found: list[Hypothesis], expected: list[Hypothesis]) -> bool:
    """Same texts in the same order with like scores, near-ties apart."""
    if len(found) != len(expected):
        return False
    close = all(abs(a.score - b.score) <= TOLERANCE for a, b in zip(found, expected, strict=True))
    if [h.text for h in found] == [h.text for h in expected]:
        return close
    gaps = [a.score - b.score for a, b in pairwise(expected)]
    return close and min(gaps, default=1.0) < TOLERANCE


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


def test_a_translation_does_not_depend_on_its_batch_or_route(folder: Path) -> None:
    texts = mixed_texts(1000, seed=5)
    options = TranslateOptions(n_best=2)
    with Translator.load(folder) as translator:
        batched = translator.translate(texts, options)
        rng = random.Random(6)
        alone = {index: translator.translate([texts[index]], options)[0] for index in rng.sample(range(1000), 150)}
        shuffled = rng.sample(range(1000), 1000)
        others = dict(zip(shuffled, translator.translate([texts[i] for i in shuffled], options), strict=True))
    with Translator.load(folder, workers=2) as translator:
        by_workers = translator.translate(texts, options)
    different = [
        texts[index]
        for results in (alone, others, dict(enumerate(by_workers)))
        for index, result in results.items()
        if not is_same(list(result.alternatives), list(batched[index].alternatives))
    ]
    assert different == []


def test_texts_are_translated_at_all(folder: Path) -> None:
    """Guards the test above: outputs that are all alike would be invariant too."""
    with Translator.load(folder) as translator:
        results = translator.translate(toy_sentences(50))
    assert len({result.text for result in results}) > 20
    assert all(result.text for result in results)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("model", "coverage"),
    [
        ({}, 0.0),
        ({"input_feeding": False, "encoder_layers": 2, "bridge": "copy", "tying": "none"}, 0.0),
        ({"bidirectional": False, "decoder_layers": 2, "bridge": "zero", "tying": "target"}, 0.3),
    ],
    ids=["plain", "no-feeding", "deep"],
)
def test_engine_equals_the_reference_search(
    tmp_path: Path, score: str, span: str, model: dict[str, Any], coverage: float
) -> None:
    search = SHORT | {"length_penalty": 0.8, "coverage_penalty": coverage}
    bundle = make_bundle(
        tmp_path / "toy", seed=3, attention=score, attention_span=span, attention_window=3, search=search, **model
    )
    sentences = [bundle.tokenizers.source.encode(text) for text in toy_sentences(12)]
    options = SearchOptions(beam_size=3, n_best=3, max_length_factor=0.8, with_attention=True)
    found = Runner(bundle, CPU).run(sentences, options)
    for ids, hypotheses in zip(sentences, found, strict=True):
        expected = reference(bundle, ids, options)
        assert is_same(as_text(bundle, hypotheses), as_text(bundle, expected))
        assert hypotheses[0].attention is not None
        assert expected[0].attention is not None
        if hypotheses[0].tokens == expected[0].tokens:
            torch.testing.assert_close(hypotheses[0].attention, expected[0].attention, atol=1e-5, rtol=1e-4)


def reference(bundle: Bundle, ids: list[int], options: SearchOptions) -> list[Ids]:
    """One sentence, unpadded, by the plain search."""
    search = bundle.config.search
    target = bundle.tokenizers.target
    allowed = torch.tensor([i not in target.forbidden_ids for i in range(target.size)])
    return beam_search(
        PlainStepper(bundle.build_model(), allowed),
        torch.tensor([[*ids, EOS_ID]]),
        torch.tensor([len(ids) + 1]),
        size=options.beam_size,
        max_length=torch.tensor([int(len(ids) * options.max_length_factor) + search.max_length_offset + 1]),
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        scoring=Scoring(search.length_penalty, search.coverage_penalty),
        with_attention=True,
        n_best=options.n_best,
        min_length=1,
    )[0]


def as_text(bundle: Bundle, hypotheses: list[Ids]) -> list[Hypothesis]:
    pieces = bundle.tokenizers.target.pieces
    return [Hypothesis(" ".join(pieces(h.tokens)), h.score) for h in hypotheses]


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
    pipeline = Pipeline(bundle, CPU)
    results = pipeline.translate(toy_sentences(20), TranslateOptions())
    translations = [result for result in results if isinstance(result, Translation)]
    assert len(translations) == 20
    assert any("truncated" in result.flags for result in translations)
    assert all(result.target_tokens <= max(1, int(result.source_tokens * 0.1) + 1) for result in translations)


def test_raw_refuses_what_the_model_cannot_take_at_once(tmp_path: Path) -> None:
    pipeline = Pipeline(make_bundle(tmp_path / "toy", search={"max_source_tokens": 8}), CPU)
    text = " ".join(toy_sentences(3))
    split, raw = (pipeline.translate([text], TranslateOptions(raw=raw))[0] for raw in (False, True))
    assert isinstance(split, Translation)
    assert "takes 8" in str(raw)
