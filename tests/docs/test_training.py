"""The page on training: its chains of commands are run as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.data.corpus import read_lines, read_pairs
from nmt.training import trainer
from tests.bundles import make_bundle
from tests.cli.calls import call_here
from tests.corpora import write_toy_corpus

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
SMALL = """
[text]
vocab_size = 330
[model]
embedding_size = 24
hidden_size = 32
encoder_layers = 1
[training]
updates = 2
precision = "fp32"
workers = 1
validation_sentences = 4
sample_translations = 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the commands name."""
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    for stem, pairs, seed in (("train", 60, 1), ("dev", 8, 2), ("german", 40, 3)):
        write_toy_corpus(tmp_path, pairs, seed=seed, stem=stem)
    (tmp_path / "german.de").rename(tmp_path / "german.txt")
    (tmp_path / "german.en").unlink()
    for name in ("base", "student"):
        (tmp_path / f"{name}.toml").write_text(SMALL, "utf-8")
    return tmp_path


def commands(topic: str) -> list[str]:
    """The commands after a topic in bold, up to the next."""
    rest = PAGE.partition(f"**{topic}**")[2]
    text = re.split(r"\n\*\*|\n## ", rest)[0].replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def run(line: str) -> None:
    program, *arguments = shlex.split(line)
    if program != "nmt":
        subprocess.run(["bash", "-c", line], check=True)
    elif arguments[0] == "train":
        assert call_here(*arguments, "--no-tensorboard") == 0
    else:
        assert call_here(*arguments, "--workers", 1) == 0


def test_back_translation(folder: Path) -> None:
    for line in commands("Back-translation"):
        run(line)
    pairs = [pair[:2] for pair in read_pairs(["back.tsv"], "en", "de")]
    assert [target for _, target in pairs] == list(read_lines("german.txt"))
    recipe = load_bundle(folder / "runs/en-de/bundle").config.training["recipe"]
    assert list(recipe["data"]["tags"]) == ["", "<bt>"]


def test_distillation(folder: Path) -> None:
    make_bundle(folder / "runs/teacher/bundle")
    for line in commands("Distillation"):
        run(line)
    sources = list(read_lines("train.en"))
    taught = Counter(source for source, *_ in read_pairs(["taught.tsv"], "en", "de"))
    assert set(taught) == set(sources)
    assert set(taught.values()) == {4}
    assert load_bundle(folder / "runs/student/bundle").config.training["updates"] == 2
