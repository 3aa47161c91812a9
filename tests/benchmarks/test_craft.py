"""The rows of the ablation table are runs that can be made, in an order that works, and its p-values are right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import multi30k_text
from benchmarks.chains import COMMON, GIVEN, TRANSLATIONS, WRITTEN, Row
from benchmarks.craft import CHAIN, RECIPE, ROWS, TEXTS, UPDATES, Result, main_one, p_value, p_values, pooled, table
from benchmarks.multi30k_text import TEST
from benchmarks.table_runs import DONE, RESULT, SEEDS, Places, Run, load, override, save
from nmt.bundle import load_bundle
from nmt.config import Recipe, load_recipe
from nmt.data.corpus import check_corpus, read_lines
from nmt.evaluation.quality import bleu
from nmt.evaluation.significance import randomisation_p
from nmt.training.initial import initial_weights
from nmt.training.optim import Schedule
from tests.benchmarks.conftest import write_gzip
from tests.bundles import make_bundle, toy_sentences
from tests.evaluation.systems import sentences, worsened

ROW, TEXT = CHAIN.rows, CHAIN.texts


def recipe_of(name: str, output: Path) -> Recipe:
    return load_recipe(RECIPE, override(CHAIN.settings(ROW[name], 2, output)))


def finish(run: Run, places: Places) -> None:
    """Leave what a finished run leaves, empty."""
    for place, name in (
        [(places.output, WRITTEN)] if run.row in TEXT else [(places.output, DONE), (places.results, RESULT)]
    ):
        run.folder(place).mkdir(parents=True, exist_ok=True)
        (run.folder(place) / name).touch()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "runs", tmp_path / "results")


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_every_row_can_be_trained(row: str, corpora: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs"
    for run in CHAIN.needs(Run(row, 2)):
        if run.row in TEXT:
            for name in (GIVEN, WRITTEN):
                (run.folder(output) / name).parent.mkdir(parents=True, exist_ok=True)
                (run.folder(output) / name).write_text("one line\n")
        else:
            base = load_recipe(RECIPE).model.model_dump()
            make_bundle(run.folder(output) / "bundle", text={"vocab_size": 330}, **base)
    recipe = recipe_of(row, output)
    for corpus in (*recipe.data.train, recipe.data.dev, recipe.data.test):
        assert check_corpus(corpus, recipe.data.source_lang, recipe.data.target_lang)
    if recipe.training.init:
        assert initial_weights(recipe)


def test_no_two_rows_are_the_same_and_each_is_compared_with_another() -> None:
    trained = [row.name for row in ROWS if not row.members]
    recipes = {recipe_of(name, Path("runs")).model_dump_json() for name in trained}
    assert len(recipes) == len(trained)
    assert [row.name for row in ROWS if row.against == row.name] == ["base"]
    assert all(ROW[row.against].is_shown for row in ROWS)


def test_settings_name_the_runs_of_the_same_seed() -> None:
    found = CHAIN.settings(ROW["back"], 3, Path('a "b"'))
    assert found["data.train"][1] == [f'a "b"/written-en/3/{name}' for name in (WRITTEN, GIVEN)]
    assert CHAIN.settings(ROW["distilled"], 3, Path("runs"))["data.train"][1][0] == f"runs/taught/{COMMON}/{GIVEN}"


def test_the_last_restart_ends_with_the_run() -> None:
    """A period more would begin at the full rate just before the end."""
    recipe = recipe_of("restarts", Path("runs"))
    schedule = Schedule(recipe.optimizer, UPDATES)
    rates = [schedule.rate(update, 0.0, 0) for update in range(1, UPDATES + 1)]
    jumps = [n for n, (one, other) in enumerate(pairwise(rates)) if other > 10 * one and n > 100]
    assert len(jumps) == 2
    assert recipe.training.updates == UPDATES
    assert rates[-1] < 0.03 * recipe.optimizer.learning_rate


def test_what_others_need_is_made_first_and_only_once(places: Places) -> None:
    found = CHAIN.waves([Run("distilled", 2), Run("ema", 2), Run("back", 1)], places)
    bases = [Run("base", seed) for seed in SEEDS]
    assert set(found[0]) == {*bases, Run("ema", 2), Run("de-en", 1)}
    assert [set(wave) for wave in found[1:]] == [
        {Run("taught", COMMON), Run("written-en", 1)},
        {Run("distilled", 2), Run("back", 1)},
    ]
    for run in (*bases, Run("de-en", 1), Run("ema", 2)):
        finish(run, places)
    assert [set(wave) for wave in CHAIN.waves([Run("distilled", seed) for seed in SEEDS], places)] == [
        {Run("taught", COMMON)},
        {Run("distilled", seed) for seed in SEEDS},
    ]
    assert CHAIN.waves([Run("ema", 2)], places) == []


def test_what_was_scored_on_another_machine_is_made_again_only_for_others(places: Places, tmp_path: Path) -> None:
    for name in ("base", "finetune", "ema"):
        finish(Run(name, 2), places)
    elsewhere = places._replace(output=tmp_path / "empty")
    assert CHAIN.waves([Run(name, 2) for name in ("base", "finetune", "ema")], elsewhere) == []
    assert CHAIN.waves([Run(name, 2) for name in ("base", "finetune", "mrt")], elsewhere) == [
        [Run("base", 2)],
        [Run("mrt", 2)],
    ]


_, REFERENCES = sentences(100)
OURS, THEIRS = worsened(REFERENCES, 0.20, seed=2), worsened(REFERENCES, 0.205, seed=4)


def test_p_agrees_with_the_other_test() -> None:
    """Randomisation asks another question by other draws, and comes to nearly the same."""
    ours, theirs = pooled([OURS], REFERENCES), pooled([THEIRS], REFERENCES)
    expected = randomisation_p(ours, theirs)
    assert 0.1 < expected < 0.9
    assert p_value(ours, theirs) == pytest.approx(expected, abs=0.05)


def test_seeds_that_say_the_same_are_no_further_evidence() -> None:
    one = p_value(pooled([OURS], REFERENCES), pooled([THEIRS], REFERENCES))
    assert p_value(pooled([OURS] * 3, REFERENCES), pooled([THEIRS] * 3, REFERENCES)) == pytest.approx(one)
    assert p_value(pooled([OURS, THEIRS], REFERENCES), pooled([THEIRS, OURS], REFERENCES)) == 1.0


def leave(row: str, seed: int, test_bleu: float, translations: Sequence[str], output: Path) -> None:
    """A finished run with made-up scores."""
    run = Run(row, seed)
    save(run.folder(output), RESULT, Result(row, seed, 30.0 + seed, test_bleu, 29.0, 100 + seed, UPDATES, "made up"))
    write_gzip(run.folder(output) / TRANSLATIONS, translations)


def test_the_table_has_what_there_is(corpora: Path, tmp_path: Path) -> None:
    write_gzip(corpora / "multi30k-tok/test_2016_flickr.lc.norm.tok.de.gz", REFERENCES)
    for seed in SEEDS:
        leave("base", seed, 35.0 + seed, THEIRS, tmp_path)
    leave("ema", 1, 40.0, OURS, tmp_path)
    leave("gnmt", 1, 40.0, OURS, tmp_path)
    found = load(Result, tmp_path)
    ps = p_values(found, tmp_path)
    # of gnmt there is none: the row that it differs from is not there
    assert ps == {"ema": p_value(pooled([OURS], REFERENCES), pooled([THEIRS], REFERENCES))}
    _, _, *lines = table(found, ps)
    assert lines == [
        f"| base | {ROW['base'].title} | 32.00 ± 1.00 | 37.00 ± 1.00 |  |  | 29.00 ± 0.00 | 3 | 102 |",
        f"| gnmt | {ROW['gnmt'].title} | 31.00 | 40.00 |  |  | 29.00 | 1 | 101 |",
        f"| ema | {ROW['ema'].title} | 31.00 | 40.00 | base | {ps['ema']:.3f} | 29.00 | 1 | 101 |",
    ]


def test_a_run_is_trained_and_scored_once(corpora: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "text.vocab_size": 330,
        "model.embedding_size": 16,
        "model.hidden_size": 16,
        "training.updates": 2,
        "training.validate_every": 2,
    }
    row = Row("base", "small", small)
    monkeypatch.setitem(CHAIN.rows, "base", row)
    main_one("base", "1", *map(str, places))
    trained, scored = (Run("base", 1).folder(place) for place in places)
    result = Result(**json.loads((scored / RESULT).read_text()))
    assert (result.row, result.seed, result.updates) == ("base", 1, 2)
    assert "tok:none" in result.signature
    texts = list(read_lines(scored / TRANSLATIONS))
    assert result.test_bleu == bleu(texts, [multi30k_text.corpus(TEST, "de")], tokenize="none").value
    assert load_bundle(trained / "bundle").config.model.hidden_size == 16
    assert CHAIN.is_made(Run("base", 1), places.output)
    assert CHAIN.is_scored(Run("base", 1), places.results)
    before = (trained / "log").read_text()
    (scored / RESULT).write_text("kept")
    main_one("base", "1", *map(str, places))
    assert (trained / "log").read_text() == before
    assert (scored / RESULT).read_text() == "kept"


def test_an_ensemble_of_the_seeds_writes_for_all_of_them(corpora: Path, places: Places) -> None:
    first = make_bundle(places.output / "base/1/bundle", seed=1)
    for seed in (2, 3):
        make_bundle(places.output / f"base/{seed}/bundle", seed=seed, tokenizers=first.tokenizers)
    given = toy_sentences(6)
    write_gzip(corpora / "multi30k-tok/train.lc.norm.tok.en.gz", given)
    main_one("taught", str(COMMON), *map(str, places))
    place = Run("taught", COMMON).folder(places.output)
    assert list(read_lines(place / GIVEN)) == given
    together = list(read_lines(place / WRITTEN))
    assert len(together) == len(given)
    assert CHAIN.is_made(Run("taught", COMMON), places.output)
    assert [text.name for text in TEXTS if text.seeds] == ["taught"]
