"""What goes into a translation and what comes out. Plain values: they cross process borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nmt.errors import NmtError

Links = tuple[tuple[int, int], ...]
"""Alignment: (source word, target word), counted from 0 over the words that white space separates."""

Attention = tuple[tuple[tuple[int, float], ...], ...]
"""For each word of the translation the source words that the model looked at: (word, weight), the largest first."""

LEAST_WEIGHT = 0.01
"""What is less is left out of `Attention`: so at most 100 source words stand beside a target word."""


@dataclass(frozen=True)
class Sampling:
    """Translations are drawn from the model's distribution instead of looked for (see docs/search.md)."""

    temperature: float = 1.0
    """Above 0. Below 1 likely words become likelier still."""
    top_k: int = 0
    """Only so many of the likeliest words at every step; 0: all."""
    top_p: float = 1.0
    """Only the fewest words that have this share of the probability together; 1: all."""
    seed: int = 0
    """What is drawn depends on it and on the text, and on nothing else."""


@dataclass(frozen=True)
class Diversity:
    """The beam is split into groups that avoid each other's words (Vijayakumar et al. 2016)."""

    groups: int
    """At least 1. The beam is widened to a multiple of it."""
    penalty: float = 0.5
    """In nats, for each time that another group has just chosen a word; 0 or more."""


@dataclass(frozen=True)
class Fusion:
    """A language model that has its say in every search of a translator, from when it is loaded (docs/search.md)."""

    folder: Path
    """Its bundle, over the translator's target vocabulary."""
    weight: float = 0.2
    """Lambda: what its log-probabilities are multiplied by; 0 or more."""


@dataclass(frozen=True)
class Ensemble:
    """Bundles that translate together with a translator's own, from when it is loaded (docs/search.md)."""

    folders: tuple[Path, ...]
    """Of the further bundles, over the translator's target vocabulary; at least one."""
    weights: tuple[float, ...] = ()
    """Above 0, that of the translator's own bundle first; only their ratios count. Empty: all alike."""


@dataclass(frozen=True)
class TranslateOptions:
    """How a text is translated."""

    beam_size: int | None = None
    """None: the bundle's own. Widened to `n_best` where that is larger."""
    n_best: int = 1
    alignments: bool = False
    attention: bool = False
    raw: bool = False
    """The text is one segment: no splitting, nothing protected, checked or repaired, no markup, no terms."""
    max_length_factor: float | None = None
    """Longest translation as a multiple of the source's tokens; None: the bundle's own."""
    replace_unknown: bool = True
    """Where the bundle has a dictionary, a word stands for each `<unk>`."""
    no_repeat_ngram: int | None = None
    """No run of so many tokens comes twice in a segment; 0: any may; None: the bundle's own choice."""
    prefix: str = ""
    """What the translation of the text's first segment begins with."""
    forbidden: tuple[str, ...] = ()
    """Words and phrases that no translation holds."""
    sampling: Sampling | None = None
    """The n best are n samples then."""
    diversity: Diversity | None = None
    mbr: int = 0
    """Minimum Bayes risk decoding: of so many hypotheses, or samples, the one that is most like all of them.

    0: the best score decides.
    """
    markup: Literal["", "html", "xml"] = ""
    """What the text is written in. Tags are kept; what lies between them is translated (docs/text.md)."""
    attributes: bool = False
    """With markup `html`: what people read in attributes (`alt`, `title`, ...), too; without alignments."""
    ignore_tags: tuple[str, ...] = ()
    """With markup: elements whose content stays as it is."""
    split_tags: tuple[str, ...] = ()
    """With markup: elements that sentences do not reach across, beside those of HTML."""
    non_split_tags: tuple[str, ...] = ()
    """With markup: elements that sentences reach across, whatever else is said of them."""
    splitting: Literal["all", "punctuation", "none"] = "all"
    """Sentences end at line breaks and punctuation, at punctuation alone, or nowhere but at the end of the text."""
    terms: tuple[tuple[str, str], ...] = ()
    """Words and phrases of the source, each with what stands for it in the translation."""

    @property
    def candidates(self) -> int:
        """Hypotheses that the search of a segment is to find."""
        return max(self.n_best, self.mbr)

    def width(self, beam_size: int) -> int:
        """Of the beam, where the model's own is `beam_size`."""
        return max(self.beam_size or beam_size, self.candidates)


@dataclass(frozen=True)
class Hypothesis:
    """One of the n best translations."""

    text: str
    score: float
    """Mean over segments of log p / length penalty (see docs/search.md); higher is better, 0 is certainty."""
    alignment: Links = ()
    attention: Attention = ()


FLAGS = {
    "truncated": "a sentence ended at its maximal length",
    "unknown_words": "an `<unk>` stands in the text",
    "repetition": "the translation repeats itself where the text does not",
    "number_mismatch": "a number of the text is missing, or one is there that the text has not",
    "placeholder_fallback": "the text between placeholders was translated piece by piece",
    "markup_fallback": "the text between tags was translated piece by piece",
    "term_missing": "a term of the glossary could not be put in",
}
"""What a reader of a translation should know, by the name that the answer has for it."""


@dataclass(frozen=True)
class Translation:
    """The answer to one text."""

    text: str
    score: float = 0.0
    alternatives: tuple[Hypothesis, ...] = ()
    """The n best, best first, the answer itself included."""
    alignment: Links = ()
    attention: Attention = ()
    flags: frozenset[str] = field(default_factory=frozenset)
    """Of `FLAGS`, those that are true of the text."""
    source_tokens: int = 0
    target_tokens: int = 0
    queue_s: float = field(default=0.0, compare=False)
    """How long the text waited for a worker, in seconds; 0 where there was no queue."""
    engine_s: float = field(default=0.0, compare=False)
    """From when a worker had it to its answer, in seconds."""


Result = Translation | NmtError
"""What becomes of a text."""


@dataclass(frozen=True)
class ModelInfo:
    """A loaded bundle."""

    name: str
    source_lang: str
    target_lang: str
    version: str
    """First 12 hexadecimal digits of the weights' SHA-256; of an ensemble each member's, with + between."""
    parameters: int
    folder: Path
    description: str = ""
    beam_size: int = 5
    """What is used where a request names none."""
    runner: str = ""
    """What computes: `native` or `torch`."""
    precision: str = ""
    """`fp32`, `bf16`, `fp16` or `int8`."""
