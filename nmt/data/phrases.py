"""Words and short phrases with their translations, learnt from sentence pairs.

People type single words; corpora of sentences have next to none, and a network that has seen only sentences makes a
sentence of everything. Phrase pairs are those that agree with the words' links (Och, Tillmann & Ney 1999; Koehn, Och &
Marcu 2003), where the links of both directions are put together as Koehn et al. 2005 do (grow-diag).
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nmt.data import lexicon
from nmt.text.tokenizer import reservoir

TextPair = tuple[str, str]
Link = tuple[int, int]

MOST_WORDS = (3, 4)
"""Of a phrase and of its translation."""
LEAST_COUNT, LEAST_OF_WORDS = 3, 2
"""How often the two have to be seen together, and how often if both are single words."""
LEAST_SHARE, LEAST_BACK = 0.2, 0.1
"""Of the translations that the phrase has, and of the phrases that the translation has."""
FREQUENT, FREQUENT_SHARE = 50, 0.01
"""The words of grammar, with which no phrase of several words ends but for one that is seen alone: so many of the most
frequent ones, but of few words this share."""

# Combining marks are no letters for `re`, though words of many writing systems have them. An apostrophe ends a word in
# the languages that leave out vowels ("l'eau"), and is inside it elsewhere ("don't").
_WORD = r"[^\W_](?:[\w\u0300-\u036f\u0590-\u109f]|-(?=\w)"
_TOKEN = re.compile(rf"{_WORD}|['’](?=\w))*|\S")
_ELIDED = re.compile(rf"{_WORD})*['’]?|\S")
ELIDING = frozenset(["ca", "fr", "it"])


class Word(NamedTuple):
    """A word or sign of a sentence."""

    text: str
    """As it is inside a sentence: without the capital of its beginning."""
    start: int
    end: int

    @property
    def has_letter(self) -> bool:
        return any(map(str.isalpha, self.text))


def phrase_pairs(pairs: Iterable[TextPair], languages: tuple[str, str], *, seed: int) -> list[TextPair]:
    """Each phrase with its likeliest translation, the most frequent first.

    The one it has where it stands alone comes first: "no" is often "keine", but "nein" in "No, I have time". A phrase
    has up to `MOST_WORDS` words and nothing between them but blanks and apostrophes. Of more than
    `lexicon.MOST_PAIRS` pairs some, drawn by `seed`, are looked at.
    """
    texts = _sample(pairs, seed)
    sides = [_words([pair[side] for pair in texts], languages[side]) for side in (0, 1)]
    numbered = [_numbers(side) for side in sides]
    everywhere, lone = _Table(), _Table()
    both_ways = zip(lexicon.links(numbered[0], numbered[1]), lexicon.links(numbered[1], numbered[0]), strict=True)
    for text, src, tgt, (forward, backward) in zip(texts, *sides, both_ways, strict=True):
        for (i, last_i), (j, last_j) in _spans(src, tgt, grow_diag(forward, backward)):
            phrase = _text(text[0], src[i : last_i + 1]), _text(text[1], tgt[j : last_j + 1])
            everywhere.count(phrase)
            if _is_lone(src, i, last_i):
                lone.count(phrase)
    frequent = _frequent(sides[0])
    whole = {source: target for source, target in everywhere.best().items() if not _is_cut_off(source, frequent)}
    found = whole | lone.best()
    return sorted(found.items(), key=lambda phrase: -everywhere.together[phrase])


class _Table:
    """How often phrases are seen."""

    def __init__(self) -> None:
        self.together = Counter[TextPair]()
        self._of_source = Counter[str]()
        self._of_target = Counter[str]()

    def count(self, phrase: TextPair) -> None:
        self.together[phrase] += 1
        self._of_source[phrase[0]] += 1
        self._of_target[phrase[1]] += 1

    def best(self) -> dict[str, str]:
        """The most frequent translation of each phrase, where it is frequent enough; of equal ones that seen first."""
        best: dict[str, str] = {}
        for (source, target), count in self.together.most_common():
            share, back = LEAST_SHARE * self._of_source[source], LEAST_BACK * self._of_target[target]
            least = LEAST_COUNT if " " in source or " " in target else LEAST_OF_WORDS
            if source not in best and count >= max(least, share, back):
                best[source] = target
        return best


def grow_diag(forward: Sequence[int], backward: Sequence[int]) -> set[Link]:
    """Links (source place, target place) that both directions have, and neighbours of those that one has.

    `forward`: by target word the place of its source word, -1 for none; `backward`: the other way round. A neighbour,
    diagonal ones included, is taken where one of its two words has no link yet (Koehn et al. 2005, section 3).
    """
    one_way = {(i, j) for j, i in enumerate(forward) if i >= 0}
    other = {(i, j) for i, j in enumerate(backward) if j >= 0}
    links, union = one_way & other, one_way | other
    sources, targets = {i for i, _ in links}, {j for _, j in links}
    waiting = sorted(links)
    for i, j in waiting:  # grows while it is read
        for near in ((i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1)):
            if near in union and near not in links and not (near[0] in sources and near[1] in targets):
                links.add(near)
                sources.add(near[0])
                targets.add(near[1])
                waiting.append(near)
    return links


def _spans(src: Sequence[Word], tgt: Sequence[Word], links: set[Link]) -> Iterator[tuple[Link, Link]]:
    """First and last places of phrases on both sides: no link leaves the two, and words at their ends have one."""
    targets_of, sources_of = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for i, j in links:
        targets_of[i].append(j)
        sources_of[j].append(i)
    for first in range(len(src)):
        reached: list[int] = []
        for last in range(first, min(len(src), first + MOST_WORDS[0])):
            if not src[last].has_letter:
                break
            reached += targets_of[last]
            if not (targets_of[first] and targets_of[last]):
                continue
            low, high = min(reached), max(reached)
            span = range(low, high + 1)
            if len(span) > MOST_WORDS[1] or not all(tgt[j].has_letter for j in span):
                continue
            if all(first <= i <= last for j in span for i in sources_of[j]):
                yield (first, last), (low, high)


def _frequent(sentences: Sequence[Sequence[Word]]) -> frozenset[str]:
    """The words of grammar."""
    counts = Counter(word.text for words in sentences for word in words if word.has_letter)
    number = min(FREQUENT, int(FREQUENT_SHARE * len(counts)))
    return frozenset(word for word, _ in counts.most_common(number))


def _is_cut_off(phrase: str, frequent: frozenset[str]) -> bool:
    """Whether it ends as the beginning of something does: "too old to"."""
    _, blank, last = phrase.rpartition(" ")
    return bool(blank) and last in frequent


def _is_lone(words: Sequence[Word], first: int, last: int) -> bool:
    """Whether only signs or a sentence's ends are beside these words: "No" of "No, I have no time."."""
    return not any(word.has_letter for word in (*words[max(0, first - 1) : first], *words[last + 1 : last + 2]))


def _sample(pairs: Iterable[TextPair], seed: int) -> list[TextPair]:
    sample = reservoir(pairs, lexicon.MOST_PAIRS, random.Random(seed))
    random.Random(seed).shuffle(sample)
    cells = 0
    for number, (source, target) in enumerate(sample):
        cells += (source.count(" ") + 2) * (target.count(" ") + 2)  # about: signs are words of their own
        if cells > lexicon.MOST_CELLS:
            return sample[:number]
    return sample


def _words(texts: Sequence[str], language: str) -> list[list[Word]]:
    """The words and signs of sentences; the first word as it is mostly written where it is not the first.

    One that is never seen elsewhere is more often a verb or a question word than a name.
    """
    pattern = _ELIDED if language[:2].lower() in ELIDING else _TOKEN
    found = [[Word(match[0], match.start(), match.end()) for match in pattern.finditer(text)] for text in texts]
    inside = Counter(word.text for words in found for word in words[1:])
    for words in found:
        for place, word in enumerate(words):
            if word.has_letter:
                small = word.text.lower()
                if inside[small] >= inside[word.text] and word.text[1:] == small[1:]:
                    words[place] = word._replace(text=small)
                break
    return found


def _numbers(sentences: Sequence[Sequence[Word]]) -> list[list[int]]:
    index: dict[str, int] = {}
    return [[index.setdefault(word.text, len(index)) for word in words] for words in sentences]


def _text(sentence: str, words: Sequence[Word]) -> str:
    return words[0].text + sentence[words[0].end : words[-1].end]
