"""Taggers and classifiers against their equations in NumPy, and what must not change what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from nmt.config import parse_recipe
from nmt.model.labeller import Labeller, build_labeller

VOCAB, LABELS = 9, 5
IDS = torch.tensor([[3, 8, 4, 4, 7], [6, 2, 0, 0, 0], [5, 1, 7, 0, 0]])
LENGTHS = torch.tensor([5, 2, 3])
Array = npt.NDArray[np.float64]


def tiny(*, is_by_word: bool, **choices: Any) -> Labeller:
    settings = {"cell": "rnn", "embedding_size": 4, "hidden_size": 6, "encoder_layers": 2, "dropout": 0.0}
    recipe = parse_recipe({"task": "tagging" if is_by_word else "classification", "model": settings | choices})
    torch.manual_seed(2)
    model = build_labeller(recipe.model, VOCAB, LABELS, is_by_word=is_by_word).double()
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return model.eval()


def logits(model: Labeller, ids: Tensor, lengths: Tensor) -> Tensor:
    found: Tensor = model.output(model(ids, lengths))
    return found.detach()


def by_hand(model: Labeller, ids: list[int]) -> tuple[Array, Array]:
    """What a tagger says of each word, and a classifier of all: two layers, read in both directions by tanh units."""
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    below = [w["embedding.weight"][i] for i in ids]
    last = np.zeros(0)
    for layer in range(2):
        outputs = []
        for suffix, order in (("", range(len(ids))), ("_reverse", reversed(range(len(ids))))):
            W, U = (w[f"encoder.rnn.weight_{kind}_l{layer}{suffix}"] for kind in ("ih", "hh"))
            b = sum(w[f"encoder.rnn.bias_{kind}_l{layer}{suffix}"] for kind in ("ih", "hh"))
            h, states = np.zeros(len(U)), {}
            for place in order:
                h = np.tanh(W @ below[place] + U @ h + b)
                states[place] = h
            outputs.append((states, h))
        (forward, ends), (backward, begins) = outputs
        below = [np.concatenate([forward[place], backward[place]]) for place in range(len(ids))]
        last = np.concatenate([ends, begins])
    W, b = w["output.weight"], w["output.bias"]
    return np.array([W @ state + b for state in below]), W @ last + b


@pytest.mark.parametrize("is_by_word", [True, False])
def test_labels_are_those_of_the_equations(is_by_word: bool) -> None:
    model = tiny(is_by_word=is_by_word)
    found = logits(model, IDS, LENGTHS).numpy()
    for row, ids, length in zip(found, IDS.tolist(), LENGTHS.tolist(), strict=True):
        of_words, of_text = by_hand(model, ids[:length])
        expected = of_words if is_by_word else of_text
        np.testing.assert_allclose(row[:length] if is_by_word else row, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("choices", [{}, {"bidirectional": False}, {"bidirectional": False, "direction": "backward"}])
@pytest.mark.parametrize("cell", ["lstm", "lstm_coupled"])
def test_padding_and_company_change_nothing(cell: str, choices: dict[str, Any]) -> None:
    for is_by_word in (True, False):
        model = tiny(is_by_word=is_by_word, cell=cell, **choices)
        together = logits(model, IDS, LENGTHS)
        for row, ids, length in zip(together, IDS, LENGTHS, strict=True):
            alone = logits(model, ids[:length].unsqueeze(0), length.unsqueeze(0))[0]
            torch.testing.assert_close(row[:length] if is_by_word else row, alone, rtol=0, atol=1e-12)


def test_a_forward_tagger_does_not_see_the_next_word_and_a_backward_one_not_the_last() -> None:
    changed = IDS[:1].clone()
    changed[0, 2] = 6
    for direction, same in (("forward", slice(0, 2)), ("backward", slice(3, 5))):
        model = tiny(is_by_word=True, bidirectional=False, direction=direction)
        before, after = (logits(model, ids, LENGTHS[:1])[0] for ids in (IDS[:1], changed))
        unlike = (before != after).any(dim=1).tolist()
        assert not any(unlike[same])
        assert sum(unlike) == 3


@pytest.mark.parametrize("is_by_word", [True, False])
def test_dropout_acts_in_training_only(is_by_word: bool) -> None:
    for form in ("zaremba", "variational"):
        model = tiny(is_by_word=is_by_word, dropout=0.5, dropout_form=form, word_dropout=0.2)
        assert torch.equal(logits(model, IDS, LENGTHS), logits(model, IDS, LENGTHS))
        model.train()
        assert not torch.allclose(logits(model, IDS, LENGTHS), logits(model, IDS, LENGTHS))
