"""Minimum risk training: the expected loss of what the network writes, instead of how likely it finds the reference.

Shen et al. 2016. Candidates are drawn from the network and judged by sentence BLEU or chrF; their probabilities move
towards the better ones. For a network that translates already: of one that does not, all candidates are as bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from torch import Tensor

from nmt.model.seq2seq import Seq2Seq
from nmt.search.sampling import sample
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, TokenizerPair
from nmt.training import fused
from nmt.training.batches import Batch, make_batch
from nmt.training.copying import generated
from nmt.training.loss import Loss

Tokens = tuple[int, ...]


def expected_risk(
    log_probs: Float[Tensor, "B C"], risks: Float[Tensor, "B C"], mask: Bool[Tensor, "B C"], alpha: float
) -> Float[Tensor, ""]:
    """sum over sentences of sum_c Q(c) risk(c), Q(c) = p(c)^alpha / sum_c' p(c')^alpha (Shen et al. 2016, eqs. 11, 12).

    `mask`: True on candidates; every sentence has one. alpha above 0: the smaller, the flatter Q.
    """
    q = (alpha * log_probs).masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return (q * risks).sum()


def sentence_metric(name: Literal["bleu", "chrf"]) -> Callable[[str, str], float]:
    """A score from 0 to 1 of a hypothesis against a reference: sentence BLEU (smoothed, of the n-grams there can be) or
    chrF2."""
    metric = BLEU(effective_order=True) if name == "bleu" else CHRF()
    return lambda hypothesis, reference: float(metric.sentence_score(hypothesis, [reference]).score) / 100


class RiskLoss:
    """The expected risk 1 - score of each sentence, over samples and the reference; `nll` is the reference's."""

    def __init__(
        self,
        model: Seq2Seq,
        tokenizers: TokenizerPair,
        *,
        samples: int,
        alpha: float,
        metric: Literal["bleu", "chrf"],
        max_length_factor: float,
        max_length_offset: int,
    ) -> None:
        """`samples` of each sentence; equal ones count once. The lengths bound them as they bound a search."""
        self._model = model
        self._target = tokenizers.target
        self._samples = samples
        self._alpha = alpha
        self._score = sentence_metric(metric)
        self._factor, self._offset = max_length_factor, max_length_offset
        self._is_fused = fused.refused(model) is None

    def __call__(self, batch: Batch) -> Loss:
        lists = self.candidates(batch)
        width = max(map(len, lists))
        mask = torch.tensor([[c < len(own) for c in range(width)] for own in lists], device=batch.src.device)
        flat = self.log_probs(batch, lists)
        log_probs = flat.new_zeros(mask.shape).masked_scatter(mask, flat)
        risks = torch.zeros(mask.shape).masked_scatter(mask.cpu(), torch.tensor(self._risks(lists)))
        smoothed = expected_risk(log_probs, risks.to(log_probs), mask, self._alpha)
        return Loss(smoothed, -log_probs.detach()[:, 0].sum())

    def candidates(self, batch: Batch) -> list[list[Tokens]]:
        """Of each sentence the reference and then the different samples, without EOS. Drawn without dropout."""
        references = [tuple(row[: row.index(EOS_ID)]) for row in batch.tgt_out.tolist()]
        seeds = torch.randint(2**31, (len(references),)).tolist()
        allowed = torch.ones(self._target.size, dtype=torch.bool, device=batch.src.device)
        allowed[sorted(self._target.forbidden_ids)] = False
        self._model.eval()
        drawn = sample(
            PlainStepper(self._model, allowed),
            batch.src,
            batch.src_lengths,
            samples=self._samples,
            seeds=seeds,
            max_length=(batch.src_lengths * self._factor).long() + self._offset,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            min_length=1,
        )
        self._model.train()
        return [
            list(dict.fromkeys([reference, *(h.tokens for h in own)]))
            for reference, own in zip(references, drawn, strict=True)
        ]

    def log_probs(self, batch: Batch, lists: Sequence[Sequence[Tokens]]) -> Float[Tensor, " R"]:
        """log p of all candidates, sentence after sentence."""
        model, device = self._model, batch.src.device
        flat = [candidate for own in lists for candidate in own]
        rows = torch.tensor([row for row, own in enumerate(lists) for _ in own], device=device)
        written = make_batch([()] * len(flat), flat).to(device)
        source = batch.src.index_select(0, rows), batch.src_lengths.index_select(0, rows.to(batch.src_lengths.device))
        if self._is_fused:
            vectors, targets = fused.forward(model, *source, written.tgt_in), written.tgt_out.t()
            of_row = torch.arange(len(flat), device=device).expand(targets.shape)
        else:
            vectors, targets = model(*source, written.tgt_in)[0], written.tgt_out
            of_row = torch.arange(len(flat), device=device).unsqueeze(1).expand(targets.shape)
        real = torch.nonzero((targets != PAD_ID).flatten()).squeeze(1)
        chosen = vectors.flatten(0, 1).index_select(0, real), model.output.weight, model.output.bias
        of_token, _ = generated(*chosen, targets.flatten()[real])
        return of_token.new_zeros(len(flat)).index_add(0, of_row.flatten()[real], of_token)

    def _risks(self, lists: Sequence[Sequence[Tokens]]) -> list[float]:
        """1 - score of all candidates against the first of their sentence."""
        risks: list[float] = []
        for own in lists:
            reference, *texts = (self._target.decode(candidate) for candidate in own)
            risks += [0.0, *(1 - self._score(text, reference) for text in texts)]
        return risks

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        pass
