"""How much is learnt from at once, and how often, where a recipe leaves that to the text.

Little text needs small batches and many epochs, or it is over before the network has learnt anything; much text needs
few. docs/training.md has what runs on different amounts came to.
"""

from __future__ import annotations

from collections.abc import Callable

from nmt.config import Recipe

LEAST_TOKENS, MOST_TOKENS = 256, 2048
"""Of a batch."""
BATCHES = 40
"""Of an epoch, where there are tokens enough for that."""
LEAST_EPOCHS, MOST_EPOCHS = 10, 40
UPDATES = 4000
"""Of a run, where that is not too few or too many epochs."""


def fitted(recipe: Recipe, count: Callable[[Recipe], int]) -> Recipe:
    """The recipe with `training.batch_tokens` and `training.epochs` for its text, where they are 0.

    `count`: batches of an epoch.
    """
    training = recipe.training
    if not training.batch_tokens:
        tokens = MOST_TOKENS * count(_with(recipe, batch_tokens=MOST_TOKENS))
        recipe = _with(recipe, batch_tokens=min(MOST_TOKENS, max(LEAST_TOKENS, tokens // BATCHES)))
    if not training.epochs and not training.updates:
        updates = max(1, count(recipe) // training.accumulation)
        recipe = _with(recipe, epochs=min(MOST_EPOCHS, max(LEAST_EPOCHS, -(-UPDATES // updates))))
    return recipe


def _with(recipe: Recipe, **changes: int) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})
