"""What `TorchRunner` does for a GPU's sake, on CPUs: looking late, moving many at once, tracing back in arrays."""

from __future__ import annotations

from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nmt.inference import torch_runner
from nmt.inference.runner import SearchOptions, Sentence
from nmt.inference.torch_runner import TorchRunner, padded, trace_back
from nmt.inference.torch_step import map_tensors, search_step
from nmt.model.attention import SCORES, SPANS
from nmt.model.cells import CELLS
from nmt.text.tokenizer import EOS_ID, PAD_ID
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import CPU, mixed_options, reference, translate
from tests.inference.test_runners import FORMS, OPTIONS, network


def test_padding_is_that_of_lists() -> None:
    sentences = [[7, 8, 9], [], [4]]
    assert padded(sentences, 5).tolist() == [[*ids, EOS_ID, *[PAD_ID] * (4 - len(ids))] for ids in sentences]


def test_tracing_back_in_arrays_is_tracing_back_one_by_one() -> None:
    rng = np.random.default_rng(3)
    n, T, K, R = 5, 7, 3, 2
    tokens, parents = rng.integers(0, 99, (n, T, K)), rng.integers(0, K, (n, T, K))
    last, parent = rng.integers(0, T, (n, R)), rng.integers(0, K, (n, R))
    last[0, 0] = T - 1
    words, path = trace_back(tokens, parents, last, parent)
    for i in range(n):
        for k in range(R):
            place, end = parent[i, k], last[i, k]
            assert path[i, k, end] == place
            for step in range(end - 1, -1, -1):
                assert words[i, k, step] == tokens[i, step, place]
                place = parents[i, step, place]
                assert path[i, k, step] == place


@pytest.mark.parametrize(("look_every", "looks_late"), [(1, True), (2, True), (3, False), (4, True)])
def test_a_full_gpu_looks_seldom_and_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_every: int, looks_late: bool
) -> None:
    """Sentences that ended some steps ago stay as they were, many leave at once, and some are dropped meanwhile."""
    bundle = make_bundle(tmp_path / "toy", search={"coverage_penalty": 0.2})
    encoded = bundle.tokenizers.source.encode_batch(toy_sentences(30))
    sentences: list[Sentence] = list(zip(encoded, mixed_options(30), strict=True))
    monkeypatch.setattr(torch_runner, "MANY_ROWS", 0)
    runner = TorchRunner(bundle, CPU, as_on_gpu=True, look_every=look_every, looks_late=looks_late)
    found = translate(runner, sentences, group=11)
    wanted = reference(bundle, sentences)
    assert [[h.tokens for h in one] for one in found] == [[h.tokens for h in one] for one in wanted]

    first, second, third = runner.admit([(encoded[0], SearchOptions(2, 1, 2))] * 3)
    steps = 1
    while not runner.step():
        steps += 1
    assert steps == (-(-2 // look_every) + looks_late) * look_every
    runner.drop(second)
    assert runner.step() == [first, third]
    assert runner.take(first) == runner.take(third)


def test_what_is_dropped_after_a_look_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path / "toy")
    ids = bundle.tokenizers.source.encode(toy_sentences(1)[0])
    monkeypatch.setattr(torch_runner, "MANY_ROWS", 0)
    runner = TorchRunner(bundle, CPU, as_on_gpu=True, look_every=1)
    first, second = runner.admit([(ids, SearchOptions(2, 1, 2))] * 2)
    assert runner.step(2) == []
    runner.drop(first)
    (third,) = runner.admit([(ids, SearchOptions(2, 1, 9, min_length=8))])
    assert runner.step() == [second]
    runner.take(second)
    while not (finished := runner.step()):
        pass
    assert finished == [third]
    assert len(runner.take(third)[0].tokens) == 8


def without_values(thing: Any) -> Any:
    """The same with tensors that have shapes and no values: a step that asks for one, or for the CPU, fails."""
    if isinstance(thing, nn.Module):
        return thing.to("meta")
    return thing.to("meta") if isinstance(thing, Tensor) else thing


STEPS = [
    *zip(repeat("lstm"), cycle(SCORES), cycle(SPANS), FORMS),
    *zip(sorted(CELLS.keys() - {"lstm"}), cycle(SCORES), cycle(SPANS), FORMS),
    *(("lstm", "general", "global", option) for option in OPTIONS),
]
"""Cell, score, span and form."""


@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize(("cell", "score", "span", "form"), STEPS)
def test_a_step_asks_for_no_value_and_stays_on_its_device(
    cell: str, score: str, span: str, form: str, is_fused: bool
) -> None:
    """What a CUDA graph cannot capture: a shape or a branch that depends on a value, a copy from the host."""
    bundle, _ = network(cell, score, span, form)
    runner = TorchRunner(bundle, CPU, as_on_gpu=True, is_fused=is_fused)
    ids = bundle.tokenizers.source.encode_batch(toy_sentences(3))
    runner.admit([(i, SearchOptions(3, 2, 9, with_attention=True)) for i in ids])
    (lane,) = runner._lanes.values()
    view, rules = lane._view(0, 3), runner._rules
    model: Any = without_values(runner._model)
    for name, value in vars(model).items():
        if not name.startswith("_modules"):
            setattr(model, name, without_values(value))
    shapes = map_tensors(lambda part: tuple(part.shape), view)
    view = map_tensors(without_values, view)
    with torch.no_grad():
        search_step(model, view, rules._replace(forbidden=without_values(rules.forbidden)))
    assert map_tensors(lambda part: tuple(part.shape), view) == shapes
