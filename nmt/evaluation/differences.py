"""Where two systems differ: sentences in order of the difference, and which words each has for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["shared", "right", "wrong"]


@dataclass(frozen=True, slots=True)
class Run:
    """Words that stand together and have one thing in common."""

    text: str
    kind: Kind
    """Shared with the other text; or its own, and then a word of a reference (right) or of none (wrong)."""


def runs(text: str, other: str, references: Sequence[str]) -> list[Run]:
    """`text` in runs of white-space words: those in the longest common subsequences with `other`, and its own.

    Punctuation at the edge of a word and case do not make it wrong.
    """
    words, others = text.split(), other.split()
    known = {_key(word) for reference in references for word in reference.split()}
    kinds: list[Kind] = ["right" if _key(word) in known else "wrong" for word in words]
    for block in SequenceMatcher(None, words, others, autojunk=False).get_matching_blocks():
        kinds[block.a : block.a + block.size] = ["shared"] * block.size
    found: list[Run] = []
    for word, kind in zip(words, kinds, strict=True):
        if found and found[-1].kind == kind:
            found[-1] = Run(f"{found[-1].text} {word}", kind)
        else:
            found.append(Run(word, kind))
    return found


def _key(word: str) -> str:
    return word.casefold().strip(".,;:!?…\"'()[]«»„“”‚‘’。，！？") or word


def most_different(ours: NDArray[np.float64], theirs: NDArray[np.float64], number: int) -> tuple[list[int], list[int]]:
    """Lines where ours scores higher by most, and where theirs does, at most `number` each, most first."""
    gain = ours - theirs
    order = np.argsort(-gain, kind="stable")
    better = [int(line) for line in order[:number] if gain[line] > 0]
    worse = [int(line) for line in np.argsort(gain, kind="stable")[:number] if gain[line] < 0]
    return better, worse
