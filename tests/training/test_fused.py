"""The written-out training pass against the network's own equations and autograd's gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.model.dropout import Dropout
from nmt.native import training as native
from nmt.training import fused
from nmt.training.shapes import even
from tests.model.networks import sentences, tiny

needs_kernels = pytest.mark.skipif(native.load() is None, reason="the kernels are not compiled")
LENGTHS = [6, 1, 7, 3, 7]  # with 9 target steps: 45 rows, and 3 of zeros
NETWORKS: dict[str, dict[str, Any]] = {
    "two layers": {},
    "one layer": {"decoder_layers": 1, "bridge": "linear"},
    "three layers, one direction": {"decoder_layers": 3, "encoder_layers": 1, "bidirectional": False},
    "dot, wider than a vector": {"attention": "dot", "hidden_size": 40, "embedding_size": 36},
    "untied": {"tying": "none", "bridge": "copy"},
    "source reversed": {"bidirectional": False, "reverse_source": True},
    "residual": {"residual": True},
    "residual, four layers": {"residual": True, "encoder_layers": 3, "decoder_layers": 4, "hidden_size": 40},
    "residual encoder": {"residual": True, "encoder_layers": 2, "decoder_layers": 1},
}


def both(choices: dict[str, Any], dtype: torch.dtype) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Vectors [T, B, A] and gradients of the two ways."""
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))
    weight = torch.randn(9, len(LENGTHS), 1, generator=torch.Generator().manual_seed(3))
    found = []
    for is_fused in (False, True):
        model = tiny(dtype=torch.float32, **choices).train()
        assert fused.refused(model) is None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            if is_fused:
                vectors = fused.forward(model, src, lengths, tgt_in)
            else:
                vectors = model(src, lengths, tgt_in)[0].transpose(0, 1)
        (vectors.float().square() * weight).sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((vectors.detach().float(), gradients))
    return found


@needs_kernels
@pytest.mark.parametrize("network", NETWORKS)
def test_vectors_and_gradients_are_those_of_the_network(network: str) -> None:
    (expected, their), (vectors, our) = both(NETWORKS[network], torch.float32)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-5)
    assert our.keys() == their.keys()
    for name in their:
        assert float((our[name] - their[name]).norm()) < 3e-5 * float(their[name].norm()), name


@needs_kernels
def test_in_bf16_they_agree_to_its_precision() -> None:
    (expected, their), (vectors, our) = both({"hidden_size": 40, "embedding_size": 36}, torch.bfloat16)
    exact = both({"hidden_size": 40, "embedding_size": 36}, torch.float32)[0]
    for name in their:
        error = float((our[name] - exact[1][name]).norm() / exact[1][name].norm())
        reference = float((their[name] - exact[1][name]).norm() / exact[1][name].norm())
        assert error < 1.5 * reference + 0.02, name
    assert float((vectors - expected).abs().max()) < 0.1


@needs_kernels
def test_memory_that_holds_anything_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is taken without clearing it: here it is full of NaN, which even a product with zeros would show."""
    clean = [both(choices, torch.float32)[1] for choices in NETWORKS.values()]
    for place, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
        original = getattr(place, name)

        def poisoned(*arguments: Any, original: Any = original, **more: Any) -> Tensor:
            room: Tensor = original(*arguments, **more)
            return room.fill_(float("nan")) if room.is_floating_point() else room

        monkeypatch.setattr(place, name, poisoned)
    for choices, (vectors, gradients) in zip(NETWORKS.values(), clean, strict=True):
        found, its_gradients = both(choices, torch.float32)[1]
        assert torch.equal(found, vectors)
        assert all(torch.equal(its_gradients[name], gradients[name]) for name in gradients)


@needs_kernels
def test_dropout_keeps_its_share_and_its_mean() -> None:
    torch.manual_seed(1)
    ones = torch.ones(500, 1001, requires_grad=True)
    dropped = fused._dropout(ones, Dropout(0.3), 50, fused._seeds())
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 1 / 0.7])
    assert float(dropped.detach().mean()) == pytest.approx(1.0, abs=0.005)
    by_column, by_row = (dropped > 0).float().mean(dim=0), (dropped > 0).float().mean(dim=1)
    assert float(by_column.std()) == pytest.approx((0.21 / 500) ** 0.5, rel=0.15)
    assert float(by_row.std()) == pytest.approx((0.21 / 1001) ** 0.5, rel=0.15)
    dropped.sum().backward()
    assert ones.grad is not None
    assert torch.equal(ones.grad, dropped)


@needs_kernels
def test_a_mask_of_a_sequence_is_that_of_all_its_steps() -> None:
    """Of another sentence it is another, and rows of zeros behind the last step do no harm."""
    torch.manual_seed(1)
    B, steps, width = 7, 9, 33
    rows = torch.randn(B * steps + 5, width, requires_grad=True)
    dropped = fused._dropout(rows, Dropout(0.5, "variational"), B, fused._seeds())
    kept = (dropped != 0).detach()[: B * steps].view(steps, B, width)
    assert bool((kept == kept[0]).all())
    assert 0.4 < float(kept[0].float().mean()) < 0.6
    assert len({tuple(row) for row in kept[0].tolist()}) == B
    dropped.sum().backward()
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad * rows.detach(), dropped.detach())


@needs_kernels
def test_in_the_decoder_too_a_mask_is_that_of_all_steps() -> None:
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))
    masks = []
    for form in ("zaremba", "variational"):
        model = tiny(dtype=torch.float32, dropout=0.5, dropout_form=form, hidden_size=24).train()
        torch.manual_seed(3)
        masks.append(fused.forward(model, src, lengths, tgt_in).detach() != 0)
    by_step, by_sequence = masks
    assert bool((by_sequence == by_sequence[0]).all())
    assert not bool((by_step == by_step[0]).all())
    assert not bool((by_sequence[:, 0] == by_sequence[:, 1]).all())


@needs_kernels
def test_what_attention_reads_is_dropped_and_nothing_else() -> None:
    """All of it here: then nothing is left to chance, and the two ways agree."""
    dropped, whole = ({"memory_dropout": p, "decoder_layers": 1} for p in (0.999999, 0.0))
    (expected, _), (vectors, _) = both(dropped, torch.float32)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(vectors, both(whole, torch.float32)[1][0], atol=1e-2)


@needs_kernels
def test_recurrent_weights_are_dropped_once_a_batch() -> None:
    """What is dropped has no gradient: a share of the weights on h, none of those on what is fed."""
    model = tiny(dtype=torch.float32, recurrent_dropout=0.3, hidden_size=24).train()
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))
    torch.manual_seed(3)
    fused.forward(model, src, lengths, tgt_in).square().sum().backward()
    for name, weight in model.named_parameters():
        if "weight_recurrent" in name or "weight_hh" in name:
            assert weight.grad is not None
            hidden = weight.shape[0] // 4
            of_state, of_fed = weight.grad[:, -hidden:] == 0, weight.grad[:, :-hidden] == 0
            assert 0.2 < float(of_state.float().mean()) < 0.4, name
            assert not bool(of_fed.any()), name


MASKS: dict[str, dict[str, Any]] = {
    "at every step": {"dropout": 0.4},
    "of a sequence": {"dropout": 0.4, "dropout_form": "variational"},
    "of recurrent weights": {"dropout": 0.2, "recurrent_dropout": 0.3},
    "between residual layers": {"dropout": 0.4, "residual": True, "decoder_layers": 3},
}


@needs_kernels
@pytest.mark.parametrize("masks", MASKS)
def test_gradients_under_dropout_are_those_of_the_same_mask(masks: str) -> None:
    """Against a difference quotient: the backward pass asks for the elements that the forward pass dropped."""
    model = tiny(dtype=torch.float32, hidden_size=24, **MASKS[masks]).train()
    src, lengths = sentences(1, LENGTHS)
    tgt_in, _ = sentences(2, [9] * len(LENGTHS))

    def value() -> Tensor:
        torch.manual_seed(11)
        return fused.forward(model, src, lengths, tgt_in).double().square().sum()

    value().backward()
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        direction = torch.randn(parameter.shape, generator=generator)
        direction /= direction.norm()
        values = []
        with torch.no_grad():
            for sign in (1, -1):
                parameter.add_(direction, alpha=sign * 1e-2)
                values.append(float(value()))
                parameter.sub_(direction, alpha=sign * 1e-2)
        slope = (values[0] - values[1]) / 2e-2
        assert float((parameter.grad * direction).sum()) == pytest.approx(slope, rel=2e-2, abs=2e-3), name


def test_even_numbers_of_rows_are_few_and_near() -> None:
    found = [even(rows) for rows in range(1, 4097)]
    assert all(rows <= rounded <= rows * 17 / 16 for rows, rounded in zip(range(1, 4097), found, strict=True))
    assert len({rounded for rounded in found if 1024 < rounded <= 2048}) == 16


def test_other_networks_take_the_general_way() -> None:
    assert fused.refused(tiny()) is not None  # fp64
    single = torch.float32
    assert "attention" in (fused.refused(tiny(dtype=single, attention="concat")) or "")
    assert "attention" in (fused.refused(tiny(dtype=single, attention_span="local-p")) or "")
    assert "LSTM" in (fused.refused(tiny(dtype=single, cell="gru")) or "")
    backward = tiny(dtype=single, bidirectional=False, direction="backward")
    assert "backward" in (fused.refused(backward) or "")
    assert "normalised" in (fused.refused(tiny(dtype=single, layer_norm=True)) or "")
    assert "LSTM" in (fused.refused(tiny(dtype=single, cell="lstm_peephole")) or "")
    assert "attends" in (fused.refused(tiny(dtype=single, attention_wiring="gnmt")) or "")
    assert "feeding" in (fused.refused(tiny(dtype=single, input_feeding=False)) or "")
