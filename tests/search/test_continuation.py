"""Text drawn from a language model: its distribution, its beginning, its end, and what a seed decides."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from nmt.search.continuation import continue_text
from tests.search.tables import BOS, EOS

VOCAB = 5


class Seen(NamedTuple):
    """The state: everything read so far."""

    tokens: Tensor


class Chain:
    """p(y | last token), or of a line's tokens so far where `counts` is set: a language model made of numbers."""

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs
        self.read: list[list[int]] = []

    def start(self, rows: int) -> Seen:
        return Seen(torch.zeros(rows, 0, dtype=torch.long))

    def step(self, prev: Tensor, state: Seen) -> tuple[Tensor, Seen]:
        tokens = torch.cat((state.tokens, prev.unsqueeze(1)), dim=1)
        self.read = tokens.tolist()
        return self.log_probs[prev] + 7.0, Seen(tokens)  # logits are log p up to a constant


def chain(seed: int = 1) -> Chain:
    generator = torch.Generator().manual_seed(seed)
    return Chain(torch.log_softmax(torch.randn(VOCAB, VOCAB, generator=generator), dim=-1))


def drawn(
    model: Any, beginning: tuple[int, ...] = (), *, barred: tuple[int, ...] = (BOS,), **choices: Any
) -> list[list[int]]:
    allowed = torch.ones(VOCAB, dtype=torch.bool)
    allowed[list(barred)] = False
    settings: dict[str, Any] = {"seeds": range(1), "max_tokens": 6, "bos_id": BOS, "eos_id": EOS, "allowed": allowed}
    return continue_text(model, beginning, **settings | choices)


def test_texts_are_drawn_from_the_models_distribution() -> None:
    """Every two tokens after a beginning, by a chi-square test against the chain's own probabilities."""
    model = chain()
    N = 4000
    counts = Counter(tuple(text) for text in drawn(model, (3,), seeds=range(N), max_tokens=2))
    p = model.log_probs.exp()
    p[:, BOS] = 0
    p = p / p.sum(dim=1, keepdim=True)
    expected: dict[tuple[int, ...], float] = {(EOS,): float(p[3, EOS])}
    for first in range(2, VOCAB):
        expected |= {(first, second): float(p[3, first] * p[first, second]) for second in range(1, VOCAB)}
    assert counts.keys() <= expected.keys()
    assert math.isclose(sum(expected.values()), 1.0, rel_tol=1e-5)
    chi_square = sum((counts[text] - N * share) ** 2 / (N * share) for text, share in expected.items())
    freedom = len(expected) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


def test_a_seed_gives_its_text_in_any_company() -> None:
    together = drawn(chain(), seeds=range(5, 25))
    assert len(set(map(tuple, together))) > 5
    assert together == [drawn(chain(), seeds=[seed])[0] for seed in range(5, 25)]


def test_a_line_ends_with_its_end_and_a_running_text_with_its_tokens() -> None:
    lines = drawn(chain(), seeds=range(30), max_tokens=3)
    assert all(EOS not in line[:-1] and (line[-1] == EOS or len(line) == 3) for line in lines)
    assert {line[-1] == EOS for line in lines} == {True, False}
    model = chain()
    texts = drawn(model, seeds=range(30), max_tokens=12, runs_on=True)
    assert all(len(text) == 12 for text in texts)
    # a new line is read from BOS, and all that came before is still there
    for read, text in zip(model.read, texts, strict=True):
        assert read == [BOS, *(BOS if token == EOS else token for token in text[:-1])]


def test_a_beginning_is_read_with_its_lines() -> None:
    model = chain()
    drawn(model, (2, 3, EOS, 4), max_tokens=1, runs_on=True)
    assert model.read == [[BOS, 2, 3, BOS, 4]]


def test_barred_tokens_are_never_drawn() -> None:
    texts = drawn(chain(), seeds=range(200), barred=(BOS, 2, 3))
    assert {token for text in texts for token in text} == {EOS, 4}


def test_the_likeliest_token_alone() -> None:
    model = chain()
    log_probs = model.log_probs.clone()
    log_probs[:, BOS] = -math.inf
    expected: list[int] = []
    last = BOS
    while len(expected) < 6 and last != EOS:
        last = int(log_probs[last].argmax())
        expected.append(last)
    assert drawn(model, seeds=range(4), top_k=1) == [expected] * 4
    assert drawn(model, seeds=range(4), top_p=1e-6) == [expected] * 4
    assert drawn(model, seeds=range(4), temperature=0.01) == [expected] * 4


@pytest.mark.parametrize("top_k", [2, 3])
def test_only_so_many_tokens_come_in_question(top_k: int) -> None:
    texts = drawn(chain(), seeds=range(300), max_tokens=1, top_k=top_k)
    assert len({text[0] for text in texts}) == top_k
