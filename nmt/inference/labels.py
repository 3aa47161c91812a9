"""A tagger or classifier in use: the labels of given text. For one thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from nmt.bundle import Bundle, load_bundle
from nmt.data.forms import blank_words
from nmt.hardware import pick_device
from nmt.text.labels import encode_words
from nmt.text.tokenizer import EOS_ID, PAD_ID, SPECIAL_IDS

BATCH_TEXTS = 64


class Labels(NamedTuple):
    """What a model says of a text: a label for each word between blanks, or one."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]


class TextLabeller:
    """A loaded tagger or classifier."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self._source, self._target = bundle.tokenizers
        self._model = bundle.build_labeller().to(device)
        self._device = device
        self.is_by_word = self._model.is_by_word

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> TextLabeller:
        """Raises BundleError for anything but a tagger or classifier, and DeviceError."""
        return cls(load_bundle(folder, ("tagging", "classification")), pick_device(device))

    def label(self, texts: Sequence[str]) -> list[Labels]:
        """Of each text. One without words has no labels as words, and is classified like any other."""
        if self.is_by_word:
            encoded = encode_words([blank_words(text) for text in texts], self._source)
        else:
            encoded = [(ids, [len(ids)]) for ids in self._source.encode_batch(texts)]
        found: dict[int, Labels] = {}
        by_length = sorted(range(len(texts)), key=lambda i: len(encoded[i][0]))
        for first in range(0, len(texts), BATCH_TEXTS):
            batch = by_length[first : first + BATCH_TEXTS]
            found.update(zip(batch, self._label([encoded[i] for i in batch]), strict=True))
        return [found[i] for i in range(len(texts))]

    @torch.no_grad()
    def _label(self, texts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Labels]:
        """Of texts given as ids and the places where labels are."""
        width = max(len(ids) for ids, _ in texts) + 1
        ids = torch.tensor([[*ids, EOS_ID, *[PAD_ID] * (width - len(ids) - 1)] for ids, _ in texts])
        lengths = torch.tensor([len(ids) + 1 for ids, _ in texts])
        logits = self._model.output(self._model(ids.to(self._device), lengths)).float()
        logits[..., list(SPECIAL_IDS)] = -math.inf
        probabilities, best = logits.softmax(dim=-1).cpu().max(dim=-1)
        results: list[Labels] = []
        for (_, places), row, p in zip(texts, best, probabilities, strict=True):
            chosen = (row[list(places)], p[list(places)]) if self.is_by_word else (row[None], p[None])
            names = [self._target.decode([int(label)]) for label in chosen[0]]
            results.append(Labels(tuple(names), tuple(map(float, chosen[1]))))
        return results
