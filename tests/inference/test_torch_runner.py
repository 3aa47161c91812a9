"""What `TorchRunner` does for a GPU's sake, on CPUs: looking late, moving many at once, tracing back in arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt.inference import torch_runner
from nmt.inference.runner import SearchOptions, Sentence
from nmt.inference.torch_runner import TorchRunner, padded, trace_back
from nmt.text.tokenizer import EOS_ID, PAD_ID
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import CPU, mixed_options, reference, translate


def test_padding_is_that_of_lists() -> None:
    sentences = [[7, 8, 9], [], [4]]
    assert padded(sentences, 5).tolist() == [[*ids, EOS_ID, *[PAD_ID] * (4 - len(ids))] for ids in sentences]


def test_tracing_back_in_arrays_is_tracing_back_one_by_one() -> None:
    rng = np.random.default_rng(3)
    n, T, K = 5, 7, 3
    tokens, parents = rng.integers(0, 99, (n, T, K)), rng.integers(0, K, (n, T, K))
    last, parent = rng.integers(0, T, (n, K)), rng.integers(0, K, (n, K))
    last[0, 0] = T - 1
    words, path = trace_back(tokens, parents, last, parent)
    for i in range(n):
        for k in range(K):
            place, end = parent[i, k], last[i, k]
            assert path[i, k, end] == place
            for step in range(end - 1, -1, -1):
                assert words[i, k, step] == tokens[i, step, place]
                place = parents[i, step, place]
                assert path[i, k, step] == place


def test_a_full_gpu_looks_seldom_and_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences that ended some steps ago stay as they were, and many leave at once."""
    bundle = make_bundle(tmp_path / "toy", search={"coverage_penalty": 0.2})
    encoded = bundle.tokenizers.source.encode_batch(toy_sentences(30))
    sentences: list[Sentence] = list(zip(encoded, mixed_options(30), strict=True))
    monkeypatch.setattr(torch_runner, "MANY_ROWS", 0)
    runner = TorchRunner(bundle, CPU, as_on_gpu=True)
    found = translate(runner, sentences, group=11)
    wanted = reference(bundle, sentences)
    assert [[h.tokens for h in one] for one in found] == [[h.tokens for h in one] for one in wanted]
    slots = runner.admit([(encoded[0], SearchOptions(2, 1, 2))] * 3)
    assert runner.step(2) == []
    assert runner.step(2) == slots
