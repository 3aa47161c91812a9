"""The kernels' engine as a Python object: sentences in, finished hypotheses out, ids on both sides."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.config import ModelConfig, SearchConfig
from nmt.native.library import Model, Options, best, load
from nmt.native.model import Arena, Precision, Weights, WordLists, lay_out
from nmt.native.sharing import shared_block

ROOM = 1024
"""Finished slots taken out at a time; more wait for the next call."""


class Sentence(NamedTuple):
    """What is searched, and how."""

    ids: Sequence[int]
    """EOS included, at least one."""
    beam: int
    n_best: int
    max_length: int
    """Tokens, EOS counted."""
    min_length: int = 0
    """Fewest tokens before EOS."""
    with_attention: bool = False
    prefix: Sequence[int] = ()
    """Tokens that every hypothesis begins with, whatever the shortlist says; fewer than `max_length`."""
    no_repeat_ngram: int = 0
    """n: no n tokens may come twice; 0: any may."""
    forbidden: Sequence[Sequence[int]] = ()
    """Sequences of tokens that may not occur, none of them empty."""


class Result(NamedTuple):
    """One hypothesis."""

    tokens: tuple[int, ...]
    """Without BOS and EOS."""
    score: float
    log_prob: float
    attention: NDArray[np.float32] | None
    """[T, S], EOS counted on both sides."""
    is_truncated: bool


class Engine:
    """Searches many sentences at once on one thread. Not safe for several threads."""

    def __init__(
        self,
        config: ModelConfig,
        search: SearchConfig,
        weights: Weights,
        *,
        precision: Precision,
        bos_id: int,
        eos_id: int,
        forbidden_ids: Collection[int] = (),
        shortlist: WordLists | None = None,
        variant: str | None = None,
        shared_file: int | None = None,
    ) -> None:
        """`shortlist`: the words that a sentence may use; None: all.

        `variant`: of the library, by default the best that runs here.

        `shared_file`: a descriptor from `sharing.make_file`; engines on the same one, in whatever processes, must be of
        the same weights, precision and shortlist, and hold them once.
        """
        name = variant or best()
        assert name is not None, "ask available() first"
        self.variant = name
        self._library = load(name)

        def fill(arena: Arena) -> Model:
            return lay_out(
                arena,
                config,
                search,
                weights,
                variant=name,
                precision=precision,
                bos_id=bos_id,
                eos_id=eos_id,
                forbidden_ids=forbidden_ids,
                shortlist=shortlist,
            )

        counter = Arena()
        fill(counter)
        self._block: object  # what the model's addresses point into
        if shared_file is None:
            block = aligned(counter.used)
            self._block, self._model = block, fill(Arena(block.data))
        else:

            def share(block: memoryview, is_filled: bool) -> None:
                self._model = fill(Arena(block, is_filled=is_filled))

            self._block = shared_block(shared_file, counter.used, share)
        self._engine = self._library.nmt_engine_new(ctypes.byref(self._model))
        if not self._engine:
            raise MemoryError
        self._lengths: dict[int, tuple[int, int]] = {}
        self._finished = np.empty(ROOM, np.int32)

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        """Encode sentences and begin their search; a slot each. Raises MemoryError."""
        ids = np.fromiter((i for sentence in sentences for i in sentence.ids), np.int32)
        lengths = np.array([len(sentence.ids) for sentence in sentences], np.int32)
        forbidden = [[number for part in s.forbidden for number in (len(part), *part)] for s in sentences]
        bounds = np.fromiter(
            (number for s, numbers in zip(sentences, forbidden, strict=True) for number in (*s.prefix, *numbers)),
            np.int32,
        )
        options = (Options * len(sentences))(
            *(
                Options(
                    sentence.beam,
                    sentence.n_best,
                    sentence.max_length,
                    sentence.min_length,
                    sentence.with_attention,
                    len(sentence.prefix),
                    sentence.no_repeat_ngram,
                    len(numbers),
                )
                for sentence, numbers in zip(sentences, forbidden, strict=True)
            )
        )
        slots = np.empty(len(sentences), np.int32)
        admitted = self._library.nmt_admit(
            self._engine,
            len(sentences),
            ids.ctypes.data,
            lengths.ctypes.data,
            options,
            bounds.ctypes.data,
            slots.ctypes.data,
        )
        if admitted < 0:
            raise MemoryError
        numbers: list[int] = slots.tolist()
        for slot, sentence in zip(numbers, sentences, strict=True):
            self._lengths[slot] = (sentence.max_length, len(sentence.ids) if sentence.with_attention else 0)
        return numbers

    def step(self, steps: int = 1) -> list[int]:
        """Advance every running sentence by up to `steps` tokens, less where some finish before: their slots."""
        count = self._library.nmt_step(self._engine, steps, self._finished.ctypes.data, len(self._finished))
        if count < 0:
            raise MemoryError
        slots: list[int] = self._finished[:count].tolist()
        return slots

    def take(self, slot: int) -> list[Result]:
        """The best hypotheses of a finished slot, which is then free; none where no score was finite."""
        max_length, source_length = self._lengths[slot]
        tokens = np.empty(max_length, np.int32)
        scores = np.empty(3, np.float32)
        results: list[Result] = []
        for which in range(self._library.nmt_found(self._engine, slot)):
            attention = np.empty((max_length, source_length), np.float32) if source_length else None
            count = self._library.nmt_hypothesis(
                self._engine,
                slot,
                which,
                tokens.ctypes.data,
                scores.ctypes.data,
                None if attention is None else attention.ctypes.data,
            )
            score, log_prob, steps = scores.tolist()
            results.append(
                Result(
                    tuple(tokens[:count].tolist()),
                    score,
                    log_prob,
                    None if attention is None else attention[: int(steps)].copy(),
                    int(steps) >= max_length,
                )
            )
        self.drop(slot)
        return results

    def drop(self, slot: int) -> None:
        """Free a slot, finished or not."""
        del self._lengths[slot]
        self._library.nmt_drop(self._engine, slot)

    def __del__(self) -> None:
        if engine := getattr(self, "_engine", None):
            self._library.nmt_engine_free(engine)


def aligned(size: int, to: int = 64) -> NDArray[np.uint8]:
    """Zeroed bytes whose address is a multiple of `to`."""
    block = np.zeros(size + to, np.uint8)
    start = -block.ctypes.data % to
    return block[start : start + size]
