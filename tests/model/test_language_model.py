"""Language models: against equations in NumPy, truncated back-propagation to its last digit, and "hello"."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nmt.config import ModelConfig
from nmt.model.cells import CELLS
from nmt.model.language_model import LanguageModel, build_language_model
from nmt.search.fusion import LanguageModel as Fusible

VOCAB = 7
Array = npt.NDArray[np.float64]


def tiny(seed: int = 0, vocab: int = VOCAB, **choices: Any) -> LanguageModel:
    settings: dict[str, Any] = {
        "embedding_size": 5,
        "hidden_size": 6,
        "dropout": 0.0,
        "attention": "none",
        "tying": "none",
    }
    torch.manual_seed(seed)
    model = build_language_model(ModelConfig(**settings | {"bidirectional": False} | choices), vocab).double()
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def texts(rows: int = 3, length: int = 8) -> Tensor:
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(1))


def loss_of(model: LanguageModel, ids: Tensor, targets: Tensor, cut: int = 0) -> Tensor:
    vectors, _ = model(ids, cut=cut)
    return functional.cross_entropy(model.output(vectors).flatten(0, 1), targets.flatten(), reduction="sum")


def gradients(model: LanguageModel, cut: int) -> dict[str, Tensor]:
    model.zero_grad()
    loss_of(model, texts()[:, :-1], texts()[:, 1:], cut).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def truncated_gradient(w: dict[str, Array], ids: list[int], targets: list[int], k: int) -> tuple[float, Array]:
    """Loss and dL/dU of h_t = tanh(W x_t + U h_{t-1} + b), the error sent back no further than a multiple of k.

    Back-propagation through time by hand: dL/dU = sum_t delta_t h_{t-1}^T, where delta_t is what this step's output
    and, within the piece, the next step send back, times 1 - h_t^2.
    """
    W, U = w["encoder.rnn.weight_ih_l0"], w["encoder.rnn.weight_hh_l0"]
    b = w["encoder.rnn.bias_ih_l0"] + w["encoder.rnn.bias_hh_l0"]
    V, c = w["output.weight"], w["output.bias"]
    h = [np.zeros(len(U))]
    errors, loss = [], 0.0
    for token, target in zip(ids, targets, strict=True):
        h.append(np.tanh(W @ w["embedding.weight"][token] + U @ h[-1] + b))
        scores = V @ h[-1] + c
        p = np.exp(scores) / np.exp(scores).sum()
        loss -= float(np.log(p[target]))
        errors.append(V.T @ (p - np.eye(len(p))[target]))
    d_U, from_later = np.zeros_like(U), np.zeros(len(U))
    for t in reversed(range(len(ids))):
        delta = (errors[t] + from_later) * (1 - h[t + 1] ** 2)
        d_U += np.outer(delta, h[t])
        from_later = U.T @ delta if t % k else np.zeros(len(U))
    return loss, d_U


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7, 8, 100])
def test_the_gradient_is_cut_exactly_every_k_steps(k: int) -> None:
    model = tiny(cell="rnn")
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    ids = texts()
    expected = [truncated_gradient(w, row[:-1].tolist(), row[1:].tolist(), k) for row in ids]
    found = gradients(model, cut=k)["encoder.rnn.weight_hh_l0"]
    assert float(loss_of(model, ids[:, :-1], ids[:, 1:], k).detach()) == pytest.approx(
        sum(loss for loss, _ in expected)
    )
    np.testing.assert_allclose(found.numpy(), sum(gradient for _, gradient in expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("choices", [{"cell": cell} for cell in CELLS] + [{"layer_norm": True}, {"residual": True}])
def test_with_k_no_shorter_than_the_text_nothing_is_cut(choices: dict[str, Any]) -> None:
    model = tiny(decoder_layers=2, **choices)
    whole = gradients(model, cut=0)
    for k in (7, 9):
        found = gradients(model, cut=k)
        assert all(torch.equal(whole[name], found[name]) for name in whole)
    shorter = gradients(model, cut=3)
    recurrent = [name for name in whole if "weight_hh" in name or "weight_recurrent" in name]
    assert recurrent
    assert not any(torch.allclose(whole[name], shorter[name]) for name in recurrent)


@pytest.mark.parametrize("cell", CELLS)
def test_no_gradient_crosses_a_cut_and_all_values_do(cell: str) -> None:
    model = tiny(cell=cell, decoder_layers=2)
    ids = texts()
    uncut, last = model(ids)
    for k in (2, 3):
        vectors, state = model(ids, cut=k)
        torch.testing.assert_close(vectors, uncut, rtol=0, atol=1e-12)
        torch.testing.assert_close(state, last, rtol=0, atol=1e-12)
        model.zero_grad()
        vectors[:, 6].sum().backward()  # the cut before it is at 6, and at 6
        assert model.embedding.weight.grad is not None
        reached = model.embedding.weight.grad.abs().sum(dim=1) > 0
        assert set(reached.nonzero().flatten().tolist()) == set(ids[:, 6].tolist())


def test_a_state_carried_on_gives_what_one_piece_gives() -> None:
    model = tiny(cell="lstm", decoder_layers=2)
    ids = texts()
    whole, end = model(ids)
    first, state = model(ids[:, :5])
    second, last = model(ids[:, 5:], state.detach())
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, end, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tying", ["none", "target"])
def test_steps_are_the_training_pass(cell: str, tying: str) -> None:
    model = tiny(cell=cell, tying=tying, decoder_layers=2).eval()
    assert isinstance(model, Fusible)
    ids = texts()
    logits = model.output(model(ids)[0])
    state = model.start(len(ids))
    for t in range(ids.shape[1]):
        found, state = model.step(ids[:, t], state)
        torch.testing.assert_close(found, logits[:, t], rtol=0, atol=1e-12)


def test_selected_rows_go_on_as_they_would_have() -> None:
    model = tiny(cell="lstm", decoder_layers=2).eval()
    ids = texts()
    _, state = model(ids)
    rows = torch.tensor([2, 0, 2])
    expected, _ = model.step(ids[:, 0], state)
    found, _ = model.step(ids[rows, 0], state.select(rows))
    torch.testing.assert_close(found, expected[rows], rtol=0, atol=1e-12)


def test_words_to_come_are_not_seen() -> None:
    model = tiny(decoder_layers=2)
    ids = texts()
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % VOCAB
    before, after = model(ids)[0], model(changed)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_tied_embeddings_are_one_matrix_whatever_the_hidden_size() -> None:
    model = tiny(tying="target")
    assert model.output.weight is model.embedding.weight
    assert tiny(tying="target", hidden_size=5).output.in_features == 5
    assert {name for name, _ in model.named_parameters()} >= {"embedding.weight", "project.weight"}
    assert not any(name.startswith("project") for name, _ in tiny().named_parameters())


@pytest.mark.parametrize("form", ["zaremba", "variational"])
def test_dropout_acts_in_training_only(form: str) -> None:
    model = tiny(dropout=0.5, dropout_form=form, recurrent_dropout=0.3, word_dropout=0.2, decoder_layers=2)
    ids = texts()
    torch.manual_seed(1)
    first, second = model(ids)[0], model(ids)[0]
    assert not torch.allclose(first, second)
    model.eval()
    assert torch.equal(model(ids)[0], model(ids)[0])


HELLO = "helo"
READ, FOLLOWS = torch.tensor([[0, 1, 2, 2]]), torch.tensor([[1, 2, 2, 3]])  # h e l l -> e l l o


def four(model: LanguageModel) -> list[float]:
    """P(e | h), P(l | he), P(l | hel), P(o | hell)."""
    p = model.output(model(READ)[0]).softmax(dim=-1).detach()
    return [float(row[following]) for row, following in zip(p[0], FOLLOWS[0], strict=True)]


def test_hello_is_four_probabilities() -> None:
    """The network by hand: one-hot letters, h' = tanh(W x + U h + b), p = softmax(V h' + c)."""
    model = tiny(vocab=len(HELLO), cell="rnn", embedding_size=4, hidden_size=3)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(4))
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    h, expected = np.zeros(3), []
    for letter, following in zip("hell", "ello", strict=True):
        column = w["encoder.rnn.weight_ih_l0"][:, HELLO.index(letter)]
        b = w["encoder.rnn.bias_ih_l0"] + w["encoder.rnn.bias_hh_l0"]
        h = np.tanh(column + w["encoder.rnn.weight_hh_l0"] @ h + b)
        scores = w["output.weight"] @ h + w["output.bias"]
        expected.append(float(np.exp(scores[HELLO.index(following)]) / np.exp(scores).sum()))
    assert four(model) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_hello_is_learnt(cell: str) -> None:
    """After the first l comes an l, after the second an o: only a memory tells them apart."""
    model = tiny(vocab=len(HELLO), cell=cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        loss_of(model, READ, FOLLOWS).backward()
        optimizer.step()
    assert min(four(model)) > 0.95
