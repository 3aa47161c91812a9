"""What a vanishing gradient costs: who learns to recall a word, and how far the gradients of each reach back.

    python -m benchmarks.gradient_reach
    python -m benchmarks.gradient_reach --distance 30 --updates 2000 --picture reach.png

Small language models of several cells learn lines that end with the word they began with, `--distance` words later
(`nmt.data.synthetic.recall_lines`). Half a minute of one core for each; the table and picture of docs/explain.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.cli.models import one_thread_a_process
from nmt.config import Recipe, load_recipe
from nmt.data.synthetic import recall_lines

if TYPE_CHECKING:
    from nmt.bundle import Bundle

NETWORKS = ("cell=rnn", "cell=gru", "cell=lstm", "cell=lstm forget_bias=3")
KEYS = [
    'task="language-model"',
    "data.cleaning.duplicates=false",
    "data.cleaning.overlap=false",
    'text.kind="word"',
    "model.embedding_size=32",
    "model.hidden_size=64",
    "model.decoder_layers=1",
    'model.tying="none"',
    "model.dropout=0.0",
    "optimizer.learning_rate=0.005",
    'optimizer.schedule="cosine"',
    "optimizer.warmup_updates=20",
    "optimizer.betas=[0.9, 0.999]",
    "optimizer.clip_norm=1.0",
    "training.epochs=0",
    "training.batch_tokens=1200",
    'training.precision="fp32"',
    "training.workers=1",
    "training.checkpoint_every_s=0.0",
    "training.sample_translations=0",
    "training.average=1",
]
"""Of every network. There are no more different lines than first words, so repeated ones must stay."""
TRAIN_LINES, DEV_LINES = 4000, 200


def recipe_of(network: str, folder: Path, updates: int, seed: int) -> Recipe:
    """The recipe of one language model; `train.txt` and `dev.txt` are in `folder`."""
    where = [f"data.train=[['{folder}/train.txt']]", f"data.dev=['{folder}/dev.txt']"]
    where += [f"output={folder}/{network.replace(' ', '-')}"]
    length = [f"training.updates={updates}", f"training.validate_every={updates}", f"training.seed={seed}"]
    return load_recipe(None, [*KEYS, *where, *length, *(f"model.{key}" for key in network.split())])


def recalled(bundle: Bundle, lines: Sequence[str]) -> float:
    """The share of lines of equal length whose last word is the likeliest after those before it."""
    import torch

    from nmt.text.tokenizer import BOS_ID

    model = bundle.build_language_model()
    ids = torch.tensor([[BOS_ID, *line] for line in bundle.tokenizers.target.encode_batch(lines)])
    vectors, _ = model(ids[:, :-1])
    likeliest = model.output(vectors[:, -1]).argmax(dim=-1)
    return float((likeliest == ids[:, -1]).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distance", type=int, default=20, help="words between the first and the last")
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--network", action="append", help=f"default: {', '.join(NETWORKS)}")
    parser.add_argument("--picture", type=Path, help="draw the gradients")
    arguments = parser.parse_args()
    one_thread_a_process()
    import torch

    from nmt.bundle import load_bundle
    from nmt.evaluation.pictures import gradient_reach
    from nmt.training.gradients import fit, language_rows, reach_of_language_model
    from nmt.training.trainer import train

    curves = []
    print("network                  recalled  state      gamma  norm 1 back  norm from the loss to the first word")
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w") as nowhere:
        folder = Path(name)
        dev = recall_lines(DEV_LINES, arguments.distance, arguments.seed + 1)
        train_lines = recall_lines(TRAIN_LINES, arguments.distance, arguments.seed)
        for file, lines in (("train.txt", train_lines), ("dev.txt", dev)):
            (folder / file).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        for network in arguments.network or NETWORKS:
            recipe = recipe_of(network, folder, arguments.updates, arguments.seed)
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                outcome = train(recipe, tensorboard=False, storage="float32")
            assert outcome.bundle is not None
            bundle = load_bundle(outcome.bundle, ["language-model"])
            with torch.no_grad():
                share = recalled(bundle, dev)
            ids = bundle.tokenizers.target.encode_batch(dev)
            steps = arguments.distance + 2  # the beginning of the line, its first word and those between are read
            rows = language_rows(ids, steps, 64, arguments.seed, runs_on=False)
            for reach in reach_of_language_model(bundle.build_language_model(), rows):
                to_first = reach.norms[arguments.distance]
                facts = f"{share:8.0%}  {reach.name:9}  {reach.gamma:.3f}  {reach.norms[1]:11.1e}  {to_first:.1e}"
                print(f"{network:25}{facts}", flush=True)
                curves.append((network, reach.name, reach.norms, fit(reach.norms)))
    if arguments.picture:
        gradient_reach(curves, arguments.picture)


if __name__ == "__main__":
    main()
