"""Copying words of the source, against NumPy: its equation, the ids beyond the vocabulary, and the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nmt.config import ModelConfig
from nmt.model.copy import UNKNOWN_ID, Copying, copied_mass, in_vocabulary
from nmt.model.seq2seq import Seq2Seq
from nmt.text.tokenizer import PAD_ID, UNK_ID
from nmt.training import copying, fused
from nmt.training.batches import Batch
from nmt.training.copying import copy_loss
from nmt.training.translation import TranslationLoss
from tests.model.networks import TINY, VOCAB, sentences, tiny
from tests.model.test_seq2seq import all_weights
from tests.oracles import Seq2SeqOracle

LENGTHS = [6, 1, 7, 3]
FORMS: dict[str, dict[str, Any]] = {
    "general": {},
    "dot, local-m": {"attention": "dot", "attention_span": "local-m", "attention_window": 5},
    "location, no feeding": {"attention": "location", "input_feeding": False, "attention_max_length": 7},
    "nothing tied, gru": {"tying": "none", "cell": "gru"},
    "source reversed": {"bidirectional": False, "reverse_source": True},
}


def sources() -> tuple[Tensor, Tensor]:
    """Sentences with unknown words: the same one twice, several, and none."""
    src, lengths = sentences(1, LENGTHS)
    src[0, 1] = src[0, 4] = VOCAB + 1
    src[2, 0], src[2, 5] = VOCAB, VOCAB + 5
    return src, lengths


def targets() -> tuple[Tensor, Tensor]:
    """`tgt_in` and `tgt_out` of 5 steps, with copies of unknown words and of known ones, and padding."""
    tgt_out, _ = sentences(2, [5] * len(LENGTHS))
    src, _ = sources()
    tgt_out[0, :3] = torch.tensor([VOCAB + 1, src[0, 0], UNK_ID])
    tgt_out[2, 1:3] = torch.tensor([VOCAB + 5, VOCAB])
    tgt_out[3, 3:] = PAD_ID
    return torch.cat([torch.full((len(LENGTHS), 1), 1), tgt_out[:, :-1]], dim=1), tgt_out


def batch() -> Batch:
    tgt_in, tgt_out = targets()
    return Batch(*sources(), tgt_in, tgt_out, int((tgt_out != PAD_ID).sum()))


def oracle_log_probs(choices: dict[str, Any], model: Seq2Seq) -> list[np.ndarray[Any, Any]]:
    """[5, V + S] of each sentence."""
    oracle = Seq2SeqOracle(ModelConfig.model_validate({**TINY.model_dump(), **choices}), all_weights(model))
    (src, _), (tgt_in, _) = sources(), targets()
    return [
        np.stack([step.log_probs for step in oracle.forward(src[row, :length].tolist(), tgt_in[row].tolist())])
        for row, length in enumerate(LENGTHS)
    ]


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_every_step_is_the_mixture_of_the_equation(form: str) -> None:
    choices = FORMS[form] | {"copying": True}
    model = tiny(**choices)
    expected = oracle_log_probs(choices, model)
    (src, lengths), (tgt_in, _) = sources(), targets()
    memory, state = model.encode(src, lengths)
    for t in range(tgt_in.shape[1]):
        log_probs, state, _ = model.step(tgt_in[:, t], state, memory)
        assert log_probs.shape == (len(LENGTHS), VOCAB + src.shape[1])
        torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(len(LENGTHS)).double())
        for row, length in enumerate(LENGTHS):
            np.testing.assert_allclose(log_probs[row, : VOCAB + length].numpy(), expected[row][t], atol=1e-10)
            assert bool((log_probs[row, VOCAB + length :] == -torch.inf).all())


@pytest.mark.parametrize("rows", [1, 3, 1000], ids="{} rows a chunk".format)
@pytest.mark.parametrize("form", FORMS)
def test_the_loss_is_what_the_steps_give_the_words_that_come(
    form: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK_BYTES", 4 * VOCAB * rows)
    choices = FORMS[form] | {"copying": True}
    model = tiny(**choices)
    assert fused.refused(model) == "it copies words"
    tgt_out = targets()[1].tolist()
    expected = -sum(
        table[t, word]
        for table, words in zip(oracle_log_probs(choices, model), tgt_out, strict=True)
        for t, word in enumerate(words)
        if word != PAD_ID
    )
    found = TranslationLoss(model, 0.0)(batch())
    assert float(found.nll) == pytest.approx(expected, abs=1e-9)
    assert found.smoothed.item() == found.nll.item()


def test_smoothing_is_of_what_is_generated() -> None:
    model = tiny(copying=True)
    with torch.no_grad():
        vectors, _ = model(batch().src, batch().src_lengths, batch().tgt_in)
        log_probs = model.output(vectors).log_softmax(dim=-1)[batch().tgt_out != PAD_ID]
    found = copy_loss(model, batch(), 0.3)
    expected = 0.7 * float(found.nll) - 0.3 * float(log_probs.mean(dim=1).sum())
    assert found.smoothed.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradients_are_those_of_the_steps(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autograd through every step's whole distribution, written out."""
    monkeypatch.setattr(copying, "CHUNK_BYTES", 4 * VOCAB * 4)
    (src, lengths), (tgt_in, tgt_out) = sources(), targets()

    def gradients(is_loss: bool) -> dict[str, Tensor]:
        model = tiny(copying=True, encoder_layers=1)
        if is_loss:
            copy_loss(model, batch(), smoothing).smoothed.backward()
        else:
            memory, state = model.encode(src, lengths)
            total = torch.zeros((), dtype=torch.float64)
            for t in range(tgt_in.shape[1]):
                projected = model.decoder.project(model.tgt_embedding(in_vocabulary(tgt_in[:, t], VOCAB)))
                vector, state, weights = model.decoder.step(projected, state, memory)
                p = torch.sigmoid(model.copying.gate(vector))  # type: ignore[union-attr]
                generated = model.output(vector).softmax(dim=-1)
                mixed = functional.pad(p * generated, (0, src.shape[1]))
                for row, column in torch.nonzero(weights.detach()).tolist():
                    word = functional.one_hot(src[row, column], mixed.shape[1])
                    mixed = mixed + functional.one_hot(torch.tensor(row), len(src))[:, None] * word * (
                        (1 - p) * weights[:, column : column + 1]
                    )
                real = tgt_out[:, t] != PAD_ID
                chosen = mixed.gather(1, tgt_out[:, t : t + 1]).squeeze(1).log()
                total = total - (1 - smoothing) * chosen[real].sum()
                total = total - smoothing * generated.log().mean(dim=1)[real].sum()
            total.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    found, expected = gradients(is_loss=True), gradients(is_loss=False)
    assert found.keys() == expected.keys()
    assert "copying.gate.weight" in found
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, msg=name)


def test_a_word_that_gets_no_attention_has_a_loss_and_gradients_that_are_numbers() -> None:
    model = tiny(dtype=torch.float32, copying=True, attention_span="local-m", attention_window=1)
    src, lengths = sources()
    far = torch.tensor([[5, 5, 5, 5, VOCAB + 5]]).repeat(len(LENGTHS), 1)  # place 5 is never within the window
    found = copy_loss(model, Batch(src, lengths, targets()[0], far, far.numel()), 0.1)
    found.smoothed.backward()
    assert torch.isfinite(found.nll)
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


def test_rows_of_one_sentence_share_its_words() -> None:
    """N = 2 * 3 hypotheses of two sentences."""
    torch.manual_seed(3)
    module, words = Copying(4).double(), torch.tensor([[5, 9], [6, 6]])
    vectors, logits = torch.randn(6, 4).double(), torch.randn(6, 8).double()
    weights = torch.rand(6, 2).double().softmax(dim=1)
    together = module(vectors, logits, weights, words)
    for row in range(6):
        rows = slice(row, row + 1)
        alone = module(vectors[rows], logits[rows], weights[rows], words[row // 3 : row // 3 + 1])
        torch.testing.assert_close(together[rows], alone)


def test_attention_on_a_word_is_summed_over_its_places() -> None:
    weights = torch.tensor([[[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]]])
    assert copied_mass(weights, torch.tensor([[5, 6, 5]]), torch.tensor([[5, 7]])).tolist() == [
        pytest.approx([0.8, 0.0])
    ]


def test_the_unknown_word_is_that_of_the_vocabularies() -> None:
    assert UNKNOWN_ID == UNK_ID
    assert in_vocabulary(torch.tensor([2, 10, 11, 40]), VOCAB).tolist() == [2, 10, UNK_ID, UNK_ID]
