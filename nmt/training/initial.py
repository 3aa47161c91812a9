"""The weights of a bundle as the first ones of a run: fine-tuning and domain adaptation."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nmt.bundle import Array, load_bundle
from nmt.config import ModelConfig, Recipe, expand_path
from nmt.errors import BundleError, ConfigError

FREE = frozenset(
    {"dropout", "dropout_form", "recurrent_dropout", "word_dropout", "memory_dropout", "init_range", "forget_bias"}
)
"""Keys of the model that say how it is trained, not what its weights mean."""


def initial_weights(recipe: Recipe) -> Mapping[str, Array]:
    """The weights of `training.init`, by parameter name.

    Raises ConfigError for a bundle that cannot be read, is of another task, or whose network is another than the
    recipe's: then with every key of the model that differs.
    """
    folder = expand_path(recipe.training.init)
    try:
        bundle = load_bundle(folder, [recipe.task])
        bundle.build_network()  # raises where its weights are not those of its own configuration
    except BundleError as error:
        raise ConfigError(f"training.init: {error}") from None
    theirs, ours = bundle.config.model, recipe.model
    different = [
        f"model.{key} = {_toml(getattr(theirs, key))} (here {_toml(getattr(ours, key))})"
        for key in ModelConfig.model_fields
        if key not in FREE and getattr(theirs, key) != getattr(ours, key)
    ]
    if different:
        raise ConfigError(f"training.init: {folder} has {', '.join(different)}: set this recipe's to the same")
    return bundle.weights


def _toml(value: object) -> str:
    return json.dumps(value)
