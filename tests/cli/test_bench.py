"""`nmt bench`: every measurement that was asked for, in the table and in the file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from tests.bundles import toy_sentences
from tests.cli.calls import call_here

Output = pytest.CaptureFixture[str]


run = partial(call_here, "bench", "speed")


def test_random_pieces_of_a_forced_length(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "speed.json"
    what = ("--sentences", 20, "--length", 4, "--beam", 1, "--beam", 3, "--in-flight", 2)
    assert run(bundle, *what, "--seconds", 0, "--workers", 1, "--device", "cpu", "--json", path) == 0
    report = json.loads(path.read_text("utf-8"))
    model = load_bundle(bundle)
    assert (report["model"], report["version"]) == ("en-de", model.version)
    assert (report["texts"], report["length"], report["workers"]) == (20, 4, 1)
    assert report["output_words"] == model.config.tgt_vocab
    assert report["ceiling_gops"] > 0
    assert report["memory_bytes"] > 1 << 24
    rates = report["rates"]
    assert [(r["beam"], r["in_flight"]) for r in rates] == [
        (1, None), (3, None), (1, 1), (1, 2), (3, 1), (3, 2)
    ]  # fmt: skip
    for rate in rates:
        assert rate["tokens_per_s"] == pytest.approx(4 * rate["sentences_per_s"], abs=0.5)
        steps = rate["sentences_per_s"] * (1 + 4 * rate["beam"])
        share = steps * report["operations_a_step"] / (report["ceiling_gops"] * 1e9)
        assert rate["share_of_ceiling"] == pytest.approx(share, rel=0.1, abs=1e-4)
        assert (rate["p50_ms"] is None) == (rate["in_flight"] is None)
        if rate["in_flight"] is not None:
            assert 0 < rate["p50_ms"] <= rate["p99_ms"]
    printed = capsys.readouterr().out
    assert printed.count("file") == 2
    assert f"{report['parameters']:,} weights, {report['precision']}" in printed
    assert "translations of 4 pieces each" in printed


def test_a_text_keeps_its_own_lengths(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    source, path = tmp_path / "source", tmp_path / "speed.json"
    source.write_text("\n".join(["", *toy_sentences(6), "  "]) + "\n", "utf-8")
    what = ("--source", source, "--sentences", 5, "--precision", "fp32")
    assert run(bundle, *what, "--seconds", 0, "--workers", 1, "--device", "cpu", "--json", path) == 0
    report = json.loads(path.read_text("utf-8"))
    assert (report["texts"], report["length"], report["precision"]) == (5, None, "fp32")
    assert [rate["beam"] for rate in report["rates"]] == [2, 2]  # the bundle's own
    assert [rate["share_of_ceiling"] for rate in report["rates"]] == [None, None]
    assert report["rates"][0]["sentences"] == 5
    assert "of their own length" in capsys.readouterr().out


def test_lines_of_which_nothing_is_searched_for_are_left_out(bundle: Path, tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "speed.json"
    source.write_text("\n".join(["\u00ad", *toy_sentences(3), "...", "\u200b"]) + "\n", "utf-8")
    what = ("--source", source, "--length", 3, "--beam", 1, "--seconds", 0, "--workers", 1, "--device", "cpu")
    assert run(bundle, *what, "--json", path) == 0
    report = json.loads(path.read_text("utf-8"))
    assert report["texts"] == 3
    assert report["rates"][0]["sentences"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "{blank}"), "no text in it"),
        (("--source", "nowhere"), "nowhere: no such file"),
        (("--sentences", "2", "--precision", "int3"), "int3"),
        (("--source", "nowhere", "--json", "{blank}/x.json"), "x.json: cannot be written: there is no folder"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(
    bundle: Path, tmp_path: Path, capsys: Output, arguments: tuple[str, ...], message: str
) -> None:
    blank = tmp_path / "blank"
    blank.write_text("\n \n", "utf-8")
    words = [word.format(blank=blank) for word in arguments]
    assert run(bundle, *words, "--workers", 1, "--device", "cpu") == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


search = partial(call_here, "bench", "search")


def test_search_errors_in_table_file_and_picture(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    source, reference, path = tmp_path / "source", tmp_path / "reference", tmp_path / "search.json"
    source.write_text("\n".join(toy_sentences(6)) + "\n", "utf-8")
    reference.write_text("the dog sees the man\n" * 9, "utf-8")
    what = ("--source", source, "--sentences", 4, "--max-length", 3, "--beam", 4, "--beam", 1, "--device", "cpu")
    assert search(bundle, *what, "--reference", reference, "--length-penalty", 1, "--json", path) == 0
    report = json.loads(path.read_text("utf-8"))
    assert (report["model"], report["version"]) == ("en-de", load_bundle(bundle).version)
    assert report["sentences"] == report["proven"] == 4
    rows = report["rows"]
    assert [(r["beam"], r["length_penalty"]) for r in rows] == [(1, 0), (4, 0), (1, 1), (4, 1), (None, 0)]
    assert all(0 <= r["bleu"] <= 100 and r["length"] <= 2 and r["sentences"] == 4 for r in rows)
    printed = capsys.readouterr().out
    assert "exact" in printed
    assert "BLEU" in printed
    assert f"{rows[0]['errors'] / 4:.1%}" in printed


def test_blank_lines_are_no_sentences(bundle: Path, tmp_path: Path) -> None:
    first, second = toy_sentences(2)
    plain = [(first, "der Hund"), (second, "ein Mann")]
    reports = []
    for lines in (plain, [("", ""), plain[0], ("\u3000", "x"), (" ", ""), plain[1]]):
        for name, column in zip(("source", "reference"), zip(*lines, strict=True), strict=True):
            (tmp_path / name).write_text("".join(f"{text}\n" for text in column), "utf-8")
        path = tmp_path / "search.json"
        what = ("--max-length", 3, "--beam", 1, "--sentences", 2, "--device", "cpu", "--json", path)
        assert search(bundle, "--source", tmp_path / "source", "--reference", tmp_path / "reference", *what) == 0
        reports.append(json.loads(path.read_text("utf-8")))
    assert reports[0] == reports[1]
    assert reports[0]["sentences"] == 2


def test_a_picture_of_search_errors(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("matplotlib")
    source = tmp_path / "source"
    source.write_text(toy_sentences(1)[0] + "\n", "utf-8")
    what = ("--source", source, "--max-length", 4, "--beam", 2, "--budget", 1, "--device", "cpu")
    assert search(bundle, *what, "--picture", tmp_path / "curve.png") == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "of 0 of them is known" in printed
    assert "BLEU" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "{blank}"), "no text in it"),
        (("--source", "nowhere"), "nowhere: no such file"),
        (("--source", "{long}", "--reference", "{short}"), "1 lines, too few for"),
        (("--source", "{short}", "--reference", "{long}"), "more lines than the 1 of"),
        (("--source", "{short}", "--reference", "{long}", "--sentences", "1"), "more lines than the 1 of"),
        (("--source", "nowhere", "--json", "{blank}/x.json"), "x.json: cannot be written: there is no folder"),
        (("--source", "nowhere", "--picture", "x.gif"), "x.gif: its name must end in .png, .svg, .pdf"),
        (("--source", "nowhere", "--picture", "{blank}/x.svg"), "x.svg: cannot be written: there is no folder"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_line(
    bundle: Path, tmp_path: Path, capsys: Output, arguments: tuple[str, ...], message: str
) -> None:
    files = {"blank": "\n \n", "long": "The dog.\nThe man.\n", "short": "the dog\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    words = [word.format(**{name: tmp_path / name for name in files}) for word in arguments]
    assert search(bundle, *words, "--device", "cpu") == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
