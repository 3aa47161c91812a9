"""The store on disk: what is in it, when it is reused, how a dev set is held out, and that a kill leaves no half."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nmt.config import CleaningConfig, DataConfig
from nmt.data import PreparedCorpus, prepare
from nmt.data.cleaning import letters
from nmt.errors import ConfigError, CorpusError

Texts = list[tuple[str, str]]


def sentences(count: int, seed: int = 0) -> Texts:
    rng = random.Random(seed)
    return [(f"sentence {i} é\u2028{rng.random()}", f"Satz {i} 字 {rng.random()}") for i in range(count)]


def write_tsv(path: Path, texts: Texts) -> tuple[str]:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in texts), "utf-8", newline="")
    return (str(path),)


def data(tmp_path: Path, train: Texts, *, dev: Texts | None = None, **settings: Any) -> DataConfig:
    return DataConfig(
        train=(write_tsv(tmp_path / "train.tsv", train),),
        dev=write_tsv(tmp_path / "dev.tsv", dev) if dev else (),
        **settings,
    )


def tidy(texts: Texts) -> Texts:
    return [(source.replace("\u2028", " "), target) for source, target in texts]


def test_holds_the_clean_pairs_in_order(tmp_path: Path) -> None:
    train, dev = sentences(500), sentences(3, seed=1)
    corpus = prepare(data(tmp_path, [*train, ("", "x"), train[7], dev[1]], dev=dev), tmp_path / "run" / "data", 1)
    assert list(corpus) == tidy(train)
    assert corpus.pairs([499, 0, 7]) == tidy([train[499], train[0], train[7]])
    assert (len(corpus), corpus[-1], corpus.dev) == (500, tidy(train)[-1], tidy(dev))
    assert corpus.report.dropped == {
        "empty": 1, "control": 0, "max_length": 0, "max_ratio": 0, "duplicates": 1, "overlap": 1,
    }  # fmt: skip
    assert (corpus.report.read, corpus.report.kept, corpus.report.held_out) == (503, 500, 0)
    with pytest.raises(IndexError):
        corpus[500]


def test_opens_again_as_it_was(tmp_path: Path) -> None:
    made = prepare(data(tmp_path, sentences(60)), tmp_path / "data", 1)
    opened = PreparedCorpus(made.folder)
    assert list(opened) == list(made)
    assert (opened.dev, opened.report, opened.fingerprint) == (made.dev, made.report, made.fingerprint)


def test_several_corpora_follow_each_other_and_test_is_kept_out(tmp_path: Path) -> None:
    first, second, test = sentences(5, 1), sentences(6, 2), sentences(2, 3)
    for name, side in (("t.en", 0), ("t.de", 1)):
        (tmp_path / name).write_text("".join(pair[side] + "\n" for pair in [*second, *test]), "utf-8")
    config = DataConfig(
        train=(write_tsv(tmp_path / "1.tsv", first), (str(tmp_path / "t.en"), str(tmp_path / "t.de"))),
        dev=write_tsv(tmp_path / "dev.tsv", sentences(1, 4)),
        test=write_tsv(tmp_path / "test.tsv", test),
    )
    corpus = prepare(config, tmp_path / "data", 1)
    assert list(corpus) == tidy(first + second)
    assert corpus.report.dropped["overlap"] == 2
    with_overlap = config.model_copy(update={"cleaning": CleaningConfig(overlap=False)})
    assert len(prepare(with_overlap, tmp_path / "other", 1)) == 13


def test_dev_pairs_with_an_empty_side_are_left_out(tmp_path: Path) -> None:
    dev = [("a", "b"), ("c", " "), ("d", "e")]
    assert prepare(data(tmp_path, sentences(9), dev=dev), tmp_path / "data", 1).dev == [("a", "b"), ("d", "e")]
    with pytest.raises(CorpusError, match=r"dev\.tsv: no pair has text on both sides"):
        prepare(data(tmp_path, sentences(9), dev=[(" ", "b")]), tmp_path / "data", 1)


@pytest.mark.parametrize(("count", "held_out"), [(32, 16), (1000, 16), (3000, 30)])
def test_a_dev_set_is_held_out(tmp_path: Path, count: int, held_out: int) -> None:
    texts = sentences(count)
    corpus = prepare(data(tmp_path, texts), tmp_path / "data", 1)
    assert len(corpus.dev) == corpus.report.held_out == held_out
    assert corpus.report.kept == len(corpus) == count - held_out
    assert sorted([*corpus, *corpus.dev]) == sorted(tidy(texts))
    again = prepare(data(tmp_path, texts), tmp_path / "again", 1)
    other = prepare(data(tmp_path, texts), tmp_path / "other", 2)
    assert (again.dev, again.fingerprint) == (corpus.dev, corpus.fingerprint)
    assert (other.dev != corpus.dev, other.fingerprint != corpus.fingerprint) == (True, True)


def test_near_copies_of_the_held_out_pairs_are_dropped(tmp_path: Path) -> None:
    texts = [(f"Sentence number {i // 3}" + "?!."[i % 3], f"Satz {i}") for i in range(300)]
    corpus = prepare(data(tmp_path, texts), tmp_path / "data", 1)
    dev_sources = {letters(source) for source, _ in corpus.dev}
    assert not dev_sources & {letters(source) for source, _ in corpus}
    assert corpus.report.dropped["overlap"] == 3 * len(dev_sources) - len(corpus.dev) > 0
    assert corpus.report.read == corpus.report.kept + corpus.report.held_out + sum(corpus.report.dropped.values())
    kept = prepare(data(tmp_path, texts, cleaning=CleaningConfig(overlap=False)), tmp_path / "data", 1)
    assert len(kept) == 300 - 16


def test_too_little_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="31 clean training pairs are too few to hold out a dev set"):
        prepare(data(tmp_path, sentences(31)), tmp_path / "data", 1)
    with pytest.raises(CorpusError, match="no training pair is left of 2"):
        prepare(data(tmp_path, [("", "a"), ("b", "")], dev=sentences(1)), tmp_path / "data", 1)
    with pytest.raises(ConfigError, match=r"data\.train names no corpus"):
        prepare(DataConfig(), tmp_path / "data", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.tsv", "train.tsv"]


@pytest.mark.parametrize("flawed", ["train", "dev", "test"])
def test_a_flaw_is_found_before_anything_is_written(tmp_path: Path, flawed: str) -> None:
    config = data(tmp_path, sentences(50), dev=sentences(2, 1))
    config = config.model_copy(update={"test": write_tsv(tmp_path / "test.tsv", sentences(2, 2))})
    with (tmp_path / f"{flawed}.tsv").open("ab") as file:
        file.write(b"ok\t\xff\n")
    before = set(tmp_path.iterdir())
    with pytest.raises(CorpusError, match=rf"{flawed}\.tsv:\d+: not valid UTF-8"):
        prepare(config, tmp_path / "data", 1, progress=lambda *_: pytest.fail("reading began"))
    assert set(tmp_path.iterdir()) == before


def test_is_reused_while_nothing_changes(tmp_path: Path) -> None:
    config = data(tmp_path, sentences(100), dev=sentences(2, 1))
    reads: list[int] = []

    def made_anew(config: DataConfig, seed: int = 1) -> bool:
        reads.clear()
        prepare(config, tmp_path / "data", seed, progress=lambda *counts: reads.extend(counts))
        return bool(reads)

    assert made_anew(config)
    (tmp_path / "data" / "lengths.npy").write_bytes(b"the trainer's")
    assert not made_anew(config)
    assert (tmp_path / "data" / "lengths.npy").exists()
    assert made_anew(config, seed=2)
    assert not (tmp_path / "data" / "lengths.npy").exists()
    assert made_anew(config.model_copy(update={"cleaning": CleaningConfig(max_length=7)}), seed=2)
    write_tsv(tmp_path / "train.tsv", sentences(101))
    assert made_anew(config)
    os.utime(tmp_path / "dev.tsv", (1, 1))
    assert made_anew(config)
    assert not made_anew(config)


def test_the_fingerprint_tells_content_not_place_or_time(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    here, there = data(tmp_path, sentences(80)), data(tmp_path / "moved", sentences(80))
    changed = data(tmp_path / "moved", sentences(80))
    first, second = prepare(here, tmp_path / "a", 1), prepare(there, tmp_path / "b", 1)
    assert first.fingerprint == second.fingerprint
    changed = data(tmp_path, [("one", "eins"), *sentences(79)])
    assert prepare(changed, tmp_path / "a", 1).fingerprint != first.fingerprint


def test_damage_is_noticed(tmp_path: Path) -> None:
    config = data(tmp_path, sentences(100))
    corpus = prepare(config, tmp_path / "data", 1)
    texts = list(corpus)
    for name in ("pairs.tsv", "pairs.offsets", "dev.tsv", "prepared.json"):
        with (tmp_path / "data" / name).open("r+b") as file:
            file.truncate(10)
        with pytest.raises(CorpusError, match="not a prepared corpus, or a damaged one"):
            PreparedCorpus(tmp_path / "data")
        assert list(prepare(config, tmp_path / "data", 1)) == texts


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for folder in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(CorpusError, match="exists and is not a prepared corpus"):
            prepare(data(tmp_path, sentences(40)), folder, 1)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot be written: Not a directory"):
        prepare(data(tmp_path, sentences(40)), tmp_path / "file" / "data", 1)


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    prepare(data(tmp_path, sentences(25_000)), tmp_path / "data", 1, lambda done, total: seen.append((done, total)))
    assert seen == [(10_000, 25_000), (20_000, 25_000), (25_000, 25_000)]


KILLED = """
import os, signal, sys
from nmt.config import DataConfig
from nmt.data import prepare
prepare(DataConfig(train=((sys.argv[1],),)), sys.argv[2], 1, lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.parametrize("existing", [False, True])
def test_a_kill_leaves_nothing_half_written(tmp_path: Path, existing: bool) -> None:
    folder = tmp_path / "data"
    if existing:
        prepare(data(tmp_path, sentences(50, seed=9)), folder, 1)
    config = data(tmp_path, sentences(100))
    result = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "train.tsv"), str(folder)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert (tmp_path / "data.partial").exists()
    assert folder.exists() == existing
    if existing:
        assert len(PreparedCorpus(folder)) == 50 - 16
    assert len(prepare(config, folder, 1)) == 100 - 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "train.tsv"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "dev.offsets",
        "dev.tsv",
        "pairs.offsets",
        "pairs.tsv",
        "prepared.json",
    ]


def test_an_interrupt_cleans_up(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(data(tmp_path, sentences(100)), tmp_path / "data", 1, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["train.tsv"]


def test_the_stored_text_is_plain(tmp_path: Path) -> None:
    corpus = prepare(data(tmp_path, sentences(40)), tmp_path / "data", 1)
    lines = (corpus.folder / "pairs.tsv").read_bytes().decode().split("\n")
    assert lines == [*(f"{source}\t{target}" for source, target in corpus), ""]
    assert json.loads((corpus.folder / "prepared.json").read_text("utf-8"))["report"]["read"] == 40


def lexical_texts(*words: str, lines: int = 6) -> Texts:
    return [(f"{word} {i}", f"{word.upper()} {i}") for word in words for i in range(lines)]


def test_phrases_lie_behind_the_pairs_by_corpus(tmp_path: Path) -> None:
    """They are no pairs: neither counted nor gone through, but found by index."""
    both = [*lexical_texts("aa", lines=8), *lexical_texts("bb", lines=4)]
    texts = both, lexical_texts("cc"), lexical_texts("dd", lines=1)
    train = tuple(write_tsv(tmp_path / f"{number}.tsv", own) for number, own in enumerate(texts))
    dev = write_tsv(tmp_path / "dev.tsv", [("x", "y")])
    corpus = prepare(DataConfig(train=train, dev=dev, phrases=0.1), tmp_path / "data", 1)
    pairs = [pair for own in texts for pair in own]
    learnt = [("aa", "AA"), ("bb", "BB"), ("cc", "CC")]
    assert (list(corpus), len(corpus), corpus.corpora, corpus.phrases) == (pairs, 19, (12, 6, 1), (2, 1, 0))
    assert list(corpus.with_phrases()) == pairs + learnt
    assert corpus.pairs([0, 21, 18, 19]) == [pairs[0], learnt[2], pairs[18], learnt[0]]
    assert PreparedCorpus(tmp_path / "data").fingerprint == corpus.fingerprint


def test_phrases_of_held_out_text_are_dropped(tmp_path: Path) -> None:
    config = data(tmp_path, lexical_texts("aa", "bb"), dev=[("Aa!", "x")], phrases=0.1)
    assert list(prepare(config, tmp_path / "data", 1).with_phrases())[12:] == [("bb", "BB")]
    lenient = config.model_copy(update={"cleaning": CleaningConfig(overlap=False)})
    assert prepare(lenient, tmp_path / "lenient", 1).phrases == (2,)


def test_phrases_change_the_fingerprint_and_their_share_does_not(tmp_path: Path) -> None:
    config = data(tmp_path, lexical_texts("aa", "bb"), dev=[("x", "y")])
    plain = prepare(config, tmp_path / "data", 1)
    assert (plain.phrases, list(plain.with_phrases())) == ((), list(plain))
    some = prepare(config.model_copy(update={"phrases": 0.1}), tmp_path / "data", 1)
    assert some.fingerprint != plain.fingerprint
    made = (tmp_path / "data" / "pairs.tsv").stat().st_ino
    more = prepare(config.model_copy(update={"phrases": 0.9}), tmp_path / "data", 1)
    assert (more.fingerprint, (tmp_path / "data" / "pairs.tsv").stat().st_ino) == (some.fingerprint, made)
    assert prepare(config, tmp_path / "data", 1).fingerprint == plain.fingerprint


def test_no_phrase_is_an_empty_list(tmp_path: Path) -> None:
    corpus = prepare(data(tmp_path, [("a", "b"), ("c", "d")], dev=[("x", "y")], phrases=0.5), tmp_path / "data", 1)
    assert corpus.phrases == (0,)
    assert list(corpus.with_phrases()) == list(corpus)
