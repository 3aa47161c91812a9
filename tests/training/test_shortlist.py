"""Learning a shortlist: sums against loops over single pairs, and what every list must hold."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import nmt.training.shortlist
from nmt.errors import CorpusError
from nmt.shortlist import Shortlist
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from nmt.training.shortlist import (
    MIN_WEIGHT,
    IdPair,
    LinkCounts,
    TextPair,
    build_shortlist,
    count_links,
    draw,
    encode_pairs,
    measure,
)
from tests.bundles import make_bundle
from tests.corpora import toy_pair

CPU = torch.device("cpu")


def toy_pairs(count: int, seed: int = 5) -> list[TextPair]:
    rng = random.Random(seed)
    return [toy_pair(rng) for _ in range(count)]


@pytest.mark.parametrize("span", ["global", "local-p"])
def test_the_counts_are_the_attention_of_each_pair_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: str
) -> None:
    bundle = make_bundle(tmp_path / "b", attention_span=span)
    model = bundle.build_model()
    pairs = list(encode_pairs(bundle.tokenizers, toy_pairs(60), max_tokens=99))
    expected: defaultdict[tuple[int, int], float] = defaultdict(float)
    tokens: Counter[int] = Counter()
    for src, tgt in pairs:
        ids = torch.tensor([[*src, EOS_ID]])
        _, weights = model(ids, torch.tensor([ids.shape[1]]), torch.tensor([[BOS_ID, *tgt]]))
        for t, target in enumerate([*tgt, EOS_ID]):
            tokens[target] += 1
            for s, source in enumerate([*src, EOS_ID]):
                if weights[0, t, s] >= MIN_WEIGHT:
                    expected[source, target] += float(weights[0, t, s])
    # small enough that sums are joined many times, and that batches have several widths
    monkeypatch.setattr(nmt.training.shortlist._Sums, "LIMIT", 50)
    monkeypatch.setattr(nmt.training.shortlist, "BATCH_TOKENS", 200)
    monkeypatch.setattr(nmt.training.shortlist, "CHUNK_PAIRS", 25)
    done: list[int] = []
    counts = count_links(model, pairs, bundle.config.tgt_vocab, CPU, advance=done.append)
    found = dict(zip(zip(counts.src.tolist(), counts.tgt.tolist(), strict=True), counts.mass.tolist(), strict=True))
    assert found == pytest.approx(dict(expected), abs=1e-4)
    assert list(found) == sorted(found)
    assert {i: n for i, n in enumerate(counts.tgt_counts.tolist()) if n} == tokens
    assert sum(done) == len(pairs)
    assert len(done) > 5


def test_pairs_with_an_empty_or_very_long_side_are_left_out(tmp_path: Path) -> None:
    tokenizers = make_bundle(tmp_path / "b").tokenizers
    texts = [("the dog", "der Hund"), ("", "der Hund"), ("the dog", "  "), ("the dog " * 30, "der"), ("the", "x" * 50)]
    assert len(list(encode_pairs(tokenizers, texts, max_tokens=30))) == 1


def random_counts(src_vocab: int, tgt_vocab: int, links: int, seed: int = 2) -> LinkCounts:
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(0, src_vocab * tgt_vocab, links))
    # few different masses, so that there are ties
    mass = rng.integers(1, 5, len(keys)) / 2.0
    return LinkCounts(keys // tgt_vocab, keys % tgt_vocab, mass, rng.integers(0, 30, tgt_vocab))


@pytest.mark.parametrize("min_share", [0.0, 0.04])
@pytest.mark.parametrize("joint", [True, False])
def test_the_lists_are_the_best_of_each_source_piece(tmp_path: Path, joint: bool, min_share: float) -> None:
    bundle = make_bundle(tmp_path / "b", text={"joint": joint}, tying="all" if joint else "none")
    source, target = bundle.tokenizers
    counts = random_counts(source.size, target.size, 6000)
    shortlist = build_shortlist(counts, bundle.tokenizers, per_token=7, min_share=min_share, common=20)

    allowed = [i for i in range(target.size) if i not in target.forbidden_ids]
    ranked = sorted(allowed, key=lambda i: (-counts.tgt_counts[i], i))
    assert shortlist.common.tolist() == ranked[:20]
    spelling = {piece: i for i, piece in enumerate(target.pieces(range(target.size)))}
    others = set(allowed) - set(ranked[:20]) - {EOS_ID}
    for source_id, piece in enumerate(source.pieces(range(source.size))):
        own = counts.src == source_id
        mass = dict(zip(counts.tgt[own].tolist(), counts.mass[own].tolist(), strict=True))
        kept = {t for t, m in mass.items() if t in others and m >= min_share * sum(mass.values())}
        expected = sorted(kept, key=lambda t: (-mass[t], t))[:7]
        if (copy := spelling.get(piece)) in others and copy not in expected:
            expected.append(copy)
        assert shortlist.candidates(source_id).tolist() == expected


@pytest.mark.parametrize("joint", [True, False])
def test_a_source_of_unseen_characters_can_be_copied(tmp_path: Path, joint: bool) -> None:
    """Without a single link counted, every byte of the source may be produced."""
    source, target = (tokenizers := make_bundle(tmp_path / "b", text={"joint": joint}, tying="none").tokenizers)
    nothing = LinkCounts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(target.size, np.int64))
    shortlist = build_shortlist(nothing, tokenizers, per_token=50, min_share=0.0, common=50)
    text = "語 Ж ☃"
    ids = source.encode(text)
    assert any(piece.startswith("<0x") for piece in source.pieces(ids))
    words = set(shortlist.words(ids).tolist())
    assert set(target.encode(text)) <= words
    assert len(words) <= len(set(ids)) + 1


def test_line_breaks_and_special_pieces_are_in_no_list(tmp_path: Path) -> None:
    tokenizers = make_bundle(tmp_path / "b").tokenizers
    V = tokenizers.target.size
    everything = LinkCounts(np.repeat(np.arange(V), V), np.tile(np.arange(V), V), np.ones(V * V), np.ones(V, np.int64))
    shortlist = build_shortlist(everything, tokenizers, per_token=V, min_share=0.0, common=10)
    words = set(shortlist.words(range(V)).tolist())
    assert words == set(range(V)) - tokenizers.target.forbidden_ids
    assert PAD_ID not in words
    says_unknown = tokenizers.target.forbidden_ids - {UNK_ID}
    with_unknown = build_shortlist(
        everything, tokenizers, per_token=V, min_share=0.0, common=10, forbidden_ids=says_unknown
    )
    assert set(with_unknown.words(range(V)).tolist()) == words | {UNK_ID}


def test_coverage_counts_the_tokens_that_are_let_through() -> None:
    lists: list[list[int]] = [[] for _ in range(10)]
    lists[4], lists[5] = [6, 7], [8]
    shortlist = Shortlist.of_lists(lists, [9], 10)
    pairs: list[IdPair] = [([4], [6, 7, 9]), ([5, 5], [8, 6, 3, 9, 4])]
    covered = measure(shortlist, pairs)
    assert covered.tokens == pytest.approx(5 / 8)  # 6, 7, 9 of the first; 8 and 9 of the second
    assert covered.sentences == pytest.approx(1 / 2)
    assert covered.words == pytest.approx((4 + 3) / 2)  # EOS among them


def test_pairs_to_measure_with_are_not_learnt_from() -> None:
    pairs = [(str(i), str(-i)) for i in range(1000)]
    learn, held_out = draw(iter(pairs), 300, seed=1)
    assert (len(learn), len(held_out)) == (297, 3)
    assert len({*learn, *held_out}) == 300
    assert {*learn, *held_out} <= set(pairs)
    assert draw(iter(pairs), 300, seed=1) == (learn, held_out)
    assert draw(iter(pairs), 300, seed=2) != (learn, held_out)
    learn, held_out = draw(iter(pairs[:2]), 300, seed=1)
    assert (len(learn), len(held_out)) == (1, 1)
    with pytest.raises(CorpusError, match="1 sentence pairs"):
        draw(iter(pairs[:1]), 300, seed=1)
