"""Pictures hold what they are given, readable, and there is a clear line where one cannot be drawn."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nmt.errors import ConfigError
from nmt.evaluation.pictures import attention_map, beam_curve, gate_map, gradient_reach, learning_curve

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


WEIGHTS = np.array([[0.9, 0.1, 0.0], [0.0, 0.25, 0.75]])
GATES = {"f": np.linspace(0, 1, 12).reshape(3, 4), "g": np.linspace(-1, 1, 12).reshape(3, 4)}


def drawn_text(path: Path, draw: Callable[[Path], None]) -> str:
    """The SVG that is drawn, its words as text."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        draw(path)
    return path.read_text("utf-8")


def test_an_attention_map_names_its_pieces_and_large_weights(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source, target = ["▁The", "▁dog", "</s>"], ["▁Hund", "</s>"]
    drawn = drawn_text(
        tmp_path / "map.svg", lambda path: attention_map(WEIGHTS, source, target, path, probabilities=[0.42, 0.97])
    )
    for label in ("▁The", "▁dog", "&lt;/s&gt;", "▁Hund", ">0.9<", ">0.8<", ">0.1<", "0.42", "0.97", "source", "target"):
        assert label in drawn
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]


def test_a_gate_map_has_a_panel_a_gate_and_layer(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    layers = [("encoder 1", GATES, ["a", "b", "c"]), ("decoder 1", {"h": GATES["f"] * 3}, ["x", "y", "z"])]
    drawn = drawn_text(tmp_path / "gates.svg", lambda path: gate_map(layers, path))
    for label in ("encoder 1", "decoder 1", "4 units", "f, mean 0.50", "g, mean 0.00", "h, mean 1.50"):
        assert label in drawn
    assert drawn.count(", mean ") == 3


def test_a_picture_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match="a picture ends in"):
        attention_map(WEIGHTS, ["a", "b", "c"], ["x", "y"], tmp_path / "map.gif")
    assert list(tmp_path.iterdir()) == []


def test_letters_that_no_font_has_are_told_and_the_rest_is_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("matplotlib")
    attention_map(WEIGHTS, ["\U0001f98a", "b", "c"], ["x", "\ue123"], tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "missing from font" in caplog.text


def beam_rows(has_bleu: bool) -> list[dict[str, float | None]]:
    quality = {"bleu": 31.5, "length_ratio": 0.9} if has_bleu else {"bleu": None, "length_ratio": None}
    rows: list[dict[str, float | None]] = [
        {"beam": beam, "length_penalty": alpha, "errors": None if alpha else 9 // beam, "length": 8.5, **quality}
        for alpha in (0.0, 0.6)
        for beam in (1, 3, 9)
    ]
    rows.append({"beam": None, "length_penalty": 0.0, "errors": 0, "length": 7.5, **quality})
    return [{**row, "sentences": 20.0} for row in rows]


@pytest.mark.parametrize("has_bleu", [True, False])
def test_a_beam_curve_has_a_panel_for_each_figure_and_a_line_for_each_penalty(tmp_path: Path, has_bleu: bool) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        beam_curve(beam_rows(has_bleu), tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text("utf-8")
    for label in ("Search errors", "beam size", "α = 0", "α = 0.6", "exact", "% of the sentences"):
        assert label in drawn
    assert ("BLEU" in drawn) == has_bleu
    assert ("pieces" in drawn) != has_bleu


def test_an_exact_search_of_fewer_sentences_is_not_drawn_beside_beams_of_all(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib as mpl

    rows = beam_rows(True)
    rows[-1]["sentences"] = 7.0
    with mpl.rc_context({"svg.fonttype": "none"}):
        beam_curve(rows, tmp_path / "curve.svg")
    assert "exact" not in (tmp_path / "curve.svg").read_text("utf-8")
    with pytest.raises(ConfigError, match="no beams"):
        beam_curve(rows[-1:], tmp_path / "curve.svg")


def test_curves_of_gradients_are_named_with_their_rate(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    norms = 0.5 ** np.arange(10)
    curves = [("rnn", "layer 1 h", norms, (0.5, 1.0)), ("lstm", "layer 1 c", np.array([0.0, 1.0, 1.0]), (1.0, 1.0))]
    drawn = drawn_text(tmp_path / "reach.svg", lambda path: gradient_reach(curves, path))
    for label in ("rnn: layer 1 h, γ = 0.500", "lstm: layer 1 c, γ = 1.000", "steps back from the loss"):
        assert label in drawn


def test_a_curve_without_a_fit_is_drawn_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    gradient_reach([("x", "layer 1 h", np.array([1.0, 0.0]), (np.nan, np.nan))], tmp_path / "reach.png")
    assert (tmp_path / "reach.png").read_bytes().startswith(b"\x89PNG")
