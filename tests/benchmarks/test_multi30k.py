"""The rows beside published figures are runs that can be made, in an order that works, on text that is not held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.chains import COMMON, GIVEN, TRANSLATIONS, WRITTEN, Row
from benchmarks.multi30k import CHAIN, HELD_OUT, OTHERS, RECIPE, ROWS, Result, main_one, table
from benchmarks.multi30k_text import TEST, VAL, captions, corpus, german, tokenised
from benchmarks.table_runs import RESULT, SEEDS, Places, Run, load, override, save
from nmt.config import load_recipe
from nmt.data.corpus import check_corpus, read_lines
from nmt.evaluation.quality import bleu
from tests.benchmarks.conftest import write_gzip
from tests.bundles import make_bundle

SMALL = {
    "text.vocab_size": 330,
    "model.embedding_size": 16,
    "model.hidden_size": 16,
    "training.epochs": 0,
    "training.updates": 2,
    "training.validate_every": 2,
}


@pytest.mark.parametrize("row", [row.name for row in ROWS if not row.members])
def test_every_row_can_be_trained(row: str, corpora: Path, tmp_path: Path) -> None:
    for run in CHAIN.needs(Run(row, 2)):
        run.folder(tmp_path).mkdir(parents=True)
        for name in (GIVEN, WRITTEN):
            (run.folder(tmp_path) / name).write_text("one line\n")
    recipe = load_recipe(RECIPE, override(CHAIN.settings(CHAIN.rows[row], 2, tmp_path)))
    for files in (*recipe.data.train, recipe.data.dev, recipe.data.test):
        assert check_corpus(files, recipe.data.source_lang, recipe.data.target_lang)


def test_the_student_comes_last_and_everything_before_it_once(tmp_path: Path) -> None:
    found = CHAIN.waves([Run("student", seed) for seed in SEEDS], Places(tmp_path, tmp_path))
    assert [set(wave) for wave in found] == [
        {Run("reverse", 1), *(Run("single", seed) for seed in SEEDS)},
        {Run("written-en", COMMON)},
        {Run("back", seed) for seed in SEEDS},
        {Run("taught-train", COMMON), Run("taught-captions", COMMON)},
        {Run("student", seed) for seed in SEEDS},
    ]
    assert CHAIN.of_seed("backs", 2) == Run("backs", COMMON)


def test_no_row_learns_from_held_out_text() -> None:
    rows = [CHAIN.settings(row, 1, Path("runs")) for row in ROWS]
    trained_on = json.dumps([row.get("data.train") for row in rows]) + json.dumps(load_recipe(RECIPE).data.train)
    assert not any(name in trained_on for name in HELD_OUT)


def test_captions_are_new_text_one_an_image(corpora: Path) -> None:
    """None that stands in a set, whatever its case and punctuation; the five of the images take turns."""
    known = next(iter(read_lines(corpora / "multi30k/test_2016_flickr.de.gz")))
    path = corpora / "multi30k-captions/train.3.de.gz"
    lines = list(read_lines(path))
    write_gzip(path, [*lines[:2], known.upper().rstrip("."), *lines[3:]])
    images = [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert list(captions("de")) == [f"de caption {image % 5 + 1} of image {image} ." for image in images]


def test_german_captions_end_in_a_mark(corpora: Path) -> None:
    """Whether they were written with one or not; the mark they have stays."""
    endings = ["", " .", "!", " ?", "..."]
    for number, ending in enumerate(endings, start=1):
        write_gzip(corpora / f"multi30k-captions/train.{number}.de.gz", [f"Bild {number}{ending}"])
    assert sorted(german(5)) == ["bild 1 .", "bild 2 .", "bild 3 !", "bild 4 ?", "bild 5 ..."]


def test_captions_look_like_the_files_of_the_record() -> None:
    assert tokenised("A man's T-Shirt says “Hi & Bye”…") == "a man &apos;s t-shirt says &quot; hi &amp; bye &quot; ..."
    assert tokenised("Zwei Männer, die [laut] lachen.") == "zwei männer , die &#91; laut &#93; lachen ."


def test_models_and_ensembles_are_scored_on_every_set(
    corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHAIN.rows, "single", Row("single", "small", SMALL))
    main_one("single", "1", str(tmp_path), str(tmp_path / "results"))
    first = make_bundle(tmp_path / "back/1/bundle", seed=1)
    for seed in (2, 3):
        make_bundle(tmp_path / f"back/{seed}/bundle", seed=seed, tokenizers=first.tokenizers)
    main_one("backs", str(COMMON), str(tmp_path), str(tmp_path / "results"))
    found = load(Result, tmp_path / "results")
    for row, seed in (("single", 1), ("backs", COMMON)):
        (result,) = found[row]
        assert set(result.risk) == set(result.beam) == set(result.greedy) == set(HELD_OUT)
        assert "tok:none" in result.signature
        said = list(read_lines(Run(row, seed).folder(tmp_path / "results") / TRANSLATIONS))
        assert result.beam[TEST] == bleu(said, [corpus(TEST, "de")], tokenize="none").value
        assert result.updates == (2 if row == "single" else 0)


def test_other_languages_and_raw_files_are_scored_as_such(corpora: Path, tmp_path: Path) -> None:
    assert OTHERS["raw"].tokenize == "13a"
    sources, references = OTHERS["raw"].read(VAL)
    assert len(sources) == len(references)
    assert all("multi30k/" in one for one in OTHERS["raw"].paths(TEST))
    assert OTHERS["en-fr"].paths(TEST)[1].endswith(".fr.gz")


def test_the_headline_is_the_seed_best_on_val(tmp_path: Path) -> None:
    for seed, val, test in ((1, 40.0, 39.0), (2, 41.0, 38.0), (3, 39.0, 43.0)):
        beam = dict.fromkeys(HELD_OUT, 30.0) | {VAL: val, TEST: test}
        risk = dict.fromkeys(HELD_OUT, 25.0)
        greedy = dict.fromkeys(HELD_OUT, 20.0)
        save(
            Run("single", seed).folder(tmp_path),
            RESULT,
            Result("single", seed, 4_300_000, beam, greedy, risk, 600, 100, "made up"),
        )
    *_, line = table(load(Result, tmp_path))
    assert line == (
        f"| single | {CHAIN.rows['single'].title} | 3 | 4.3 | 40.00 ± 1.00 | 40.00 ± 2.65 | 30.00 ± 0.00 "
        "| 30.00 ± 0.00 | 38.00 | 20.00 ± 0.00 | 25.00 ± 0.00 | 25.00 ± 0.00 | 10 |"
    )
