"""Minimum risk training: its equation and gradient, what it judges, and that translations become better by it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import jaxtyping
import numpy as np
import pytest
import torch

from nmt.bundle import load_bundle
from nmt.config import load_recipe
from nmt.text.tokenizer import TokenizerPair
from nmt.training import trainer
from nmt.training.batches import Batch, make_batch
from nmt.training.risk import RiskLoss, expected_risk, sentence_metric
from tests import oracles
from tests.bundles import make_bundle
from tests.corpora import toy_pair, write_toy_corpus


@pytest.mark.parametrize("alpha", [0.005, 1.0, 3.0])
def test_the_risk_and_its_gradient_are_those_of_the_paper(alpha: float) -> None:
    rng = np.random.default_rng(1)
    sizes = (3, 1, 5)
    log_probs, risks = rng.uniform(-30, -1, (3, 5)), rng.uniform(0, 1, (3, 5))
    mask = torch.tensor([[c < size for c in range(5)] for size in sizes])
    leaf = torch.tensor(log_probs, requires_grad=True)
    found = expected_risk(leaf, torch.tensor(risks), mask, alpha)
    found.backward()
    assert leaf.grad is not None
    total = 0.0
    for row, size in enumerate(sizes):
        risk, gradient = oracles.expected_risk(log_probs[row, :size].tolist(), risks[row, :size].tolist(), alpha)
        total += risk
        np.testing.assert_allclose(leaf.grad[row, :size], gradient, rtol=1e-9, atol=1e-12)
        assert not leaf.grad[row, size:].any()
    assert float(found.detach()) == pytest.approx(total, rel=1e-12)


def test_scores_are_from_nothing_to_one() -> None:
    for name in ("bleu", "chrf"):
        score = sentence_metric(cast(Any, name))
        assert score("Der alte Hund sieht.", "Der alte Hund sieht.") == pytest.approx(1.0)
        assert 0.1 < score("Der alte Hund hört.", "Der alte Hund sieht.") < 0.9
        assert score("", "Der alte Hund sieht.") == pytest.approx(0.0)


def loss_of(bundle: Any, alpha: float = 0.5, samples: int = 6) -> RiskLoss:
    model = bundle.build_model().train().requires_grad_(True)
    return RiskLoss(
        model,
        bundle.tokenizers,
        samples=samples,
        alpha=alpha,
        metric="chrf",
        max_length_factor=1.0,
        max_length_offset=3,
    )


def pairs(tokenizers: TokenizerPair, count: int = 4) -> Batch:
    rng = random.Random(3)
    sources, targets = zip(*(toy_pair(rng) for _ in range(count)), strict=True)
    return make_batch(tokenizers.source.encode_batch(sources), tokenizers.target.encode_batch(targets))


@pytest.mark.parametrize("attention", ["general", "concat"])
def test_probabilities_are_those_of_single_steps(tmp_path: Path, attention: str) -> None:
    """With both training passes, the written-out one and the network's own."""
    bundle = make_bundle(tmp_path / "bundle", attention=attention)
    batch, loss = pairs(bundle.tokenizers), loss_of(bundle)
    lists = loss.candidates(batch)
    assert all(len(set(own)) == len(own) > 2 for own in lists)
    found = loss.log_probs(batch, lists)
    expected = []
    with torch.no_grad():
        model = bundle.build_model()
        for row, own in enumerate(lists):
            length = int(batch.src_lengths[row])
            for tokens in own:
                memory, state = model.encode(batch.src[row : row + 1, :length], batch.src_lengths[row : row + 1])
                total, prev = 0.0, 1
                for token in (*tokens, 2):
                    logits, state, _ = model.step(torch.tensor([prev]), state, memory)
                    total += float(logits.log_softmax(dim=-1)[0, token])
                    prev = token
                expected.append(total)
    torch.testing.assert_close(found.detach(), torch.tensor(expected), rtol=1e-4, atol=1e-3)


def test_candidates_are_the_reference_and_what_the_seed_draws(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", dropout=0.5)
    batch, loss = pairs(bundle.tokenizers), loss_of(bundle)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(loss.candidates(batch))
    assert drawn[0] == drawn[1] != drawn[2]
    references = [tuple(row[: row.index(2)]) for row in batch.tgt_out.tolist()]
    assert [own[0] for own in drawn[0]] == references
    forbidden = bundle.tokenizers.target.forbidden_ids
    for own, length in zip(drawn[0], batch.src_lengths.tolist(), strict=True):
        assert all(1 <= len(tokens) < length + 3 and not forbidden & set(tokens) for tokens in own[1:])
    assert loss._model.training


def test_the_loss_is_the_risk_over_all_candidates(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    batch, loss = pairs(bundle.tokenizers), loss_of(bundle)
    torch.manual_seed(4)
    found = loss(batch)
    torch.manual_seed(4)
    lists = loss.candidates(batch)
    log_probs, decode = loss.log_probs(batch, lists).tolist(), bundle.tokenizers.target.decode
    score = sentence_metric("chrf")
    expected = nll = 0.0
    for own in lists:
        mine, log_probs = log_probs[: len(own)], log_probs[len(own) :]
        risks = [1 - score(decode(tokens), decode(own[0])) for tokens in own]
        expected += oracles.expected_risk(mine, risks, 0.5)[0]
        nll -= mine[0]
    assert float(found.smoothed.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(found.nll) == pytest.approx(nll, rel=1e-4)


def test_translations_become_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-learnt translator of the toy language, refined: the expected score of its translations rises."""
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checking shapes would take most of the time
    corpus = [str(path) for path in write_toy_corpus(tmp_path, 300)]
    common = [
        f'data.train=[["{corpus[0]}", "{corpus[1]}"]]',
        "model.embedding_size=24",
        "model.hidden_size=32",
        "model.encoder_layers=1",
        "model.dropout=0",
        "training.precision=fp32",
        "training.workers=1",
        "training.sample_translations=0",
        "optimizer.schedule=constant",
        "optimizer.warmup_updates=0",
    ]
    base = ["text.kind=word", "text.vocab_size=60", "optimizer.learning_rate=0.01", "training.updates=80"]
    first = trainer.train(
        load_recipe(None, [*common, *base, "training.batch_tokens=500", f'output="{tmp_path / "base"}"']),
        storage="float32",
        tensorboard=False,
    )
    refined = [
        f'training.init="{first.bundle}"',
        "training.criterion=mrt",
        "training.mrt_alpha=0.3",
        "training.mrt_samples=8",
        "training.mrt_metric=chrf",
        "training.batch_tokens=200",
        "training.updates=40",
        "optimizer.learning_rate=0.003",
    ]
    second = trainer.train(
        load_recipe(None, [*common, *refined, f'output="{tmp_path / "refined"}"']), storage="float32", tensorboard=False
    )
    scores = []
    score = sentence_metric("chrf")
    for outcome in (first, second):
        assert outcome.bundle is not None
        bundle = load_bundle(outcome.bundle)
        loss = loss_of(bundle, samples=8)
        batch = pairs(bundle.tokenizers, count=40)
        torch.manual_seed(1)
        texts = [[bundle.tokenizers.target.decode(tokens) for tokens in own] for own in loss.candidates(batch)]
        scores.append(float(np.mean([score(text, own[0]) for own in texts for text in own[1:]])))
    assert scores[1] > scores[0] + 0.06
