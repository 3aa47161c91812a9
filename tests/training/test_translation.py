"""The loss of a translator: what of a batch is compared with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import parse_recipe
from nmt.errors import ConfigError
from nmt.native import training as native
from nmt.training import fused
from nmt.training.batches import Batch, make_batch
from nmt.training.translation import Translation, TranslationLoss
from nmt.training.vocabulary import tag_ids
from tests import oracles
from tests.bundles import make_bundle
from tests.corpora import write_toy_corpus
from tests.model.networks import tiny

SOURCES = [[5, 6, 7], [8], [9, 4, 5, 6, 7]]
TARGETS = [[9, 5], [6, 7, 8, 4], [5]]
WAYS: dict[str, dict[str, Any]] = {
    "written out": {},
    "general": {"attention": "concat"},
    "one mask a sequence": {"attention": "concat", "dropout_form": "variational"},
}


def batch() -> Batch:
    return make_batch(SOURCES, TARGETS)


@pytest.mark.parametrize("way", WAYS)
def test_rdrop_compares_two_passes_over_each_token(way: str) -> None:
    """Sentence by sentence and step by step, from the vectors of the doubled batch under the same random state."""
    if way == "written out" and native.load() is None:
        pytest.skip("the kernels are not compiled")
    model = tiny(dtype=torch.float32, dropout=0.4, **WAYS[way]).train()
    is_fused = fused.refused(model) is None
    assert is_fused == (way == "written out")
    torch.manual_seed(9)
    found = TranslationLoss(model, 0.1, rdrop=3.0)(batch())

    torch.manual_seed(9)
    doubled = make_batch(SOURCES * 2, TARGETS * 2)
    with torch.no_grad():
        if is_fused:
            vectors = fused.forward(model, doubled.src, doubled.src_lengths, doubled.tgt_in).transpose(0, 1)
        else:
            vectors, _ = model(doubled.src, doubled.src_lengths, doubled.tgt_in)
        logits = model.output(vectors).double().numpy()
    expected = 0.0
    for row, ids in enumerate(TARGETS):
        first, second = logits[row, : len(ids) + 1], logits[row + len(TARGETS), : len(ids) + 1]
        assert abs(first - second).max() > 0.01
        expected += oracles.rdrop(first, second, [*ids, 2], 0.1, 3.0)
    assert float(found.smoothed.detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_without_dropout_rdrop_is_the_plain_loss(way: str) -> None:
    """And its gradient is that of the plain loss, so that a token weighs the same with it and without."""
    model = tiny(dtype=torch.float32, **WAYS[way]).train()
    gradients = []
    for rdrop in (0.0, 2.0):
        loss = TranslationLoss(model, 0.1, rdrop)(batch())
        model.zero_grad()
        loss.smoothed.backward()
        gradients.append((loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}))
    (plain, expected), (twice, found) = gradients
    assert float(twice.smoothed.detach()) == pytest.approx(float(plain.smoothed.detach()), rel=1e-5)
    assert float(twice.nll) == pytest.approx(float(plain.nll), rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_the_gradient_of_rdrop_reaches_the_weights_through_both_passes() -> None:
    """Against autograd over the same vectors, output layer and divergence included."""
    model = tiny(dtype=torch.float64, dropout=0.4).train()
    torch.manual_seed(9)
    TranslationLoss(model, 0.1, rdrop=3.0)(batch()).smoothed.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    torch.manual_seed(9)
    doubled = batch().twice()
    vectors, _ = model(doubled.src, doubled.src_lengths, doubled.tgt_in)
    log_probs = model.output(vectors).log_softmax(dim=-1)
    real = doubled.tgt_out != 0
    chosen = log_probs.gather(2, doubled.tgt_out.unsqueeze(2)).squeeze(2)
    cross_entropy = -(0.9 * chosen + 0.1 * log_probs.mean(dim=-1))[real].sum() / 2
    one, two = log_probs.chunk(2)
    divergence = ((one.exp() - two.exp()) * (one - two)).sum(dim=-1)[real[: len(TARGETS)]].sum()
    (cross_entropy + 3.0 / 4 * divergence).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-11, msg=name)


def test_a_tag_is_a_piece_that_no_text_has(tmp_path: Path) -> None:
    """It stands before the sources of its corpus, is never written, and nothing that people write is cut into it."""
    genuine, synthetic = (write_toy_corpus(tmp_path, 60, seed=seed, stem=f"c{seed}") for seed in (1, 2))
    corpora = [[str(path) for path in paths] for paths in (genuine, synthetic)]
    text = {"vocab_size": 330, "sampling": 0.2}
    recipe = parse_recipe(
        {"data": {"train": corpora, "tags": ["", "<bt>"]}, "text": text, "training": {"batch_tokens": 500}}
    )
    task = Translation(recipe)
    corpus = task.prepare(tmp_path / "data")
    tokenizers = task.learn_vocabulary(corpus)
    (tag,) = tag_ids(tokenizers.source, recipe.data.tags).values()
    assert tokenizers.source.pieces([tag]) == ["<bt>"]
    assert tag in tokenizers.target.forbidden_ids
    assert tag not in tokenizers.source.encode("<bt> The dog.")
    assert tokenizers.target.decode([tag, *tokenizers.target.encode("Der Hund.")]) == "Der Hund."

    stream = task.stream(corpus, tokenizers, task.measure(corpus, tokenizers), (0, 1))
    batches = list(stream.epoch(0))
    rows = [row for batch in batches for row in batch.src.tolist()]
    assert sum(row[0] == tag for row in rows) == corpus.corpora[1]
    assert not any(tag in row[1:] for row in rows)
    assert not any(tag in row for batch in batches for row in batch.tgt_out.tolist())


def test_a_vocabulary_without_the_tag_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    corpus = [str(path) for path in write_toy_corpus(tmp_path, 60)]
    settings = {"data": {"train": [corpus], "tags": ["<bt>"]}, "text": {"vocabulary": str(tmp_path / "bundle")}}
    task = Translation(parse_recipe(settings))
    with pytest.raises(ConfigError, match=r"data\.tags: the vocabulary has no <bt>"):
        task.learn_vocabulary(task.prepare(tmp_path / "data"))


def test_a_vocabulary_sees_the_noise_that_training_will(tmp_path: Path) -> None:
    corpus = [str(path) for path in write_toy_corpus(tmp_path, 200)]
    lengths = []
    for upper in (0.0, 0.5):
        data = {"train": [corpus], "noise": {"upper": upper}}
        task = Translation(parse_recipe({"data": data, "text": {"vocab_size": 400}}))
        prepared = task.prepare(tmp_path / f"data{upper}")
        tokenizers = task.learn_vocabulary(prepared)
        lengths.append(len(tokenizers.source.encode("THE OLD DOG SEES THE TREE TODAY.")))
    assert lengths[1] < 0.75 * lengths[0]
