"""The runners under test, and how one is driven: sentences come and go while others run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nmt.bundle import Bundle
from nmt.inference.members import Member, weights_of_all
from nmt.inference.native_runner import NativeRunner
from nmt.inference.runner import Found, Runner, SearchOptions, Sentence, readings_of
from nmt.inference.torch_runner import TorchRunner
from nmt.native.library import available
from nmt.search.beam import beam_search
from nmt.search.constraints import Constraints, Demand
from nmt.search.ensemble import Ensemble, Reader
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper, Stepper, WordLists
from nmt.text.tokenizer import BOS_ID, EOS_ID

TOLERANCE = 1e-4
"""Scores closer than this are a near-tie, where either order is right."""
RELATIVE = 2e-6
"""The same for scores in the hundreds, of which fp32 has no four decimals: coverage of local attention gives them."""

CPU = torch.device("cpu")
Factory = Callable[[Bundle], Runner]


def torch_runner(bundle: Bundle, **choices: Any) -> Runner:
    return TorchRunner(bundle, CPU, **choices)


RUNNERS: dict[str, Factory] = {
    "torch": torch_runner,
    "torch, plain": partial(torch_runner, is_fused=False),
    "torch, as on a GPU": partial(torch_runner, as_on_gpu=True),
}
if available():
    RUNNERS["native"] = lambda bundle: NativeRunner(bundle, "fp32")
"""At fp32. Each must find what the reference finds."""


def translate(runner: Runner, sentences: Sequence[Sentence], group: int = 3) -> list[list[Found]]:
    """Admit a few at a time, with steps in between, so that rows fall free and are taken again."""
    waiting = list(range(len(sentences)))
    running: dict[int, int] = {}
    found: dict[int, list[Found]] = {}
    while waiting or running:
        chosen, waiting = waiting[:group], waiting[group:]
        slots = runner.admit([sentences[i] for i in chosen]) if chosen else []
        running.update(zip(slots, chosen, strict=True))
        for slot in runner.step(3):
            found[running.pop(slot)] = runner.take(slot)
    return [found[i] for i in range(len(sentences))]


def reference(bundle: Bundle, sentences: Sequence[Sentence], further: Sequence[Member] = ()) -> list[list[Found]]:
    """Each sentence, unpadded and alone, by the plain search. `further`: members of an ensemble beside `bundle`."""
    allowed = torch.tensor([i not in bundle.forbidden_ids for i in range(bundle.config.tgt_vocab)])
    bundles = [bundle, *(member.bundle for member in further)]
    members = [PlainStepper(one.build_model(), allowed if not further else None) for one in bundles]
    found = []
    for sentence in sentences:
        ids, options = sentence
        for member, one in zip(members, bundles, strict=True):
            member.shortlist = None if one.shortlist is None else _WithPrefix(one.shortlist, options.prefix)
        stepper: Stepper = members[0]
        if further:
            alike = [True, *(member.reads_alike for member in further)]
            readings = readings_of(sentence, len(members))
            readers = [None if a else _reader(reading) for a, reading in zip(alike, readings, strict=True)]
            stepper = Ensemble(members, weights_of_all(further), allowed=allowed, readers=readers)
        found.append(_search(bundle, stepper, ids, options))
    return found


def _reader(ids: Sequence[int]) -> Reader:
    source = torch.tensor([[*ids, EOS_ID]]), torch.tensor([len(ids) + 1])
    return lambda _src, _lengths: source


class _WithPrefix:
    """A bundle's shortlists, with a prefix in each."""

    def __init__(self, shortlist: WordLists, prefix: Sequence[int]) -> None:
        self.tgt_vocab = shortlist.tgt_vocab
        self._shortlist, self._prefix = shortlist, prefix

    def words(self, source_ids: Iterable[int]) -> NDArray[np.int32]:
        return np.union1d(self._shortlist.words(source_ids), self._prefix).astype(np.int32)


def _search(bundle: Bundle, stepper: Stepper, ids: Sequence[int], options: SearchOptions) -> list[Found]:
    search = bundle.config.search
    demand = Demand(options.no_repeat_ngram, options.prefix, options.forbidden)
    found = beam_search(
        stepper,
        torch.tensor([[*ids, EOS_ID]]),
        torch.tensor([len(ids) + 1]),
        size=options.beam_size,
        max_length=torch.tensor([options.max_length]),
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        scoring=Scoring(search.length_penalty, search.coverage_penalty),
        n_best=options.n_best,
        min_length=options.min_length,
        with_attention=options.with_attention,
        constraints=None if demand == Demand() else Constraints.of([demand], bundle.config.tgt_vocab),
    )[0]
    return [
        Found(h.tokens, h.score, h.log_prob, None if h.attention is None else h.attention.numpy(), h.is_truncated)
        for h in found
    ]


def is_near_tie(expected: Sequence[Found]) -> bool:
    """Whether the reference itself hardly separates two of these."""
    return any(a.score - b.score < max(TOLERANCE, RELATIVE * abs(b.score)) for a, b in pairwise(expected))


def compare(found: Sequence[Sequence[Found]], wanted: Sequence[Sequence[Found]]) -> int:
    """Assert that these are the same, near-ties apart; how many near-ties there were."""
    ties = 0
    for mine, theirs in zip(found, wanted, strict=True):
        assert [h.score for h in mine] == pytest.approx([h.score for h in theirs], rel=RELATIVE, abs=TOLERANCE)
        if [h.tokens for h in mine] != [h.tokens for h in theirs]:
            assert is_near_tie(theirs)
            ties += 1
            continue
        for one, other in zip(mine, theirs, strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=10 * TOLERANCE)
            assert one.is_truncated == other.is_truncated
            assert (one.attention is None) == (other.attention is None)
            if one.attention is not None and other.attention is not None:
                np.testing.assert_allclose(one.attention, other.attention, atol=1e-4)
    return ties


def mixed_options(count: int, with_attention: bool = True) -> list[SearchOptions]:
    """Beams of all sizes, few and many hypotheses, limits low and high."""
    beams = (1, 3, 5, 2, 8)
    return [
        SearchOptions(
            beam_size=beams[i % 5],
            n_best=1 if i % 3 == 0 else beams[i % 5],
            max_length=5 + 3 * (i % 4),
            with_attention=with_attention and i % 4 != 1,
            min_length=1 + 2 * (i % 2),
        )
        for i in range(count)
    ]


OUTSIDE = range(260, 290)
"""Pieces of the toy vocabulary that are neither special nor bytes: most of them in no sentence's shortlist."""
CONSTRAINTS: dict[str, Callable[[random.Random, Sequence[int]], dict[str, Any]]] = {
    "no_repeat_ngram": lambda rng, _: {"no_repeat_ngram": rng.randint(1, 4)},
    "prefix": lambda rng, ids: {"prefix": tuple(rng.choices([*ids, *OUTSIDE], k=rng.randint(1, 4)))},
    "forbidden": lambda rng, ids: {
        "forbidden": tuple(tuple(rng.choices(ids, k=rng.randint(1, 3))) for _ in range(rng.randint(1, 30)))
    },
}
"""What a search may be bound by, by the name of its option: one at random over some tokens."""


def constrained_options(kinds: Sequence[str], ids: Sequence[Sequence[int]], seed: int = 0) -> list[SearchOptions]:
    """`mixed_options` of so many sentences, most of them with constraints of these kinds over their own tokens."""
    rng = random.Random(seed)
    mixed = mixed_options(len(ids))
    for i, options in enumerate(mixed):
        if i % 4 != 3:
            bounds = [CONSTRAINTS[kind](rng, ids[i]) for kind in kinds]
            mixed[i] = replace(options, **dict(item for bound in bounds for item in bound.items()))
    return mixed
