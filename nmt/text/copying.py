"""Unknown words that a model may copy: ids beyond the vocabulary, each for one word of one source sentence.

A source word that a vocabulary of V ids lacks is V plus the place where it stands first in its sentence. The same word
in the translation has the same id (See et al. 2017, section 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nmt.text.tokenizer import UNK_ID, Tokenizer, TokenizerPair


def unknown_pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """The pieces of a text that are unknown, in turn, as they stand in it."""
    return [piece for piece, i in zip(tokenizer.split(text), tokenizer.encode(text), strict=True) if i == UNK_ID]


def number_unknown(ids: Sequence[int], unknown: Sequence[str], size: int) -> tuple[list[int], dict[str, int]]:
    """The ids of a source with a number of its own for each unknown word; and these numbers by word.

    `unknown`: the words that stand for each `<unk>` in turn. `size`: V.
    """
    numbers: dict[str, int] = {}
    words = iter(unknown)
    return [numbers.setdefault(next(words), size + s) if i == UNK_ID else i for s, i in enumerate(ids)], numbers


def find_unknown(ids: Sequence[int], unknown: Sequence[str], numbers: Mapping[str, int]) -> list[int]:
    """The ids of a target with the numbers of those unknown words that its source has, too."""
    words = iter(unknown)
    return [numbers.get(next(words), UNK_ID) if i == UNK_ID else i for i in ids]


def number_pair(
    tokenizers: TokenizerPair, pair: tuple[str, str], ids: tuple[Sequence[int], Sequence[int]]
) -> tuple[Sequence[int], Sequence[int]]:
    """The ids of a sentence and its translation, those unknown words numbered that both have."""
    src, tgt = ids
    if UNK_ID not in src:
        return ids
    src, numbers = number_unknown(src, unknown_pieces(tokenizers.source, pair[0]), tokenizers.source.size)
    if UNK_ID in tgt:
        tgt = find_unknown(tgt, unknown_pieces(tokenizers.target, pair[1]), numbers)
    return src, tgt


def encode_to_copy(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of sources, unknown words numbered."""
    return [
        number_unknown(ids, unknown_pieces(tokenizer, text), tokenizer.size)[0] if UNK_ID in ids else ids
        for ids, text in zip(tokenizer.encode_batch(texts), texts, strict=True)
    ]


def split_copies(tokens: Sequence[int], source_pieces: Sequence[str], size: int) -> tuple[list[int], list[str | None]]:
    """A translation's ids, `<unk>` for every copy, and what stands for each `<unk>` in turn: a copy or nothing.

    `source_pieces`: of the source, as they stand in its text. `size`: V.
    """
    ids = [UNK_ID if token >= size else token for token in tokens]
    copies = [
        source_pieces[token - size] if token >= size else None for token in tokens if token >= size or token == UNK_ID
    ]
    return ids, copies
