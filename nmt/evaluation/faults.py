"""What goes wrong in translations without a score noticing much: loops, copies, nothing at all, too short, too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nmt.evaluation.rarity import words_of
from nmt.text.repetition import is_loop


@dataclass(frozen=True)
class Faults:
    """Indices of the lines that have a fault, and lengths over all lines."""

    sentences: int
    loops: tuple[int, ...]
    """Something is said three times in a row, and more often than in the source (`nmt.text.repetition`)."""
    copies: tuple[int, ...] | None
    """The output is the source again, and no reference is. None: the sources are not known."""
    empty: tuple[int, ...]
    """There is no output, although there is something to translate."""
    doubled: int
    """Words that follow themselves ("the the")."""
    words: int
    reference_words: int
    """Of the first reference."""
    reference_doubled: int

    @property
    def length_ratio(self) -> float:
        """Words of the output over words of the first reference, all lines together."""
        return self.words / self.reference_words if self.reference_words else 0.0

    def as_dict(self) -> dict[str, object]:
        """As JSON types; rates from 0 to 1, lines counted from 1."""

        def entry(lines: Sequence[int]) -> dict[str, object]:
            return {"rate": len(lines) / self.sentences, "lines": [line + 1 for line in lines]}

        return {
            "repetition": entry(self.loops),
            "copies": None if self.copies is None else entry(self.copies),
            "empty": entry(self.empty),
            "doubled_words": {
                "rate": self.doubled / max(self.words, 1),
                "reference_rate": self.reference_doubled / max(self.reference_words, 1),
            },
            "length_ratio": self.length_ratio,
        }


def find_faults(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str | None]],
    sources: Sequence[str] | None = None,
) -> Faults:
    """Look through translations; `references` as `scoring.References`. At least one line."""
    known = [""] * len(hypotheses) if sources is None else sources
    alternatives = list(zip(*references, strict=True))
    first = [next(text for text in line if text is not None) for line in alternatives]
    copies = None
    if sources is not None:
        copies = tuple(
            k
            for k, (output, source, right) in enumerate(zip(hypotheses, sources, alternatives, strict=True))
            if _is_copy(output, source) and not any(text is not None and _is_copy(text, source) for text in right)
        )
    return Faults(
        sentences=len(hypotheses),
        loops=tuple(k for k, (s, t) in enumerate(zip(known, hypotheses, strict=True)) if is_loop(s, t)),
        copies=copies,
        empty=tuple(
            k for k, output in enumerate(hypotheses) if not output.strip() and (sources is None or sources[k].strip())
        ),
        doubled=sum(map(_doubled, hypotheses)),
        words=sum(len(words_of(text)) for text in hypotheses),
        reference_words=sum(len(words_of(text)) for text in first),
        reference_doubled=sum(map(_doubled, first)),
    )


def _is_copy(output: str, source: str) -> bool:
    """The same words in the same order; case, blanks and punctuation do not matter."""
    words = words_of(output)
    return bool(words) and words == words_of(source)


def _doubled(text: str) -> int:
    words = words_of(text)
    return sum(one == other for one, other in pairwise(words))
