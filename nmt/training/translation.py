"""Training a translator: parallel text, teacher forcing, BLEU. See `nmt.training.task` for what a task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nmt.config import Recipe
from nmt.data.prepared import PreparedCorpus, Progress, TextPair, prepare
from nmt.errors import ConfigError
from nmt.model.seq2seq import Seq2Seq, build
from nmt.text.copying import number_pair
from nmt.text.tokenizer import PAD_ID, TokenizerPair, train_tokenizers
from nmt.training import fused
from nmt.training.batches import Batch, BatchStream, PairLengths, derive_seed, make_batch, token_lengths
from nmt.training.copying import copy_loss
from nmt.training.loss import Loss, cross_entropy
from nmt.training.validation import Validator
from nmt.training.vocabulary import bundled_tokenizers


class Translation:
    """An encoder, a decoder, and pairs of sentences."""

    unit = "pairs"
    is_shared = True

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def prepare(self, folder: Path, progress: Progress | None = None) -> PreparedCorpus:
        return prepare(self._recipe.data, folder, self._recipe.training.seed, progress)

    def learn_vocabulary(self, corpus: PreparedCorpus) -> TokenizerPair:
        if not self._recipe.text.vocabulary:
            return train_tokenizers(iter(corpus), self._recipe.text, seed=self._recipe.training.seed)
        tokenizers = bundled_tokenizers(self._recipe.text.vocabulary)
        model = self._recipe.model
        if (model.tying == "all" or model.copying) and not tokenizers.is_joint:
            key = "model.copying" if model.copying else 'model.tying = "all"'
            raise ConfigError(f"{key} needs a joint vocabulary: {self._recipe.text.vocabulary} has two")
        return tokenizers

    def measure(self, corpus: PreparedCorpus, tokenizers: TokenizerPair) -> PairLengths:
        return token_lengths(corpus, tokenizers)

    def stream(
        self, corpus: PreparedCorpus, tokenizers: TokenizerPair, measured: PairLengths, part: tuple[int, int]
    ) -> BatchStream[Batch]:
        training = self._recipe.training
        encode = PairEncoder(tokenizers, self._recipe.text.sampling, training.seed, copies=self._recipe.model.copying)
        return BatchStream(corpus, encode, measured, batch_tokens=training.batch_tokens, seed=training.seed, part=part)

    def build(self, tokenizers: TokenizerPair, *, draw_weights: bool = True) -> Seq2Seq:
        src_vocab, tgt_vocab = tokenizers.source.size, tokenizers.target.size
        return build(self._recipe.model, src_vocab, tgt_vocab, draw_weights=draw_weights)

    def objective(self, model: Seq2Seq) -> TranslationLoss:
        return TranslationLoss(model, self._recipe.training.label_smoothing)

    def validator(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, device: torch.device) -> Validator:
        training, search = self._recipe.training, self._recipe.search
        return Validator(
            corpus.dev,
            tokenizers,
            device,
            sentences=training.validation_sentences,
            samples=training.sample_translations,
            max_length_factor=search.max_length_factor,
            max_length_offset=search.max_length_offset,
            copies=self._recipe.model.copying,
        )


class PairEncoder:
    """Pairs of text as a batch."""

    def __init__(self, tokenizers: TokenizerPair, sampling: float, seed: int, *, copies: bool = False) -> None:
        """`sampling`: strength of subword regularisation, 0 for the one best segmentation.

        `copies`: unknown words that both sides have are numbered (`nmt.text.copying`).
        """
        self._copies = copies
        self._tokenizers = tokenizers
        self._sampling = sampling
        self._seed = seed

    def __call__(self, pairs: Sequence[TextPair], *draw: int) -> Batch:
        """`draw`: what the segmentations are drawn by, besides the seed."""
        sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
        src, tgt = self._tokenizers
        if not self._sampling:
            ids = src.encode_batch(sources), tgt.encode_batch(targets)
        else:
            ids = (
                src.sample_batch(sources, self._sampling, derive_seed(self._seed, *draw, "src")),
                tgt.sample_batch(targets, self._sampling, derive_seed(self._seed, *draw, "tgt")),
            )
        if not self._copies:
            return make_batch(*ids)
        numbered = [number_pair(self._tokenizers, *both) for both in zip(pairs, zip(*ids, strict=True), strict=True)]
        return make_batch([s for s, _ in numbered], [t for _, t in numbered])


class TranslationLoss:
    """-log p(y | x) by teacher forcing, with label smoothing."""

    def __init__(self, model: Seq2Seq, label_smoothing: float) -> None:
        self._model = model
        self._smoothing = label_smoothing
        self._is_fused = fused.refused(model) is None

    def __call__(self, batch: Batch) -> Loss:
        model = self._model
        if model.copying is not None:
            return copy_loss(model, batch, self._smoothing)
        if self._is_fused:
            vectors = fused.forward(model, batch.src, batch.src_lengths, batch.tgt_in)
            targets = batch.tgt_out.t()
        else:
            vectors, targets = model(batch.src, batch.src_lengths, batch.tgt_in)[0], batch.tgt_out
        real = torch.nonzero((targets != PAD_ID).flatten()).squeeze(1)
        rows = vectors.flatten(0, 1).index_select(0, real)
        return cross_entropy(rows, model.output.weight, model.output.bias, targets.flatten()[real], self._smoothing)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        pass
