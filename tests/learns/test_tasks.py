"""Language models, taggers and classifiers learn small tasks whose best possible figures are known."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.config import load_recipe
from nmt.training import trainer
from nmt.training.trainer import train

SETTINGS = [
    "text.kind=word",
    "text.vocab_size=100",
    "model.embedding_size=16",
    "model.hidden_size=32",
    "model.dropout=0",
    "optimizer.learning_rate=0.01",
    "optimizer.warmup_updates=20",
    "optimizer.schedule=cosine",
    "training.validate_every=1000",
    "training.sample_translations=0",
    "training.threads=1",
    "training.precision=fp32",
    "training.checkpoint_every_s=0",
    "data.cleaning.duplicates=false",
    "data.cleaning.overlap=false",
]
WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)


def dev_figures(folder: Path, lines: Iterable[str], dev: Iterable[str], *settings: str) -> dict[str, float]:
    """The figures on `dev` of a model trained on `lines`."""
    suffix = "txt" if "task=language-model" in settings else "tsv"
    paths = [folder / f"{name}.{suffix}" for name in ("train", "dev")]
    for path, content in zip(paths, (lines, dev), strict=True):
        path.write_text("".join(f"{line}\n" for line in content), "utf-8")
    data = [f'data.train=[["{paths[0]}"]]', f'data.dev=["{paths[1]}"]', f'output="{folder / "run"}"']
    outcome = train(load_recipe(None, [*SETTINGS, *data, *settings]), tensorboard=False)
    assert outcome.bundle is not None
    bundle = load_bundle(outcome.bundle, ["language-model", "tagging", "classification"])
    figures: dict[str, float] = bundle.config.training["dev"]
    return figures


def walk(rng: random.Random) -> str:
    """A Markov chain: a word is followed by one of two others, by the end of the line with a chance of a quarter."""
    at = rng.randrange(len(WORDS))
    line = [WORDS[at]]
    while rng.random() >= 0.25:
        at = (at + rng.choice((1, 3))) % len(WORDS)
        line.append(WORDS[at])
    return " ".join(line)


def test_a_language_model_comes_near_the_entropy_of_its_source(tmp_path: Path) -> None:
    """No model of this chain can do better than its entropy: this one, on text of its own, is within 3 %."""
    rng = random.Random(5)
    dev = [walk(rng) for _ in range(500)]
    tokens = sum(len(line.split()) + 1 for line in dev)
    # the first word is one of seven; at each word the line ends (1/4) or goes on in one of two ways (3/8 each)
    surprise = len(dev) * math.log(7)
    surprise += sum((len(line.split()) - 1) * math.log(8 / 3) + math.log(4) for line in dev)
    best = math.exp(surprise / tokens)
    found = dev_figures(
        tmp_path,
        [walk(rng) for _ in range(2000)],
        dev,
        "task=language-model",
        "model.tying=none",
        "training.updates=300",
        "training.batch_tokens=512",
    )
    assert best <= found["perplexity"] < 1.03 * best


@pytest.mark.parametrize("is_running", [True, False])
def test_what_stands_in_the_line_before_is_known_to_a_running_text_alone(is_running: bool, tmp_path: Path) -> None:
    """A word a line, always in the same round: with the state carried nothing is left to guess.

    Without it a line's word is one of seven and its end is certain: a perplexity of the square root of 7 at best.
    """
    text = [WORDS[3 * number % 7] for number in range(700)]
    running = ["data.running_text=true", "training.bptt=6"] if is_running else []
    found = dev_figures(
        tmp_path,
        text,
        text[:140],
        "task=language-model",
        *running,
        "training.updates=150",
        "training.batch_tokens=60",
    )
    if is_running:
        assert found["perplexity"] < 1.15
    else:
        assert found["perplexity"] == pytest.approx(math.sqrt(7), rel=0.02)


def tagged(rng: random.Random) -> str:
    """Each word's label is the word after it."""
    line = rng.choices(WORDS, k=rng.randint(1, 6))
    return f"{' '.join(line)}\t{' '.join([*line[1:], 'end']).upper()}"


@pytest.mark.parametrize(("bidirectional", "least", "most"), [("true", 0.9, 1.0), ("false", 0.0, 0.4)])
def test_a_tagger_that_reads_in_both_directions_learns_what_comes_after_a_word(
    bidirectional: str, least: float, most: float, tmp_path: Path
) -> None:
    """One that reads forward only can guess: END is 29 % of the labels, the words share the rest."""
    rng = random.Random(5)
    lines, dev = [tagged(rng) for _ in range(800)], [tagged(rng) for _ in range(200)]
    settings = ["task=tagging", "model.encoder_layers=1", f"model.bidirectional={bidirectional}"]
    settings += ["training.updates=250", "training.batch_tokens=120"]
    assert least <= dev_figures(tmp_path, lines, dev, *settings)["accuracy"] <= most


def classed(rng: random.Random) -> str:
    """A text's label is its first word."""
    line = rng.choices(WORDS, k=rng.randint(1, 6))
    return f"{' '.join(line)}\t{line[0].upper()}"


def test_a_classifier_remembers_the_first_word_until_the_last(tmp_path: Path) -> None:
    rng = random.Random(5)
    lines, dev = [classed(rng) for _ in range(800)], [classed(rng) for _ in range(200)]
    settings = ["task=classification", "model.encoder_layers=1", "model.bidirectional=false"]
    settings += ["training.updates=200", "training.batch_tokens=160"]
    assert dev_figures(tmp_path, lines, dev, *settings)["accuracy"] >= 0.98
