"""`nmt shortlist`: what it writes, prints and refuses."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from tests.cli.calls import call_here
from tests.corpora import write_toy_corpus

Output = pytest.CaptureFixture[str]


run = partial(call_here, "shortlist")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_learnt_from_text_files_or_one_table_alike(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    before = files(bundle)
    source, target = write_toy_corpus(tmp_path, 150)
    table = tmp_path / "toy.tsv"
    lines = zip(source.read_text("utf-8").splitlines(), target.read_text("utf-8").splitlines(), strict=True)
    table.write_text("".join(f"{s}\t{t}\n" for s, t in lines), "utf-8")
    assert run(bundle, "--source", source, "--target", target, "-o", tmp_path / "a", "--device", "cpu") == 0
    printed = capsys.readouterr().out
    assert run(bundle, "--corpus", table, "-o", tmp_path / "b", "--device", "cpu") == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(bundle) == before

    learnt = load_bundle(tmp_path / "a")
    assert learnt.shortlist is not None
    assert learnt.version == load_bundle(bundle).version
    assert f"{len(learnt.shortlist.targets):,} target pieces" in printed
    size = (tmp_path / "a" / "shortlist.safetensors").stat().st_size
    assert f"{size:,} bytes, learnt from 148 pairs" in printed
    # the toy language has few words, so a sentence's shortlist has nearly all of its translation
    share = re.search(r"2 pairs kept apart: ([\d.]+)% of their target pieces", printed)
    assert share
    assert float(share[1]) > 90


def test_pairs_that_cannot_be_read_are_not_learnt_from(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    before, table = files(bundle), tmp_path / "x.tsv"
    table.write_text("the dog\tder Hund\n" * 3 + "\tx\n" * 40 + "the dog " * 2000 + "\tx\n", "utf-8")
    assert run(bundle, "--corpus", table, "-o", tmp_path / "a", "--device", "cpu") == 0
    assert re.search(r"learnt from [23] pairs", capsys.readouterr().out)
    table.write_text("\tx\n" * 40, "utf-8")
    assert run(bundle, "--corpus", table, "-o", tmp_path / "b", "--device", "cpu") == 2
    assert "39 sentence pairs, each with an empty side or one of over" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert files(bundle) == before


def test_without_an_output_the_bundle_itself_gets_it(bundle: Path, tmp_path: Path) -> None:
    assert run(bundle, "--corpus", "docs/example/train.tsv", "-o", tmp_path / "copy", "--pairs", 50) == 0
    first = files(tmp_path / "copy")
    options = ("--pairs", 50, "--per-token", 1, "--common", 0)
    assert run(tmp_path / "copy", "--corpus", "docs/example/train.tsv", *options) == 0
    second = load_bundle(tmp_path / "copy").shortlist
    assert second is not None
    assert max(len(second.candidates(s)) for s in range(second.src_vocab)) <= 2  # one, and the piece itself
    assert second.common.tolist() == []
    assert files(tmp_path / "copy").keys() == first.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no text"),
        (("--source", "a"), "1 files by --source, but 0 by --target"),
        (("--source", "nowhere.en", "--target", "nowhere.de"), "nowhere.en: no such file"),
        (("--corpus", "README.md"), "README.md: a corpus of one file is .tsv or .tmx"),
        (("--corpus", "docs/example/train.tsv", "-o", "docs"), "docs: is there and is no model bundle"),
        (("--corpus", "docs/example/train.tsv", "-o", "README.md"), "README.md: is there and is no model bundle"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    bundle: Path, capsys: Output, arguments: tuple[str, ...], message: str
) -> None:
    before = files(bundle)
    assert run(bundle, *arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert files(bundle) == before
