"""What a line of a corpus may hold: text alone, words with labels, texts with one label."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.config import DataConfig
from nmt.data.forms import Form, Labelled, Lines, blank_words
from nmt.data.prepared import PreparedCorpus, prepare
from nmt.errors import ConfigError, CorpusError


def prepared(folder: Path, form: Form, lines: list[str], suffix: str = ".txt") -> PreparedCorpus:
    path = folder / f"train{suffix}"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return prepare(DataConfig(train=((str(path),),)), folder / "data", seed=1, form=form)


def test_lines_of_text_are_cleaned_by_the_rules_that_concern_text(tmp_path: Path) -> None:
    lines = [f"line number {number}" for number in range(40)]
    corpus = prepared(tmp_path, Lines(), [*lines, "line number 3", "", "  two   blanks "])
    assert corpus.report.dropped == {
        "empty": 1, "control": 0, "max_length": 0, "max_ratio": 0, "duplicates": 1, "overlap": 0
    }  # fmt: skip
    kept = {text for text, nothing in [*corpus, *corpus.dev] if nothing == ""}
    assert kept == {*lines, "two blanks"}


def test_running_text_keeps_its_order_and_its_repetitions_and_its_end_is_held_out(tmp_path: Path) -> None:
    lines = [f"verse {number % 5}" for number in range(50)]
    corpus = prepared(tmp_path, Lines(is_running=True), lines)
    assert [text for text, _ in corpus] == lines[:-16]
    assert [text for text, _ in corpus.dev] == lines[-16:]


def test_a_label_is_not_judged_as_a_translation(tmp_path: Path) -> None:
    """Neither its length, nor that the held-out texts have the same labels."""
    texts = [f"{number} " + "long text " * 12 for number in range(40)]
    corpus = prepared(tmp_path, Labelled(is_by_word=False), [f"{text}\tyes" for text in texts], ".tsv")
    assert len(corpus) == 40 - 16
    assert corpus[0][1] == "yes"


def test_a_text_with_two_labels_is_no_duplicate(tmp_path: Path) -> None:
    lines = [f"{number}\t{label}" for number in range(20) for label in ("yes", "no")]
    corpus = prepared(tmp_path, Labelled(is_by_word=False), [*lines, *lines], ".tsv")
    assert corpus.report.dropped["duplicates"] == len(lines)


@pytest.mark.parametrize(
    ("is_by_word", "line", "message"),
    [
        (True, "three words here\tA B", "2 labels for 3 words"),
        (True, "\tA", "1 labels for 0 words"),
        (False, "text\ttwo labels", "not 'two labels'"),
        (False, "text\t", "not ''"),
        (False, "no tab", "one column"),
    ],
)
def test_a_line_with_wrong_labels_is_named(tmp_path: Path, is_by_word: bool, line: str, message: str) -> None:
    with pytest.raises(CorpusError, match=rf"train\.tsv:2: .*{message}"):
        prepared(tmp_path, Labelled(is_by_word), ["word\tA", line], ".tsv")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("form", "files", "message"),
    [
        (Lines(), ("a.txt", "b.txt"), "one file, not 2 files: a.txt, b.txt"),
        (Labelled(True), ("a.txt",), r"a\.txt: a labelled corpus is a \.tsv file \(words, tab, labels\)"),
        (Labelled(False), ("a.tsv", "b.tsv"), r"one \.tsv file \(text, tab, label\), not 2"),
    ],
)
def test_files_of_another_kind_are_refused(form: Form, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        form.paths(files)


@pytest.mark.parametrize("form", [Lines(), Labelled(True)])
def test_an_empty_file_is_refused(tmp_path: Path, form: Form) -> None:
    with pytest.raises(CorpusError, match="holds no line"):
        prepared(tmp_path, form, [], ".tsv")


@pytest.mark.parametrize(("form", "name"), [(Lines(), "text"), (Labelled(True), "labels.tsv")])
def test_what_cannot_be_read_twice_is_refused(tmp_path: Path, form: Form, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(CorpusError, match="not a regular file"):
        form.check([str(tmp_path / name)])


def test_what_is_missing_is_shown_by_an_example_of_its_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"for example \[\[\"train\.txt\"\]\]"):
        prepare(DataConfig(), tmp_path / "data", seed=1, form=Lines())


def test_a_no_break_space_is_inside_a_word() -> None:
    assert blank_words(" 10\u00a0000  men\t. ") == ["10\u00a0000", "men", "."]
    assert blank_words("  ") == []
