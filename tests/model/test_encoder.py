"""The encoder: torch's layers against our cells, and what must not change its outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.model.cells import Cell
from nmt.model.encoder import Encoder, EncoderOutput, reversed_words
from nmt.model.seq2seq import cell_options
from tests import oracles
from tests.model.test_cells import FORMS, TORCH_CELLS, name_of

E, H, LAYERS = 5, 6, 2
LENGTHS = torch.tensor([2, 7, 4])
DIRECTIONS: dict[str, dict[str, bool]] = {
    "both": {"bidirectional": True},
    "forward": {"bidirectional": False},
    "backward": {"bidirectional": False, "is_backward": True},
}
TORCH_FORMS = [form for form in FORMS if form["cell"] in TORCH_CELLS and not form.get("layer_norm")]


def encoder_of(form: dict[str, Any], **choices: Any) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(E, H, LAYERS, cell=form["cell"], options=cell_options(ModelConfig(**form)), **choices).double()
    for parameter in encoder.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return encoder.eval()


def sentences() -> Tensor:
    return torch.randn(3, 7, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def assert_same(found: EncoderOutput, expected: EncoderOutput, atol: float = 1e-12) -> None:
    assert [type(state) for state in found.last] == [type(state) for state in expected.last]
    torch.testing.assert_close(tuple(found), tuple(expected), rtol=0, atol=atol)


def give_weights(by_library: Encoder, by_cells: Encoder, cell: str) -> None:
    assert by_library.rnn is not None
    assert by_cells.rnn is None
    theirs = {name: p.detach().numpy() for name, p in by_library.rnn.named_parameters()}
    for layer in range(LAYERS):
        for number in range(by_cells.directions):
            suffix = f"l{layer}{'_reverse' if number else ''}"
            names = [f"{name}_{suffix}" for name in oracles.TORCH_NAMES]
            w = oracles.of_torch(cell, *(theirs[name] for name in names))
            for name, parameter in by_cells.cells.get_submodule(f"{layer}.{number}").named_parameters():
                parameter.data.copy_(torch.from_numpy(w[name]))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("form", TORCH_FORMS, ids=name_of)
def test_torchs_layers_equal_the_cells_in_outputs_and_gradients(form: dict[str, Any], direction: str) -> None:
    by_library = encoder_of(form, **DIRECTIONS[direction])
    by_cells = encoder_of(form, **DIRECTIONS[direction], uses_library=False)
    give_weights(by_library, by_cells, form["cell"])
    results = []
    for encoder in (by_library, by_cells):
        embedded = sentences().requires_grad_()
        found = encoder(embedded, LENGTHS)
        (found.states.square().sum() + sum(part.sum() for state in found.last for part in state)).backward()
        assert embedded.grad is not None
        results.append((found, embedded.grad))
    assert_same(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1], rtol=0, atol=1e-12)
    assert by_library.rnn is not None
    weight = by_library.rnn.weight_hh_l0.grad
    bottom = by_cells.cells.get_submodule("0.0")
    assert isinstance(bottom, Cell)
    torch.testing.assert_close(bottom.weight_recurrent.grad, weight, rtol=0, atol=1e-11)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_padding_and_batch_mates_change_nothing(form: dict[str, Any], direction: str) -> None:
    encoder = encoder_of(form, **DIRECTIONS[direction])
    whole = encoder(sentences(), LENGTHS)
    noisy = sentences()
    for row, length in enumerate(LENGTHS.tolist()):
        noisy[row, length:] = 100.0
    assert_same(encoder(noisy, LENGTHS), whole, atol=0)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(sentences()[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(whole.states[row, :length], alone.states[0], rtol=0, atol=1e-12)
        assert not whole.states[row, length:].any()
        for layer, alone_layer in zip(whole.last, alone.last, strict=True):
            for part, alone_part in zip(layer, alone_layer, strict=True):
                torch.testing.assert_close(part[row], alone_part[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_backward_is_forward_over_reversed_words(form: dict[str, Any]) -> None:
    backward = encoder_of(form, **DIRECTIONS["backward"])(sentences(), LENGTHS)
    forward = encoder_of(form, **DIRECTIONS["forward"])
    for row, length in enumerate(LENGTHS.tolist()):
        mirrored = forward(sentences()[row : row + 1, :length].flip(1), LENGTHS[row : row + 1])
        torch.testing.assert_close(backward.states[row, :length], mirrored.states[0].flip(0), rtol=0, atol=1e-12)
        torch.testing.assert_close(backward.last[1].h[row], mirrored.last[1].h[0], rtol=0, atol=1e-12)


MASKED: dict[str, dict[str, Any]] = {
    "recurrent": {"recurrent_dropout": 0.4},
    "variational": {"dropout": 0.4, "dropout_form": "variational"},
    "both, residual": {"dropout": 0.2, "dropout_form": "variational", "recurrent_dropout": 0.4, "residual": True},
}


@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("form", TORCH_FORMS, ids=name_of)
def test_torchs_layers_drop_what_the_cells_drop(form: dict[str, Any], direction: str, masked: str) -> None:
    choices = DIRECTIONS[direction] | MASKED[masked]
    by_library = encoder_of(form, **choices).train()
    by_cells = encoder_of(form, **choices, uses_library=False).train()
    give_weights(by_library, by_cells, form["cell"])
    results = []
    for encoder in (by_library, by_cells):
        torch.manual_seed(3)
        embedded = sentences().requires_grad_()
        found = encoder(embedded, LENGTHS)
        found.states.square().sum().backward()
        assert embedded.grad is not None
        results.append((found, embedded.grad))
    assert_same(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1], rtol=0, atol=1e-12)
    with torch.no_grad():
        undropped = by_library.eval()(sentences(), LENGTHS)
        assert not torch.equal(undropped.states, results[0][0].states)
        assert_same(by_cells.eval()(sentences(), LENGTHS), undropped)


@torch.no_grad()
def test_layers_one_by_one_equal_torchs_call_for_all() -> None:
    """What torch runs at once without residual connections, it runs by layer with them; here nothing is added."""
    whole = encoder_of({"cell": "lstm"})
    expected = whole(sentences(), LENGTHS)
    assert_same(EncoderOutput(*whole._layer_by_layer(sentences(), LENGTHS, None)), expected)


def test_reversing_words_leaves_padding_behind() -> None:
    words = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]]).unsqueeze(-1)
    assert reversed_words(words, torch.tensor([2, 3])).squeeze(-1).tolist() == [[2.0, 1.0, 9.0], [5.0, 4.0, 3.0]]


@pytest.mark.parametrize("choices", [{}, {"uses_library": False}, {"residual": True}], ids=str)
@pytest.mark.parametrize("form", FORMS, ids=name_of)
@torch.no_grad()
def test_a_text_in_two_parts_is_the_text_at_once(form: dict[str, Any], choices: dict[str, bool]) -> None:
    """The state of one part is the first of the next: what a language model carries."""
    encoder = encoder_of(form, bidirectional=False, **choices)
    whole = encoder(sentences(), torch.full((3,), 7))
    front = encoder(sentences()[:, :3], torch.full((3,), 3))
    back = encoder(sentences()[:, 3:], torch.full((3,), 4), front.last)
    torch.testing.assert_close(torch.cat((front.states, back.states), dim=1), whole.states, rtol=0, atol=1e-12)
    assert_same(back._replace(states=whole.states), whole)
