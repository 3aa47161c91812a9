"""Vocabularies: lossless text, fixed special ids, and what must never be generated."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import SubwordKind, TextConfig
from nmt.errors import TokenizerError
from nmt.text.tokenizer import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    SPECIAL_PIECES,
    UNK_ID,
    Tokenizer,
    TokenizerPair,
    VocabularyTokenizer,
    load_tokenizers,
    train_tokenizers,
    vocabulary_hash,
)
from tests.corpora import toy_pair

KINDS: tuple[SubwordKind, ...] = ("unigram", "bpe", "word", "char")
SUBWORDS = KINDS[:2]
UNSEEN = "Ωmega 漢字 🙂 déjà-vu 12%"


@cache
def tokenizers(kind: SubwordKind, normalization: str = "identity", joint: bool = True) -> TokenizerPair:
    rng = random.Random(1)
    config = TextConfig.model_validate(
        {"kind": kind, "vocab_size": 330, "normalization": normalization, "joint": joint}
    )
    return train_tokenizers((toy_pair(rng) for _ in range(300)), config, seed=1)


def one(kind: SubwordKind, normalization: str = "identity") -> Tokenizer:
    return tokenizers(kind, normalization).source


# SentencePiece removes blanks at the ends and merges runs of them; U+2581 is its own mark for a blank
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40)


@pytest.mark.parametrize("kind", SUBWORDS)
@given(text=any_text)
@settings(max_examples=150)
def test_byte_fallback_spells_any_text(kind: SubwordKind, text: str) -> None:
    tokenizer = one(kind)
    ids = tokenizer.encode(text)
    assert UNK_ID not in ids
    expected = " ".join(word for word in text.split(" ") if word)
    assert tokenizer.decode(ids) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["identity", "nmt_nfkc"])
def test_text_of_the_corpus_comes_back(kind: SubwordKind, normalization: str) -> None:
    tokenizer = one(kind, normalization)
    rng = random.Random(9)
    for _ in range(50):
        for text in toy_pair(rng):
            ids = tokenizer.encode(text)
            assert tokenizer.decode(ids) == text
            assert {PAD_ID, BOS_ID, EOS_ID, UNK_ID}.isdisjoint(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_pieces_agree(kind: SubwordKind) -> None:
    tokenizer = one(kind)
    ids = tokenizer.encode("The old man sees the tree.")
    assert "".join(tokenizer.pieces(ids)).replace("\u2581", " ").strip() == "The old man sees the tree."
    assert tokenizer.pieces([PAD_ID, BOS_ID, EOS_ID, UNK_ID]) == ["<pad>", "<s>", "</s>", "<unk>"]
    assert max(ids) < tokenizer.size
    assert len(tokenizer.pieces(range(tokenizer.size))) == tokenizer.size


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_texts_one_by_one(kind: SubwordKind) -> None:
    tokenizer = one(kind)
    texts = ["The dog.", "", "  ", UNSEEN, "der alte Mann"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []
    assert tokenizer.encode("") == tokenizer.encode("  ") == []


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_leaves_special_ids_out(kind: SubwordKind) -> None:
    tokenizer = one(kind)
    ids = tokenizer.encode("The old dog.")
    assert tokenizer.decode([BOS_ID, *ids[:1], PAD_ID, UNK_ID, *ids[1:], EOS_ID, PAD_ID]) == "The old dog."
    assert tokenizer.decode([]) == tokenizer.decode([PAD_ID, EOS_ID]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_no_allowed_piece_breaks_a_line(kind: SubwordKind) -> None:
    """Invariant 3: whatever a search generates stays on one line."""
    tokenizer = one(kind)
    assert {PAD_ID, BOS_ID, UNK_ID} <= tokenizer.forbidden_ids
    assert EOS_ID not in tokenizer.forbidden_ids
    for i in range(tokenizer.size):
        if i not in tokenizer.forbidden_ids:
            assert not {"\n", "\r"} & set(tokenizer.decode([i]))
    if kind in SUBWORDS:
        bytes_of_breaks = {i for i in range(tokenizer.size) if tokenizer.pieces([i])[0] in ("<0x0A>", "<0x0D>")}
        assert len(bytes_of_breaks) == 2
        assert bytes_of_breaks <= tokenizer.forbidden_ids
        assert len(tokenizer.forbidden_ids) == 5


def test_a_piece_learnt_with_a_line_break_in_it_is_forbidden() -> None:
    """Without cleaning and normalisation a carriage return can become part of a piece."""
    config = TextConfig(kind="bpe", vocab_size=280, normalization="identity", joint=True)
    tokenizer = train_tokenizers([("a\rb", "a\rb a\rb")] * 50, config, seed=1).source
    with_break = {i for i in range(tokenizer.size) if "\r" in tokenizer.pieces([i])[0]}
    assert with_break
    assert with_break <= tokenizer.forbidden_ids


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_vocabulary_loads_equal(tmp_path: Path, kind: SubwordKind, joint: bool) -> None:
    pair = tokenizers(kind, joint=joint)
    pair.save(tmp_path)
    loaded = load_tokenizers(tmp_path)
    assert loaded.is_joint == joint
    for mine, theirs in zip(pair, loaded, strict=True):
        assert theirs.size == mine.size
        assert theirs.forbidden_ids == mine.forbidden_ids
        assert theirs.pieces(range(mine.size)) == mine.pieces(range(mine.size))
        for text in ("The old man hears.", "Der Hund findet heute den Baum.", UNSEEN):
            assert theirs.encode(text) == mine.encode(text)


def test_separate_vocabularies_know_their_own_language() -> None:
    source, target = tokenizers("word", joint=False)
    assert UNK_ID in source.encode("hund")
    assert UNK_ID not in target.encode("hund")
    joint = tokenizers("word").source
    assert UNK_ID not in joint.encode("hund") + joint.encode("dog")


def test_words_and_characters_keep_the_most_frequent() -> None:
    lines = ["b b b a a c", "a, b"]
    words = VocabularyTokenizer.train(lines, "word", 7, "identity")
    assert words.pieces(range(4, 7)) == ["\u2581b", "\u2581a", ","]
    assert words.encode("a c, b") == [5, UNK_ID, 6, 4]
    assert words.split("a c, b") == ["\u2581a", "\u2581c", ",", "\u2581b"]
    characters = VocabularyTokenizer.train(lines, "char", 7, "identity")
    assert characters.pieces(range(4, 7)) == ["\u2581", "b", "a"]
    assert characters.decode(characters.encode("ab ba")) == "ab ba"


@pytest.mark.parametrize("kind", KINDS)
@given(text=any_text)
@settings(max_examples=100)
def test_the_pieces_of_a_text_are_those_of_its_ids(kind: SubwordKind, text: str) -> None:
    tokenizer = one(kind)
    ids, split = tokenizer.encode(text), tokenizer.split(text)
    assert [p if i != UNK_ID else "<unk>" for p, i in zip(split, ids, strict=True)] == tokenizer.pieces(ids)


@pytest.mark.parametrize("kind", ["word", "char"])
@given(text=any_text)
@settings(max_examples=100)
def test_unknown_pieces_put_in_their_places_give_the_text_back(kind: SubwordKind, text: str) -> None:
    text = text.replace("\uffed", "")
    tokenizer = one(kind)
    ids, split = tokenizer.encode(text), tokenizer.split(text)
    unknown = [piece for piece, i in zip(split, ids, strict=True) if i == UNK_ID]
    assert tokenizer.decode(ids, unknown) == " ".join(text.split())


def test_subwords_without_byte_fallback_take_unknown_pieces_too() -> None:
    rng = random.Random(1)
    config = TextConfig(kind="unigram", vocab_size=60, byte_fallback=False)
    tokenizer = train_tokenizers((toy_pair(rng) for _ in range(300)), config, seed=1).source
    ids = tokenizer.encode("The \u6f22\u5b57 dog.")
    assert ids.count(UNK_ID) == 1
    assert tokenizer.decode(ids, ["\u6f22\u5b57"]) == "The \u6f22\u5b57 dog."
    assert tokenizer.decode(ids, ["small"]) == "The small dog."


def test_a_vocabulary_from_before_there_were_rules_splits_as_it_did(tmp_path: Path) -> None:
    pieces = ["<pad>", "<s>", "</s>", "<unk>", "\u2581(", "now", ")", "\u2581now"]
    content = {"unit": "word", "normalization": "identity", "pieces": pieces}
    (tmp_path / "joint.vocab.json").write_text(json.dumps(content), "utf-8")
    tokenizer = load_tokenizers(tmp_path).source
    assert tokenizer.encode("now (now)") == [7, 4, 5, 6]
    assert tokenizer.decode([7, 4, 5, 6]) == "now (now)"
    tokenizer.save(tmp_path, "again")
    assert json.loads((tmp_path / "again.vocab.json").read_text("utf-8")) == content | {"rule": "plain"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_text_gets_as_many_pieces_as_it_has(kind: SubwordKind) -> None:
    config = TextConfig(kind=kind, vocab_size=8000)
    tokenizer = train_tokenizers([("a small text", "ein kleiner Text")], config, seed=1).source
    assert tokenizer.size < 330
    assert tokenizer.decode(tokenizer.encode("ein small text")) == "ein small text"


def test_a_vocabulary_too_small_for_its_letters_is_refused_in_one_line() -> None:
    config = TextConfig(kind="unigram", vocab_size=100)
    with pytest.raises(TokenizerError, match="vocabulary of 100 unigram pieces cannot be learnt") as caught:
        train_tokenizers([("a small text", "ein kleiner Text")], config, seed=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(TokenizerError, match="no text"):
        train_tokenizers([], config, seed=1)


def test_lines_of_any_length_are_learnt_from() -> None:
    """The trainer would leave a line over 4 KiB out."""
    config = TextConfig(kind="bpe", vocab_size=300, joint=False)
    tokenizer = train_tokenizers([("wort " * 2000, "x y z")], config, seed=1).source
    assert len(tokenizer.encode("wort")) == 1


def test_the_sample_is_the_same_for_the_same_seed() -> None:
    rng = random.Random(4)
    pairs = [toy_pair(rng) for _ in range(200)]
    config = TextConfig(kind="word", vocab_size=400, sample_lines=20)
    sizes = [train_tokenizers(iter(pairs), config, seed=seed).source.pieces(range(4, 12)) for seed in (1, 1, 2)]
    assert sizes[0] == sizes[1]
    assert sizes[0] != sizes[2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("joint.spm", b""),
        ("joint.spm", b"no model\nat all"),
        ("joint.vocab.json", b"{"),
        ("joint.vocab.json", b"[]"),
        ("joint.vocab.json", b'{"unit": "word", "normalization": "identity", "pieces": [1, 2]}'),
        ("joint.vocab.json", b'{"unit": "word", "normalization": "identity", "pieces": 3}'),
        ("joint.vocab.json", b'{"unit": "word", "normalization": "identity", "rule": "other", "pieces": []}'),
    ],
)
def test_a_damaged_vocabulary_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError) as caught:
        load_tokenizers(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_whole_vocabulary_says_so(tmp_path: Path) -> None:
    tokenizers("word", joint=False).source.save(tmp_path, "source")
    with pytest.raises(TokenizerError, match="no vocabulary"):
        load_tokenizers(tmp_path)


def test_a_vocabularys_hash_is_of_its_pieces_and_a_fingerprint_of_how_it_reads() -> None:
    pieces = [*SPECIAL_PIECES, "a", "b"]
    one = VocabularyTokenizer("word", pieces, "identity")
    again, folds = (VocabularyTokenizer("word", pieces, form) for form in ("identity", "nmt_nfkc"))
    other = VocabularyTokenizer("word", [*SPECIAL_PIECES, "b", "a"], "identity")
    assert vocabulary_hash(one) == vocabulary_hash(again) == vocabulary_hash(folds) != vocabulary_hash(other)
    assert one.fingerprint == again.fingerprint
    assert len({one.fingerprint, folds.fingerprint, other.fingerprint}) == 3
