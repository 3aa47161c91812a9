"""What a model is worth on the dev set: perplexity by teacher forcing, BLEU and chrF of greedy translations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from nmt.evaluation.quality import bleu, chrf
from nmt.model.seq2seq import Seq2Seq
from nmt.search.greedy import greedy_search
from nmt.search.stepper import PlainStepper
from nmt.text.copying import encode_to_copy, number_pair, split_copies
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, TokenizerPair
from nmt.training.batches import Batch, make_batch, pad
from nmt.training.copying import copy_loss
from nmt.training.loss import cross_entropy
from nmt.training.report import ValidationResult

TextPair = tuple[str, str]
Item = TypeVar("Item")

BATCH_SENTENCES = 64


class Validator:
    """Holds the dev set, encoded once and sorted by length."""

    def __init__(
        self,
        pairs: Sequence[TextPair],
        tokenizers: TokenizerPair,
        device: torch.device,
        *,
        sentences: int,
        samples: int,
        max_length_factor: float,
        max_length_offset: int,
        copies: bool = False,
    ) -> None:
        """`sentences`: how many are translated (0: all). The loss is always taken over all.

        `copies`: unknown words of the source are numbered, for a model that copies (`nmt.text.copying`).
        """
        self._pairs = list(pairs)
        self._copies = copies
        self._tokenizers = tokenizers
        self._device = device
        self._translated = self._pairs[: sentences or len(self._pairs)]
        self._samples = samples
        self._factor, self._offset = max_length_factor, max_length_offset
        encoded: Iterable[tuple[Sequence[int], Sequence[int]]] = zip(
            tokenizers.source.encode_batch([s for s, _ in self._pairs]),
            tokenizers.target.encode_batch([t for _, t in self._pairs]),
            strict=True,
        )
        if copies:
            encoded = (number_pair(tokenizers, *both) for both in zip(self._pairs, encoded, strict=True))
        by_length = sorted(encoded, key=lambda pair: len(pair[1]))
        self._batches = [make_batch(*zip(*chunk, strict=True)) for chunk in chunks(by_length)]

    @torch.no_grad()
    def validate(self, model: Seq2Seq) -> ValidationResult:
        """Loss and scores of a model, which is left in training mode."""
        started = time.monotonic()
        model.eval()
        loss = sum(self._nll(model, batch) for batch in self._batches) / sum(b.tokens for b in self._batches)
        outputs = self.translate(model, [source for source, _ in self._translated])
        references = [[target for _, target in self._translated]]
        model.train()
        return ValidationResult(
            loss=loss,
            perplexity=math.exp(min(loss, 700.0)),
            bleu=bleu(outputs, references),
            chrf=chrf(outputs, references),
            samples=[(s, t, o) for (s, t), o in zip(self._translated, outputs, strict=True)][: self._samples],
            seconds=time.monotonic() - started,
        )

    def _nll(self, model: Seq2Seq, batch: Batch) -> float:
        batch = batch.to(self._device)
        if model.copying is not None:
            return float(copy_loss(model, batch).nll)
        vectors, _ = model(batch.src, batch.src_lengths, batch.tgt_in)
        real = batch.tgt_out != PAD_ID
        return float(cross_entropy(vectors[real], model.output.weight, model.output.bias, batch.tgt_out[real]).nll)

    @torch.no_grad()
    def translate(self, model: Seq2Seq, texts: Sequence[str]) -> list[str]:
        """Greedy translations, for watching training; serving has its own engine."""
        allowed = torch.ones(self._tokenizers.target.size, dtype=torch.bool, device=self._device)
        allowed[list(self._tokenizers.target.forbidden_ids)] = False
        stepper = PlainStepper(model, allowed)
        source, target = self._tokenizers
        ids = encode_to_copy(source, texts) if self._copies else source.encode_batch(list(texts))
        outputs = [""] * len(texts)
        for chunk in chunks(sorted(range(len(ids)), key=lambda i: len(ids[i]))):
            lengths = torch.tensor([len(ids[i]) + 1 for i in chunk], device=self._device)
            limit = (lengths * self._factor).long() + self._offset
            src = pad([[*ids[i], EOS_ID] for i in chunk]).to(self._device)
            found = greedy_search(stepper, src, lengths, max_length=limit, bos_id=BOS_ID, eos_id=EOS_ID)
            for i, tokens in zip(chunk, found, strict=True):
                plain, copies = split_copies(tokens, source.split(texts[i]) if self._copies else (), target.size)
                outputs[i] = target.decode(plain, [copy for copy in copies if copy])  # <unk> itself is barred
        return outputs


def chunks(items: Sequence[Item], size: int = BATCH_SENTENCES) -> Iterator[Sequence[Item]]:
    """The items in their order, so many at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
