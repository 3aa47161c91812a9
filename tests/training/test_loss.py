"""Cross-entropy and R-Drop against torch.nn.functional, NumPy and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from nmt.training import loss
from nmt.training.loss import cross_entropy, rdrop_cross_entropy
from tests import oracles

M, A, V = 13, 5, 9


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(M, A, generator=generator, dtype=dtype)
    weight = torch.randn(V, A, generator=generator, dtype=dtype)
    bias = torch.randn(V, generator=generator, dtype=dtype)
    return vectors, weight, bias, torch.randint(0, V, (M,), generator=generator)


@pytest.fixture(params=[1, 4, 1000], ids="{} rows a chunk".format)
def chunked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_BYTES", 4 * V * request.param)


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_it_is_torchs_cross_entropy(smoothing: float) -> None:
    *leaves, targets = inputs()
    mine, theirs = ([leaf.clone().requires_grad_() for leaf in leaves] for _ in range(2))
    found = cross_entropy(mine[0], mine[1], mine[2], targets, smoothing)
    logits = theirs[0] @ theirs[1].T + theirs[2]
    expected = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(found.smoothed, expected, rtol=1e-12, atol=0)
    nll = functional.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(found.nll, nll.detach(), rtol=1e-12, atol=0)
    assert not found.nll.requires_grad
    (found.smoothed / 7).backward()
    (expected / 7).backward()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("chunked")
def test_its_gradient_equals_finite_differences() -> None:
    vectors, weight, bias, targets = inputs()

    def objective(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return cross_entropy(x, w, b, targets, 0.2).smoothed

    leaves = tuple(leaf.requires_grad_() for leaf in (vectors, weight, bias))
    assert gradcheck(objective, leaves)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("words", [3, 9, 64, 1003])
def test_in_fp32_it_is_torchs_too(words: int, smoothing: float) -> None:
    """One pass of ours over each row where the kernels are compiled; rows far from 0 must not overflow."""
    generator = torch.Generator().manual_seed(2)
    x, w = torch.randn(M, A, generator=generator), torch.randn(words, A, generator=generator)
    b = 100 * torch.randn(words, generator=generator)
    targets = torch.randint(0, words, (M,), generator=generator)
    mine = [leaf.clone().requires_grad_() for leaf in (x, w, b)]
    theirs = [leaf.double().requires_grad_() for leaf in (x, w, b)]
    found = cross_entropy(mine[0], mine[1], mine[2], targets, smoothing)
    logits = theirs[0] @ theirs[1].T + theirs[2]
    expected = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(found.smoothed.double(), expected, rtol=1e-5, atol=1e-4)
    found.smoothed.backward()
    expected.backward()
    for one, other in zip(mine, theirs, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-4)


def test_in_autocast_it_stays_near_full_precision() -> None:
    vectors, weight, bias, targets = inputs(torch.float32)
    expected = cross_entropy(vectors, weight, bias, targets, 0.1)
    weight.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cross_entropy(vectors.bfloat16(), weight, bias, targets, 0.1)
    found.smoothed.backward()
    assert found.smoothed.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(found.smoothed.detach(), expected.smoothed, rtol=0.02, atol=0)


def test_without_gradients_it_takes_none() -> None:
    vectors, weight, bias, targets = inputs()
    with torch.no_grad():
        found = cross_entropy(vectors, weight, bias, targets)
    assert float(found.smoothed) == float(found.nll)


def passes(dtype: torch.dtype = torch.float64) -> Tensor:
    """The same rows after two draws of dropout, as it were."""
    vectors = inputs(dtype)[0]
    return torch.stack((vectors, vectors + 0.5 * torch.randn(M, A, generator=torch.Generator().manual_seed(4))))


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_rdrop_is_its_equation(alpha: float, smoothing: float) -> None:
    _, weight, bias, targets = inputs()
    both = passes()
    logits = (both @ weight.T + bias).numpy()
    found = rdrop_cross_entropy(both, weight, bias, targets, smoothing, alpha)
    expected = oracles.rdrop(logits[0], logits[1], targets.tolist(), smoothing, alpha)
    assert float(found.smoothed) == pytest.approx(expected, rel=1e-12)
    assert float(found.nll) == pytest.approx(oracles.rdrop(logits[0], logits[1], targets.tolist(), 0.0, 0.0), rel=1e-12)


@pytest.mark.usefixtures("chunked")
def test_the_gradient_of_rdrop_equals_finite_differences() -> None:
    _, weight, bias, targets = inputs()

    def objective(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return rdrop_cross_entropy(x, w, b, targets, 0.2, 3.0).smoothed

    assert gradcheck(objective, tuple(leaf.requires_grad_() for leaf in (passes(), weight, bias)))


def test_two_equal_passes_are_one() -> None:
    vectors, weight, bias, targets = inputs()
    found = rdrop_cross_entropy(torch.stack((vectors, vectors)), weight, bias, targets, 0.1, 5.0)
    expected = cross_entropy(vectors, weight, bias, targets, 0.1)
    torch.testing.assert_close(tuple(found), tuple(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("words", [3, 9, 64, 1003])
def test_in_fp32_rdrop_is_its_equation_too(words: int, smoothing: float) -> None:
    """One pass of ours over each pair of rows where the kernels are compiled."""
    generator = torch.Generator().manual_seed(2)
    both, w = passes(torch.float32).float(), torch.randn(words, A, generator=generator)
    b = 10 * torch.randn(words, generator=generator)
    targets = torch.randint(0, words, (M,), generator=generator)
    mine = [leaf.clone().requires_grad_() for leaf in (both, w, b)]
    theirs = [leaf.double().requires_grad_() for leaf in (both, w, b)]
    found, expected = (
        rdrop_cross_entropy(leaves[0], leaves[1], leaves[2], targets, smoothing, 5.0) for leaves in (mine, theirs)
    )
    torch.testing.assert_close(found.smoothed.double(), expected.smoothed, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.nll.double(), expected.nll, rtol=1e-5, atol=1e-4)
    found.smoothed.backward()
    expected.smoothed.backward()
    for one, other in zip(mine, theirs, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-4)


def test_in_autocast_rdrop_stays_near_full_precision() -> None:
    _, weight, bias, targets = inputs(torch.float32)
    both = passes(torch.float32).float()
    leaves = [leaf.clone().requires_grad_() for leaf in (both, weight, bias)]
    expected = rdrop_cross_entropy(leaves[0], leaves[1], leaves[2], targets, 0.1, 2.0)
    expected.smoothed.backward()
    again = [leaf.clone().requires_grad_() for leaf in (both.bfloat16(), weight, bias)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = rdrop_cross_entropy(again[0], again[1], again[2], targets, 0.1, 2.0)
    found.smoothed.backward()
    torch.testing.assert_close(found.smoothed.detach(), expected.smoothed.detach(), rtol=0.02, atol=0)
    for one, other in zip(again, leaves, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert float((one.grad - other.grad).norm()) < 0.05 * float(other.grad.norm())
