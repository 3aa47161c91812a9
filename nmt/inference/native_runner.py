"""The seam over the compiled kernels: one thread of a CPU, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmt.bundle import Bundle
from nmt.inference.runner import Found, SearchOptions, left_to_plain
from nmt.native.engine import Engine, Sentence
from nmt.native.library import available
from nmt.native.model import PRECISIONS, Precision, WordLists, refusal
from nmt.text.tokenizer import BOS_ID, EOS_ID

ROWS = 96
"""Hypotheses at once. Products run at full speed from six rows on; many sentences push each other out of the cache."""


def why_not(bundle: Bundle, precision: str) -> str:
    """Why this bundle cannot run on the kernels, in words; empty where it can."""
    if not available():
        return "the native library was not built"
    if precision not in PRECISIONS:
        return f"precision {precision!r} (only {', '.join(PRECISIONS)})"
    return refusal(bundle.config.model)


class NativeRunner:
    """`nmt.inference.runner.Runner` on nmt.native."""

    name = "native"
    device = "cpu"
    rows = ROWS

    def __init__(
        self, bundle: Bundle, precision: Precision, *, variant: str | None = None, shared_file: int | None = None
    ) -> None:
        """`variant`: of the compiled library, by default the best that this processor runs.

        `shared_file`: a descriptor from `nmt.native.sharing`; runners of this bundle and precision on it, in whatever
        processes, hold their weights once.
        """
        self.precision = precision
        lists = bundle.shortlist
        self._reverses = bundle.config.model.reverse_source
        self._engine = Engine(
            bundle.config.model,
            bundle.config.search,
            bundle.weights,
            precision=precision,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            forbidden_ids=bundle.forbidden_ids,
            shortlist=None if lists is None else WordLists(lists.always, lists.offsets, lists.targets),
            variant=variant,
            shared_file=shared_file,
        )

    def admit(self, sentences: Sequence[tuple[Sequence[int], SearchOptions]]) -> list[int]:
        """Encode sentences (without EOS) and begin their search; a slot each."""
        return self._engine.admit([self._sentence(ids, options) for ids, options in sentences])

    def step(self, steps: int = 1) -> list[int]:
        """Up to `steps` tokens for every running sentence; the slots that have finished."""
        return self._engine.step(steps)

    def take(self, slot: int) -> list[Found]:
        """Results of a finished slot, best first; frees it."""
        found = [Found(*result) for result in self._engine.take(slot)]
        if not self._reverses:
            return found
        return [one if one.attention is None else replace(one, attention=_in_order(one.attention)) for one in found]

    def drop(self, slot: int) -> None:
        """Free a slot, finished or not."""
        self._engine.drop(slot)

    def _sentence(self, ids: Sequence[int], options: SearchOptions) -> Sentence:
        assert not left_to_plain(options), left_to_plain(options)
        return Sentence(
            ids=[*(reversed(ids) if self._reverses else ids), EOS_ID],
            beam=options.beam_size,
            n_best=options.n_best,
            max_length=options.max_length,
            min_length=options.min_length,
            with_attention=options.with_attention,
            prefix=options.prefix,
            no_repeat_ngram=options.no_repeat_ngram,
            forbidden=options.forbidden,
        )


def _in_order(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """[T, S] of a source that was read from its last word to its first, in the order of the source: its end is last."""
    return np.concatenate([attention[:, -2::-1], attention[:, -1:]], axis=1)
