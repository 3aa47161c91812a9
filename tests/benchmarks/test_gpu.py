"""The program that measures a GPU, on a CPU: every part gives figures, and a part that fails costs no other."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from nmt.errors import DeviceError
from nmt.inference.runner import Found

CPU = torch.device("cpu")


def numbers(figures: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from numbers(value)
        elif isinstance(value, int | float):
            yield name, value


def test_every_part_gives_figures_and_results_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--quick", "--json", str(path)]) == 0
    report = json.loads(path.read_text("utf-8"))
    assert list(report) == list(gpu.PARTS)
    assert "error" not in json.dumps(report)
    assert all(math.isfinite(value) for _, value in numbers(report))
    rates = [value for name, value in numbers(report) if name.endswith(("per_s", "_ms", "flops"))]
    assert len(rates) >= 12
    assert min(rates) > 0
    right = report["correctness"]["fp32 graphs"]
    assert right["equal"] + right["near_ties"] == right["sentences"] >= 18
    assert "best_beam_5_tokens_per_s" in capsys.readouterr().out


def test_a_failing_part_is_reported_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: gpu.Plan) -> gpu.Figures:
        raise ValueError("nothing left")

    monkeypatch.setitem(gpu.PARTS, "machine", fail)
    path = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--quick", "--json", str(path), "--parts", "machine", "ceiling"]) == 1
    report = json.loads(path.read_text("utf-8"))
    assert "nothing left" in report["machine"]["error"]
    assert report["ceiling"]["best_bf16_flops"] > 0


def test_a_part_has_a_process_and_a_limit_of_its_own() -> None:
    """Outside `--quick`: figures come back from it, and one that takes too long is ended."""
    assert gpu.attempt_apart("machine", ["--device", "cpu"], limit_s=60)["torch"] == torch.__version__
    late = gpu.attempt_apart("machine", ["--device", "cpu"], limit_s=0.2)
    assert "not finished after" in late["error"]
    broken = gpu.attempt_apart("machine", ["--device", "nowhere"], limit_s=60)
    assert "ended with" in broken["error"]


def test_a_part_begins_nothing_more_when_its_time_is_over() -> None:
    assert list(gpu.Plan(CPU, gpu.MODEL, until=0.0).while_time(range(3))) == [0]
    assert list(gpu.Plan(CPU, gpu.MODEL).while_time(range(3))) == [0, 1, 2]


def test_agreement_counts_what_differs() -> None:
    def found(*hypotheses: tuple[tuple[int, ...], float]) -> list[Found]:
        return [Found(tokens, score, score) for tokens, score in hypotheses]

    agreement = gpu.Agreement()
    one, tie = found(((5, 6), -1.0), ((5,), -2.0)), found(((5, 6), -1.0), ((5,), -1.00001))
    agreement.add([one, one, one, tie], [one, found(((5, 7), -1.0), ((5,), -2.0)), found(((5, 6), -1.1)), tie[::-1]])
    assert agreement.figures == {
        "sentences": 4,
        "equal": 1,
        "near_ties": 1,
        "unequal": 2,
        "largest_gap_of_allowed": pytest.approx(980.4, abs=1),
    }


def test_batches_hold_as_many_tokens_as_were_asked_for() -> None:
    plan = gpu.Plan(CPU, gpu.MODEL, quick=True)
    batches = gpu.training_batches(plan, 300)
    assert [batch.tokens for batch in batches] == pytest.approx([300] * 4, rel=0.3)
    assert all(batch.tgt_out.shape[1] <= 40 for batch in batches)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(DeviceError, match="no CUDA device"):
        gpu.main([])
