"""From attention over pieces to weights and links between words. Knows nothing of models."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.inference.types import LEAST_WEIGHT, Attention, Links
from nmt.text.pieces import Range
from nmt.text.sampling import SPACE
from nmt.text.words import GLUE


def word_links(attention: NDArray[np.float32], source_pieces: Sequence[str], target_pieces: Sequence[str]) -> Links:
    """Each target word with the source word that its pieces attend to most, summed over both words' pieces.

    `attention` is [T, S]; T and S count EOS, which is no word and takes no link.
    """
    return link_words(attention, words_of(source_pieces), words_of(target_pieces))


def link_words(attention: NDArray[np.float32], source_words: Sequence[int], target_words: Sequence[int]) -> Links:
    """`word_links`, given the word that each piece belongs to, from 0 and rising; a word may have no piece."""
    if not source_words or not target_words:
        return ()
    weights = np.zeros((target_words[-1] + 1, source_words[-1] + 1), np.float32)
    rows, columns = np.ix_(target_words, source_words)
    np.add.at(weights, (rows, columns), attention[: len(target_words), : len(source_words)])
    linked = set(target_words)
    return tuple((source, target) for target, source in enumerate(weights.argmax(axis=1).tolist()) if target in linked)


def word_attention(
    attention: NDArray[np.float32], source_pieces: Sequence[str], target_pieces: Sequence[str]
) -> Attention:
    """What each target word looks at: weights are added up over a source word's pieces, and a target word has the mean
    of its pieces.

    `attention` is [T, S]; T and S count EOS. What is missing to 1 was spent on EOS and on words below `LEAST_WEIGHT`.
    """
    source_words, target_words = words_of(source_pieces), words_of(target_pieces)
    if not source_words or not target_words:
        return ()
    weights = np.zeros((target_words[-1] + 1, source_words[-1] + 1), np.float64)
    rows, columns = np.ix_(target_words, source_words)
    np.add.at(weights, (rows, columns), attention[: len(target_words), : len(source_words)])
    weights /= np.bincount(target_words)[:, None]
    return tuple(_largest_first(row) for row in weights)


def _largest_first(weights: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    order = np.argsort(-weights, kind="stable").tolist()
    return tuple((word, round(float(weights[word]), 3)) for word in order if weights[word] >= LEAST_WEIGHT)


def words_between(
    source: str, target: str, looks: Sequence[tuple[NDArray[np.float32] | None, Sequence[Range], Sequence[Range]]]
) -> tuple[Links, Attention]:
    """`word_links` and `word_attention` over the words of two texts, of which parts were translated by themselves.

    `looks`: of each part the attention [T, S], and for each piece of its source and of its target the characters of
    `source` and of `target` that it stands for.
    """
    source_words, target_words = _word_starts(source), _word_starts(target)
    links: list[tuple[int, int]] = []
    rows: dict[int, tuple[tuple[int, float], ...]] = {}
    for attention, source_ranges, target_ranges in looks:
        columns = [_word_at(source_words, place) for place in source_ranges]
        lines = [_word_at(target_words, place) for place in target_ranges]
        if attention is None or not any(c >= 0 for c in columns) or not any(t >= 0 for t in lines):
            continue
        low, first = min(c for c in columns if c >= 0), min(t for t in lines if t >= 0)
        weights = np.zeros((max(lines) - first + 1, max(columns) - low + 1))
        counts = np.zeros(len(weights))
        for t, line in enumerate(lines[: len(attention)]):
            if line < 0:
                continue
            counts[line - first] += 1
            for s, column in enumerate(columns[: attention.shape[1]]):
                if column >= 0:
                    weights[line - first, column - low] += attention[t, s]
        for row in range(len(weights)):
            if not counts[row]:
                continue
            links.append((low + int(weights[row].argmax()), first + row))
            shares = _largest_first(weights[row] / counts[row])
            rows[first + row] = tuple((low + word, weight) for word, weight in shares)
    return tuple(links), tuple(rows.get(word, ()) for word in range(len(target_words)))


def _word_starts(text: str) -> list[int]:
    return [found.start() for found in re.finditer(r"\S+", text)]


def _word_at(starts: Sequence[int], place: Range) -> int:
    """The word that a range of characters belongs to; -1 for an empty range, or where there is no word."""
    return bisect_right(starts, place[1] - 1) - 1 if place[1] > place[0] else -1


def words_of(pieces: Sequence[str]) -> list[int]:
    """The word that each piece belongs to, from 0: a word begins at a piece that begins with a blank."""
    words: list[int] = []
    current = -1
    goes_on = False
    for piece in pieces:
        begins = piece.startswith(SPACE) or current < 0
        if begins and not goes_on:
            current += 1
        # a piece that is a blank alone belongs to the word after it, and so does one that takes its blank away
        goes_on = piece == SPACE or piece.endswith(GLUE)
        words.append(current)
    return words
