"""Every recipe of a network trains or says why it makes no sense: pairs of choices, and copying and reversing learnt.

All pairs of choices that any valid recipe has are met by some thirty networks, greedily chosen.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import jaxtyping
import pytest
import torch

from nmt.config import ModelConfig, OptimizerConfig, parse_recipe
from nmt.errors import ConfigError
from nmt.model.attention import NONE, SCORES, SPANS
from nmt.model.cells import CELLS
from nmt.model.seq2seq import Seq2Seq, build
from nmt.search.greedy import greedy_search
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from nmt.training.batches import Batch, make_batch
from nmt.training.learner import Learner
from nmt.training.translation import TranslationLoss

CHOICES: dict[str, tuple[Any, ...]] = {
    "cell": tuple(CELLS),
    "bidirectional": (True, False),
    "direction": ("forward", "backward"),
    "encoder_layers": (1, 2),
    "decoder_layers": (1, 2),
    "attention": (*SCORES, NONE),
    "attention_span": SPANS,
    "input_feeding": (True, False),
    "residual": (False, True),
    "layer_norm": (False, True),
    "dropout_form": ("zaremba", "variational"),
    "bridge": ("zero", "copy", "linear"),
}
Recipe = tuple[Any, ...]
"""A value of each choice."""
COPY, REVERSE = 4, 5
"""The first word of a source says what to do with the others."""
WORDS = range(6, 14)
VOCAB = 14
LEAST_CORRECT = 90
"""Of 100 sentences. Who only copies has about 50, for words that read the same both ways are few."""


def model_of(recipe: Recipe) -> dict[str, Any]:
    return dict(zip(CHOICES, recipe, strict=True))


def refusal(recipe: Recipe) -> str | None:
    try:
        parse_recipe({"model": model_of(recipe)})
    except ConfigError as error:
        return str(error)
    return None


def pairs(recipe: Recipe) -> set[tuple[int, Any, int, Any]]:
    return {(i, recipe[i], j, recipe[j]) for i, j in itertools.combinations(range(len(recipe)), 2)}


def covering() -> tuple[list[Recipe], dict[tuple[int, Any, int, Any], list[str]]]:
    """Valid recipes that meet every pair of choices between them; and the pairs for which none was found, with what
    was said of each of the recipes that were tried."""
    rng = random.Random(1)
    missing = set().union(*(pairs(recipe) for recipe in _some(rng, {}, 2000)))
    chosen: list[Recipe] = []
    refused: dict[tuple[int, Any, int, Any], list[str]] = {}
    while missing:
        i, one, j, other = wanted = min(missing, key=repr)
        candidates = _some(rng, {i: one, j: other}, 60)
        valid = [recipe for recipe in candidates if refusal(recipe) is None]
        if valid:
            chosen.append(max(valid, key=lambda recipe: len(pairs(recipe) & missing)))
            missing -= pairs(chosen[-1])
        else:
            refused[wanted] = [str(refusal(recipe)) for recipe in candidates]
            missing.remove(wanted)
    return chosen, refused


def _some(rng: random.Random, fixed: dict[int, Any], count: int) -> list[Recipe]:
    values = list(CHOICES.values())
    return [tuple(fixed.get(i, rng.choice(options)) for i, options in enumerate(values)) for _ in range(count)]


NETWORKS, REFUSED = covering()


def task(count: int, rng: random.Random, kinds: tuple[int, ...] = (COPY, REVERSE)) -> tuple[list[Any], list[Any]]:
    """Sources and targets: 2 to 4 words to be copied or reversed."""
    words = [[rng.choice(WORDS) for _ in range(rng.randint(2, 4))] for _ in range(count)]
    asked = [rng.choice(kinds) for _ in words]
    targets = [text if kind == COPY else text[::-1] for kind, text in zip(asked, words, strict=True)]
    return [[kind, *text] for kind, text in zip(asked, words, strict=True)], targets


def learner(model: Seq2Seq, rate: float) -> Learner:
    config = OptimizerConfig(learning_rate=rate, betas=(0.9, 0.98))
    return Learner(model, TranslationLoss(model, 0.0), config, precision=torch.float32, seed=1)


def update(learning: Learner, number: int, batch: Batch, rate: float) -> float:
    """One update; the loss before it, in nats a token."""
    sums = learning.learn(number, [batch])
    squares = learning.combine(sums.tokens)
    learning.apply(rate, squares)
    return sums.nll / sums.tokens


def network(**choices: Any) -> Seq2Seq:
    torch.manual_seed(1)
    return build(ModelConfig(**choices), VOCAB, VOCAB)


def test_pairs_of_choices_without_a_network_are_refused_with_a_reason() -> None:
    assert 20 <= len(NETWORKS) <= 60
    names = list(CHOICES)
    senseless = {
        ("bidirectional", True, "direction", "backward"),
        ("attention", NONE, "attention_span", "local-m"),
        ("attention", NONE, "attention_span", "local-p"),
        ("attention", NONE, "bridge", "zero"),
    }
    assert {(names[i], one, names[j], other) for i, one, j, other in REFUSED} == senseless
    for reasons in REFUSED.values():
        assert all(reason and "\n" not in reason for reason in reasons)


@pytest.mark.parametrize(("number", "recipe"), list(enumerate(NETWORKS)), ids=lambda value: str(value)[:20])
def test_every_pair_of_choices_trains(number: int, recipe: Recipe) -> None:
    """The loss of a batch falls in a few updates, with dropout on the way. Every other network copies or reverses."""
    sizes = {"embedding_size": 16, "hidden_size": 16, "dropout": 0.1, "recurrent_dropout": 0.1 * (number % 2)}
    learning = learner(network(**sizes, **model_of(recipe)), 0.02)
    batch = make_batch(*task(16, random.Random(2), ((COPY, REVERSE)[number % 2],)))
    losses = [update(learning, step, batch, 0.02) for step in range(12)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_to_copy_and_to_reverse(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One network does both, to sentences that it has not seen."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checking shapes would take most of the time
    updates, rate, rng = 240, 0.02, random.Random(3)
    model = network(cell=cell, embedding_size=24, hidden_size=32, encoder_layers=1, dropout=0.0)
    learning = learner(model, rate)
    seen: set[tuple[int, ...]] = set()
    for number in range(updates):
        sources, targets = task(32, rng)
        seen.update(map(tuple, sources))
        update(
            learning, number, make_batch(sources, targets), rate * min(1, (number + 1) / 20) * (1 - number / updates)
        )
    unseen = [pair for pair in zip(*task(500, rng), strict=True) if tuple(pair[0]) not in seen][:100]
    assert len(unseen) == 100
    batch = make_batch([source for source, _ in unseen], [target for _, target in unseen])
    found = greedy_search(
        PlainStepper(model.eval()),
        batch.src,
        batch.src_lengths,
        max_length=torch.full((100,), 8),
        bos_id=BOS_ID,
        eos_id=EOS_ID,
    )
    assert sum(words == target for words, (_, target) in zip(found, unseen, strict=True)) >= LEAST_CORRECT
