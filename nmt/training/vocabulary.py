"""The vocabulary of a run: learnt from its text, or a bundle's that is there already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nmt.bundle import verify
from nmt.config import Recipe, expand_path
from nmt.errors import BundleError, ConfigError, TokenizerError
from nmt.text.tokenizer import Tokenizer, TokenizerPair, load_tokenizers, train_tokenizers


def learn_vocabulary(lines: Iterable[str], recipe: Recipe, side: Literal["source", "target"]) -> Tokenizer:
    """The vocabulary of text in one language. `side`: which of a bundle's it is, where the recipe names one.

    Raises ConfigError for a bundle that cannot be read, TokenizerError where the text is too small.
    """
    if recipe.vocabulary:
        tokenizers = bundled_tokenizers(recipe)
        return tokenizers.source if side == "source" else tokenizers.target
    config = recipe.text.model_copy(update={"joint": True})
    return train_tokenizers(((line, "") for line in lines), config, seed=recipe.training.seed).source


def tag_ids(tokenizer: Tokenizer, tags: Iterable[str]) -> dict[str, int]:
    """The id of each tag but the empty one. Raises ConfigError for one that is no piece of the vocabulary."""
    wanted = {tag for tag in tags if tag}
    if not wanted:
        return {}
    found = {piece: number for number, piece in enumerate(tokenizer.pieces(range(tokenizer.size))) if piece in wanted}
    if missing := wanted - found.keys():
        raise ConfigError(f"data.tags: the vocabulary has no {', '.join(sorted(missing))}: learn one with this recipe")
    return found


def bundled_tokenizers(recipe: Recipe) -> TokenizerPair:
    """The vocabularies of the bundle that the recipe names. Raises ConfigError where it is not whole."""
    folder = expand_path(recipe.vocabulary)
    try:
        verify(folder)
        return load_tokenizers(folder)
    except (BundleError, TokenizerError) as error:
        raise ConfigError(f"{'text.vocabulary' if recipe.text.vocabulary else 'training.init'}: {error}") from None
