"""What a caller binds a translation by, in words, as the ids that a search knows. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property, lru_cache

from nmt.errors import TranslationError
from nmt.text.segmentations import segmentations
from nmt.text.tokenizer import SPECIAL_IDS, UNK_ID, Tokenizer

MOST_WAYS = 128
"""Segmentations of a phrase that are barred: those of the fewest pieces."""

Ids = tuple[int, ...]


class Bounds:
    """Prefixes and forbidden phrases for one target vocabulary."""

    def __init__(self, target: Tokenizer, forbidden_ids: Collection[int]) -> None:
        """`forbidden_ids`: what searches never generate."""
        self._target = target
        self._never = frozenset(forbidden_ids)
        self.forbidden = lru_cache(maxsize=64)(self._forbidden)  # callers ask the same for many texts

    def prefix(self, text: str) -> Ids:
        """Raises TranslationError where the model cannot say that."""
        ids = tuple(self._target.encode(text)) if text else ()
        if UNK_ID in ids or self._never.intersection(ids):
            raise TranslationError("the prefix holds what this model has no word for")
        return ids

    def _forbidden(self, phrases: tuple[str, ...]) -> tuple[Ids, ...]:
        """Every way in which the model can write each phrase at the beginning of a word.

        One that it cannot write need not be forbidden.
        """
        return tuple(dict.fromkeys(ids for phrase in phrases for ids in self._ways(phrase)))

    def _ways(self, phrase: str) -> list[Ids]:
        ids = self._target.encode(phrase)
        if not ids or UNK_ID in ids:
            return []
        text = "".join(self._target.pieces(ids))
        return [tuple(ids), *segmentations(text, self._pieces, MOST_WAYS)]

    @cached_property
    def _pieces(self) -> dict[str, int]:
        open_ids = [i for i in range(self._target.size) if i not in self._never and i not in SPECIAL_IDS]
        return dict(zip(self._target.pieces(open_ids), open_ids, strict=True))
