"""An explanation shows what the network did, by the oracle: attention, probabilities, gates, each at its piece."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.bundle import Bundle, load_bundle, save_bundle
from nmt.errors import InputTooLong, TranslationError
from nmt.inference import TranslateOptions, Translator
from nmt.inference.aligner import align_pairs
from nmt.inference.explain import explain
from nmt.model.cells import CELLS
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import BOS_ID, EOS_ID, UNK_ID
from tests.bundles import make_bundle, toy_sentences
from tests.oracles import Array, Seq2SeqOracle, lstm

SOURCE, TARGET = "The old dog sees the red table here.", "Der alte Hund sieht hier den Tisch."


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("models") / "en-de", search={"beam_size": 3, "max_length_offset": 2})


def weights_of(bundle: Bundle) -> dict[str, Array]:
    parameters = bundle.build_model().named_parameters(remove_duplicate=False)
    return {name: weight.double().numpy() for name, weight in parameters}


def test_attention_and_probabilities_are_the_oracles(bundle: Bundle) -> None:
    (one,) = explain(bundle, SOURCE, TARGET)
    src = bundle.tokenizers.source.encode(SOURCE)
    tgt = bundle.tokenizers.target.encode(TARGET)
    steps = Seq2SeqOracle(bundle.config.model, weights_of(bundle)).forward([*src, EOS_ID], [BOS_ID, *tgt])
    assert one.attention is not None
    np.testing.assert_allclose(one.attention, np.stack([step.attention for step in steps]), atol=1e-5)
    expected = [step.log_probs[token] for step, token in zip(steps, [*tgt, EOS_ID], strict=True)]
    np.testing.assert_allclose(one.log_probs, expected, atol=1e-4)
    assert one.log_prob == pytest.approx(sum(expected), abs=1e-3)
    alpha = bundle.config.search.length_penalty
    assert one.score == pytest.approx(one.log_prob / ((5 + len(expected)) / 6) ** alpha, abs=1e-5)
    assert one.source.pieces == (*bundle.tokenizers.source.pieces(src), "</s>")
    assert one.target.pieces == (*bundle.tokenizers.target.pieces(tgt), "</s>")
    assert [one.links] == align_pairs(bundle, [(SOURCE, TARGET)])


def test_without_a_target_the_models_own_translations_are_explained(bundle: Bundle) -> None:
    assert bundle.folder is not None
    for sentence in toy_sentences(3):
        found = explain(bundle, sentence, n_best=3)
        with Translator.load(bundle.folder, device="cpu", precision="fp32") as translator:
            (translated,) = translator.translate([sentence], TranslateOptions(n_best=3, raw=True, alignments=True))
        assert [one.target.text for one in found] == [one.text for one in translated.alternatives]
        assert [one.links for one in found] == [one.alignment for one in translated.alternatives]
        assert [one.score for one in found] == pytest.approx([one.score for one in translated.alternatives], abs=1e-4)


@pytest.mark.parametrize(
    "choices",
    [{}, {"reverse_source": True, "bidirectional": False}, {"direction": "backward", "bidirectional": False}],
    ids=str,
)
def test_gates_of_the_encoder_stand_at_their_words(choices: dict[str, Any], tmp_path: Path) -> None:
    """By running the lowest layer over the embeddings in the order in which it reads them."""
    bundle = make_bundle(tmp_path / "en-de", **choices)
    weights = weights_of(bundle)
    (one,) = explain(bundle, SOURCE, TARGET)
    ids = [*bundle.tokenizers.source.encode(SOURCE), EOS_ID]
    order = list(range(len(ids)))
    layers = {layer.name: layer for layer in one.encoder}
    if choices.get("direction"):
        expected_order = {"encoder 1 backward": ("l0", order[::-1])}
    elif choices.get("reverse_source"):
        expected_order = {"encoder 1": ("l0", [*order[-2::-1], order[-1]])}
    else:
        expected_order = {"encoder 1": ("l0", order), "encoder 1 backward": ("l0_reverse", order[::-1])}
    assert layers.keys() == expected_order.keys()
    for name, (suffix, read) in expected_order.items():
        of_cell = {
            "weight_input": weights[f"encoder.rnn.weight_ih_{suffix}"],
            "weight_recurrent": weights[f"encoder.rnn.weight_hh_{suffix}"],
            "bias": weights[f"encoder.rnn.bias_ih_{suffix}"] + weights[f"encoder.rnn.bias_hh_{suffix}"],
        }
        h = c = np.zeros(of_cell["weight_recurrent"].shape[1])
        for position in read:
            embedded = weights["src_embedding.weight"][ids[position]]
            step = lstm(embedded, (h, c), of_cell, bundle.config.model)
            h, c = step.state
            for gate, values in step.gates.items():
                np.testing.assert_allclose(layers[name].gates[gate][position], values, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cells_gates_are_shown(cell: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "en-de", cell=cell, decoder_layers=2)
    (one,) = explain(bundle, SOURCE, TARGET)
    assert [layer.name for layer in one.decoder] == ["decoder 1", "decoder 2"]
    for layer, side in ((one.encoder[0], one.source), (one.decoder[1], one.target)):
        assert tuple(layer.gates) == CELLS[cell].gate_names
        assert {len(values) for values in layer.gates.values()} == {len(side.pieces)}


def test_pieces_are_merged_into_words(bundle: Bundle) -> None:
    (one,) = explain(bundle, SOURCE, TARGET)
    assert len(one.source.pieces) > len(SOURCE.split()) + 1
    weights, source, target = one.by_words()
    assert (source, target) == ((*SOURCE.split(), "</s>"), (*TARGET.split(), "</s>"))
    assert one.attention is not None
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    rows = [k for k, word in enumerate(one.target.words) if word == 2]
    columns = [k for k, word in enumerate(one.source.words) if word == 5]
    expected = sum(one.attention[row, column] for row in rows for column in columns) / len(rows)
    assert weights[2, 5] == pytest.approx(expected, abs=1e-6)


def test_a_model_without_attention_shows_the_rest(tmp_path: Path) -> None:
    (one,) = explain(make_bundle(tmp_path / "en-de", attention="none"), SOURCE, TARGET)
    assert one.attention is None
    assert one.links == ()
    assert len(one.decoder[0].gates["f"]) == len(one.target.pieces) == len(one.log_probs)


def test_unknown_words_are_shown_as_they_stand_in_the_text(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "en-de", text={"kind": "word", "vocab_size": 40})
    (one,) = explain(bundle, "the xylophone sees", "der Xylophon")
    assert [piece.strip("▁") for piece in one.source.pieces] == ["the", "xylophone", "sees", "</s>"]
    assert one.by_words()[2] == ("der", "Xylophon", "</s>")


def test_what_cannot_be_explained_is_told(bundle: Bundle) -> None:
    with pytest.raises(TranslationError, match="no word"):
        explain(bundle, " ")
    with pytest.raises(InputTooLong, match="a sentence at a time"):
        explain(bundle, "the dog " * 200)


@pytest.mark.parametrize("choices", [{"copying": True}, {}], ids=["copies", "replaces"])
def test_words_that_are_copied_or_replaced_are_those_of_a_translation(choices: dict[str, Any], tmp_path: Path) -> None:
    sentence, folder = "The xylophone sees Oslo .", tmp_path / "en-de"
    bundle = make_bundle(folder, text={"kind": "word", "vocab_size": 24}, search={"beam_size": 3}, **choices)
    weights = dict(bundle.weights)
    if choices:
        weights["copying.gate.bias"] = weights["copying.gate.bias"] - 1
    else:
        weights["output.bias"] = weights["output.bias"] + 2.0 * (np.arange(bundle.config.tgt_vocab) == UNK_ID)
    dictionary = Dictionary({"Oslo": "Christiania"})
    save_bundle(replace(bundle, weights=weights, dictionary=dictionary), folder)
    bundle = load_bundle(folder)
    found = explain(bundle, sentence, n_best=3)
    with Translator.load(folder, device="cpu", precision="fp32") as translator:
        (translated,) = translator.translate([sentence], TranslateOptions(n_best=3, raw=True, alignments=True))
    texts = [one.target.text for one in found]
    assert texts == [one.text for one in translated.alternatives]
    assert any(word in text for text in texts for word in ("xylophone", "Oslo", "Christiania"))
    assert [one.links for one in found] == [one.alignment for one in translated.alternatives]
    assert [one.score for one in found] == pytest.approx([one.score for one in translated.alternatives], abs=1e-4)


def test_an_unknown_name_in_a_given_translation_is_a_copy_of_the_sources(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "en-de", text={"kind": "word", "vocab_size": 24}, copying=True)
    (copied,) = explain(bundle, "the Oslo sees", "der Oslo")
    (other,) = explain(bundle, "the Oslo sees", "der Rom")
    assert copied.log_probs[0] == other.log_probs[0]
    assert copied.log_probs[1] > -np.inf
    assert copied.log_probs[1] != other.log_probs[1]
    assert copied.target.pieces[1].strip("▁") == "Oslo"


def test_an_unknown_word_that_is_kept_is_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "en-de"
    search = {"beam_size": 2, "unknown_words": "keep", "max_length_offset": 2}
    bundle = make_bundle(folder, text={"kind": "word", "vocab_size": 24}, search=search)
    bias = bundle.weights["output.bias"] + 2.0 * (np.arange(bundle.config.tgt_vocab) == UNK_ID)
    save_bundle(replace(bundle, weights={**bundle.weights, "output.bias": bias}), folder)
    (one,) = explain(load_bundle(folder), "The dog sees Oslo .")
    assert one.target.text.split().count("<unk>") > 1
    assert one.target.words == tuple(range(len(one.target.text.split())))
    assert one.by_words()[2] == (*one.target.text.split(), "</s>")
