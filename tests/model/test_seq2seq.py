"""The whole network: against NumPy, and what must not change its answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nmt.config import AttentionKind, AttentionSpan, ModelConfig
from nmt.model.cells import Cell
from nmt.model.decoder import DecoderState
from nmt.model.seq2seq import Seq2Seq, build
from tests.model.networks import ATTENTIONS, TINY, VOCAB, sentences, tiny
from tests.model.test_cells import FORMS, name_of
from tests.oracles import Array, Seq2SeqOracle

LENGTHS = [6, 1, 7, 3]

VARIANTS: dict[str, dict[str, Any]] = {
    "no input feeding": {"input_feeding": False},
    "one direction": {"bidirectional": False},
    "one direction, backward": {"bidirectional": False, "direction": "backward"},
    "source reversed": {"bidirectional": False, "reverse_source": True},
    "source reversed, local-p": {"bidirectional": False, "reverse_source": True, "attention_span": "local-p"},
    "deeper decoder": {"encoder_layers": 1, "decoder_layers": 3},
    "shallower decoder": {"encoder_layers": 3, "decoder_layers": 1},
    "residual": {"residual": True, "encoder_layers": 3, "decoder_layers": 3},
    "residual in one direction, no feeding": {"residual": True, "bidirectional": False, "input_feeding": False},
    "zero bridge": {"bridge": "zero"},
    "copied state, deeper decoder": {"bridge": "copy", "encoder_layers": 1},
    "copied state, shallower decoder": {"bridge": "copy", "decoder_layers": 1},
    "GNMT's wiring": {"attention_wiring": "gnmt"},
    "GNMT's wiring, three layers, residual": {"attention_wiring": "gnmt", "decoder_layers": 3, "residual": True},
    "GNMT's wiring, GRU, local-p, nothing tied": {
        "attention_wiring": "gnmt",
        "cell": "gru",
        "attention_span": "local-p",
        "tying": "none",
    },
    "GNMT's wiring, no feeding": {"attention_wiring": "gnmt", "input_feeding": False, "attention": "concat"},
    "nothing tied": {"tying": "none"},
    "target tied": {"tying": "target"},
}
CELL_VARIANTS: dict[str, dict[str, Any]] = {
    "feeding, both directions": {"attention_span": "local-p"},
    "no feeding, backward": {"input_feeding": False, "bidirectional": False, "direction": "backward"},
    "copied state": {"bridge": "copy", "encoder_layers": 1, "attention": "concat", "attention_span": "local-m"},
}


def all_weights(model: Seq2Seq) -> dict[str, Array]:
    """Every parameter under each of its names."""
    return {name: p.detach().numpy() for name, p in model.named_parameters(remove_duplicate=False)}


def assert_equals_oracle(choices: dict[str, Any]) -> None:
    model = tiny(**choices)
    oracle = Seq2SeqOracle(ModelConfig.model_validate({**TINY.model_dump(), **choices}), all_weights(model))
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))  # longer than any source: local-m runs past the end
    with torch.no_grad():
        vectors, attention = model(src, lengths, tgt_in)
        log_probs = model.output(vectors).log_softmax(dim=-1)
    for row, length in enumerate(LENGTHS):
        for t, step in enumerate(oracle.forward(src[row, :length].tolist(), tgt_in[row].tolist())):
            np.testing.assert_allclose(log_probs[row, t].numpy(), step.log_probs, atol=1e-10)
            np.testing.assert_allclose(attention[row, t, :length].numpy(), step.attention, atol=1e-10)
            np.testing.assert_allclose(vectors[row, t].numpy(), step.attentional, atol=1e-10)


@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
def test_forward_equals_the_equations(kind: AttentionKind, span: AttentionSpan) -> None:
    assert_equals_oracle({"attention": kind, "attention_span": span})


@pytest.mark.parametrize("form", FORMS, ids=name_of)
@pytest.mark.parametrize("variant", CELL_VARIANTS)
def test_every_cell_equals_the_equations(variant: str, form: dict[str, Any]) -> None:
    assert_equals_oracle(CELL_VARIANTS[variant] | form)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_equals_the_equations(variant: str) -> None:
    assert_equals_oracle(VARIANTS[variant])


def test_decoder_without_feeding_equals_torch_lstm() -> None:
    model = tiny(input_feeding=False, decoder_layers=2)
    bottom, upper = model.decoder.cells
    assert isinstance(bottom, Cell)
    assert isinstance(upper, Cell)
    assert bottom.weight_input is not None
    theirs = nn.LSTM(5, 6, 2, batch_first=True, dtype=torch.float64)
    weights = {
        "weight_ih_l0": bottom.weight_input,
        "weight_hh_l0": bottom.weight_recurrent,
        "bias_ih_l0": bottom.bias,
        "weight_ih_l1": upper.weight_recurrent[:, :6],
        "weight_hh_l1": upper.weight_recurrent[:, 6:],
        "bias_ih_l1": upper.bias,
    }
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(weights.get(name, torch.zeros(())))
        src, lengths = sentences(1, LENGTHS)
        tgt_in, _ = sentences(2, [5] * len(LENGTHS))
        memory, first = model.encode(src, lengths)
        start = tuple(torch.stack([layer[part] for layer in first.layers]) for part in (0, 1))
        _, (h, c) = theirs(model.tgt_embedding(tgt_in), start)
        _, _, state = model.decoder(model.tgt_embedding(tgt_in), first, memory)
    for k in range(2):
        torch.testing.assert_close(state.layers[k].h, h[k], rtol=0, atol=1e-12)
        torch.testing.assert_close(state.layers[k].c, c[k], rtol=0, atol=1e-12)


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
@torch.no_grad()
def test_padding_more_and_other_batch_mates_change_nothing(
    kind: AttentionKind, span: AttentionSpan, feeding: bool
) -> None:
    model = tiny(attention=kind, attention_span=span, input_feeding=feeding)
    src, lengths = sentences(1, LENGTHS)
    wide, _ = sentences(1, LENGTHS, width=12)
    tgt_in, _ = sentences(2, [6] * len(LENGTHS))
    vectors, attention = model(src, lengths, tgt_in)
    padded_vectors, padded_attention = model(wide, lengths, tgt_in)
    torch.testing.assert_close(padded_vectors, vectors, rtol=0, atol=1e-12)
    torch.testing.assert_close(padded_attention[..., : src.shape[1]], attention, rtol=0, atol=1e-12)
    assert not padded_attention[..., src.shape[1] :].any()
    for row, length in enumerate(LENGTHS):
        alone, alone_attention = model(src[row : row + 1, :length], lengths[row : row + 1], tgt_in[row : row + 1])
        torch.testing.assert_close(alone[0], vectors[row], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone_attention[0], attention[row, :, :length], rtol=0, atol=1e-12)


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
@torch.no_grad()
def test_teacher_forcing_equals_step_by_step(kind: AttentionKind, span: AttentionSpan, feeding: bool) -> None:
    assert_steps_equal_teacher_forcing(tiny(attention=kind, attention_span=span, input_feeding=feeding))


def assert_steps_equal_teacher_forcing(model: Seq2Seq) -> None:
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [8] * len(LENGTHS))
    vectors, attention = model(src, lengths, tgt_in)
    memory, state = model.encode(src, lengths)
    for t in range(8):
        logits, state, weights = model.step(tgt_in[:, t], state, memory)
        torch.testing.assert_close(logits, model.output(vectors[:, t]), rtol=0, atol=1e-12)
        torch.testing.assert_close(weights, attention[:, t], rtol=0, atol=1e-12)


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_teacher_forcing_equals_step_by_step_with_every_cell(form: dict[str, Any], feeding: bool) -> None:
    assert_steps_equal_teacher_forcing(tiny(input_feeding=feeding, residual=True, **form))


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("form", [*FORMS, {"attention_wiring": "gnmt"}], ids=name_of)
def test_training_gradients_equal_those_of_single_steps(form: dict[str, Any], feeding: bool) -> None:
    """The shared products of a training sequence give the gradients that plain autograd gives."""
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [5] * len(LENGTHS))

    def gradients(is_training_pass: bool) -> dict[str, Tensor]:
        model = tiny(input_feeding=feeding, residual="layer_norm" in form, **form)
        if is_training_pass:
            model.output(model(src, lengths, tgt_in)[0]).square().sum().backward()
        else:
            memory, state = model.encode(src, lengths)
            total = torch.zeros((), dtype=torch.float64)
            for t in range(tgt_in.shape[1]):
                logits, state, _ = model.step(tgt_in[:, t], state, memory)
                total = total + logits.square().sum()
            total.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    found, expected = gradients(is_training_pass=True), gradients(is_training_pass=False)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, msg=name)


GNMT: dict[str, Any] = {"attention_wiring": "gnmt", "decoder_layers": 3}


@pytest.mark.parametrize("feeding", [True, False])
@torch.no_grad()
def test_teacher_forcing_equals_step_by_step_where_the_bottom_layer_attends(feeding: bool) -> None:
    assert_steps_equal_teacher_forcing(tiny(input_feeding=feeding, attention_span="local-p", **GNMT))


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_training_in_half_precision_stays_near(form: dict[str, Any]) -> None:
    """Products in bf16, of 8 bits: the same masks, a loss within one per cent, a gradient within five."""
    masked: dict[str, Any] = {"dropout": 0.2, "dropout_form": "variational", "recurrent_dropout": 0.2, "residual": True}
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))
    figures = []
    for is_half in (False, True):
        model = tiny(dtype=torch.float32, **masked, **form).train()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            vectors = model(src, lengths, tgt_in)[0]
        loss = vectors.float().square().mean()
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        assert vectors.dtype == (torch.bfloat16 if is_half else torch.float32)
        figures.append((float(loss.detach()), float(torch.cat(gradients).norm())))
    assert figures[1][0] == pytest.approx(figures[0][0], rel=0.01)
    assert figures[1][1] == pytest.approx(figures[0][1], rel=0.05)


def test_tying_shares_storage() -> None:
    def storages(tying: str) -> tuple[int, int, int]:
        model = tiny(tying=tying)
        matrices = (model.src_embedding.weight, model.tgt_embedding.weight, model.output.weight)
        source, target, output = (matrix.data_ptr() for matrix in matrices)
        return source, target, output

    assert len(set(storages("none"))) == 3
    source, target, output = storages("target")
    assert target == output != source
    assert len(set(storages("all"))) == 1


def test_a_tied_matrix_gathers_the_gradients_of_all_its_uses() -> None:
    untied, tied = tiny(tying="none", embedding_size=6), tiny(tying="all", embedding_size=6)
    with torch.no_grad():
        for name, parameter in untied.named_parameters():
            parameter.copy_(dict(tied.named_parameters(remove_duplicate=False))[name])
    src, lengths = sentences(1, LENGTHS)
    for model in (untied, tied):
        model.output(model(src, lengths, src)[0]).square().sum().backward()
    parts = [untied.src_embedding.weight.grad, untied.tgt_embedding.weight.grad, untied.output.weight.grad]
    expected = sum((part for part in parts if part is not None), torch.zeros(()))
    assert tied.output.weight.grad is not None
    torch.testing.assert_close(tied.output.weight.grad, expected)


def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    model = tiny(dropout=0.5, word_dropout=0.3)
    src, lengths = sentences(1, LENGTHS)
    with torch.no_grad():
        first, second = model(src, lengths, src)[0], model(src, lengths, src)[0]
        assert torch.equal(first, second)
        plain = tiny(dropout=0.0, word_dropout=0.0)
        assert torch.equal(first, plain(src, lengths, src)[0])
        model.train()
        assert not torch.equal(model(src, lengths, src)[0], model(src, lengths, src)[0])


@torch.no_grad()
def test_word_dropout_removes_whole_words_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    model = build(TINY.model_copy(update={"word_dropout": 0.4}), VOCAB, VOCAB).train()
    model.src_embedding.weight.fill_(1.0)
    embedded = model._embed(model.src_embedding, torch.ones(100, 100, dtype=torch.long))
    assert embedded.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert bool((embedded.amin(dim=-1) == embedded.amax(dim=-1)).all())
    assert float(embedded.mean()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("form", ["zaremba", "variational"])
@torch.no_grad()
def test_memory_dropout_drops_what_attention_reads_and_nothing_else(form: str) -> None:
    src, lengths = sentences(1, [7] * 40)
    plain, start = tiny(hidden_size=24).encode(src, lengths)
    model = tiny(hidden_size=24, memory_dropout=0.4, dropout_form=form)
    assert torch.equal(model.encode(src, lengths)[0].states, plain.states)
    memory, same = model.train().encode(src, lengths)
    assert torch.equal(same.layers[0].h, start.layers[0].h)
    kept = memory.states != 0
    torch.testing.assert_close(memory.states, torch.where(kept, plain.states / 0.6, torch.zeros(())))
    assert float(kept.float().mean()) == pytest.approx(0.6, abs=0.05)
    assert bool((kept == kept[:, :1]).all()) == (form == "variational")
    torch.testing.assert_close(memory.keys, model.decoder.attention.score.keys(memory.states))


def random_state(rows: int, seed: int) -> DecoderState:
    model = tiny(seed)
    src, lengths = sentences(seed, [4] * rows)
    memory, state = model.encode(src, lengths)
    _, state, _ = model.step(src[:, 0], state, memory)
    return state


def rows_of(state: DecoderState) -> Tensor:
    """All that each row owns, side by side."""
    parts = [part for layer in state.layers for part in layer]
    return torch.cat([*parts, state.feed, state.position.unsqueeze(1)], dim=1)


@torch.no_grad()
def test_selecting_rows_of_a_state_is_indexing_each_of_its_parts() -> None:
    state = random_state(5, seed=1)
    rows = torch.tensor([4, 0, 0, 2])
    assert torch.equal(rows_of(state.select(rows)), rows_of(state)[rows])
    again = state.select(torch.tensor([3, 1, 2])).select(torch.tensor([2, 0]))
    assert torch.equal(rows_of(again), rows_of(state)[[2, 3]])


@torch.no_grad()
def test_putting_rows_replaces_them_alone_and_leaves_the_old_state_as_it_was() -> None:
    state, other = random_state(5, seed=1), random_state(2, seed=2)
    before = rows_of(state).clone()
    rows = torch.tensor([3, 1])
    put = state.put(rows, other)
    assert torch.equal(rows_of(put.select(rows)), rows_of(other))
    untouched = [0, 2, 4]
    assert torch.equal(rows_of(put)[untouched], before[untouched])
    assert torch.equal(rows_of(state), before)
    assert torch.equal(rows_of(put.put(rows, state.select(rows))), before)


@torch.no_grad()
def test_hypotheses_share_their_sentences_memory() -> None:
    """Q rows a sentence against one memory give what each row gives against its own copy."""
    for span in ("global", "local-m", "local-p"):
        model = tiny(attention_span=span)
        src, lengths = sentences(1, [5, 3])
        memory, state = model.encode(src, lengths)
        owner = torch.tensor([0, 0, 0, 1, 1, 1])
        prev = torch.tensor([4, 5, 6, 7, 8, 9])
        logits, _, weights = model.step(prev, state.select(owner), memory)
        expected, _, expected_weights = model.step(prev, state.select(owner), memory.select(owner))
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-12)
