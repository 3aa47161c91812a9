"""`nmt explain` prints and draws what the library explains."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.cli.main import main
from nmt.evaluation.alignment import pharaoh
from nmt.inference.explain import explain
from tests.bundles import make_bundle

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]
SENTENCE, TARGET = "The old dog sees the table.", "Der alte Hund sieht den Tisch."


def run(output: Output, *arguments: str | Path) -> str:
    """Standard output of a call that succeeds, in this process."""
    with pytest.raises(SystemExit) as exit_:
        main(["explain", *map(str, arguments)])
    out, err = output.readouterr()
    assert (exit_.value.code, err) == (0, "")
    return out


def error(output: Output, *arguments: str | Path) -> str:
    """The one line of a call that fails."""
    with pytest.raises(SystemExit) as exit_:
        main(["explain", *map(str, arguments)])
    err = output.readouterr().err
    assert exit_.value.code == 2
    assert err.count("\n") == 1
    return err


def test_a_given_translation_is_printed_with_its_attention_and_links(bundle: Path, capsys: Output) -> None:
    lines = run(capsys, bundle, SENTENCE, "--target", TARGET).splitlines()
    (one,) = explain(load_bundle(bundle), SENTENCE, TARGET)
    assert lines[0] == f"source  {SENTENCE}"
    assert lines[1] == f"target  {TARGET}   (score {one.score:.3f}, log p {one.log_prob:.3f})"
    end = lines.index(f"links   {pharaoh(one.links)}") - 1
    rows = lines[end - len(one.target.pieces) : end]
    assert [row.split()[0] for row in rows] == list(one.target.pieces)
    assert [row.split()[-1] for row in rows] == [f"{math.exp(log_prob):.2f}" for log_prob in one.log_probs]
    assert any(
        line.startswith("  decoder 1 ") and f"f {one.decoder[0].gates['f'].mean():+.2f}" in line for line in lines
    )


def test_words_are_rows_where_pieces_are_merged(bundle: Path, capsys: Output) -> None:
    lines = run(capsys, bundle, SENTENCE, "--target", TARGET, "--words").splitlines()
    assert [line.split()[0] for line in lines if line.startswith(tuple(TARGET.split()))] == TARGET.split()


def test_json_is_what_the_library_says(bundle: Path, capsys: Output) -> None:
    found = json.loads(run(capsys, bundle, SENTENCE, "--n-best", "2", "--json"))
    expected = explain(load_bundle(bundle), SENTENCE, n_best=2)
    assert [one["target"] for one in found] == [one.target.text for one in expected]
    assert expected[1].attention is not None
    assert found[1]["attention"] == expected[1].attention.tolist()
    assert found[1]["log_prob"] == expected[1].log_prob
    assert [tuple(link) for link in found[1]["links"]] == list(expected[1].links)
    assert len(found[1]["gates"]["decoder 1"]["f"]) == len(expected[1].target.pieces)


def test_the_chosen_hypothesis_is_marked_and_first_on_the_page(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    lines = run(capsys, bundle, SENTENCE, "--hypothesis", "2", "-o", tmp_path / "page.html").splitlines()
    first, second = explain(load_bundle(bundle), SENTENCE, n_best=2)
    assert lines[1].startswith(f"1       {first.target.text} ")
    assert lines[2].startswith(f"2>      {second.target.text} ")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert 0 < page.index(f"<summary>{second.target.text}") < page.index(f"<summary>{first.target.text}")
    assert list(tmp_path.iterdir()) == [tmp_path / "page.html"]


def test_pictures_are_drawn(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("matplotlib")
    run(capsys, bundle, SENTENCE, "-o", tmp_path / "map.svg", "--gates", tmp_path / "gates.png", "--words")
    assert "<svg" in (tmp_path / "map.svg").read_text("utf-8")
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_without_attention_has_no_heat_map(tmp_path: Path, capsys: Output) -> None:
    make_bundle(tmp_path / "none", attention="none")
    assert "this model has no attention" in run(capsys, tmp_path / "none", SENTENCE, "-o", tmp_path / "page.html")
    assert "Gates of decoder 1" in (tmp_path / "page.html").read_text("utf-8")
    assert "no attention to draw" in error(capsys, tmp_path / "none", SENTENCE, "-o", tmp_path / "map.png")
    assert "no attention" in error(capsys, tmp_path / "none", SENTENCE, "--words", "-o", tmp_path / "map.png")


def test_letters_that_a_terminal_lacks_are_escaped(bundle: Path) -> None:
    command = [sys.executable, "-m", "nmt.cli.main", "explain", str(bundle), SENTENCE, "--target", TARGET + " 日"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("latin-1").splitlines()[1].startswith(f"target  {TARGET} \\u65e5")


def test_what_cannot_be_done_is_one_line(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    assert "must end in .png, .svg, .pdf, .html, .htm" in error(capsys, bundle, SENTENCE, "-o", tmp_path / "x.gif")
    assert "must end in .png, .svg, .pdf" in error(capsys, bundle, SENTENCE, "--gates", tmp_path / "x.html")
    assert "there is no folder" in error(capsys, bundle, SENTENCE, "-o", tmp_path / "no" / "x.html")
    assert "there is no folder" in error(capsys, bundle, SENTENCE, "--gates", tmp_path / "no" / "x.png")
    assert "without --n-best" in error(capsys, bundle, SENTENCE, "--target", TARGET, "--n-best", "2")
    assert "without --n-best and --hypothesis" in error(
        capsys, bundle, SENTENCE, "--target", TARGET, "--hypothesis", "2"
    )
    assert "no word" in error(capsys, bundle, " ")
    assert list(tmp_path.iterdir()) == []
