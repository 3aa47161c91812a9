"""First weights: drawn by the rules, for every matrix of every cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config import ModelConfig
from nmt.model.cells import CELLS, Cell, LSTMCell
from nmt.model.seq2seq import Seq2Seq, build, state_deviation
from tests.model.networks import TINY, VOCAB
from tests.model.test_cells import FORMS, name_of


def cells_of(model: Seq2Seq) -> list[LSTMCell]:
    """The decoder's cells, bottom first."""
    return [cell for cell in model.decoder.cells if isinstance(cell, LSTMCell)]


def read_of(model: Seq2Seq) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Of every cell's matrices: the name, what is read (`words`, `below` or `feed`), the columns for it, the whole."""
    half = model.hidden_size // 2
    for name, weight in model.named_parameters():
        is_first = "_l0" in name or ".cells.0." in name
        if name.endswith("weight_input") or ".weight_ih" in name:
            yield name, "words" if is_first else "below", weight, weight
        elif name.endswith("weight_feed") or (name.startswith("decoder") and name.endswith("weight_recurrent")):
            columns = weight if name.endswith("feed") else weight[:, : -2 * half]
            if columns.numel():
                yield name, "feed" if is_first else "below", columns, weight


@pytest.mark.parametrize("wiring", ["luong", "gnmt"])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_every_layer_of_every_cell_feels_a_word(form: dict[str, Any], wiring: str) -> None:
    """What Xavier's deviation gives for inputs of deviation 1, though embeddings and states are much smaller."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "embedding_size": 64, "encoder_layers": 3, "decoder_layers": 3}
    model = build(TINY.model_copy(update=sizes | {"attention_wiring": wiring} | form), VOCAB, VOCAB)
    below = 1.0 if form.get("nonlinearity") == "relu" else CELLS[form["cell"]].deviation
    deviations = {"words": 64**-0.5, "below": below, "feed": 1.0}
    counts = dict.fromkeys(deviations, 0)
    for name, source, columns, whole in read_of(model):
        counts[source] += 1
        made = torch.randn(2000, columns.shape[1]) * deviations[source] @ columns.T
        expected = (2 / sum(whole.shape) * columns.shape[1]) ** 0.5
        assert float(made.std()) == pytest.approx(expected, rel=0.1), name
    assert counts == {"words": 3, "below": 2 * 2 + 2, "feed": 1}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("hidden_size", [64, 512])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_the_deviation_of_a_cells_states_is_about_what_the_cell_says(
    form: dict[str, Any], hidden_size: int, layers: int
) -> None:
    torch.manual_seed(0)
    sizes = {"embedding_size": 128, "hidden_size": hidden_size, "encoder_layers": layers, "decoder_layers": 1}
    config = ModelConfig.model_validate(sizes | form)
    model = build(config, 500, 500).eval()
    memory, _ = model.encode(torch.randint(4, 500, (8, 20)), torch.full((8,), 20))
    found = float(memory.states.std())
    assert 0.6 < found / state_deviation(config) < (3 if form.get("nonlinearity") == "relu" else 1.8)


@torch.no_grad()
def test_weights_are_drawn_by_the_rules() -> None:
    torch.manual_seed(0)
    config = TINY.model_copy(update={"forget_bias": 1.5, "embedding_size": 64, "hidden_size": 32})
    model = build(config, 500, 500)
    for cell in cells_of(model):
        bias = cell.bias.view(4, 32)
        assert bias[1].tolist() == [1.5] * 32
        assert not bias[[0, 2, 3]].any()
        for block in cell.weight_recurrent[:, -32:].chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)
    assert model.encoder.rnn is not None
    rnn = dict(model.encoder.rnn.named_parameters())
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        total = (rnn[f"bias_ih_{suffix}"] + rnn[f"bias_hh_{suffix}"]).view(4, 16)
        assert total[1].tolist() == [1.5] * 16  # once, not twice
        assert not total[[0, 2, 3]].any()
        for block in rnn[f"weight_hh_{suffix}"].chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)
    assert float(model.tgt_embedding.weight.std()) == pytest.approx(64**-0.5, rel=0.05)
    assert not model.output.bias.any()


@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_recurrent_blocks_of_every_cell_are_orthogonal(form: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = TINY.model_copy(update={"hidden_size": 32, "forget_bias": 1.5, **form})
    model = build(config, VOCAB, VOCAB)
    blocks = 0
    for name, weight in model.named_parameters():
        size = 32 if name.startswith("decoder") else 16
        if name.endswith("weight_recurrent") or ".weight_hh" in name:
            for block in weight[:, -size:].split(size):
                torch.testing.assert_close(block @ block.T, torch.eye(size), atol=1e-5, rtol=0)
                blocks += 1
        elif "bias" in name:
            assert weight.unique().tolist() in ([0.0], [0.0, 1.5])
    gates = CELLS[config.cell].gates
    assert blocks == gates * (config.decoder_layers + 2 * config.encoder_layers)
    for cell in model.decoder.cells:
        assert isinstance(cell, Cell)
        for gate, bias in zip(cell.gate_names, cell.bias.split(32), strict=True):
            assert bias.tolist() == [1.5 if gate == "f" else 0.0] * 32


@torch.no_grad()
def test_init_range_is_luongs_uniform() -> None:
    torch.manual_seed(0)
    model = build(TINY.model_copy(update={"init_range": 0.1, "hidden_size": 64}), 200, 200)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    values = torch.cat([p.flatten() for p in matrices])
    assert 0.099 < float(values.abs().max()) <= 0.1
    assert float(values.std()) == pytest.approx(0.2 / 12**0.5, rel=0.02)
    assert float(cells_of(model)[0].bias.view(4, 64)[1].mean()) == 1.0


def test_the_same_random_state_draws_the_same_network() -> None:
    def weights() -> list[Tensor]:
        torch.manual_seed(12)
        return [p.detach() for p in build(TINY, VOCAB, VOCAB).parameters()]

    assert all(torch.equal(one, other) for one, other in zip(weights(), weights(), strict=True))
