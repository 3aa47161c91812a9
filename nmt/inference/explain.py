"""Explaining a translation: attention, probabilities, word links and gates, piece by piece, as plain arrays.

The network reads a translation, its own or a given one, by forced decoding on torch in fp32, and its cells are watched.
Drawing what comes out is `nmt.evaluation`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nmt.bundle import Bundle
from nmt.errors import InputTooLong, TranslationError
from nmt.inference.aligner import read_pair
from nmt.inference.alignment import link_words, words_of
from nmt.inference.loading import choose_runner
from nmt.inference.runner import SearchOptions
from nmt.inference.types import Links
from nmt.inference.unknown import stand_ins
from nmt.model.seq2seq import Seq2Seq
from nmt.model.trace import Place, Trace, cells_of, traced, unrolled
from nmt.search.forced import Forced, score_targets
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.copying import split_copies
from nmt.text.tokenizer import BOS_ID, EOS_ID, SPECIAL_PIECES, Tokenizer, with_unknown

Array = NDArray[np.float32]
EOS = SPECIAL_PIECES[EOS_ID]


@dataclass(frozen=True)
class Layer:
    """The gates of one layer and direction while it went through a sentence."""

    name: str
    """`encoder 1`, `encoder 1 backward`, `decoder 1`, ..."""
    gates: Mapping[str, Array]
    """[pieces, H] each, by the cell's names, after the nonlinearity; the pieces in the order of the sentence."""


@dataclass(frozen=True)
class Side:
    """A sentence as the model sees it."""

    text: str
    pieces: tuple[str, ...]
    """That of EOS last."""
    words: tuple[int, ...]
    """The white-space word of each piece but EOS, from 0 and rising."""


@dataclass(frozen=True)
class Explanation:
    """What a model did on its way through one translation."""

    source: Side
    target: Side
    score: float
    """As a search scores it: log p / length penalty + coverage; higher is better."""
    log_probs: tuple[float, ...]
    """log p of each target piece after those before it, over the whole vocabulary."""
    attention: Array | None
    """[target pieces, source pieces]; None for a model without attention."""
    links: Links
    """(source word, target word): see `nmt.inference.alignment`."""
    encoder: tuple[Layer, ...]
    """Over the source pieces."""
    decoder: tuple[Layer, ...]
    """Over the target pieces: at the step that predicts each."""

    @property
    def log_prob(self) -> float:
        """log p of the translation given its source, that of its end included."""
        return sum(self.log_probs)

    def by_words(self) -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
        """Attention [target words, source words], and the words; EOS is the last of each.

        Weights are summed over the pieces of a source word, and are the mean over those of a target word.
        """
        assert self.attention is not None
        source, target = _of_words(self.source), _of_words(self.target)
        weights = target @ self.attention @ source.T / target.sum(axis=1, keepdims=True).clip(min=1)
        return weights.astype(np.float32), _words(self.source), _words(self.target)


def explain(
    bundle: Bundle,
    text: str,
    target: str | None = None,
    *,
    beam_size: int | None = None,
    n_best: int = 1,
) -> list[Explanation]:
    """Explain the n best translations of one sentence, best first, or one translation that is given.

    Raises TranslationError for a text without words, and InputTooLong.
    """
    source, target_words = read_pair(bundle, text, target or "")
    limit = bundle.config.search.max_source_tokens
    if not source.ids:
        raise TranslationError("nothing to explain: the text has no word")
    if len(source.ids) > limit:
        raise InputTooLong(f"{len(source.ids)} tokens, and this model takes {limit}: a sentence at a time is explained")
    model = bundle.build_model()
    model.encoder = unrolled(model.encoder)
    source_side = Side(text, _pieces(bundle.tokenizers.source, text), tuple(source.words))
    if target is not None:
        side = Side(target, _pieces(bundle.tokenizers.target, target), tuple(target_words.words))
        return [_explain(bundle, _watch(bundle, model, source.ids, target_words.ids), source_side, side)]
    explanations = []
    for ids in _search(bundle, source.ids, beam_size, n_best):
        watched = _watch(bundle, model, source.ids, ids)
        explanations.append(_explain(bundle, watched, source_side, _spoken(bundle, source_side, watched)))
    return explanations


class Watched(NamedTuple):
    """What the network did on its way through a translation."""

    forced: Forced
    traces: Mapping[Place, Trace]

    @property
    def attention(self) -> Array:
        weights: Array = self.forced.attention.numpy()
        return weights


def _pieces(tokenizer: Tokenizer, text: str) -> tuple[str, ...]:
    """As `read_words` cuts a text: word by word. An unknown piece is shown as it stands in the text."""
    return (*(piece for word in text.split() for piece in tokenizer.split(word)), EOS)


def _spoken(bundle: Bundle, source: Side, watched: Watched) -> Side:
    """A translation that the model made, with what stands where it says `<unk>`, as `nmt translate` puts it there."""
    target, source_pieces = bundle.tokenizers.target, source.pieces[:-1]
    tokens, copies = split_copies(watched.forced.tokens, source_pieces, target.size)
    dictionary = bundle.dictionary if bundle.config.search.unknown_words == "replace" else None
    unknown = stand_ins(tokens, copies, source_pieces, watched.attention, dictionary)
    pieces = with_unknown(tokens, target.pieces(tokens), unknown)
    return Side(target.decode(tokens, unknown), (*pieces, EOS), tuple(words_of(pieces)))


def _search(bundle: Bundle, ids: Sequence[int], beam_size: int | None, n_best: int) -> list[tuple[int, ...]]:
    """The n best translations, in ids."""
    search = bundle.config.search
    options = SearchOptions(
        beam_size=max(beam_size or search.beam_size, n_best),
        n_best=n_best,
        max_length=max(2, int(len(ids) * search.max_length_factor) + search.max_length_offset + 1),
    )
    runner = choose_runner(bundle, "cpu", "fp32")
    (slot,) = runner.admit([(ids, options)])
    while slot not in runner.step():
        pass
    return [found.tokens for found in runner.take(slot)]


def _watch(bundle: Bundle, model: Seq2Seq, source_ids: Sequence[int], target_ids: Sequence[int]) -> Watched:
    search = bundle.config.search
    with traced(cells_of(model)) as traces:
        (forced,) = score_targets(
            PlainStepper(model),
            torch.tensor([[*source_ids, EOS_ID]]),
            torch.tensor([len(source_ids) + 1]),
            [target_ids],
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            scoring=Scoring(search.length_penalty, search.coverage_penalty),
        )
    return Watched(forced, traces)


def _explain(bundle: Bundle, watched: Watched, source: Side, target: Side) -> Explanation:
    config, forced = bundle.config.model, watched.forced
    attention = None if config.attention == "none" else watched.attention
    order = _reading_order(len(source.pieces), is_reversed=config.reverse_source)
    layers = {
        part: tuple(
            _layer(place, trace, order if place.part == "encoder" else range(len(target.pieces)))
            for place, trace in watched.traces.items()
            if place.part == part
        )
        for part in ("encoder", "decoder")
    }
    return Explanation(
        source=source,
        target=target,
        score=forced.score,
        log_probs=forced.log_probs,
        attention=attention,
        links=() if attention is None else link_words(attention, source.words, target.words),
        encoder=layers["encoder"],
        decoder=layers["decoder"],
    )


def _reading_order(length: int, *, is_reversed: bool) -> list[int]:
    """The positions of a source in the order in which its encoder is given them; EOS stays behind."""
    words = range(length - 1)
    return [*(reversed(words) if is_reversed else words), length - 1]


def _layer(place: Place, trace: Trace, order: Sequence[int]) -> Layer:
    """The steps of one cell, put in the order of the sentence."""
    steps = order[::-1] if place.is_backward else order
    positions = np.argsort(steps)
    stacked: dict[str, Any] = {
        name: np.stack([gates[name][0].numpy() for gates in trace.gates]) for name in trace.gates[0]
    }
    return Layer(str(place), {name: values[positions] for name, values in stacked.items()})


def _words(side: Side) -> tuple[str, ...]:
    """The words that have pieces, as the text has them where it has as many, and EOS."""
    numbers = sorted(set(side.words))
    words = side.text.split()
    if numbers and numbers[-1] < len(words):
        return (*(words[number] for number in numbers), EOS)
    joined = ("".join(p for p, w in zip(side.pieces, side.words, strict=False) if w == number) for number in numbers)
    return (*joined, EOS)


def _of_words(side: Side) -> Array:
    """[words, pieces]: 1 where a piece is of a word; EOS is a word of its own."""
    numbers = [*side.words, (side.words[-1] if side.words else -1) + 1]
    belongs: Array = np.equal(np.unique(numbers)[:, np.newaxis], numbers).astype(np.float32)
    return belongs
