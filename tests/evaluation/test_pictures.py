"""The learning curve is a readable picture of the figures it is given, and a clear line where it cannot be drawn."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from nmt.errors import ConfigError
from nmt.evaluation.pictures import learning_curve

HISTORY: list[Mapping[str, float | str | None]] = [
    {"kind": "train", "update": 10, "loss": 8.0},
    {"kind": "train", "update": 15, "loss": None},
    {"kind": "train", "update": 20, "loss": 5.0},
    {"kind": "validation", "update": 20, "perplexity": 90.0, "bleu": 12.34, "chrf": 30.0, "signature": "nrefs:1"},
    {"kind": "validation", "update": 40, "perplexity": 20.0, "bleu": 23.45, "chrf": 41.0, "signature": "nrefs:1"},
]


def test_svg_holds_the_labels_and_the_best_scores(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        learning_curve(HISTORY, tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text("utf-8")
    for label in ("training loss", "dev perplexity", "BLEU", "chrF", "updates", "23.4", "41.0"):
        assert label in drawn
    assert [path.name for path in tmp_path.iterdir()] == ["curve.svg"]


@pytest.mark.parametrize("kinds", [("train",), ("validation",), ("train", "validation")])
def test_png_is_drawn_from_whatever_there_is(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    pytest.importorskip("matplotlib")
    learning_curve([record for record in HISTORY if record["kind"] in kinds], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_no_global_figure_is_left(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sys.modules.pop("matplotlib.pyplot", None)
    learning_curve(HISTORY, tmp_path / "curve.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_an_empty_history_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match="no figures yet"):
        learning_curve([], tmp_path / "curve.png")


def test_missing_matplotlib_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(name: str, *rest: object) -> ModuleType:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ConfigError, match="matplotlib is not installed") as caught:
        learning_curve(HISTORY, tmp_path / "curve.png")
    assert "\n" not in str(caught.value)
