"""What a line of a corpus holds, task by task: how corpora are read and checked, and what cleaning may judge.

Whatever it is becomes a pair of strings: a sentence and its translation, a line of text and nothing, words and labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nmt.config import CleaningConfig, expand_path
from nmt.data.cleaning import collapse_blanks
from nmt.data.corpus import (
    Pair,
    check_corpus,
    check_lines,
    check_regular,
    corpus_paths,
    is_tsv,
    read_lines,
    read_pairs,
    read_tsv,
)
from nmt.errors import CorpusError


class Form(Protocol):
    """A kind of corpus."""

    @property
    def name(self) -> str:
        """Part of the key by which a prepared corpus is used again."""

    @property
    def example(self) -> str:
        """A value of `data.train`."""

    @property
    def is_text_alone(self) -> bool:
        """Whether the first string of a pair is the only text: the second is not judged by its length or its words."""

    @property
    def is_running(self) -> bool:
        """Whether a line continues the line before it."""

    def paths(self, corpus: Sequence[str]) -> tuple[Path, ...]:
        """The files of a corpus. Raises CorpusError where their number or kind is wrong."""

    def check(self, corpus: Sequence[str]) -> int:
        """Read a corpus once and return how many pairs it has, at least 1. Raises CorpusError at any flaw."""

    def read(self, corpus: Sequence[str]) -> Iterator[Pair]:
        """The pairs of a corpus, one in memory at a time."""

    def rules(self, config: CleaningConfig) -> CleaningConfig:
        """The rules of cleaning that make sense here."""


@dataclass(frozen=True)
class Parallel:
    """Sentences and their translations."""

    source_lang: str
    target_lang: str

    name = "pairs"
    example = '[["train.en", "train.de"]]'
    is_text_alone = False
    is_running = False

    def paths(self, corpus: Sequence[str]) -> tuple[Path, ...]:
        return corpus_paths(corpus)

    def check(self, corpus: Sequence[str]) -> int:
        return check_corpus(corpus, self.source_lang, self.target_lang)

    def read(self, corpus: Sequence[str]) -> Iterator[Pair]:
        return read_pairs(corpus, self.source_lang, self.target_lang)

    def rules(self, config: CleaningConfig) -> CleaningConfig:
        return config


@dataclass(frozen=True)
class Lines:
    """Text: a file, lines that stand for themselves or continue each other. The second string is empty."""

    is_running: bool = False

    example = '[["train.txt"]]'
    is_text_alone = True

    @property
    def name(self) -> str:
        return "running lines" if self.is_running else "lines"

    def paths(self, corpus: Sequence[str]) -> tuple[Path, ...]:
        return (_one_file(corpus, "a corpus of text is one file"),)

    def check(self, corpus: Sequence[str]) -> int:
        (path,) = self.paths(corpus)
        check_regular(path)
        count = check_lines(path)
        if not count:
            raise CorpusError("the corpus is empty: it holds no line", path=path)
        return count

    def read(self, corpus: Sequence[str]) -> Iterator[Pair]:
        (path,) = self.paths(corpus)
        return (Pair(line, "", path, number) for number, line in enumerate(read_lines(path), start=1))

    def rules(self, config: CleaningConfig) -> CleaningConfig:
        if not self.is_running:
            return config
        # a line taken out for what it has in common with another would leave a hole in the text
        return config.model_copy(update={"max_length": 0, "duplicates": False, "overlap": False})


@dataclass(frozen=True)
class Labelled:
    """A TSV file of text and what it is labelled with: a label for each word between blanks, or one for all."""

    is_by_word: bool

    example = '[["train.tsv"]]'
    is_text_alone = True
    is_running = False

    @property
    def name(self) -> str:
        return "labelled words" if self.is_by_word else "labelled lines"

    def paths(self, corpus: Sequence[str]) -> tuple[Path, ...]:
        what = "words, tab, labels" if self.is_by_word else "text, tab, label"
        path = _one_file(corpus, f"a labelled corpus is one .tsv file ({what})")
        if not is_tsv(path):
            raise CorpusError(f"a labelled corpus is a .tsv file ({what})", path=path)
        return (path,)

    def check(self, corpus: Sequence[str]) -> int:
        (path,) = self.paths(corpus)
        check_regular(path)
        count = sum(1 for _ in self.read(corpus))
        if not count:
            raise CorpusError("the corpus is empty: it holds no line", path=path)
        return count

    def read(self, corpus: Sequence[str]) -> Iterator[Pair]:
        """Raises CorpusError where the labels are not as many as they should be."""
        for pair in read_tsv(*self.paths(corpus)):
            labels, words = len(pair.target.split()), len(blank_words(pair.source))
            if self.is_by_word and labels != words:
                message = f"{labels} labels for {words} words: each word between blanks has one"
                raise CorpusError(message, path=pair.path, line=pair.line)
            if not self.is_by_word and labels != 1:
                message = f"a text has one label, without blanks in it, not {pair.target!r}"
                raise CorpusError(message, path=pair.path, line=pair.line)
            yield pair

    def rules(self, config: CleaningConfig) -> CleaningConfig:
        return config


def blank_words(text: str) -> list[str]:
    """The words between blanks; a no-break space is part of a word."""
    return collapse_blanks(text).split(" ") if text.strip() else []


def _one_file(corpus: Sequence[str], rule: str) -> Path:
    if len(corpus) != 1:
        raise CorpusError(f"{rule}, not {len(corpus)} files: {', '.join(corpus)}")
    return expand_path(corpus[0])
