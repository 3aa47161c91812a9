"""Training a translator: parallel text, teacher forcing, BLEU. See `nmt.training.task` for what a task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nmt.config import Recipe
from nmt.data.epochs import Measured, Mixture, Sample, noisy_pairs
from nmt.data.noise import Case, in_case
from nmt.data.prepared import PreparedCorpus, Progress, prepare
from nmt.errors import ConfigError
from nmt.model.seq2seq import Seq2Seq, build
from nmt.text.copying import number_pair
from nmt.text.tokenizer import PAD_ID, TokenizerPair, train_tokenizers
from nmt.training import fused
from nmt.training.batches import Batch, BatchStream, derive_seed, make_batch, token_lengths
from nmt.training.copying import copy_loss
from nmt.training.loss import Loss, cross_entropy, rdrop_cross_entropy
from nmt.training.risk import RiskLoss
from nmt.training.validation import Validator
from nmt.training.vocabulary import bundled_tokenizers, tag_ids


class Translation:
    """An encoder, a decoder, and pairs of sentences."""

    unit = "pairs"
    is_shared = True

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def prepare(self, folder: Path, progress: Progress | None = None) -> PreparedCorpus:
        return prepare(self._recipe.data, folder, self._recipe.training.seed, progress)

    def learn_vocabulary(self, corpus: PreparedCorpus) -> TokenizerPair:
        if not self._recipe.vocabulary:
            data, seed = self._recipe.data, self._recipe.training.seed
            tags = sorted({tag for tag in data.tags if tag})
            return train_tokenizers(noisy_pairs(corpus, data, seed), self._recipe.text, seed=seed, tags=tags)
        tokenizers = bundled_tokenizers(self._recipe)
        model = self._recipe.model
        if (model.tying == "all" or model.copying) and not tokenizers.is_joint:
            key = "model.copying" if model.copying else 'model.tying = "all"'
            raise ConfigError(f"{key} needs a joint vocabulary: {self._recipe.vocabulary} has two")
        tag_ids(tokenizers.source, self._recipe.data.tags)  # raises where it lacks one
        return tokenizers

    def measure(self, corpus: PreparedCorpus, tokenizers: TokenizerPair) -> Measured:
        lengths = token_lengths(corpus.with_phrases(), tokenizers)
        if not self._recipe.data.noise.upper:
            return Measured(lengths)
        return Measured(
            lengths, token_lengths((in_case(*pair, Case.UPPER) for pair in corpus.with_phrases()), tokenizers)
        )

    def stream(
        self, corpus: PreparedCorpus, tokenizers: TokenizerPair, measured: Measured, part: tuple[int, int]
    ) -> BatchStream[Sample, Batch]:
        recipe, training = self._recipe, self._recipe.training
        mixture = Mixture(corpus, recipe.data, measured, training.seed)
        tags = tag_ids(tokenizers.source, recipe.data.tags)
        encode = PairEncoder(tokenizers, recipe.text.sampling, training.seed, copies=recipe.model.copying, tags=tags)
        return BatchStream(mixture, encode, batch_tokens=training.batch_tokens, seed=training.seed, part=part)

    def build(self, tokenizers: TokenizerPair, *, draw_weights: bool = True) -> Seq2Seq:
        src_vocab, tgt_vocab = tokenizers.source.size, tokenizers.target.size
        return build(self._recipe.model, src_vocab, tgt_vocab, draw_weights=draw_weights)

    def objective(self, model: Seq2Seq, tokenizers: TokenizerPair, /) -> TranslationLoss | RiskLoss:
        training, search = self._recipe.training, self._recipe.search
        if training.criterion == "likelihood":
            return TranslationLoss(model, training.label_smoothing, training.rdrop)
        return RiskLoss(
            model,
            tokenizers,
            samples=training.mrt_samples,
            alpha=training.mrt_alpha,
            metric=training.mrt_metric,
            max_length_factor=search.max_length_factor,
            max_length_offset=search.max_length_offset,
        )

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

    def __init__(
        self,
        tokenizers: TokenizerPair,
        sampling: float,
        seed: int,
        *,
        copies: bool = False,
        tags: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`sampling`: strength of subword regularisation, 0 for the one best segmentation.

        `copies`: unknown words that both sides have are numbered (`nmt.text.copying`). `tags`: their ids.
        """
        self._copies = copies
        self._tags = {"": [], **{tag: [number] for tag, number in tags.items()}}
        self._tokenizers = tokenizers
        self._sampling = sampling
        self._seed = seed

    def __call__(self, samples: Sequence[Sample], /, *draw: int) -> Batch:
        """`draw`: what the segmentations are drawn by, besides the seed."""
        sources, targets = [sample.source for sample in samples], [sample.target for sample in samples]
        src, tgt = self._tokenizers
        if not self._sampling:
            ids = src.encode_batch(sources), tgt.encode_batch(targets)
        else:
            ids = (
                src.sample_batch(sources, self._sampling, derive_seed(self._seed, *draw, "src")),
                tgt.sample_batch(targets, self._sampling, derive_seed(self._seed, *draw, "tgt")),
            )
        if not self._copies:
            tagged = [self._tags[sample.tag] + row for sample, row in zip(samples, ids[0], strict=True)]
            return make_batch(tagged, ids[1])
        texts = zip(sources, targets, strict=True)
        numbered = [number_pair(self._tokenizers, *both) for both in zip(texts, zip(*ids, strict=True), strict=True)]
        return make_batch([s for s, _ in numbered], [t for _, t in numbered])


class TranslationLoss:
    """-log p(y | x) by teacher forcing, with label smoothing and R-Drop."""

    def __init__(self, model: Seq2Seq, label_smoothing: float, rdrop: float = 0.0) -> None:
        """`rdrop`: alpha of R-Drop, 0 for one pass."""
        assert not rdrop or model.copying is None
        self._model = model
        self._smoothing = label_smoothing
        self._rdrop = rdrop
        self._is_fused = fused.refused(model) is None

    def __call__(self, batch: Batch) -> Loss:
        model = self._model
        if model.copying is not None:
            return copy_loss(model, batch, self._smoothing)
        output = model.output.weight, model.output.bias
        if not self._rdrop:
            rows, targets = self._rows(batch, passes=1)
            return cross_entropy(rows.squeeze(0), *output, targets, self._smoothing)
        rows, targets = self._rows(batch, passes=2)
        return rdrop_cross_entropy(rows, *output, targets, self._smoothing, self._rdrop)

    def _rows(self, batch: Batch, passes: int) -> tuple[Float[Tensor, "P M A"], Int[Tensor, " M"]]:
        """The attentional vectors of the real target tokens in each of P passes, and those tokens.

        The passes stand side by side in one batch, so each row draws dropout of its own.
        """
        src, lengths, tgt_in, _, _ = batch.twice() if passes == 2 else batch
        B, T = batch.tgt_out.shape
        if self._is_fused:
            vectors = fused.forward(self._model, src, lengths, tgt_in)  # [T, P*B, A]
            targets = batch.tgt_out.t().flatten()
            real = torch.nonzero(targets != PAD_ID).squeeze(1)
            first, apart = real + real // B * ((passes - 1) * B), B
        else:
            vectors, _ = self._model(src, lengths, tgt_in)  # [P*B, T, A]
            targets = batch.tgt_out.flatten()
            first = real = torch.nonzero(targets != PAD_ID).squeeze(1)
            apart = B * T
        places = torch.cat([first + number * apart for number in range(passes)])
        return vectors.flatten(0, 1).index_select(0, places).view(passes, len(real), -1), targets[real]

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        pass
