"""The plain searches of `nmt.search` as a runner: for what the fast runners leave out. Whole sentences, not steps.

Sampling, diverse beams and shallow fusion run here, in fp32 on torch whatever the bundle's precision is elsewhere. It
is slower by far, and while it searches a group of sentences nobody else comes or goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.bundle import Bundle
from nmt.inference.members import Member, weights_of_all
from nmt.inference.runner import Found, SearchOptions, Sentence, readings_of
from nmt.search.beam import Hypothesis, beam_search
from nmt.search.constraints import Constraints, Demand
from nmt.search.diverse import diverse_beam_search
from nmt.search.ensemble import Ensemble
from nmt.search.fusion import LanguageModel, ShallowFusion
from nmt.search.sampling import sample
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper, Stepper, WordLists
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID

ROWS = 64


class PlainRunner:
    """A `Runner` that searches sentences of the same options together, from their first step to their last."""

    name = "plain"
    precision = "fp32"
    rows = ROWS

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device,
        language_model: LanguageModel | None = None,
        weight: float = 0.0,
        *,
        further: Sequence[Member] = (),
    ) -> None:
        """`language_model`: over the bundle's target vocabulary, on `device`; its log-probabilities count `weight`.

        `further`: members of an ensemble beside `bundle`, which says how they are searched.
        """
        self.device = str(device)
        self._device = device
        bundles = (bundle, *(member.bundle for member in further))
        self._models = [(member.build_model().to(device), member.shortlist) for member in bundles]
        self._weights = weights_of_all(further)
        self._reads_alike = [True, *(member.reads_alike for member in further)]
        self._vocabulary = bundle.config.tgt_vocab
        allowed = torch.ones(self._vocabulary, dtype=torch.bool)
        allowed[sorted(bundle.forbidden_ids - {EOS_ID})] = False
        self._allowed = allowed.to(device)
        search = bundle.config.search
        self._scoring = Scoring(search.length_penalty, search.coverage_penalty)
        self._language_model, self._weight = language_model, weight
        self._numbers = count()
        self._waiting: dict[int, Sentence] = {}
        self._results: dict[int, list[Found]] = {}

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        """Note sentences down; a slot each."""
        slots = [next(self._numbers) for _ in sentences]
        self._waiting.update(zip(slots, sentences, strict=True))
        return slots

    def step(self, steps: int = 1) -> list[int]:
        """Search the sentence that waits longest, and those that are searched alike; `steps` says nothing here."""
        if self._waiting:
            first = _kind(next(iter(self._waiting.values()))[1])
            alike = [slot for slot, (_, options) in self._waiting.items() if _kind(options) == first]
            chosen = self._of_one_reading(alike)[: max(1, ROWS // first.beam_size)]
            sentences = [self._waiting.pop(slot) for slot in chosen]
            self._results.update(zip(chosen, self._search(sentences, first), strict=True))
        return list(self._results)

    def take(self, slot: int) -> list[Found]:
        """Results of a sentence that has been searched."""
        return self._results.pop(slot)

    def drop(self, slot: int) -> None:
        """Forget a sentence."""
        self._waiting.pop(slot, None)
        self._results.pop(slot, None)

    def _of_one_reading(self, slots: Sequence[int]) -> list[int]:
        """Those of some that wait of which the first member's ids tell what the other members of an ensemble read."""
        known: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
        sentences = ((slot, *self._waiting[slot]) for slot in slots)
        return [slot for slot, ids, own in sentences if known.setdefault(tuple(ids), own.readings) == own.readings]

    def _search(self, sentences: Sequence[Sentence], options: SearchOptions) -> list[list[Found]]:
        """Of sentences with the same options but for their limits of length, and each its own readings."""
        src, lengths = self._source([ids for ids, _ in sentences])
        limits = torch.tensor([own.max_length for _, own in sentences])
        demand = Demand(options.no_repeat_ngram, options.prefix, options.forbidden)
        constraints = None
        if demand != Demand():
            constraints = Constraints.of([demand] * len(sentences), self._vocabulary, device=self._device)
        search = partial(
            self._algorithm(sentences, options),
            self._stepper(sentences, options),
            src,
            lengths,
            max_length=limits.to(self._device),
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            scoring=self._scoring,
            min_length=options.min_length,
            with_attention=options.with_attention,
            constraints=constraints,
        )
        return [[_found(h) for h in hypotheses[: options.n_best]] for hypotheses in search()]

    def _algorithm(self, sentences: Sequence[Sentence], options: SearchOptions) -> partial[list[list[Hypothesis]]]:
        """The search, but for what all have in common."""
        if (sampling := options.sampling) is not None:
            return partial(
                sample,
                samples=options.n_best,
                seeds=[_seed(sampling.seed, ids) for ids, _ in sentences],
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
            )
        if (diversity := options.diversity) is not None:
            return partial(
                diverse_beam_search,
                size=options.beam_size,
                groups=diversity.groups,
                penalty=diversity.penalty,
                n_best=options.n_best,
            )
        return partial(beam_search, size=options.beam_size, n_best=options.n_best)

    def _source(self, sentences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Sentences with EOS, padded [B, S], and their lengths [B]."""
        longest = max(map(len, sentences)) + 1
        src = torch.tensor([[*ids, EOS_ID] + [PAD_ID] * (longest - 1 - len(ids)) for ids in sentences])
        lengths = torch.tensor([len(ids) + 1 for ids in sentences])
        return src.to(self._device), lengths.to(self._device)

    def _read(
        self, readings: Mapping[tuple[int, ...], Sequence[Sequence[int]]], member: int, src: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sentences as a member of an ensemble reads them. `readings`: all members', by the first one's ids."""
        rows = zip(src.tolist(), lengths.tolist(), strict=True)
        return self._source([readings[tuple(ids[: length - 1])][member] for ids, length in rows])

    def _stepper(self, sentences: Sequence[Sentence], options: SearchOptions) -> Stepper:
        """For these sentences."""
        stepper: Stepper
        if len(self._models) == 1:
            ((model, shortlist),) = self._models
            stepper = PlainStepper(model, self._allowed, _with_prefix(shortlist, options.prefix))
        else:
            members = [PlainStepper(model, None, _with_prefix(lists, options.prefix)) for model, lists in self._models]
            readings = {tuple(one[0]): readings_of(one, len(members)) for one in sentences}
            readers = [
                None if is_alike else partial(self._read, readings, number)
                for number, is_alike in enumerate(self._reads_alike)
            ]
            stepper = Ensemble(members, self._weights, allowed=self._allowed, readers=readers)
        if self._language_model is None:
            return stepper
        return ShallowFusion(stepper, self._language_model, self._weight)


class _WithPrefix:
    """A bundle's shortlists with a prefix in each."""

    def __init__(self, shortlist: WordLists, prefix: Sequence[int]) -> None:
        self.tgt_vocab = shortlist.tgt_vocab
        self._shortlist, self._prefix = shortlist, prefix

    def words(self, source_ids: Iterable[int]) -> NDArray[np.int32]:
        return np.union1d(self._shortlist.words(source_ids), self._prefix).astype(np.int32)


def _with_prefix(shortlist: WordLists | None, prefix: Sequence[int]) -> WordLists | None:
    return None if shortlist is None else _WithPrefix(shortlist, prefix)


def _kind(options: SearchOptions) -> SearchOptions:
    """What must be the same for sentences that are searched together: all but the limit of length and the source."""
    return replace(options, max_length=0, readings=())


def _seed(seed: int, ids: Sequence[int]) -> int:
    """Of a sentence's own generator: company and order change nothing."""
    digest = hashlib.blake2b(repr((seed, list(ids))).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _found(hypothesis: Hypothesis) -> Found:
    attention = None if hypothesis.attention is None else hypothesis.attention.cpu().numpy()
    return Found(hypothesis.tokens, hypothesis.score, hypothesis.log_prob, attention, hypothesis.is_truncated)
