"""Invariant 2: whatever runs a network finds what the plain search finds, for every form that a network can have."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from nmt.bundle import Bundle, weights_of
from nmt.config import ModelConfig, SearchConfig
from nmt.inference.native_runner import why_not
from nmt.inference.runner import Found, SearchOptions, Sentence
from nmt.inference.torch_runner import BUCKETS, LANES, TorchRunner, bucket, rung
from nmt.model.attention import SCORES, SPANS
from nmt.model.cells import CELLS
from nmt.model.decoder import WIRINGS, Decoder
from nmt.model.seq2seq import build
from nmt.shortlist import Shortlist
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import (
    CPU,
    RUNNERS,
    Factory,
    compare,
    mixed_options,
    reference,
    torch_runner,
    translate,
)

COUNT = 8
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no feeding, copied bridge": {"input_feeding": False, "encoder_layers": 2, "bridge": "copy", "tying": "none"},
    "deep, no bridge": {"bidirectional": False, "decoder_layers": 2, "bridge": "zero", "tying": "target"},
    "coverage": {"decoder_layers": 2, "coverage_penalty": 0.3},
    "shortlist": {"has_shortlist": True},
    "shortlist and coverage": {"has_shortlist": True, "coverage_penalty": 0.2, "encoder_layers": 2},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
    "backward": {"bidirectional": False, "direction": "backward", "encoder_layers": 2},
    "copying": {"copying": True, "tying": "none"},
    "reverse_source": {"bidirectional": False, "reverse_source": True, "encoder_layers": 2},
    "layer_norm": {"layer_norm": True, "decoder_layers": 2, "init_range": 0.2},
    "residual": {"residual": True, "encoder_layers": 3, "decoder_layers": 3},
    "gnmt": {"attention_wiring": "gnmt", "encoder_layers": 2, "decoder_layers": 3, "residual": True},
    "all": {
        "cell": "lstm_peephole",
        "peepholes": ("f", "o"),
        "layer_norm": True,
        "residual": True,
        "decoder_layers": 2,
        "init_range": 0.2,
    },
    "gru, normalised": {"cell": "gru", "layer_norm": True, "tying": "none", "input_feeding": False},
}
"""What else may be chosen, each on a network of its own."""
NETWORKS = [
    *(
        ("lstm", score, span, form)
        for i, score in enumerate(SCORES)
        for j, span in enumerate(SPANS)
        for form in (list(FORMS)[(i + j) % 6], list(FORMS)[(i + j + 3) % 6])
    ),
    *(
        (cell, score, SPANS[(i + k) % 3], list(FORMS)[(i + k) % 6])
        for k, cell in enumerate(sorted(CELLS.keys() - {"lstm"}))
        for i, score in enumerate(SCORES)
    ),
    *((choices.get("cell", "lstm"), "general", "global", option) for option, choices in OPTIONS.items()),
    *(("lstm", score, span, "reverse_source") for score, span in (("concat", "global"), ("dot", "local-m"))),
]
"""Every score and span together, each with two forms; every cell with each score, each span and most forms."""
SIZES: dict[str, Any] = {
    "embedding_size": 24,
    "hidden_size": 32,
    "encoder_layers": 1,
    "dropout": 0.0,
    "init_range": 0.4,
}


@cache
def toy_bundle() -> Bundle:
    with TemporaryDirectory() as folder:
        return make_bundle(Path(folder) / "toy")


@pytest.fixture
def toy() -> Bundle:
    return toy_bundle()


@cache
def network(cell: str, score: str, span: str, form: str) -> tuple[Bundle, list[Sentence]]:
    """A random network of a form, and sentences to search."""
    bundle = toy_bundle()
    choices = SIZES | {"cell": cell, "attention": score, "attention_span": span, "attention_window": 3}
    choices |= {"init_range": 0.2} if cell == "rnn" else {}  # larger ones make it chaotic: rounding grows by the step
    choices |= (FORMS | OPTIONS)[form]
    has_shortlist, coverage = choices.pop("has_shortlist", False), choices.pop("coverage_penalty", 0.0)
    model = ModelConfig(**choices)
    torch.manual_seed(len(score) + 10 * len(span) + 100 * len(form))
    weights = weights_of(build(model, bundle.config.src_vocab, bundle.config.tgt_vocab))
    search = SearchConfig(length_penalty=0.8, coverage_penalty=coverage)
    config = bundle.config.model_copy(update={"model": model, "search": search})
    texts = [" ".join(toy_sentences(1 + i % 3, seed=i)) for i in range(COUNT)]
    ids = [bundle.tokenizers.source.encode(text) for text in texts]
    sentences: list[Sentence] = list(zip(ids, mixed_options(COUNT), strict=True))
    lists = random_shortlist(config.src_vocab, config.tgt_vocab) if has_shortlist else None
    return replace(bundle, config=config, weights=weights, shortlist=lists), sentences


@cache
def expected(cell: str, score: str, span: str, form: str) -> list[list[Found]]:
    bundle, sentences = network(cell, score, span, form)
    return reference(bundle, sentences)


def random_shortlist(src_vocab: int, tgt_vocab: int) -> Shortlist:
    rng = np.random.default_rng(5)
    lists = [rng.choice(tgt_vocab, 4, replace=False).tolist() for _ in range(src_vocab)]
    return Shortlist.of_lists(lists, rng.choice(tgt_vocab, 20, replace=False).tolist(), tgt_vocab)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(("cell", "score", "span", "form"), NETWORKS)
def test_runner_equals_the_reference_search(cell: str, score: str, span: str, form: str, runner: str) -> None:
    """Mixed beams, n-best lists, limits and attention, while sentences come and go."""
    bundle, sentences = network(cell, score, span, form)
    if runner == "native" and (reason := why_not(bundle, "fp32")):
        assert any(name in reason for name in (cell, form, *OPTIONS.get(form, {})))
        assert (cell, form) not in {("lstm", form) for form in FORMS}
        return
    found = translate(RUNNERS[runner](bundle), sentences)
    assert compare(found, expected(cell, score, span, form)) <= 1


def test_the_fused_step_knows_every_registered_form_but_refuses_a_stranger_by_name(
    toy: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TorchRunner(toy, CPU).refused is None
    assert TorchRunner(toy, CPU, is_fused=False).refused is not None

    class Stranger(Decoder):
        pass

    monkeypatch.setitem(WIRINGS, "luong", Stranger)
    runner = TorchRunner(toy, CPU)
    assert runner.refused == "decoder Stranger"
    sentences = [(toy.tokenizers.source.encode(text), SearchOptions(2, 1, 9)) for text in toy_sentences(3)]
    assert compare(translate(runner, sentences), reference(toy, sentences)) == 0


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_half_precision_keeps_scores_near(cell: str, is_fused: bool) -> None:
    """Weights of 8 bits; a random network's search may take another path, most of its scores hardly move."""
    bundle, _ = network(cell, "general", "global", "plain")
    sentences = [(bundle.tokenizers.source.encode(text), SearchOptions(4, 1, 12)) for text in toy_sentences(20)]
    exact = translate(torch_runner(bundle), sentences)
    half = translate(TorchRunner(bundle, CPU, "bf16", is_fused=is_fused), sentences)
    gaps = [abs(a[0].score - b[0].score) for a, b in zip(exact, half, strict=True)]
    assert 0 < sorted(gaps)[10] < 0.03


@pytest.mark.parametrize("factory", RUNNERS.values(), ids=RUNNERS)
def test_dropping_a_sentence_disturbs_no_other(toy: Bundle, factory: Factory) -> None:
    runner = factory(toy)
    options = SearchOptions(3, 2, 12)
    sentences = [(toy.tokenizers.source.encode(text), options) for text in toy_sentences(9)]
    running = dict(zip(runner.admit(sentences), range(9), strict=True))
    runner.step(2)
    for slot in [slot for slot, index in running.items() if index in (0, 4, 8)]:
        runner.drop(slot)
        del running[slot]
    running.update(zip(runner.admit(sentences[:3]), (9, 10, 11), strict=True))
    found: dict[int, list[Found]] = {}
    while running:
        for slot in runner.step():
            found[running.pop(slot)] = runner.take(slot)
    kept = sorted(found)
    assert kept == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    asked = sentences + sentences[:3]
    assert compare([found[i] for i in kept], reference(toy, [asked[i] for i in kept])) == 0


def test_a_finished_sentence_may_be_dropped_or_waits_for_its_caller(toy: Bundle) -> None:
    runner = TorchRunner(toy, CPU)
    ids = toy.tokenizers.source.encode(toy_sentences(1)[0])
    short, long = runner.admit([(ids, SearchOptions(2, 1, 2)), (ids, SearchOptions(2, 1, 30, min_length=29))])
    while not (finished := runner.step()):
        pass
    assert finished == [short]
    assert runner.step() == [short], "it still waits"
    runner.drop(short)
    while not (finished := runner.step(4)):
        pass
    assert finished == [long]
    assert len(runner.take(long)[0].tokens) == 29
    assert runner.step() == []


def test_lanes_of_many_kinds_make_room_for_each_other(toy: Bundle) -> None:
    """More kinds than are kept, long and short sources, few rows and many."""
    ids = toy.tokenizers.source.encode(" ".join(toy_sentences(30)))
    sentences = [(ids[: 7 * i], SearchOptions(1 + i % 6, 1, 8)) for i in range(1, 2 * LANES)]
    runner = TorchRunner(toy, CPU)
    found = translate(runner, sentences, group=2)
    assert compare(found, reference(toy, sentences)) <= 1
    assert len(runner._lanes) <= LANES + 2


@pytest.mark.parametrize("factory", RUNNERS.values(), ids=RUNNERS)
def test_longer_sentences_join_shorter_ones(toy: Bundle, factory: Factory) -> None:
    """Their histories outgrow what was there when the others began, and these lose nothing of theirs."""
    ids = [toy.tokenizers.source.encode(text) for text in toy_sentences(6)]
    lengths = (9, 12, 40, 20, 91, 34)
    sentences = [
        (i, SearchOptions(3, 3, length, with_attention=True, min_length=length - 1))
        for i, length in zip(ids, lengths, strict=True)
    ]
    found = translate(factory(toy), sentences, group=1)
    assert compare(found, reference(toy, sentences)) <= 1


@pytest.mark.parametrize("places", range(1, 70))
def test_rungs_hold_what_they_are_for_and_waste_at_most_a_third(places: int) -> None:
    assert places <= rung(places) <= max(places * 1.5, 2)
    assert rung(rung(places)) == rung(places)


def test_buckets_hold_what_they_are_for() -> None:
    for length in range(1, 1100):
        assert bucket(length) >= length
        assert bucket(length) in BUCKETS or bucket(length) % BUCKETS[-1] == 0
    assert bucket(16) == 16
    assert bucket(257) == 512
