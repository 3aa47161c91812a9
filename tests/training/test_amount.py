"""Batches and epochs for little text and for much."""

from __future__ import annotations

import pytest

from nmt.config import Recipe, load_recipe
from nmt.training.amount import fitted


def of(tokens: int, *settings: str) -> tuple[int, int]:
    """Tokens of a batch and epochs for text of so many tokens, of which nothing is padding."""

    def count(recipe: Recipe) -> int:
        return -(-tokens // recipe.training.batch_tokens)

    training = fitted(load_recipe(None, settings), count).training
    return training.batch_tokens, training.epochs


@pytest.mark.parametrize(
    ("tokens", "batch_tokens", "epochs"),
    [
        (300, 256, 40),
        (8_000, 256, 40),
        (40_000, 1024, 40),
        (400_000, 2048, 21),
        (2_000_000, 2048, 10),
        (50_000_000, 2048, 10),
    ],
)
def test_little_text_is_read_more_often_in_smaller_batches(tokens: int, batch_tokens: int, epochs: int) -> None:
    assert of(tokens) == (batch_tokens, epochs)


def test_what_a_recipe_says_is_left_alone() -> None:
    assert of(8_000, "training.batch_tokens=100", "training.epochs=3") == (100, 3)
    assert of(8_000, "training.updates=500") == (256, 0)
    assert of(400_000, "training.batch_tokens=4096") == (4096, 40)
    assert of(400_000, "training.accumulation=2") == (2048, 40)
