"""The words that texts of one or two words are told apart by: `nmt/inference/common_words.txt`.

    NMT_DATA=/path/to/corpora python -m benchmarks.common_words > nmt/inference/common_words.txt

A line for each language of Tatoeba's pairs: its code, then its commonest words, the commonest first.
"""

from __future__ import annotations

from collections import Counter

from nmt.config import expand_path
from nmt.data.corpus import read_lines
from nmt.inference.detection import words_of

OTHERS = ("de", "es", "fr")
WORDS = 3000


def main() -> None:
    counts: dict[str, Counter[str]] = {language: Counter() for language in ("en", *OTHERS)}
    for other in OTHERS:
        for language in ("en", other):
            for line in read_lines(expand_path(f"$NMT_DATA/tatoeba-en-{other}/train.{language}.gz")):
                counts[language].update(words_of(line))
    print("# Counted in Tatoeba (tatoeba.org, CC BY 2.0 FR) by benchmarks/common_words.py")
    for language in sorted(counts):
        print(language, *(word for word, _ in counts[language].most_common(WORDS)))


if __name__ == "__main__":
    main()
