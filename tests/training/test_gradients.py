"""Norms of gradients through time: against NumPy where the recurrence is linear, and against small moves elsewhere."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.errors import CorpusError
from nmt.model.cells import CELLS, Cell
from nmt.model.encoder import EncoderOutput
from nmt.model.language_model import LanguageModel, build_language_model
from nmt.model.seq2seq import Seq2Seq, build
from nmt.model.trace import unrolled
from nmt.text.tokenizer import BOS_ID, EOS_ID
from nmt.training.batches import make_batch
from nmt.training.gradients import (
    Reach,
    fit,
    language_rows,
    reach_of_language_model,
    reach_of_translator,
    translation_rows,
)
from tests.model.networks import TINY, VOCAB

Array = np.ndarray[Any, np.dtype[np.float64]]


def language_model(cell: str, **choices: Any) -> LanguageModel:
    torch.manual_seed(2)
    settings = {"embedding_size": 5, "hidden_size": 6, "decoder_layers": 1, "tying": "none", "dropout": 0.0}
    config = ModelConfig.model_validate(settings | {"cell": cell} | choices)
    return build_language_model(config, VOCAB).double().eval()


def linear_rnn(recurrent: Array) -> LanguageModel:
    """relu over sums that are all positive does nothing: h' = W x + U h + b."""
    model = language_model("rnn", nonlinearity="relu", hidden_size=len(recurrent))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.01, 0.2)
        assert model.encoder.rnn is not None
        model.encoder.rnn.get_parameter("weight_hh_l0").copy_(torch.from_numpy(recurrent))
        model.output.weight.normal_()
    return model


def expected_norms(model: LanguageModel, ids: Tensor, recurrent: Array) -> Array:
    """|(U^T)^d W_out^T (p - y)|, geometric mean over rows."""
    with torch.no_grad():
        vectors, _ = model(ids[:, :-1])
        p = torch.softmax(model.output(vectors[:, -1]), dim=-1).numpy()
    at_output = (p - np.eye(p.shape[1])[ids[:, -1].numpy()]) @ model.output.weight.detach().numpy()
    steps = range(ids.shape[1] - 1)
    powers = [np.linalg.matrix_power(recurrent, d) for d in steps]
    return np.array([np.exp(np.mean([np.log(np.linalg.norm(row @ power)) for row in at_output])) for power in powers])


def some_ids(rows: int, steps: int, seed: int = 3) -> Tensor:
    return torch.randint(4, VOCAB, (rows, steps + 1), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gamma", [0.5, 0.9, 1.0, 1.1])
def test_gamma_of_a_scaled_permutation_is_its_scale(gamma: float) -> None:
    recurrent = gamma * np.eye(6)[[2, 0, 1, 4, 5, 3]]
    (reach,) = reach_of_language_model(linear_rnn(recurrent), some_ids(4, 30))
    assert reach.name == "layer 1 h"
    np.testing.assert_allclose(reach.norms / reach.norms[0], gamma ** np.arange(30), rtol=1e-9)
    assert reach.gamma == pytest.approx(gamma, rel=1e-9)
    assert reach.scale == pytest.approx(reach.norms[0], rel=1e-9)


def test_gamma_of_a_linear_rnn_comes_to_its_spectral_radius() -> None:
    recurrent = np.random.default_rng(5).uniform(0, 0.3, (6, 6))
    radius = np.abs(np.linalg.eigvals(recurrent)).max()
    ids = some_ids(5, 200)
    model = linear_rnn(recurrent)
    (reach,) = reach_of_language_model(model, ids)
    np.testing.assert_allclose(reach.norms, expected_norms(model, ids, recurrent), rtol=1e-8)
    assert reach.gamma == pytest.approx(radius, rel=1e-2)
    assert reach.norms[-1] / reach.norms[-2] == pytest.approx(radius, rel=1e-6)


def test_a_fit_by_hand() -> None:
    """ln norms 1, -1, -3 at distances 1, 2, 3: slope -2, intercept 3; distance 0 has no say, and a 0 none either."""
    assert fit(np.array([99.0, math.e, math.exp(-1), math.exp(-3)])) == pytest.approx((math.exp(-2), math.exp(3)))
    assert fit(np.array([1.0, 0.5, 0.0, 0.125])) == pytest.approx((0.5, 1.0))
    assert all(math.isnan(number) for number in fit(np.array([1.0, 0.5, 0.0])))


@pytest.mark.parametrize("cell", CELLS)
def test_norms_of_every_cell_are_those_of_small_moves(cell: str) -> None:
    """Each part of the state after each step is moved a little, unit by unit, and the rest of the way is run again."""
    model = language_model(cell, init_range=0.7)
    ids = some_ids(1, 4)
    reaches = reach_of_language_model(model, ids)
    parts = model.encoder.state_type._fields
    assert [reach.name for reach in reaches] == [f"layer 1 {part}" for part in parts]

    @torch.no_grad()
    def loss(moved: int, part: str, unit: int, by: float) -> float:
        state = model.start(1)
        for t in range(4):
            _, state = model(ids[:, t : t + 1], state)
            if t == moved:
                value = getattr(state.layers[0], part).clone()
                value[0, unit] += by
                state = state._replace(layers=(state.layers[0]._replace(**{part: value}),))
        if moved == 3 and part == "c":
            return 0.0  # nobody reads the last c
        logits = model.output(model.project(state.layers[0].h))
        return float(nn.functional.cross_entropy(logits, ids[:, -1]))

    for part, reach in zip(parts, reaches, strict=True):
        for distance in range(4):
            step = 3 - distance
            slopes = [(loss(step, part, u, 1e-5) - loss(step, part, u, -1e-5)) / 2e-5 for u in range(6)]
            assert reach.norms[distance] == pytest.approx(np.linalg.norm(slopes), rel=1e-5, abs=1e-9)


def translator(**choices: Any) -> Seq2Seq:
    torch.manual_seed(4)
    config = TINY.model_copy(update={"init_range": 0.5, "dropout": 0.0} | choices)
    return build(config, VOCAB, VOCAB).double().eval()


SOURCES = [[5, 6, 7, 8], [9, 4], [6, 6, 5]]
TARGETS = [[7, 8, 9, 4, 5], [4, 5, 6, 7], [9, 9, 8, 7]]


@pytest.mark.parametrize(
    "choices",
    [
        {"bidirectional": True},
        {"bidirectional": False, "direction": "backward"},
        {"bidirectional": False, "attention": "none", "input_feeding": False},
    ],
    ids=str,
)
def test_norms_of_a_batch_are_the_means_over_its_sentences(choices: dict[str, Any]) -> None:
    """Padding is no step, and distances are counted to the end of each sentence by itself."""
    model = translator(**choices)
    together = reach_of_translator(model, make_batch(SOURCES, TARGETS), 4)
    alone = [reach_of_translator(model, make_batch([s], [t]), 4) for s, t in zip(SOURCES, TARGETS, strict=True)]
    for number, reach in enumerate(together):
        own = [reaches[number] for reaches in alone]
        assert {one.name for one in own} == {reach.name}
        assert len(reach.norms) == max(len(one.norms) for one in own)
        for distance, norm in enumerate(reach.norms):
            found = [one.norms[distance] for one in own if distance < len(one.norms) and one.norms[distance] > 0]
            assert norm == pytest.approx(np.exp(np.mean(np.log(found))) if found else 0.0, rel=1e-9)


def test_distance_in_the_encoder_is_counted_to_the_end_of_each_direction() -> None:
    """By moving the states that the decoder and its attention see, in an encoder of one layer."""
    model = translator(bidirectional=True, encoder_layers=1)
    batch = make_batch(SOURCES[:1], TARGETS[:1])
    reaches = {reach.name: reach for reach in reach_of_translator(model, batch, 3)}
    size = model.hidden_size // 2
    directions = cast(nn.ModuleList, unrolled(model.encoder).cells[0])
    cells = [cast(Cell, cell) for cell in directions]

    @torch.no_grad()
    def loss(moved: int, direction: int, unit: int, by: float) -> float:
        embedded = model.src_embedding(batch.src)
        outputs, last = [], []
        for k, cell in enumerate(cells):
            state = cell.initial_state(1, embedded)
            seen: dict[int, Tensor] = {}
            for position in (range(5), range(4, -1, -1))[k]:
                state = cell(cell.project(embedded[:, position]), None, state)
                if (position, k) == (moved, direction):
                    h = state.h.clone()
                    h[0, unit] += by
                    state = state._replace(h=h)
                seen[position] = state.h
            outputs.append(torch.stack([seen[position] for position in range(5)], dim=1))
            last.append(state)
        states = torch.cat(outputs, dim=-1)
        joined = type(last[0])._make(torch.cat(parts, dim=-1) for parts in zip(*last, strict=True))
        memory, _ = model.encode(batch.src, batch.src_lengths)
        memory = memory._replace(states=states, keys=model.decoder.attention.score.keys(states))
        start = model.decoder.start(model.bridge(EncoderOutput(states, (joined,))))
        logits, _, _ = model.step(torch.tensor([BOS_ID]), start, memory)
        return float(nn.functional.cross_entropy(logits, batch.tgt_out[:, 0]))

    for direction, name in enumerate(("encoder 1 h", "encoder 1 backward h")):
        for position in (0, 3):
            slopes = [
                (loss(position, direction, u, 1e-5) - loss(position, direction, u, -1e-5)) / 2e-5 for u in range(size)
            ]
            distance = position if direction else 4 - position
            assert reaches[name].norms[distance] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)


def test_a_model_is_left_as_it_is() -> None:
    model = language_model("lstm").float().requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    reach_of_language_model(model, some_ids(2, 5))
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert torch.equal(parameter, before[name])


def test_an_lstm_that_forgets_little_keeps_its_gradient_where_an_rnn_loses_it() -> None:
    ids = some_ids(8, 60)

    def gamma(cell: str, forget_bias: float = 1.0) -> float:
        model = language_model(cell, init_range=0.1, forget_bias=forget_bias, hidden_size=32, embedding_size=16)
        reach: Reach = reach_of_language_model(model, ids)[0]
        return reach.gamma

    assert gamma("rnn") < 0.5
    assert gamma("rnn") < gamma("lstm", forget_bias=0.0) < gamma("lstm", forget_bias=1.0) < 0.9
    assert 0.95 < gamma("lstm", forget_bias=4.0) < 1.1


def test_lines_of_text_begin_where_they_begin_and_running_text_anywhere() -> None:
    lines = [[4, 5, 6], [7], [8, 9, 10, 11]]
    rows = language_rows(lines, steps=3, rows=9, seed=1, runs_on=False).tolist()
    assert sorted(rows) == [[BOS_ID, 4, 5, 6], [BOS_ID, 8, 9, 10]]
    text = [4, 5, 6, EOS_ID, 7, EOS_ID, 8, 9, 10, 11, EOS_ID]
    rows = language_rows(lines, steps=3, rows=100, seed=1, runs_on=True).tolist()
    assert rows == [text[k : k + 4] for k in range(len(text) - 3)]
    assert language_rows(lines, steps=3, rows=2, seed=1, runs_on=True).shape == (2, 4)
    with pytest.raises(CorpusError, match="no text of 6 words to go back through; the longest has 5"):
        language_rows(lines, steps=6, rows=9, seed=1, runs_on=False)


def test_translations_are_as_long_as_the_way_back() -> None:
    pairs = [([4], [5, 6, 7]), ([8], [9]), ([], [4, 5, 6])]
    batch = translation_rows(pairs, steps=4, rows=9, seed=1)
    assert batch.src.tolist() == [[4, EOS_ID]]
    assert batch.tgt_out[:, :4].tolist() == [[5, 6, 7, EOS_ID]]
    with pytest.raises(CorpusError, match="no translation of 5 words to go back through; the longest has 4"):
        translation_rows(pairs, steps=5, rows=9, seed=1)
