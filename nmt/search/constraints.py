"""What a translation must or must not hold, as a mask on the next tokens: it acts before candidates are cut.

Pure functions on tensors, shared by the plain searches and by the engine's runner on torch; no value leaves the device.
Barred tokens keep their part of the softmax: a constraint takes choices away and changes no log-probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

NOTHING = -1
"""In place of a token where a sequence is shorter than the tensor it lies in."""


class Demand(NamedTuple):
    """What is asked of one sentence's translation."""

    no_repeat_ngram: int = 0
    """n: no n tokens may come twice (Paulus et al. 2018: trigrams); 0: any may."""
    prefix: Sequence[int] = ()
    """Tokens that every hypothesis begins with. They are written whatever the other demands say, and count for them."""
    forbidden: Sequence[Sequence[int]] = ()
    """Sequences of tokens that may not occur, none of them empty."""


class Constraints(NamedTuple):
    """The demands of B sentences."""

    open: Bool[Tensor, "B V"]
    """Tokens that are not forbidden by themselves."""
    phrases: Int[Tensor, "B F L"]
    """Longer forbidden sequences, ending at the right."""
    ngram: Bool[Tensor, "B G"]
    """n as n times True: its value need not be read to know how far to look back."""
    prefix: Int[Tensor, "B P"]

    @classmethod
    def of(
        cls,
        demands: Sequence[Demand],
        vocabulary: int,
        *,
        device: torch.device | None = None,
        sizes: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Constraints:
        """`vocabulary`: V. `sizes`: the least F, L, G and P, for demands that are to share buffers."""
        longer = [[phrase for phrase in demand.forbidden if len(phrase) > 1] for demand in demands]
        F, L, G, P = map(max, sizes, needed_sizes(demands))
        B = len(demands)
        open_ = torch.ones(B, vocabulary, dtype=torch.bool)
        phrases = torch.full((B, F, L), NOTHING)
        ngram = torch.zeros(B, G, dtype=torch.bool)
        prefix = torch.full((B, P), NOTHING)
        for row, demand in enumerate(demands):
            open_[row, [phrase[0] for phrase in demand.forbidden if len(phrase) == 1]] = False
            for number, phrase in enumerate(longer[row]):
                phrases[row, number, L - len(phrase) :] = torch.tensor(phrase)
            ngram[row, : demand.no_repeat_ngram] = True
            prefix[row, : len(demand.prefix)] = torch.tensor(demand.prefix, dtype=torch.long)
        return cls(*(part.to(device) for part in (open_, phrases, ngram, prefix)))

    def select(self, sentences: Int[Tensor, " b"]) -> Constraints:
        """Those of some sentences, in the order given."""
        return Constraints(*(part.index_select(0, sentences) for part in self))


def needed_sizes(demands: Sequence[Demand]) -> tuple[int, int, int, int]:
    """F, L, G and P of `Constraints` that hold these."""
    longer = [[len(phrase) for phrase in demand.forbidden if len(phrase) > 1] for demand in demands]
    return (
        max(map(len, longer), default=0),
        max((length for lengths in longer for length in lengths), default=0),
        max((demand.no_repeat_ngram for demand in demands), default=0),
        max((len(demand.prefix) for demand in demands), default=0),
    )


def open_tokens(
    constraints: Constraints, written: Int[Tensor, "B K T"], steps: Int[Tensor, " B"]
) -> Bool[Tensor, "N V"]:
    """The tokens that may come next, for B * K hypotheses; `written` holds their tokens, the first `steps` of each."""
    mask = constraints.open.unsqueeze(1).expand(-1, written.shape[1], -1).clone()
    if constraints.ngram.shape[1]:
        _bar(mask, written, _completes_ngram(constraints.ngram, written, steps))
    if constraints.phrases.numel():
        last = constraints.phrases[:, :, -1].unsqueeze(1).expand(-1, written.shape[1], -1)
        _bar(mask, last, _completes_phrase(constraints.phrases, written, steps))
    if constraints.prefix.shape[1]:
        forced = next_of_prefix(constraints, steps)
        only = torch.arange(mask.shape[2], device=mask.device) == forced.unsqueeze(1)
        mask = torch.where((forced == NOTHING)[:, None, None], mask, only.unsqueeze(1))
    return mask.flatten(0, 1)


def _bar(mask: Bool[Tensor, "B K V"], tokens: Int[Tensor, "B K M"], is_barred: Bool[Tensor, "B K M"]) -> None:
    """Take tokens out of the mask, in place.

    Those that are not barred after all, or that lie beyond the vocabulary (copied words), go to a column that nobody
    reads.
    """
    V = mask.shape[2]
    barred = torch.nn.functional.pad(torch.zeros_like(mask), (0, 1))
    barred.scatter_(2, torch.where(is_barred & (tokens < V), tokens, V), True)
    mask &= ~barred[:, :, :V]


def _completes_ngram(
    ngram: Bool[Tensor, "B G"], written: Int[Tensor, "B K T"], steps: Int[Tensor, " B"]
) -> Bool[Tensor, "B K T"]:
    """Whether the n-gram that ends at each place would be there twice if its last token came next.

    It would where the n - 1 tokens before that place are the last n - 1 written.
    """
    T = written.shape[2]
    place = torch.arange(T, device=written.device)
    repeats = (place < steps.unsqueeze(1)).unsqueeze(1) & ngram[:, :1].unsqueeze(2)
    repeats = repeats.expand(written.shape).clone()
    for back in range(1, ngram.shape[1]):
        matters = ngram[:, back, None, None]
        before = torch.nn.functional.pad(written, (back, 0), value=NOTHING)[:, :, :T]  # the token `back` places earlier
        same = before == _last(written, steps, back).unsqueeze(2)
        repeats &= same | ~matters
    return repeats


def _completes_phrase(
    phrases: Int[Tensor, "B F L"], written: Int[Tensor, "B K T"], steps: Int[Tensor, " B"]
) -> Bool[Tensor, "B K F"]:
    """Whether all of a phrase but its last token is what was written last."""
    matches = (phrases[:, :, -1] != NOTHING).unsqueeze(1).expand(-1, written.shape[1], -1).clone()
    for back in range(1, phrases.shape[2]):
        token = phrases[:, :, -1 - back].unsqueeze(1)
        matches &= (token == NOTHING) | (token == _last(written, steps, back).unsqueeze(2))
    return matches


def _last(written: Int[Tensor, "B K T"], steps: Int[Tensor, " B"], back: int) -> Int[Tensor, "B K"]:
    """The token `back` places before the next one; one that is nowhere else before the first."""
    B, K, T = written.shape
    if T == 0:
        return written.new_full((B, K), NOTHING - 1)
    at = (steps - back)[:, None, None]
    found = written.gather(2, at.clamp(0, T - 1).expand(B, K, 1)).squeeze(2)
    return found.masked_fill(at.squeeze(2) < 0, NOTHING - 1)


def next_of_prefix(constraints: Constraints, steps: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The token that must come next; NOTHING where the prefix is written.

    For whoever knows tokens beyond the vocabulary (copied words): `open_tokens` says nothing of those.
    """
    prefix = constraints.prefix
    P = prefix.shape[1]
    if P == 0:
        return torch.full_like(steps, NOTHING)
    token = prefix.gather(1, steps.clamp(max=P - 1).unsqueeze(1)).squeeze(1)
    return token.masked_fill(steps >= P, NOTHING)
