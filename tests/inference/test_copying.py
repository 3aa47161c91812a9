"""Copied words on their way from text to text: numbers beyond the vocabulary, and the words that stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nmt.bundle import Bundle, load_bundle, save_bundle
from nmt.inference import TranslateOptions
from nmt.inference.loading import choose_runner
from nmt.inference.native_runner import why_not
from nmt.inference.pipeline import Pipeline
from nmt.inference.runner import Found, Sentence
from nmt.inference.types import Translation
from nmt.shortlist import Shortlist
from nmt.text.copying import encode_to_copy, find_unknown, number_pair, number_unknown, split_copies
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import EOS_ID, UNK_ID, TokenizerPair, VocabularyTokenizer
from tests.bundles import make_bundle
from tests.inference.runners import RUNNERS, compare, reference, translate
from tests.inference.test_unknown import texts

TORCH = [name for name in RUNNERS if name != "native"]


def copying_bundle(folder: Path, dictionary: Dictionary | None, has_shortlist: bool) -> Bundle:
    """A random network of few words that copies most of what it says."""
    bundle = make_bundle(
        folder,
        text={"kind": "word", "vocab_size": 24},
        search={"beam_size": 3, "max_length_factor": 1.0, "max_length_offset": 3},
        copying=True,
    )
    V = bundle.config.tgt_vocab
    shortlist = Shortlist.of_lists([[(i + 1) % V] for i in range(V)], range(4, 9), V) if has_shortlist else None
    weights = dict(bundle.weights)
    weights["copying.gate.bias"] = weights["copying.gate.bias"] - 1
    save_bundle(replace(bundle, weights=weights, dictionary=dictionary, shortlist=shortlist), folder)
    return load_bundle(folder)


@pytest.fixture(scope="module", params=["plain", "dictionary", "shortlist"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    dictionary = Dictionary({"Zarkov": "Sarkow"}) if request.param == "dictionary" else None
    return copying_bundle(tmp_path_factory.mktemp("copying") / "toy", dictionary, request.param == "shortlist")


def test_an_unknown_word_has_one_number_in_its_sentence() -> None:
    ids, numbers = number_unknown([7, UNK_ID, UNK_ID, 8, UNK_ID], ["▁Oslo", "▁Rom", "▁Oslo"], 20)
    assert ids == [7, 21, 22, 8, 21]
    assert numbers == {"▁Oslo": 21, "▁Rom": 22}
    assert find_unknown([UNK_ID, 9, UNK_ID], ["▁Rom", "▁Paris"], numbers) == [22, 9, UNK_ID]
    tokens, copies = split_copies([21, 9, UNK_ID, 22], ["▁the", "▁Oslo", "▁Rom"], 20)
    assert (tokens, copies) == ([UNK_ID, 9, UNK_ID, UNK_ID], ["▁Oslo", None, "▁Rom"])


def test_a_pair_shares_the_numbers_of_its_unknown_words() -> None:
    words = VocabularyTokenizer.train(["the the sees sees . der sieht"], "word", 9, "identity")
    pair = TokenizerPair(words, words)

    def numbered(source: str, target: str) -> tuple[list[str], list[str]]:
        found = number_pair(pair, (source, target), (words.encode(source), words.encode(target)))
        return tuple(  # type: ignore[return-value]
            [words.pieces([i])[0] if i < words.size else f"{i - words.size}" for i in side] for side in found
        )

    assert numbered("Tom sees Eve .", "Eve sieht Tom !") == (["0", "▁sees", "2", "▁."], ["2", "▁sieht", "0", "<unk>"])
    assert numbered("the .", "der Tom .")[1] == ["▁der", "<unk>", "▁."]
    assert encode_to_copy(words, ["Tom Tom the", "the"]) == [[9, 9, words.encode("the")[0]], words.encode("the")]


def sentences(bundle: Bundle, texts: Sequence[str], options: TranslateOptions) -> list[Sentence]:
    pipeline = Pipeline(bundle, RUNNERS["torch"](bundle))
    encoded = encode_to_copy(bundle.tokenizers.source, texts)
    return [(ids, pipeline._search_options(len(ids), options)) for ids in encoded]


@pytest.mark.parametrize("runner", TORCH)
def test_runners_copy_what_the_reference_copies(bundle: Bundle, runner: str) -> None:
    asked = sentences(bundle, texts(30), TranslateOptions(n_best=3, alignments=True))
    expected = reference(bundle, asked)
    copies = [token for found in expected for h in found for token in h.tokens if token >= bundle.config.tgt_vocab]
    assert len(copies) > 50
    assert compare(translate(RUNNERS[runner](bundle), asked), expected) <= 1


@pytest.mark.parametrize("runner", TORCH)
def test_constraints_hold_for_what_is_generated_beside_copies(bundle: Bundle, runner: str) -> None:
    asked = [
        (ids, replace(options, no_repeat_ngram=1 + k % 2, forbidden=((5,), (6, 7)), prefix=(8,) * (k % 3)))
        for k, (ids, options) in enumerate(sentences(bundle, texts(12), TranslateOptions(n_best=3)))
    ]
    expected = reference(bundle, asked)
    assert any(token >= bundle.config.tgt_vocab for found in expected for h in found for token in h.tokens)
    for (_, options), found in zip(asked, expected, strict=True):
        assert all(h.tokens[: len(options.prefix)] == options.prefix for h in found)
    assert compare(translate(RUNNERS[runner](bundle), asked), expected) <= 1


def expected_text(bundle: Bundle, text: str, found: Found) -> str:
    """By hand: the pieces of a hypothesis, one after the other."""
    tokenizer = bundle.tokenizers.source
    V, source = tokenizer.size, tokenizer.split(text)
    pieces = []
    assert found.attention is not None
    for token, weights in zip(found.tokens, found.attention, strict=False):
        looked_at = source[int(weights[:-1].argmax())]
        replaced = {"▁Zarkov": "▁Sarkow"}.get(looked_at, looked_at)
        copied = source[token - V] if token >= V else None
        pieces.append(copied or (replaced if token == UNK_ID else tokenizer.pieces([token])[0]))
    return "".join(pieces).replace("\uffed\u2581", "").replace("\uffed", "").replace("\u2581", " ").strip()


def test_the_text_has_the_copied_words(bundle: Bundle) -> None:
    asked = texts(40)
    options = TranslateOptions(alignments=True, raw=True)
    translations = Pipeline(bundle, RUNNERS["torch"](bundle)).translate(asked, options)
    copied = 0
    for text, translation, found in zip(
        asked,
        translations,
        reference(bundle, sentences(bundle, asked, options)),
        strict=True,
    ):
        assert isinstance(translation, Translation)
        assert translation.text == expected_text(bundle, text, found[0])
        assert "unknown_words" not in translation.flags
        assert [t for _, t in translation.alignment] == list(range(len(translation.text.split())))
        copied += any(token >= bundle.config.tgt_vocab for token in found[0].tokens)
        assert translation.target_tokens == len(found[0].tokens)
    assert copied > 10


def test_the_kernels_refuse_it_by_name_and_torch_serves(bundle: Bundle) -> None:
    assert why_not(bundle, "fp32") == "copying"
    runner = choose_runner(bundle, "cpu", "fp32")
    assert runner.name == "torch"
    assert runner.refused == "copying"  # type: ignore[attr-defined]
    assert EOS_ID not in bundle.forbidden_ids


def test_a_network_of_two_vocabularies_cannot_copy(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        make_bundle(tmp_path / "b", text={"joint": False}, tying="none", copying=True)
