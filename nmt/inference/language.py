"""A language model in use: text that it goes on with, and how likely it finds given text. For one thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.bundle import Bundle, load_bundle
from nmt.hardware import pick_device
from nmt.model.language_model import LanguageState
from nmt.search.continuation import continue_text
from nmt.search.forced import score_targets
from nmt.search.stepper import PlainStepper
from nmt.text.copying import number_pair
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID

BATCH_TOKENS = 1024
"""Padded tokens whose logits are in memory together."""
BATCH_PAIRS = 64


@dataclass(frozen=True)
class LineScore:
    """What a model thinks of a line. `pieces` and `log_probs` (nats): of each token, the end of the line last."""

    pieces: tuple[str, ...]
    log_probs: tuple[float, ...]

    @property
    def log_prob(self) -> float:
        """log p of the line and its end, in nats."""
        return math.fsum(self.log_probs)

    @property
    def perplexity(self) -> float:
        """A token."""
        return math.exp(min(-self.log_prob / len(self.log_probs), 700.0))


class TextModel:
    """A loaded language model."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self._tokenizer = bundle.tokenizers.target
        self._model = bundle.build_language_model().to(device)
        self._device = device
        self.runs_on = bundle.config.running_text
        """Whether its text is one: a line goes on where the one before has ended."""
        allowed = torch.ones(self._tokenizer.size, dtype=torch.bool)
        allowed[list(self._tokenizer.forbidden_ids)] = False
        self._allowed = allowed.to(device)

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> TextModel:
        """Raises BundleError for anything but a language model, and DeviceError."""
        return cls(load_bundle(folder, ["language-model"]), pick_device(device))

    def sample(
        self,
        prompt: str = "",
        *,
        seeds: Sequence[int] = (1,),
        max_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> list[str]:
        """A text for each seed that begins with the prompt: one line, or as many as it takes where text runs on."""
        lines = [self._tokenizer.encode(line) for line in prompt.split("\n")]
        beginning = [token for ids in lines[:-1] for token in (*ids, EOS_ID)] + lines[-1]
        drawn = continue_text(
            self._model,
            beginning,
            seeds=seeds,
            max_tokens=max_tokens,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            allowed=self._allowed,
            runs_on=self.runs_on,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
        )
        return ["\n".join(map(self._tokenizer.decode, _split([*beginning, *ids]))) for ids in drawn]

    def scores(self, blocks: Iterable[Sequence[str]]) -> Iterator[LineScore]:
        """Of each line, given no other or, where text runs on, all lines before it."""
        state = self._model.start(1)
        for lines in blocks:
            ids = self._tokenizer.encode_batch(lines)
            if not self.runs_on:
                yield from self._score_all(ids)
                continue
            for one in ids:
                ((score,), state) = self._score([one], state)
                yield score

    def _score_all(self, ids: Sequence[Sequence[int]]) -> list[LineScore]:
        """Lines that stand for themselves, those of like length together."""
        found: dict[int, LineScore] = {}
        batch: list[int] = []
        by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for i, following in zip(by_length, [*by_length[1:], -1], strict=True):
            batch.append(i)
            if following < 0 or (len(batch) + 1) * (len(ids[following]) + 1) > BATCH_TOKENS:
                scores, _ = self._score([ids[k] for k in batch], self._model.start(len(batch)))
                found.update(zip(batch, scores, strict=True))
                batch = []
        return [found[i] for i in range(len(ids))]

    @torch.no_grad()
    def _score(self, ids: Sequence[Sequence[int]], state: LanguageState) -> tuple[list[LineScore], LanguageState]:
        width = max(map(len, ids)) + 1
        read = torch.tensor([[BOS_ID, *one, *[PAD_ID] * (width - len(one) - 1)] for one in ids], device=self._device)
        follows = torch.tensor([[*one, EOS_ID, *[PAD_ID] * (width - len(one) - 1)] for one in ids], device=self._device)
        vectors, state = self._model(read, state)
        log_probs = self._model.output(vectors).float().log_softmax(dim=-1).gather(2, follows.unsqueeze(2)).squeeze(2)
        rows = zip(ids, log_probs.tolist(), strict=True)
        return [self._line(one, row[: len(one) + 1]) for one, row in rows], state

    def _line(self, ids: Sequence[int], log_probs: Sequence[float]) -> LineScore:
        return LineScore(tuple(self._tokenizer.pieces([*ids, EOS_ID])), tuple(log_probs))


def _split(ids: Sequence[int]) -> list[list[int]]:
    """The ids of each line."""
    lines: list[list[int]] = [[]]
    for token in ids:
        if token == EOS_ID:
            lines.append([])
        else:
            lines[-1].append(token)
    return lines if lines[-1] or len(lines) == 1 else lines[:-1]


class PairScorer:
    """A loaded translator that judges translations: log p of a target given its source."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self._tokenizers = bundle.tokenizers
        self._copies = bundle.config.model.copying
        self._stepper = PlainStepper(bundle.build_model().to(device))
        self._device = device

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> PairScorer:
        """Raises BundleError for anything but a translator, and DeviceError."""
        return cls(load_bundle(folder), pick_device(device))

    def scores(self, blocks: Iterable[Sequence[tuple[str, str]]]) -> Iterator[LineScore]:
        """Of each target given its source."""
        for pairs in blocks:
            encoded = zip(
                self._tokenizers.source.encode_batch([source for source, _ in pairs]),
                self._tokenizers.target.encode_batch([target for _, target in pairs]),
                strict=True,
            )
            ids: list[tuple[Sequence[int], Sequence[int]]] = list(encoded)
            pieces = [self._tokenizers.target.pieces([*target, EOS_ID]) for _, target in ids]
            if self._copies:
                ids = [number_pair(self._tokenizers, *both) for both in zip(pairs, ids, strict=True)]
            found: dict[int, LineScore] = {}
            by_length = sorted(range(len(pairs)), key=lambda i: (len(ids[i][0]), len(ids[i][1])))
            for first in range(0, len(pairs), BATCH_PAIRS):
                batch = by_length[first : first + BATCH_PAIRS]
                src, lengths = self._padded([ids[i][0] for i in batch])
                wanted = [ids[i][1] for i in batch]
                forced = score_targets(self._stepper, src, lengths, wanted, bos_id=BOS_ID, eos_id=EOS_ID)
                for i, one in zip(batch, forced, strict=True):
                    found[i] = LineScore(tuple(pieces[i]), one.log_probs)
            yield from (found[i] for i in range(len(pairs)))

    def _padded(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(map(len, ids)) + 1
        src = torch.tensor([[*one, EOS_ID, *[PAD_ID] * (width - len(one) - 1)] for one in ids], device=self._device)
        return src, torch.tensor([len(one) + 1 for one in ids], device=self._device)
