"""Invariants 1 and 2 for what a search may be bound by: every runner obeys it as the plain search does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from nmt.bundle import Bundle
from nmt.inference import Diversity, Sampling
from nmt.inference.native_runner import NativeRunner
from nmt.inference.plain_runner import PlainRunner
from nmt.inference.runner import Found, SearchOptions, Sentence, left_to_plain
from nmt.inference.torch_runner import LANES, TorchRunner
from nmt.native.library import available
from nmt.shortlist import Shortlist
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import (
    CONSTRAINTS,
    CPU,
    RUNNERS,
    compare,
    constrained_options,
    mixed_options,
    reference,
    translate,
)

COUNT = 12
KINDS = {**{name: [name] for name in CONSTRAINTS}, "all": list(CONSTRAINTS)}
FORMS = ("plain", "shortlist and coverage")
REFUSED: dict[str, tuple[Any, str]] = {
    "sampling": (Sampling(), "sampling"),
    "diversity": (Diversity(2), "diverse beam search"),
}
"""Options that the plain runner alone knows, a value of each, and what they are called."""
SHAPE = {"beam_size", "n_best", "max_length", "with_attention", "min_length"}
"""Options of every search, which tests/inference/test_runners.py mixes."""
ENSEMBLE = {"readings"}
"""Options of a search with several models, which tests/inference/test_ensemble.py holds."""


@cache
def toy_bundle(form: str) -> Bundle:
    coverage = {"coverage_penalty": 0.2} if form != "plain" else {}
    with TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder) / "toy", search={"length_penalty": 0.8, **coverage})
    if form == "plain":
        return bundle
    rng = np.random.default_rng(5)
    V = bundle.config.tgt_vocab
    lists = [rng.choice(V, 4, replace=False).tolist() for _ in range(bundle.config.src_vocab)]
    return replace(bundle, shortlist=Shortlist.of_lists(lists, rng.choice(V, 40, replace=False).tolist(), V))


def encoded(bundle: Bundle) -> list[list[int]]:
    texts = [" ".join(toy_sentences(1 + i % 3, seed=i)) for i in range(COUNT)]
    return bundle.tokenizers.source.encode_batch(texts)


@cache
def free(form: str) -> list[list[Found]]:
    """What the plain search finds without constraints."""
    bundle = toy_bundle(form)
    return reference(bundle, list(zip(encoded(bundle), mixed_options(COUNT), strict=True)))


@cache
def bound(form: str, kind: str) -> tuple[list[Sentence], list[list[Found]]]:
    """Sentences bound by what they would say without, and what the plain search finds."""
    bundle = toy_bundle(form)
    said = [[token for h in found for token in h.tokens] for found in free(form)]
    options = constrained_options(KINDS[kind], said, seed=len(kind))
    sentences: list[Sentence] = list(zip(encoded(bundle), options, strict=True))
    return sentences, reference(bundle, sentences)


def obeys(tokens: Sequence[int], options: SearchOptions) -> bool:
    """Read off the sentence as a whole. What is broken inside the prefix alone was asked for."""
    size = len(options.prefix)
    n = options.no_repeat_ngram
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)] if n else []
    repeats = [i for i, gram in enumerate(grams) if gram in grams[:i] and i + n > size]
    forbidden = [
        i
        for phrase in options.forbidden
        for i in range(len(tokens) - len(phrase) + 1)
        if tuple(tokens[i : i + len(phrase)]) == phrase and i + len(phrase) > size
    ]
    return tuple(tokens[:size]) == options.prefix and not repeats and not forbidden


def test_every_option_of_a_search_is_mixed_or_a_constraint() -> None:
    """A new one must come into the tests of equality, or be refused by name."""
    assert {field.name for field in fields(SearchOptions)} == SHAPE | CONSTRAINTS.keys() | REFUSED.keys() | ENSEMBLE


@pytest.mark.parametrize("name", RUNNERS)
@pytest.mark.parametrize(("option", "value", "message"), [(key, *value) for key, value in REFUSED.items()])
def test_fast_runners_refuse_by_name_what_they_do_not_know(name: str, option: str, value: Any, message: str) -> None:
    options = replace(SearchOptions(2, 1, 9), **{option: value})
    assert left_to_plain(options) == message
    with pytest.raises(AssertionError, match=message):
        RUNNERS[name](toy_bundle("plain")).admit([([5, 6], options)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_the_plain_search_obeys_and_would_not_by_itself(form: str, kind: str) -> None:
    sentences, found = bound(form, kind)
    assert all(found)
    for (_, options), hypotheses in zip(sentences, found, strict=True):
        assert all(obeys(h.tokens, options) for h in hypotheses)
    broken = [
        any(not obeys(h.tokens, options) for h in before)
        for (_, options), before in zip(sentences, free(form), strict=True)
    ]
    assert sum(broken) > COUNT / 2


@pytest.mark.parametrize("runner", [*RUNNERS, "plain"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_runner_equals_the_reference_search(form: str, kind: str, runner: str) -> None:
    """While sentences come and go, with constraints and without."""
    sentences, expected = bound(form, kind)
    bundle = toy_bundle(form)
    made = PlainRunner(bundle, CPU) if runner == "plain" else RUNNERS[runner](bundle)
    assert compare(translate(made, sentences), expected) <= 1


@pytest.mark.skipif(not available(), reason="the native library was not built")
@pytest.mark.parametrize("form", FORMS)
def test_constraints_hold_at_int8_and_company_changes_nothing(form: str) -> None:
    sentences, _ = bound(form, "all")
    bundle = toy_bundle(form)
    together = translate(NativeRunner(bundle, "int8"), sentences, group=COUNT)
    for sentence, found in zip(sentences, together, strict=True):
        alone = translate(NativeRunner(bundle, "int8"), [sentence])[0]
        assert [(h.tokens, h.score) for h in found] == [(h.tokens, h.score) for h in alone]
        assert all(obeys(h.tokens, sentence[1]) for h in found)


def test_sentences_of_many_kinds_make_room_for_each_other() -> None:
    """More shapes of constraints than lanes are kept."""
    bundle = toy_bundle("plain")
    ids = encoded(bundle)[0]
    said = [token for h in free("plain")[0] for token in h.tokens]
    options = [SearchOptions(2, 2, 3 * i + 9, prefix=tuple((said * 9)[: 3 * i])) for i in range(2 * LANES)]
    sentences: list[Sentence] = [(ids, each) for each in options]
    runner = TorchRunner(bundle, CPU)
    assert compare(translate(runner, sentences, group=2), reference(bundle, sentences)) <= 1
    assert len(runner._lanes) <= LANES + 2
