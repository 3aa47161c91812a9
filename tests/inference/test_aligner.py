"""Links of known translations are where the network's attention is, by the oracle, whatever else is in the batch."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nmt.bundle import Bundle
from nmt.errors import ConfigError
from nmt.inference import aligner
from nmt.inference.aligner import align_pairs, read_words
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle
from tests.corpora import toy_pair
from tests.oracles import Array, Seq2SeqOracle

RNG = random.Random(8)
PAIRS = [toy_pair(RNG) for _ in range(12)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("models") / "en-de")


def attention_of(bundle: Bundle, source: str, target: str) -> Array:
    """[T, S] by the oracle; T and S count EOS."""
    parameters = bundle.build_model().named_parameters(remove_duplicate=False)
    weights = {name: weight.double().numpy() for name, weight in parameters}
    src = [*bundle.tokenizers.source.encode(source), EOS_ID]
    tgt = [BOS_ID, *bundle.tokenizers.target.encode(target)]
    return np.stack([step.attention for step in Seq2SeqOracle(bundle.config.model, weights).forward(src, tgt)])


def slow_links(bundle: Bundle, source: str, target: str, shift: int) -> tuple[tuple[int, int], ...]:
    """Word by word: the pieces of a word are those between two blanks."""
    attention = attention_of(bundle, source, target)

    def spans(text: str, side: int) -> list[Sequence[int]]:
        tokenizer = bundle.tokenizers[side]
        ends = [len(tokenizer.encode(" ".join(text.split()[:k]))) for k in range(len(text.split()) + 1)]
        return [range(first, end) for first, end in itertools.pairwise(ends)]

    links = []
    for j, pieces in enumerate(spans(target, 1)):
        mass = [sum(attention[t + shift, s] for t in pieces for s in word) for word in spans(source, 0)]
        links.append((int(np.argmax(mass)), j))
    return tuple(links)


@pytest.mark.parametrize(("step", "shift"), [("predicting", 0), ("reading", 1)])
def test_links_are_where_the_oracle_attends(bundle: Bundle, step: aligner.Step, shift: int) -> None:
    found = align_pairs(bundle, PAIRS, step=step)
    assert found == [slow_links(bundle, *pair, shift) for pair in PAIRS]
    assert len({source for links in found for source, _ in links}) > 2


def test_links_do_not_depend_on_the_batch(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    together = align_pairs(bundle, PAIRS)
    monkeypatch.setattr(aligner, "BATCH_TOKENS", 1)
    done: list[int] = []
    assert align_pairs(bundle, PAIRS, advance=done.append) == together
    assert done == [1] * len(PAIRS)


def test_an_empty_side_has_no_links(bundle: Bundle) -> None:
    assert align_pairs(bundle, [("", "Der Hund."), PAIRS[0], ("The dog.", "  ")])[::2] == [(), ()]


def test_words_that_the_model_does_not_know_are_words(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "words", text={"kind": "word", "vocab_size": 40})
    read = read_words(bundle.tokenizers.source, "the xylophone sees, qwerty")
    assert read.words == [0, 1, 2, 2, 3]
    links = align_pairs(bundle, [("the xylophone sees", "der Unbekannte sieht Xylophone")])[0]
    assert [target for _, target in links] == [0, 1, 2, 3]


def test_a_model_without_attention_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "none", attention="none")
    with pytest.raises(ConfigError, match="no attention"):
        align_pairs(bundle, PAIRS)
