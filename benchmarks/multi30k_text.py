"""Multi30k's sets in the form that its records are scored in, and captions in one language to learn more from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nmt.config import expand_path
from nmt.data.cleaning import Overlap
from nmt.data.corpus import read_lines
from nmt.data.noise import FINAL
from nmt.text.words import bare, split_words

VAL, TEST = "val", "test_2016_flickr"
SETS = ("train", VAL, TEST, "test_2017_flickr", "test_2017_mscoco")
CAPTIONS = 5
"""Of each image."""


def path(name: str, side: str) -> str:
    """A set in the form of the record: lower case, normalised punctuation, tokens."""
    return f"$NMT_DATA/multi30k-tok/{name}.lc.norm.tok.{side}.gz"


def raw_path(name: str, side: str) -> str:
    """A set as it was written."""
    return f"$NMT_DATA/multi30k/{name}.{side}.gz"


@dataclass(frozen=True)
class Files:
    """The form and the languages of a row's sets."""

    source: str = "en"
    target: str = "de"
    is_raw: bool = False

    @property
    def tokenize(self) -> str:
        """sacreBLEU's name of what cuts tokens for BLEU."""
        return "13a" if self.is_raw else "none"

    def paths(self, name: str) -> list[str]:
        """A set's two files, as a recipe names them."""
        return [(raw_path if self.is_raw else path)(name, side) for side in (self.source, self.target)]

    def read(self, name: str) -> list[list[str]]:
        """A set's two sides."""
        return [list(read_lines(expand_path(one))) for one in self.paths(name)]

    def settings(self) -> dict[str, Any]:
        """A recipe's data."""
        return {
            "data.source_lang": self.source,
            "data.target_lang": self.target,
            "data.train": [self.paths("train")],
            "data.dev": self.paths(VAL),
            "data.test": self.paths(TEST),
        }


def corpus(name: str, side: str) -> list[str]:
    """The lines of a set in the form of the record."""
    return list(read_lines(expand_path(path(name, side))))


def captions(side: str, of_an_image: int = 1) -> Iterator[str]:
    """Descriptions in one language that Multi30k has not, 1 to 5 of each image, in the form of the record.

    Each image has five, sorted by length and not parallel; the images take turns, so that all lengths are there. Left
    out is what stands in a set of Multi30k, trained on or held out, by the rule of `data.cleaning.overlap`. It compares
    the raw files here: training compares what it is given, and tokens might differ in a quotation mark.
    """
    known = Overlap(
        pair
        for name in SETS
        for pair in zip(*(read_lines(expand_path(raw_path(name, each))) for each in ("en", "de")), strict=True)
    )
    files = [
        read_lines(expand_path(f"$NMT_DATA/multi30k-captions/train.{one}.{side}.gz")) for one in range(1, CAPTIONS + 1)
    ]
    for number, five in enumerate(zip(*files, strict=True)):
        for line in _turned(five, number)[:of_an_image]:
            if not known.has(line, line):
                yield tokenised(line)


def german(of_an_image: int = 1) -> Iterator[str]:
    """Captions in German, to be learnt as a target: each with a final mark.

    One in five was written without, but only one in a hundred of Multi30k's German sentences is, whatever its source
    has.
    """
    for line in captions("de", of_an_image):
        yield line if line.endswith((*FINAL, "&quot;")) else f"{line} ."


def _turned(five: Sequence[str], by: int) -> list[str]:
    start = by % len(five)
    return [*five[start:], *five[:start]]


PLAIN = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"', "„": '"', "–": "-", "…": "..."})
ESCAPED = str.maketrans(
    {
        "&": "&amp;",
        "|": "&#124;",
        "<": "&lt;",
        ">": "&gt;",
        "'": "&apos;",
        '"': "&quot;",
        "[": "&#91;",
        "]": "&#93;",
    }
)


def tokenised(line: str) -> str:
    """A raw line as Moses' scripts write it for the record's files.

    Of the 29,000 lines of Multi30k's training text 99.8 % (English) and 99.2 % (German) come out the same; most others
    differ in the order of a full stop and a quotation mark, or have a full stop in the middle.
    """
    return " ".join(bare(piece).translate(ESCAPED) for piece in split_words(line.translate(PLAIN).lower()))
