"""Small corpora under the names that the programs read."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.multi30k_text import SETS, tokenised
from nmt.data.corpus import read_lines
from tests.corpora import write_toy_corpus


def write_gzip(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$NMT_DATA` with small files of the names that the program reads."""
    folder = tmp_path / "corpora"
    for seed, name in enumerate(SETS):
        for path in write_toy_corpus(tmp_path, 60 if name == "train" else 12, seed=seed, stem=name):
            lines = list(read_lines(path))
            side = path.suffix[1:]
            write_gzip(folder / f"multi30k/{name}.{side}.gz", lines)
            for other in (side, "fr") if side == "de" else (side,):
                tokens = [tokenised(line) for line in lines]
                write_gzip(folder / f"multi30k-tok/{name}.lc.norm.tok.{other}.gz", tokens)
    for number in range(1, 6):
        for side in ("en", "de"):
            lines = [f"{side} caption {number} of image {image}." for image in range(10)]
            write_gzip(folder / f"multi30k-captions/train.{number}.{side}.gz", lines)
    monkeypatch.setenv("NMT_DATA", str(folder))
    return folder
