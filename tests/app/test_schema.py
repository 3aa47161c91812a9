"""The API's description against the service: Schemathesis makes requests from it, right ones and wrong ones."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings
from benchmarks.rows.inputs import schemathesis
from tests.app.fake_engine import FakeEngine
from tests.app.serving import serving

EXAMPLES = 8
"""Of each operation; `make reliability` makes more."""


def test_answers_are_as_described_and_none_is_a_fault(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    with serving(FakeEngine(), Settings(access_log=False, deadline_s=2.0)) as address:
        code = schemathesis(address, EXAMPLES, seed=1, report=report)
    assert code == 0, report.read_text("utf-8", "replace")[-5000:]
