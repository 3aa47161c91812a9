"""The vocabulary of a run: learnt from its text, or a bundle's that is there already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nmt.bundle import verify
from nmt.config import Recipe, expand_path
from nmt.errors import BundleError, ConfigError, TokenizerError
from nmt.text.tokenizer import Tokenizer, TokenizerPair, load_tokenizers, train_tokenizers


def learn_vocabulary(lines: Iterable[str], recipe: Recipe, side: Literal["source", "target"]) -> Tokenizer:
    """The vocabulary of text in one language. `side`: which of a bundle's it is, where `text.vocabulary` names one.

    Raises ConfigError for a bundle that cannot be read, TokenizerError where the text is too small.
    """
    if recipe.text.vocabulary:
        tokenizers = bundled_tokenizers(recipe.text.vocabulary)
        return tokenizers.source if side == "source" else tokenizers.target
    config = recipe.text.model_copy(update={"joint": True})
    return train_tokenizers(((line, "") for line in lines), config, seed=recipe.training.seed).source


def bundled_tokenizers(bundle: str) -> TokenizerPair:
    """The vocabularies of a bundle. Raises ConfigError where it is not whole."""
    folder = expand_path(bundle)
    try:
        verify(folder)
        return load_tokenizers(folder)
    except (BundleError, TokenizerError) as error:
        raise ConfigError(f"text.vocabulary: {error}") from None
