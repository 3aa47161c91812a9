"""Labels as a vocabulary, and the words that they belong to as pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nmt.text.tokenizer import UNK_ID, Tokenizer, VocabularyTokenizer

ANY_NUMBER = 1 << 30


def label_vocabulary(lines: Iterable[str]) -> VocabularyTokenizer:
    """All labels of these lines, as they stand between blanks."""
    return VocabularyTokenizer.train(lines, "word", ANY_NUMBER, "identity", rule="blanks")


def encode_words(
    texts: Sequence[Sequence[str]], tokenizer: Tokenizer, sampling: float = 0.0, seed: int | None = None
) -> list[tuple[list[int], list[int]]]:
    """Of each text, given as words, the ids of all its pieces and the place of every word's last piece.

    Each word is cut by itself; one of which nothing is left is unknown. `seed`: draw the pieces, by `sampling`.
    """
    words = [word for text in texts for word in text]
    cut = tokenizer.encode_batch(words) if seed is None else tokenizer.sample_batch(words, sampling, seed)
    pieces = iter(cut)
    encoded: list[tuple[list[int], list[int]]] = []
    for text in texts:
        ids: list[int] = []
        ends: list[int] = []
        for _ in text:
            ids += next(pieces) or [UNK_ID]
            ends.append(len(ids) - 1)
        encoded.append((ids, ends))
    return encoded
