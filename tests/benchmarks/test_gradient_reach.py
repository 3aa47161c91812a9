"""The program that shows what a vanishing gradient costs: valid recipes, and a share that counts what is recalled."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gradient_reach import NETWORKS, recalled, recipe_of
from nmt.bundle import Bundle
from nmt.data.synthetic import recall_lines
from nmt.text.tokenizer import TokenizerPair, VocabularyTokenizer
from tests.bundles import make_language_model


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_has_a_valid_recipe(network: str, tmp_path: Path) -> None:
    recipe = recipe_of(network, tmp_path, updates=7, seed=3)
    assert recipe.model.cell == network.split(maxsplit=1)[0].removeprefix("cell=")
    assert recipe.model.forget_bias == (3 if "forget_bias=3" in network else 1)
    assert (recipe.training.updates, recipe.training.seed) == (7, 3)


def test_a_network_that_always_says_one_word_recalls_it_alone(tmp_path: Path) -> None:
    lines = recall_lines(40, 3, seed=1, keys=4)
    words = VocabularyTokenizer.train(lines, "word", 100, "identity")
    bundle = make_language_model(tmp_path / "lm", tokenizers=TokenizerPair(words, words), tying="none")
    (spoken,) = words.encode("k2")
    weights = {name: weight * 0 if name.startswith("output") else weight for name, weight in bundle.weights.items()}
    weights["output.bias"] = weights["output.bias"].copy()
    weights["output.bias"][spoken] = 1.0
    deaf = Bundle(bundle.config, bundle.tokenizers, weights)
    assert recalled(deaf, lines) == sum(line.endswith("k2") for line in lines) / len(lines)
