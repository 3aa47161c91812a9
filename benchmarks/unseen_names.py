"""What becomes of names that no training text has: a row for each way with unknown words.

    python -m benchmarks.unseen_names
    python -m benchmarks.unseen_names --ways replace,copying --seeds 1,2,3

A small translator is trained for half a minute on a language made up for it (`nmt.data.synthetic`) whose sentences have
names in the place of some words, and then translates sentences whose names are all new. `score_names` does that for the
network of any recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nmt.cli.models import one_thread_a_process
from nmt.config import Recipe, load_recipe
from nmt.data.synthetic import AlignedPair, SyntheticLanguage

ONSETS, VOWELS, CODAS = "BDFGKLMNPRSTVZ", "aeiou", ("", "", "l", "n", "r", "s")
TRAIN_NAMES, TEST_NAMES = 2000, 400
TRAIN_PAIRS, TEST_PAIRS = 3000, 200
MOST_NAMES = 2
"""In a sentence; there is at least one."""
LANGUAGE_SIZE = 2
"""26 source words: small enough to be learnt by heart."""
RULES = ("reverse",)
"""The order of names is not that of the source."""
UPDATES = 1000

BASE: Mapping[str, Any] = {
    "text.kind": "word",
    "text.vocab_size": 70,  # every word of the language, few names
    "model.embedding_size": 32,
    "model.hidden_size": 64,
    "model.encoder_layers": 1,
    "model.dropout": 0.0,
    "optimizer.learning_rate": 0.01,
    "optimizer.warmup_updates": 20,
    "optimizer.schedule": "cosine",
    "optimizer.betas": [0.9, 0.98],
    "optimizer.clip_norm": 5.0,
    "training.epochs": 0,
    "training.batch_tokens": 600,
    "training.label_smoothing": 0.0,
    "training.precision": "fp32",
    "training.workers": 1,
    "training.checkpoint_every_s": 0.0,
    "training.validate_every": 100_000,
    "training.metric": "perplexity",
    "training.validation_sentences": 1,
    "training.sample_translations": 0,
    "training.average": 1,
}
SUBWORDS = {"text.kind": "bpe", "text.vocab_size": 500}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "bar": {"search.unknown_words": "bar"},
    "replace": {},
    "copying": {"model.copying": True, "search.unknown_words": "bar"},
    "subwords": SUBWORDS,
    "subwords, copying": {**SUBWORDS, "model.copying": True},
}


class NamePair(NamedTuple):
    """A sentence with names, and its translation."""

    source: str
    target: str
    places: tuple[int, ...]
    """Words of the target that are names, from 0."""


class NameScore(NamedTuple):
    """Shares of a test set whose names were never seen."""

    names: float
    """Names that stand in the translation where they should."""
    sentences: float
    """Translations without any mistake."""


def draw_names(count: int, rng: random.Random) -> list[str]:
    """Different made-up names of two or three syllables."""
    names: dict[str, None] = {}
    while len(names) < count:
        syllables = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(2, 3)))
        names["".join(syllables).capitalize()] = None
    return list(names)


def with_names(pair: AlignedPair, names: Sequence[str], rng: random.Random) -> NamePair:
    """A pair with names in the place of one or more words that are one word in the other language, too."""
    source, target = pair.source.split(), pair.target.split()
    counts = Counter(s for s, _ in pair.links)
    single = [(s, t) for s, t in pair.links if counts[s] == 1]
    chosen = rng.sample(single, min(len(single), rng.randint(1, MOST_NAMES)))
    for (s, t), name in zip(chosen, rng.sample(names, len(chosen)), strict=True):
        source[s] = target[t] = name
    return NamePair(" ".join(source), " ".join(target), tuple(sorted(t for _, t in chosen)))


def corpora(seed: int) -> tuple[list[NamePair], list[NamePair]]:
    """Training pairs, and test pairs of which no name is in the training pairs."""
    rng = random.Random(seed)
    names = draw_names(TRAIN_NAMES + TEST_NAMES, rng)
    language = SyntheticLanguage.draw(seed, size=LANGUAGE_SIZE, rules=RULES)
    train = [with_names(pair, names[:TRAIN_NAMES], rng) for pair in language.pairs(TRAIN_PAIRS, seed)]
    test = [with_names(pair, names[TRAIN_NAMES:], rng) for pair in language.pairs(TEST_PAIRS, seed + 1000)]
    return train, test


def score_names(changes: Mapping[str, Any], *, seed: int = 1, updates: int = UPDATES) -> NameScore:
    """Train with some keys of a recipe changed, and translate names that were never seen."""
    from nmt.inference import Translator
    from nmt.training.trainer import train

    train_pairs, test_pairs = corpora(seed)
    with tempfile.TemporaryDirectory() as folder, _silence():
        corpus = Path(folder) / "names.tsv"
        corpus.write_text("".join(f"{pair.source}\t{pair.target}\n" for pair in train_pairs), "utf-8")
        changed = {**changes, "training.updates": updates}
        outcome = train(recipe(corpus, Path(folder) / "run", changed, seed), tensorboard=False, storage="float32")
        assert outcome.bundle is not None
        with Translator.load(outcome.bundle, device="cpu", precision="fp32") as translator:
            found = [translation.text for translation in translator.translate([pair.source for pair in test_pairs])]
    return judge(found, test_pairs)


def recipe(corpus: Path, run: Path, changes: Mapping[str, Any], seed: int) -> Recipe:
    """That of a small translator, with some keys changed."""
    own = {"data.train": [[str(corpus)]], "output": str(run), "training.seed": seed}
    return load_recipe(None, [f"{key}={_toml(value)}" for key, value in {**BASE, **changes, **own}.items()])


def judge(found: Sequence[str], pairs: Sequence[NamePair]) -> NameScore:
    """Compare translations with what they should be."""
    right = names = 0
    for text, pair in zip(found, pairs, strict=True):
        said, wanted = dict(enumerate(text.split())), pair.target.split()
        right += sum(said.get(place) == wanted[place] for place in pair.places)
        names += len(pair.places)
    exact = sum(text == pair.target for text, pair in zip(found, pairs, strict=True))
    return NameScore(right / names, exact / len(pairs))


def _toml(value: object) -> str:
    """As a recipe's override has it."""
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default=",".join(WAYS).replace(", ", "+"), help="of " + "; ".join(WAYS))
    parser.add_argument("--seeds", default="1", help="one run each")
    arguments = parser.parse_args()
    one_thread_a_process()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    print("way                names right   sentences right")
    for way in arguments.ways.split(","):
        way = way.replace("+", ", ")
        scores = [score_names(WAYS[way], seed=seed) for seed in seeds]
        columns = (_mean([score[k] for score in scores]) for k in range(2))
        print(f"{way:17}  {'   '.join(columns)}", flush=True)


def _mean(shares: Sequence[float]) -> str:
    spread = f" ± {100 * statistics.stdev(shares):4.1f}" if len(shares) > 1 else ""
    return f"{100 * statistics.mean(shares):5.1f} %{spread}"


if __name__ == "__main__":
    main()
