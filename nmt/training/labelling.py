"""Training taggers and classifiers: a label for each word, or for each text. See `nmt.training.task`.

Words are what stands between blanks, however many pieces a vocabulary makes of one: its label is read at its last
piece, when all of it has been seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from nmt.config import Recipe
from nmt.data.epochs import PairLengths, WholeCorpus
from nmt.data.forms import Labelled, blank_words
from nmt.data.prepared import PreparedCorpus, Progress, TextPair, prepare
from nmt.model.labeller import Labeller, build_labeller
from nmt.text.labels import encode_words, label_vocabulary
from nmt.text.tokenizer import EOS_ID, PAD_ID, SPECIAL_IDS, TokenizerPair
from nmt.training.batches import BatchStream, derive_seed, pad
from nmt.training.loss import Loss, cross_entropy
from nmt.training.report import ValidationResult
from nmt.training.validation import chunks
from nmt.training.vocabulary import learn_vocabulary


class LabelBatch(NamedTuple):
    """B texts, each ending in EOS, and their labels: PAD where no label is asked for."""

    src: Int[Tensor, "B S"]
    src_lengths: Int[Tensor, " B"]
    labels: Int[Tensor, "B S"] | Int[Tensor, " B"]
    tokens: int
    """Labels."""

    def to(self, device: torch.device) -> LabelBatch:
        src, src_lengths, labels = (part.to(device, non_blocking=True) for part in self[:3])
        return LabelBatch(src, src_lengths, labels, self.tokens)


class _Labelling:
    """Texts with labels, and what both tasks make of them."""

    unit = "lines"
    is_shared = True
    is_by_word: bool

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def prepare(self, folder: Path, progress: Progress | None = None) -> PreparedCorpus:
        recipe = self._recipe
        return prepare(recipe.data, folder, recipe.training.seed, progress, Labelled(self.is_by_word))

    def learn_vocabulary(self, corpus: PreparedCorpus) -> TokenizerPair:
        source = learn_vocabulary((text for text, _ in corpus), self._recipe, side="source")
        return TokenizerPair(source, label_vocabulary(labels for _, labels in corpus))

    def measure(self, corpus: PreparedCorpus, tokenizers: TokenizerPair) -> PairLengths:
        encode = LabelEncoder(tokenizers, 0.0, 0, is_by_word=self.is_by_word)
        lengths: list[int] = []
        pairs = iter(corpus)
        while chunk := list(islice(pairs, 10_000)):
            lengths += [len(ids) for ids, _ in encode.encoded(chunk)]
        return PairLengths(np.array(lengths, dtype=np.int32), np.zeros(len(lengths), dtype=np.int32))

    def stream(
        self, corpus: PreparedCorpus, tokenizers: TokenizerPair, measured: PairLengths, part: tuple[int, int]
    ) -> BatchStream[TextPair, LabelBatch]:
        training = self._recipe.training
        encode = LabelEncoder(tokenizers, self._recipe.text.sampling, training.seed, is_by_word=self.is_by_word)
        whole = WholeCorpus(corpus, measured)
        return BatchStream(whole, encode, batch_tokens=training.batch_tokens, seed=training.seed, part=part)

    def build(self, tokenizers: TokenizerPair, *, draw_weights: bool = True) -> Labeller:
        vocab, labels = tokenizers.source.size, tokenizers.target.size
        return build_labeller(self._recipe.model, vocab, labels, is_by_word=self.is_by_word, draw_weights=draw_weights)

    def objective(self, model: Labeller, _: TokenizerPair, /) -> LabelLoss:
        return LabelLoss(model, self._recipe.training.label_smoothing)

    def validator(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, device: torch.device) -> LabelValidator:
        encode = LabelEncoder(tokenizers, 0.0, 0, is_by_word=self.is_by_word)
        return LabelValidator(corpus.dev, tokenizers, encode, device, samples=self._recipe.training.sample_translations)


class Tagging(_Labelling):
    """One label for each word between blanks."""

    is_by_word = True


class Classification(_Labelling):
    """One label for each text."""

    is_by_word = False


class LabelEncoder:
    """Labelled texts as a batch."""

    def __init__(self, tokenizers: TokenizerPair, sampling: float, seed: int, *, is_by_word: bool) -> None:
        """`sampling`: strength of subword regularisation, 0 for the one best segmentation."""
        self._tokenizers = tokenizers
        self._sampling = sampling
        self._seed = seed
        self._is_by_word = is_by_word

    def __call__(self, pairs: Sequence[TextPair], *draw: int) -> LabelBatch:
        seed = derive_seed(self._seed, *draw, "src") if self._sampling else None
        encoded = self.encoded(pairs, seed)
        labels = self._tokenizers.target.encode_batch([labels for _, labels in pairs])
        if self._is_by_word:
            rows = []
            for (ids, ends), wanted in zip(encoded, labels, strict=True):
                row = [PAD_ID] * (len(ids) + 1)
                for place, label in zip(ends, wanted, strict=True):
                    row[place] = label
                rows.append(row)
            targets = pad(rows)
        else:
            targets = torch.tensor([label for (label,) in labels], dtype=torch.long)
        return LabelBatch(
            src=pad([[*ids, EOS_ID] for ids, _ in encoded]),
            src_lengths=torch.tensor([len(ids) + 1 for ids, _ in encoded], dtype=torch.long),
            labels=targets,
            tokens=sum(map(len, labels)),
        )

    def encoded(self, pairs: Iterable[TextPair], seed: int | None = None) -> list[tuple[list[int], list[int]]]:
        """Of each text its ids and, where words are labelled, the place of each word's last piece."""
        texts = [text for text, _ in pairs]
        tokenizer = self._tokenizers.source
        if self._is_by_word:
            return encode_words([blank_words(text) for text in texts], tokenizer, self._sampling, seed)
        ids = tokenizer.encode_batch(texts) if seed is None else tokenizer.sample_batch(texts, self._sampling, seed)
        return [(row, []) for row in ids]


class LabelLoss:
    """-log p(label), with label smoothing."""

    def __init__(self, model: Labeller, label_smoothing: float) -> None:
        self._model = model
        self._smoothing = label_smoothing

    def __call__(self, batch: LabelBatch) -> Loss:
        output = self._model.output
        vectors = self._model(batch.src, batch.src_lengths)
        real = batch.labels != PAD_ID
        return cross_entropy(vectors[real], output.weight, output.bias, batch.labels[real], self._smoothing)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        pass


class LabelValidator:
    """Holds the dev set, encoded once."""

    def __init__(
        self,
        pairs: Sequence[TextPair],
        tokenizers: TokenizerPair,
        encode: LabelEncoder,
        device: torch.device,
        *,
        samples: int,
    ) -> None:
        by_length = sorted(pairs, key=lambda pair: len(pair[0]))
        self._batches = [encode(chunk) for chunk in chunks(by_length)]
        self._shown = [(pair, encode([pair])) for pair in pairs[:samples]]
        self._labels = tokenizers.target
        self._device = device

    @torch.no_grad()
    def validate(self, model: Labeller) -> ValidationResult:
        """Nats a label and accuracy of a model, which is left in training mode."""
        started = time.monotonic()
        model.eval()
        nll, right, labels = 0.0, 0, 0
        for batch in (batch.to(self._device) for batch in self._batches):
            vectors, real = model(batch.src, batch.src_lengths), batch.labels != PAD_ID
            targets = batch.labels[real]
            nll += float(cross_entropy(vectors[real], model.output.weight, model.output.bias, targets).nll)
            right += int((best_labels(model, vectors[real]) == targets).sum())
            labels += batch.tokens
        samples = [(text, wanted, self._labelled(model, batch)) for (text, wanted), batch in self._shown]
        model.train()
        loss = nll / labels
        perplexity = math.exp(min(loss, 700.0))
        seconds = time.monotonic() - started
        return ValidationResult(loss, perplexity, accuracy=right / labels, samples=samples, seconds=seconds)

    def _labelled(self, model: Labeller, batch: LabelBatch) -> str:
        batch = batch.to(self._device)
        vectors = model(batch.src, batch.src_lengths)
        return self._labels.decode(best_labels(model, vectors[batch.labels != PAD_ID]).tolist())


def best_labels(model: Labeller, vectors: Tensor) -> Tensor:
    """The likeliest label for each row of `vectors`; a special id is none."""
    logits: Tensor = model.output(vectors)
    logits[:, list(SPECIAL_IDS)] = -torch.inf
    return logits.argmax(dim=-1)
