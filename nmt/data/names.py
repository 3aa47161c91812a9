"""Names in sentence pairs, and other names in their place. Texts in, texts out; `epochs` decides where.

A corpus may say "Tom" in every fourth sentence and know few names besides; a network trained on it copies "Tom" and
makes a word of its own of "Anna". With many names in the same places it learns that names are copied.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

TextPair = tuple[str, str]

MADE_UP = 0.5
"""Share of the other names that no text has: the beginning of one and the end of another."""
LEAST_LETTERS = 3
"""A name's: below are "Dr", "Mt", "Oh"."""
MOST_FIRST = 0.9
"""Share of its pairs in which a name may be the first word of a side: "Hey" is more often."""
LEAST_SHARED = 0.1
"""Share of the pairs with a name on one side that have it on the other, at least: of "Mary" and "Maria" some have."""
_WORD = re.compile(r"[^\W\d_]+")


class Names:
    """The names that may stand for each other."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._alike: defaultdict[tuple[bool, bool], list[str]] = defaultdict(list)
        for name in sorted(self.names):
            self._alike[_shape(name)].append(name)

    @classmethod
    def find(cls, pairs: Iterable[TextPair]) -> Names:
        """Words that both sides of pairs have and write with a capital, and not only as their first word.

        Not those that are more often in small letters, on either side ("Hand" may begin an English sentence), or that
        the other side mostly has another word for ("French").
        """
        shared, first = Counter[str](), Counter[str]()
        seen = Counter[str](), Counter[str]()
        for pair in pairs:
            source, target = (_WORD.findall(text) for text in pair)
            for words, times in zip((source, target), seen, strict=True):
                times.update(set(words))
            capital = set(filter(_may_be_name, source)).intersection(target)
            shared.update(capital)
            first.update(capital.intersection([*source[:1], *target[:1]]))

        def is_name(word: str, times: int) -> bool:
            small = max(side[word.lower()] for side in seen)
            most = max(side[word] for side in seen)
            return times > small and times >= LEAST_SHARED * most and first[word] <= MOST_FIRST * times

        return cls(word for word, times in shared.items() if is_name(word, times))

    def replaced(self, source: str, target: str, rng: random.Random) -> TextPair:
        """Each name that both sides have equally often becomes another one of `names`, or one made of two.

        It begins with a vowel or none as the first does, since words before it may depend on that ("d'Alice"), and ends
        in an s or none, since a genitive may.
        """
        others = {name: self._other(name, rng) for name in self.shared((source, target))}
        source, target = self.renamed((source, target), others)
        return source, target

    def shared(self, texts: Sequence[str]) -> list[str]:
        """The names that each of the texts has, and all equally often."""
        places, *rest = map(self._places, texts)
        return [name for name, some in places.items() if all(len(other.get(name, ())) == len(some) for other in rest)]

    def renamed(self, texts: Iterable[str], others: Mapping[str, str]) -> list[str]:
        """The texts with other names for some, everywhere. The s of a genitive ("Tom's", "Toms") stays."""
        return [_with_others(text, self._places(text), others) for text in texts]

    def _places(self, text: str) -> dict[str, list[int]]:
        """Where each name begins."""
        places: dict[str, list[int]] = {}
        for start, name in self._read(text):
            places.setdefault(name, []).append(start)
        return places

    def _read(self, text: str) -> Iterator[tuple[int, str]]:
        for word in _WORD.finditer(text):
            name = word[0] if word[0] in self.names else word[0].removesuffix("s")
            if name in self.names:
                yield word.start(), name

    def _other(self, name: str, rng: random.Random) -> str:
        alike = [other for other in self._alike[_shape(name)] if other != name] or [name]
        other = rng.choice(alike)
        if rng.random() >= MADE_UP:
            return other
        ending = rng.choice(alike)
        return other[: rng.randint(2, len(other))] + ending[rng.randint(1, len(ending) - 1) :]


def _may_be_name(word: str) -> bool:
    return len(word) >= LEAST_LETTERS and word[0].isupper() and word[1:].islower()


def _shape(name: str) -> tuple[bool, bool]:
    return name[0].lower() in "aeiouyhàâäéèêíîïóôöúûüœæ", name[-1] in "sxzß"


def _with_others(text: str, places: Mapping[str, Sequence[int]], others: Mapping[str, str]) -> str:
    """Changed from its end on, so that places stay true."""
    changes = [(start, name) for name in others for start in places.get(name, ())]
    for start, name in sorted(changes, reverse=True):
        text = text[:start] + others[name] + text[start + len(name) :]
    return text
