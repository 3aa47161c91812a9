"""How well attention finds an alignment that is known exactly: a row for each score and span of attention.

    python -m benchmarks.synthetic_alignment
    python -m benchmarks.synthetic_alignment --rules reverse --seeds 1,2,3

A small translator is trained for half a minute on a language made up for it (`nmt.data.synthetic`), then reads new
sentences of it with their translations. `synthetic_error` does that for the network of any recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nmt.cli.models import one_thread_a_process
from nmt.config import DataConfig, ModelConfig, OptimizerConfig, Recipe, TextConfig, TrainingConfig
from nmt.data.synthetic import SyntheticLanguage, write_corpus
from nmt.evaluation.alignment import AlignmentScore, GoldLinks, score

SIZES = {"embedding_size": 32, "hidden_size": 64, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
OPTIMIZER = OptimizerConfig(learning_rate=0.02, betas=(0.9, 0.98), schedule="cosine", warmup_updates=20, clip_norm=5.0)
UPDATES = 600
TRAIN_PAIRS, TEST_PAIRS = 2000, 200
LANGUAGE_SIZE = 2
"""13 source words for each: small enough to be learnt by heart, so that only the alignment is in question."""
WINDOW = 3
"""D of the local spans in the table: less than the length of a sentence, more than most words move."""
DEFAULT_RULES = ("swap", "verb-final")


def synthetic_error(
    recipe: Recipe, *, seed: int = 1, rules: Sequence[str] = DEFAULT_RULES, updates: int = UPDATES
) -> AlignmentScore | None:
    """Links of a small network with a recipe's cells and attention; None where it has none.

    Of the recipe only `model` counts, without its sizes and dropout.
    """
    from nmt.bundle import load_bundle
    from nmt.inference.aligner import align_pairs
    from nmt.training.trainer import train

    if recipe.model.attention == "none":
        return None
    language = SyntheticLanguage.draw(seed, size=LANGUAGE_SIZE, rules=rules)
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        source, target, _ = write_corpus(Path(folder), "train", language.pairs(TRAIN_PAIRS, seed))
        text = {"kind": "word", "vocab_size": 1000, "joint": recipe.text.joint}
        small = Recipe(
            output=f"{folder}/run",
            data=DataConfig(train=((str(source), str(target)),)),
            text=TextConfig.model_validate(text),
            model=ModelConfig.model_validate(recipe.model.model_dump() | SIZES),
            optimizer=OPTIMIZER,
            training=TrainingConfig(
                seed=seed,
                epochs=0,
                updates=updates,
                batch_tokens=600,
                label_smoothing=0.0,
                precision="fp32",
                workers=1,
                checkpoint_every_s=0.0,
                validate_every=updates,
                metric="perplexity",
                validation_sentences=1,
                sample_translations=0,
                average=1,
            ),
        )
        outcome = train(small, tensorboard=False, storage="float32")
        assert outcome.bundle is not None
        test = language.pairs(TEST_PAIRS, seed + 1000)
        found = align_pairs(load_bundle(outcome.bundle), [(pair.source, pair.target) for pair in test])
    gold = [GoldLinks(frozenset(pair.links)) for pair in test]
    return score([frozenset(links) for links in found], gold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", default=",".join(DEFAULT_RULES), help="of order, one after the other")
    parser.add_argument("--seeds", default="1", help="one run each")
    parser.add_argument("--updates", type=int, default=UPDATES)
    arguments = parser.parse_args()
    one_thread_a_process()
    from nmt.model.attention import SCORES, SPANS

    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    rules = [rule for rule in arguments.rules.split(",") if rule]
    print("attention  span     AER")
    kinds = [kind for kind in SCORES if kind != "none"]
    for kind, span in itertools.product(kinds, SPANS):
        network = {"attention": kind, "attention_span": span, "attention_window": WINDOW, "input_feeding": False}
        recipe = Recipe(model=ModelConfig.model_validate(network))
        errors = []
        for seed in seeds:
            found = synthetic_error(recipe, seed=seed, rules=rules, updates=arguments.updates)
            assert found is not None
            errors.append(found.aer)
        spread = f" ± {statistics.stdev(errors):.3f}" if len(errors) > 1 else ""
        print(f"{kind:9}  {span:7}  {statistics.mean(errors):.3f}{spread}", flush=True)


if __name__ == "__main__":
    main()
