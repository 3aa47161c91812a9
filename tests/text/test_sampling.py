"""Subword regularisation: lossless, the same in every process, and drawn from the right distribution."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import sentencepiece as spm
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import SubwordKind, TextConfig
from nmt.text.sampling import BEST, UnigramSampler
from nmt.text.tokenizer import SentencePieceTokenizer, Tokenizer, train_tokenizers
from tests.corpora import toy_pair

SUBWORDS: tuple[SubwordKind, ...] = ("unigram", "bpe")
TEXTS = ["The old man sees the small red tree often.", "Der alte hund hört heute der mann.", "🙂 Ωmega, déjà-vu"]


@cache
def tokenizer(kind: SubwordKind) -> Tokenizer:
    rng = random.Random(2)
    config = TextConfig(kind=kind, vocab_size=340, normalization="identity")
    return train_tokenizers((toy_pair(rng) for _ in range(300)), config, seed=1).source


@pytest.mark.parametrize("kind", SUBWORDS)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=30))
@settings(max_examples=80)
def test_every_segmentation_spells_the_same_text(kind: SubwordKind, text: str) -> None:
    pieces = tokenizer(kind)
    for seed, strength in enumerate((0.1, 0.5, 0.9)):
        for known in (text, *TEXTS):
            drawn = pieces.sample_batch([known], strength, seed)[0]
            assert pieces.decode(drawn) == pieces.decode(pieces.encode(known))


@pytest.mark.parametrize("kind", SUBWORDS)
def test_the_seed_decides(kind: SubwordKind) -> None:
    pieces = tokenizer(kind)
    draws = [pieces.sample_batch(TEXTS * 3, 0.3, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    # a cache filled by earlier draws must not move later ones
    fresh = SentencePieceTokenizer(pieces._model) if isinstance(pieces, SentencePieceTokenizer) else pieces
    assert fresh.sample_batch(TEXTS * 3, 0.3, 2) == draws[2]


SCRIPT = """
import json, sys
from pathlib import Path
from nmt.text.tokenizer import load_tokenizers
pieces = load_tokenizers(Path(sys.argv[1])).source
print(json.dumps(pieces.sample_batch(json.loads(sys.argv[2]), 0.3, 77)))
"""


@pytest.mark.parametrize("kind", SUBWORDS)
def test_another_process_draws_the_same(kind: SubwordKind, tmp_path: Path) -> None:
    pieces = tokenizer(kind)
    pieces.save(tmp_path, "joint")
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(TEXTS)], check=True, capture_output=True, text=True
    )
    assert json.loads(found.stdout) == pieces.sample_batch(TEXTS, 0.3, 77)


def test_the_limits_of_bpe_dropout_are_the_whole_word_and_its_characters() -> None:
    pieces = tokenizer("bpe")
    texts = TEXTS[:2]
    assert pieces.sample_batch(texts, 0.0, 5) == pieces.encode_batch(texts)
    for text, ids in zip(texts, pieces.sample_batch(texts, 1.0, 5), strict=True):
        assert pieces.pieces(ids) == list("\u2581" + text.replace(" ", "\u2581"))


def test_a_strong_preference_draws_the_best_unigram_segmentation() -> None:
    pieces = tokenizer("unigram")
    assert pieces.sample_batch(TEXTS, 1000.0, 5) == pieces.encode_batch(TEXTS)


@pytest.mark.parametrize("kind", SUBWORDS)
def test_stronger_sampling_makes_more_pieces(kind: SubwordKind) -> None:
    pieces = tokenizer(kind)
    strengths = (0.1, 0.5) if kind == "bpe" else (0.5, 0.1)  # a small alpha is a flat distribution
    weak, strong = (sum(map(len, pieces.sample_batch(TEXTS[:2] * 20, strength, 3))) for strength in strengths)
    assert sum(map(len, pieces.encode_batch(TEXTS[:2] * 20))) < weak < strong


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_unigram_draws_have_kudos_distribution(alpha: float) -> None:
    """P(x) ~ prod p(piece)^alpha, against all segmentations of a word by hand (Kudo 2018, eq. 6 and section 3.3)."""
    pieces = tokenizer("unigram")
    assert isinstance(pieces, SentencePieceTokenizer)
    processor = spm.SentencePieceProcessor()
    processor.load_from_serialized_proto(pieces._model)
    ids = {processor.id_to_piece(i): i for i in range(4, processor.get_piece_size())}
    word = "\u2581tree"

    def segmentations(rest: str) -> list[tuple[int, ...]]:
        if not rest:
            return [()]
        ends = [end for end in range(1, len(rest) + 1) if rest[:end] in ids]
        return [(ids[rest[:end]], *tail) for end in ends for tail in segmentations(rest[end:])]

    possible = segmentations(word)
    assert 3 <= len(possible) <= BEST
    weights = {x: math.exp(alpha * sum(processor.get_score(i) for i in x)) for x in possible}
    total = sum(weights.values())

    sampler, rng, draws = UnigramSampler(processor), random.Random(6), 4000
    best = tuple(processor.encode("tree"))
    counts = Counter(tuple(sampler.draw(best, alpha, rng)) for _ in range(draws))
    assert counts.keys() <= weights.keys()
    for segmentation, weight in weights.items():
        p = weight / total
        assert abs(counts[segmentation] / draws - p) <= 5 * math.sqrt(p * (1 - p) / draws) + 1e-9


def test_bpe_dropout_leaves_merges_out_with_its_probability() -> None:
    """ "▁ab" is whole where one of its first merges survives ("▁a", "ab": each with 1 - p), and then the second."""
    config = TextConfig(kind="bpe", vocab_size=270, normalization="identity", byte_fallback=True)
    pieces = train_tokenizers([("ab ab ab", "ab")] * 20, config, seed=1).source
    assert pieces.pieces(pieces.encode("ab")) == ["\u2581ab"]
    first_merges = len({"\u2581a", "ab"} & set(pieces.pieces(range(pieces.size))))
    p, draws = 0.3, 4000
    whole = sum(len(ids) == 1 for ids in pieces.sample_batch(["ab"] * draws, p, 9))
    assert whole / draws == pytest.approx((1 - p**first_merges) * (1 - p), abs=0.03)
