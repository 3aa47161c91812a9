"""Each kernel against the plain form beside it, and whole searches with kernels against the reference search.

Without a GPU triton's interpreter runs them. Where there is no triton, only what happens then is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported

from nmt.inference.runner import Found
from nmt.inference.torch_runner import TorchRunner, triton_kernels
from nmt.inference.torch_step import History, Limits, Rules, Slots, _advance, best_tokens, map_tensors
from nmt.model.attention import masked_softmax
from nmt.model.cells import lstm_pointwise
from nmt.search.beam import Beam
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates
from tests.inference.runners import TOLERANCE, compare, translate
from tests.inference.test_runners import expected, network

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EOS = 2
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="there is no triton here")


@pytest.fixture
def kernels() -> Any:
    return pytest.importorskip("nmt.inference.triton_kernels")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(7)


def random(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, device=DEVICE)


def slots(B: int, K: int, T: int = 6, V: int | None = None) -> Slots:
    """Sentences in the middle of a search: some full, some with a hypothesis or none finished, some at their end."""
    finished = random(B, K).sort(descending=True).values
    finished[torch.arange(K, device=DEVICE) >= torch.randint(0, K + 1, (B, 1), device=DEVICE)] = -torch.inf
    live = random(B, K, scale=3).sort(descending=True).values - 1
    live[0, 1:] = -torch.inf

    def integers(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, device=DEVICE)

    steps = integers(T - 1, B)
    beam = Beam(live, integers(9, B, K), steps, finished, 2 * finished, integers(T, B, K), integers(K, B, K))
    limits = Limits(1 + integers(K, B), torch.maximum(steps + 1, integers(T, B)), integers(3, B))
    words = None if V is None else torch.rand(B, V, device=DEVICE) < 0.4
    if words is not None:
        words[:, EOS] = True
    history = History(integers(9, B, T, K), integers(K, B, T, K), None)
    mask = torch.ones(B, 4, dtype=torch.bool, device=DEVICE)
    return Slots(None, None, beam, limits, mask, None, words, history)


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_tokens", [True, False])
def test_lstm(kernels: Any, has_tokens: bool, dtype: torch.dtype) -> None:
    N, H, V = 5, 40, 11
    gates, c = random(N, 4 * H, scale=2).to(dtype), random(N, H)
    added = (random(V, 4 * H) if has_tokens else random(4 * H)).to(dtype)
    tokens = torch.randint(0, V, (N,), device=DEVICE) if has_tokens else None
    h, c_new = kernels.lstm(gates, added, tokens, c)
    whole = gates.float() + (added if tokens is None else added[tokens]).float()
    wanted_h, wanted_c = lstm_pointwise(whole, c)
    torch.testing.assert_close(c_new, wanted_c, atol=1e-5, rtol=1e-5)
    assert h.dtype == dtype
    torch.testing.assert_close(h.float(), wanted_h, atol=1e-5 if dtype == torch.float32 else 8e-3, rtol=0)


@needs_triton
@pytest.mark.parametrize(("K", "S"), [(1, 16), (5, 21), (20, 33)])
def test_attend(kernels: Any, K: int, S: int) -> None:
    B, H, A = 3, 40, 70
    query, keys, values = random(B * K, H), random(B, S, H), random(B, S, A)
    lengths = torch.tensor([S, 1, 0], device=DEVICE)  # a place that nobody has taken has no source
    mask = torch.arange(S, device=DEVICE) < lengths.unsqueeze(1)
    attended, weights = kernels.attend(query, keys, values, mask)
    wanted = masked_softmax(query.view(B, K, H) @ keys.transpose(1, 2), mask.unsqueeze(1))
    torch.testing.assert_close(weights, wanted.view(B * K, S), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(attended, (wanted @ values).view(B * K, A), atol=1e-4, rtol=1e-4)


@needs_triton
@pytest.mark.parametrize("has_words", [True, False])
@pytest.mark.parametrize(("K", "V"), [(1, 5), (3, 50), (6, 130)])
def test_best_tokens(kernels: Any, K: int, V: int, has_words: bool) -> None:
    B = 12
    state = slots(B, K, V=V if has_words else None)
    logits = random(B * K, V, scale=3)
    forbidden = torch.rand(V, device=DEVICE) < 0.2
    forbidden[EOS] = False
    plain = Rules(Scoring(), EOS, forbidden)
    wanted = best_tokens(logits, state, plain)
    found = best_tokens(logits, state, plain._replace(kernels=kernels))
    torch.testing.assert_close(found.scores, wanted.scores, atol=1e-5, rtol=1e-5)
    assert found.ids is not None
    assert wanted.ids is not None
    real = wanted.scores > -torch.inf
    assert real.any()
    assert torch.equal(found.ids[real], wanted.ids[real])
    assert int(found.ids.max()) < V


@needs_triton
@pytest.mark.parametrize(
    ("K", "alpha", "has_coverage"), [(1, 0.7, False), (2, 0.0, True), (5, 0.7, True), (8, 0.6, False)]
)
def test_advance(kernels: Any, K: int, alpha: float, has_coverage: bool) -> None:
    B, V, T = 30, 12, 6
    mine, plain = slots(B, K, T), slots(B, K, T)
    whole = zip((mine.beam, mine.limits, mine.history[:2]), (plain.beam, plain.limits, plain.history[:2]), strict=True)
    for to, part in whole:
        map_tensors(lambda one, other: one.copy_(other), tuple(to), tuple(part))
    logits = random(B * K, V, scale=2)
    logits[:, EOS] += 1
    rules = Rules(Scoring(alpha), EOS, torch.zeros(V, dtype=torch.bool, device=DEVICE))
    candidates = Candidates(*torch.log_softmax(logits, 1).topk(min(2 * K, V)))
    coverage = -random(B, K).abs() if has_coverage else None
    assert candidates.ids is not None
    wanted_rows = _advance(plain, candidates, coverage, rules)
    rows = kernels.advance(
        candidates.scores, candidates.ids, coverage, mine.limits.n_best, mine.limits.max_length, mine.beam,
        mine.history.tokens, mine.history.parents, eos_id=EOS, length_penalty=alpha,
    )  # fmt: skip
    lives, ended = plain.beam.log_probs > -torch.inf, plain.beam.finished_scores > -torch.inf
    assert lives.any()
    assert ended.any()
    torch.testing.assert_close(mine.beam.log_probs, plain.beam.log_probs)
    torch.testing.assert_close(mine.beam.finished_scores, plain.beam.finished_scores)
    for name in ("finished_log_probs", "finished_steps", "finished_parents"):
        torch.testing.assert_close(getattr(mine.beam, name)[ended], getattr(plain.beam, name)[ended])
    assert torch.equal(mine.beam.steps, plain.beam.steps)
    assert torch.equal(mine.beam.tokens[lives], plain.beam.tokens[lives])
    assert torch.equal(rows.view(B, K)[lives], wanted_rows.view(B, K)[lives])
    assert torch.equal(rows // K, torch.arange(B * K, device=DEVICE) // K)
    place = torch.arange(B, device=DEVICE), (plain.beam.steps - 1).clamp(max=T - 1)
    for found, wanted in zip(mine.history[:2], plain.history[:2], strict=True):
        assert found is not None
        assert wanted is not None
        assert torch.equal(found[place][lives], wanted[place][lives])


@needs_triton
@pytest.mark.parametrize(
    ("score", "span", "form"),
    [
        ("general", "global", "deep, no bridge"),
        ("dot", "global", "shortlist and coverage"),
        ("concat", "local-p", "coverage"),
    ],
)
def test_searches_with_kernels_equal_the_reference(score: str, span: str, form: str) -> None:
    bundle, sentences = network("lstm", score, span, form)
    runner = TorchRunner(bundle, DEVICE, as_on_gpu=True, uses_kernels=True)
    assert runner.uses_kernels
    found: list[list[Found]] = translate(runner, sentences)
    assert compare(found, expected("lstm", score, span, form)) <= 1


def test_kernels_that_fail_leave_plain_torch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        MAX_WORDS, MAX_BEAM, MAX_SOURCE = 1 << 16, 32, 256

        @staticmethod
        def lstm(*_: object) -> None:
            raise RuntimeError("no compiler")

    bundle, sentences = network("lstm", "general", "global", "plain")
    monkeypatch.setattr("nmt.inference.torch_runner.triton_kernels", lambda: Broken)
    runner = TorchRunner(bundle, DEVICE, uses_kernels=True)
    assert not runner.uses_kernels
    assert "no compiler" in caplog.text
    found = translate(runner, sentences)
    assert abs(found[0][0].score - expected("lstm", "general", "global", "plain")[0][0].score) < TOLERANCE


@pytest.mark.skipif(find_spec("triton") is not None, reason="there is triton here")
def test_without_triton_plain_torch_serves() -> None:
    assert triton_kernels() is None
    bundle, _ = network("lstm", "general", "global", "plain")
    assert not TorchRunner(bundle, DEVICE, uses_kernels=True).uses_kernels


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from nmt.inference import triton_kernels as kernels

def build(kernel, types, constants, warps):
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    places = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=places)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    print(kernel.__name__, len(made.asm["cubin"]))

weight, ids, number = "*bf16", "*i64", "*fp32"
build(
    kernels._lstm,
    dict(gates=weight, added=weight, tokens=ids, c_old=number, h_new=weight, c_new=number, H="i32"),
    dict(HAS_TOKENS=True, BLOCK=256), 2,
)
build(
    kernels._attend,
    dict(query=weight, keys=weight, values=weight, mask="*u8", weights=number, attended=weight)
    | dict.fromkeys("KSHA", "i32"),
    dict(ROWS=16, WIDTH=32, PART=32, BLOCK=64), 4,
)
build(
    kernels._best_tokens,
    dict(logits=weight, words="*u8", forbidden="*u8", steps=ids, min_length=ids, max_length=ids, scores=number, ids=ids)
    | dict(V="i32"),
    dict(K=5, C=10, EOS=2, HAS_WORDS=True, BLOCK=8192), 8,
)
beam = dict(log_probs=number, tokens=ids, steps=ids, finished_scores=number, finished_log_probs=number)
build(
    kernels._advance,
    beam
    | dict.fromkeys(("finished_steps", "finished_parents", "past_tokens", "past_parents", "rows"), ids)
    | dict(scores=number, ids=ids, coverage=number, n_best=ids, max_length=ids, T="i32", alpha="fp32"),
    dict(K=5, C=10, EOS=2, HAS_COVERAGE=True, WIDTH=64, BEAM=8), 1,
)
"""


@needs_triton
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    """The interpreter takes what the compiler refuses. Target: compute capability 9.0."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["_lstm", "_attend", "_best_tokens", "_advance"]
