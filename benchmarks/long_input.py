"""Quality by the length of the input, up to 60 words: sentences joined into long lines, and long ones people wrote.

    python -m benchmarks.long_input models/en-de \
        --source benchmarks/data/test.en.gz --reference benchmarks/data/test.de.gz \
        --long-source "$NMT_DATA/wmt-en-de/newstest2014.en.gz" --long-reference "$NMT_DATA/wmt-en-de/newstest2014.de.gz"

Joined lines: whole sentences of the first set, in their order, as many as fill a line of 1 to 10, 11 to 20, ... 51 to
60 words, and no sentence twice in one band: all bands say much the same, in longer and longer lines. Long lines: those
of the second set, by their own length.

Each line is translated as one segment (splitting off), which is what the network makes of long input, and by the
default route, which splits text into sentences. Length: words of the output over words of the reference; far below 1
something was dropped. Loops: lines that say something three times in a row where the source does not
(nmt/text/repetition.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nmt.data.corpus import read_lines
from nmt.evaluation.faults import find_faults
from nmt.evaluation.scoring import bleu, chrf
from nmt.hardware import available_cores
from nmt.inference import TranslateOptions, Translator

WIDTH = 10
"""Words that a band spans."""
BANDS = tuple((last - WIDTH + 1, last) for last in range(WIDTH, 61, WIDTH))
Pair = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """Lines of one kind whose sources have so many words."""

    kind: str
    first: int
    last: int
    pairs: Sequence[Pair]


def words(text: str) -> int:
    """White-space words."""
    return len(text.split())


def join(pairs: Sequence[Pair], first: int, last: int) -> list[Pair]:
    """Lines whose sources have `first` to `last` words, each of whole pairs that follow each other.

    A pair that would make its line too long begins the next one; a line that stays too short is left out.
    """
    made: list[Pair] = []
    line: list[Pair] = []

    def close() -> None:
        if first <= sum(words(source) for source, _ in line) <= last:
            made.append((" ".join(source for source, _ in line), " ".join(target for _, target in line)))
        line.clear()

    for pair in pairs:
        if sum(words(source) for source, _ in line) + words(pair[0]) > last:
            close()
        line.append(pair)
        if sum(words(source) for source, _ in line) >= first:
            close()
    close()
    return made


def parts(joined: Sequence[Pair], long: Sequence[Pair]) -> Iterator[Part]:
    """What is translated, kind by kind and band by band; no empty part."""
    for kind, pairs in (("joined", joined), ("long", long)):
        for first, last in BANDS:
            chosen = (
                join(pairs, first, last) if kind == "joined" else [p for p in pairs if first <= words(p[0]) <= last]
            )
            if chosen:
                yield Part(kind, first, last, chosen)


def measure(translator: Translator, part: Part, options: TranslateOptions) -> tuple[str, ...]:
    """BLEU, chrF2, length and loops, as text."""
    sources, references = zip(*part.pairs, strict=True)
    outputs = [one.text for one in translator.translate(sources, options)]
    faults = find_faults(outputs, [references], sources)
    quality, letters = bleu(outputs, [references]), chrf(outputs, [references])
    return f"{quality.value:.2f}", f"{letters.value:.2f}", f"{faults.length_ratio:.3f}", str(len(faults.loops))


def read_pairs(source: Path, reference: Path) -> list[Pair]:
    """Two files, line by line. Raises ValueError where one has more lines."""
    return list(zip(read_lines(source), read_lines(reference), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="sentences to be joined")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--long-source", type=Path, help="long text, taken as it is")
    parser.add_argument("--long-reference", type=Path)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--workers", type=int, default=available_cores())
    chosen = parser.parse_args()
    long = [] if chosen.long_source is None else read_pairs(chosen.long_source, chosen.long_reference)
    split = TranslateOptions(beam_size=chosen.beam)
    whole = replace(split, splitting="none")
    print(
        "| lines | words | number | BLEU, one segment | chrF2 | length | loops | BLEU, split | chrF2 | length | loops |"
    )
    print("|---" * 11 + "|")
    with Translator.load(chosen.model, workers=chosen.workers) as translator:
        for part in parts(read_pairs(chosen.source, chosen.reference), long):
            cells = [part.kind, f"{part.first} to {part.last}", str(len(part.pairs))]
            cells += [*measure(translator, part, whole), *measure(translator, part, split)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
