"""Forms of dropout: which elements share a mask, and that a masked pass is a pass of a network with masked weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nmt.model import dropout
from nmt.model.dropout import Dropout, drop_connect
from nmt.model.seq2seq import Seq2Seq
from tests.model.networks import sentences, tiny
from tests.model.test_cells import FORMS, name_of

B, T, X, P = 20, 30, 40, 0.3
ONES = torch.ones(B, T, X)


def assert_kept_share(dropped: Tensor) -> None:
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - P)])
    assert float((dropped > 0).float().mean()) == pytest.approx(1 - P, abs=0.05)


def test_variational_masks_are_those_of_a_sequence() -> None:
    torch.manual_seed(0)
    dropped = Dropout(P, "variational")(ONES)
    assert_kept_share(dropped)
    assert torch.equal(dropped, dropped[:, :1].expand(B, T, X))
    assert not torch.equal(dropped[0], dropped[1])


def test_zarembas_masks_are_those_of_a_step() -> None:
    torch.manual_seed(0)
    for dropped in (Dropout(P)(ONES), torch.stack([Dropout(P).over_steps()(step) for step in ONES.unbind(1)], 1)):
        assert_kept_share(dropped)
        assert len({str(dropped[0, t].tolist()) for t in range(T)}) == T


def test_steps_of_a_sequence_share_its_variational_mask() -> None:
    torch.manual_seed(0)
    module = Dropout(P, "variational")
    drop = module.over_steps()
    dropped = torch.stack([drop(step) for step in ONES.unbind(1)], dim=1)
    assert_kept_share(dropped)
    assert torch.equal(dropped, dropped[:, :1].expand(B, T, X))
    assert not torch.equal(module.over_steps()(ONES[:, 0]), dropped[:, 0]), "the next batch draws anew"
    with pytest.raises(AssertionError, match="over_steps"):
        module(ONES[:, 0])


@pytest.mark.parametrize("form", dropout.FORMS)
def test_nothing_is_dropped_outside_training(form: str) -> None:
    module = Dropout(P, form).eval()
    assert torch.equal(module(ONES), ONES)
    assert torch.equal(module.over_steps()(ONES[:, 0]), ONES[:, 0])


def test_drop_connect_drops_weights_on_h_alone() -> None:
    torch.manual_seed(0)
    weight = torch.ones(400, 30)
    dropped = drop_connect(weight, 10, P)
    assert torch.equal(dropped[:, :20], weight[:, :20])
    assert_kept_share(dropped[:, 20:])
    assert drop_connect(weight, 10, 0.0) is weight


def with_masked_weights(model: Seq2Seq, drawn: list[Tensor], choices: dict[str, Any]) -> Seq2Seq:
    """The network that needs no dropout, because what was drawn for one sentence is in its weights.

    `drawn`: what dropout returned, in order.
    """
    masked = tiny(tying="none", **choices | {"dropout": 0.0, "recurrent_dropout": 0.0})
    masked.load_state_dict(model.state_dict())
    masks = iter(drawn)
    with torch.no_grad():
        if choices["dropout"]:
            masked.src_embedding.weight.mul_(next(masks)[0, 0])
        for layer in range(2):
            if layer and choices["dropout"]:
                between = next(masks)[0, 0]
            for number, suffix in enumerate(("", "_reverse")):
                if masked.encoder.rnn is None:
                    cell: Any = masked.encoder.cells.get_submodule(f"{layer}.{number}")
                    recurrent, inputs = cell.weight_recurrent, cell.weight_input
                else:
                    recurrent = masked.encoder.rnn.get_parameter(f"weight_hh_l{layer}{suffix}")
                    inputs = masked.encoder.rnn.get_parameter(f"weight_ih_l{layer}{suffix}")
                if choices["recurrent_dropout"]:
                    recurrent.copy_(next(masks))
                if layer and choices["dropout"]:
                    inputs.mul_(between)
        if choices["dropout"]:
            masked.tgt_embedding.weight.mul_(next(masks)[0, 0])
        cells: list[Any] = list(masked.decoder.cells)
        if choices["recurrent_dropout"]:
            for cell in cells:
                cell.weight_recurrent[:, -6:] = next(masks)
        if choices["dropout"]:
            _fed(cells[1]).mul_(next(masks).view(-1))
            attentional = next(masks).view(-1)
            if choices["input_feeding"]:
                _fed(cells[0]).mul_(attentional)
            masked.output.weight.mul_(attentional)
        assert next(masks, None) is None
    return masked


def _fed(cell: Any) -> Tensor:
    weight: Tensor = cell.weight_feed if hasattr(cell, "weight_feed") else cell.weight_recurrent[:, :-6]
    return weight


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize(("p", "recurrent"), [(0.5, 0.0), (0.0, 0.5), (0.4, 0.3)])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_masked_pass_is_a_pass_of_masked_weights(
    form: dict[str, Any], p: float, recurrent: float, feeding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every mask of a sequence can be moved into the weights that it stands before: then nothing else was dropped.

    What goes past a layer, by a residual connection, is not dropped.
    """
    choices: dict[str, Any] = {
        "dropout": p,
        "dropout_form": "variational",
        "recurrent_dropout": recurrent,
        "input_feeding": feeding,
        "residual": p == 0.4,
        **form,
    }
    model = tiny(tying="none", **choices).train()
    drawn: list[Tensor] = []

    def recorded(x: Tensor, p: float) -> Tensor:
        drawn.append(functional_dropout(x, p))
        return drawn[-1]

    functional_dropout = functional.dropout
    monkeypatch.setattr("nmt.model.dropout.functional.dropout", recorded)
    src, lengths = sentences(1, [5])
    tgt_in, _ = sentences(2, [6])
    with torch.no_grad():
        found = model.output(model(src, lengths, tgt_in)[0])
        masked = with_masked_weights(model, drawn, choices)
        expected = masked.output(masked(src, lengths, tgt_in)[0])
        assert not torch.equal(model.eval().output(model(src, lengths, tgt_in)[0]), found)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
