"""Recipes: mistakes are named all at once, TOML comes back equal, overrides reach every key."""

from __future__ import annotations

import ast
import inspect
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmt import config
from nmt.config import (
    SENSELESS,
    TASK_DEFAULTS,
    AttentionSpan,
    Recipe,
    Section,
    SubwordKind,
    TaskName,
    dump_recipe,
    expand_path,
    load_recipe,
    parse_recipe,
    registered,
)
from nmt.errors import ConfigError


def refusal(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("raw", "suggestion"),
    [
        ({"model": {"hiden_size": 3}}, "unknown key model.hiden_size, did you mean model.hidden_size?"),
        ({"modle": {"hidden_size": 3}}, "unknown key modle, did you mean model?"),
        ({"hidden_size": 3}, "unknown key hidden_size, did you mean model.hidden_size?"),
        ({"training": {"dropout": 0.1}}, "unknown key training.dropout, did you mean"),
        ({"zzzzqqq": 3}, "unknown key zzzzqqq"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(raw: dict[str, Any], suggestion: str) -> None:
    assert suggestion in refusal(raw)


def test_a_cell_or_score_that_is_not_there_names_those_that_are() -> None:
    """Which the modules that have them say, without being imported (tests/layers holds that)."""
    from nmt.model.attention import SCORES
    from nmt.model.cells import CELLS

    message = refusal({"model": {"cell": "lsmt", "attention": "bilinear"}})
    assert f"model.cell: Input should be {', '.join(map(repr, CELLS))} (got 'lsmt')" in message
    assert f"model.attention: Input should be {', '.join(map(repr, SCORES))}, 'none' (got 'bilinear')" in message


def test_all_mistakes_are_reported_together() -> None:
    message = refusal(
        {
            "model": {"hidden_size": -1, "attention": "bilinear", "layers": 2},
            "training": {"seed": "one", "label_smoothing": 1.5},
            "data": {"source_lang": "klingon!"},
        }
    )
    mentioned = ("hidden_size", "attention", "model.layers", "seed", "label_smoothing", "source_lang")
    assert [key for key in mentioned if key not in message] == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"model": {"hidden_size": 7}}, "recipe: model: hidden_size must be even"),
        ({"data": {"noise": {"lower": 0.7, "upper": 0.7}}}, "recipe: data.noise: lower + upper"),
        ({"optimizer": {"momentum": 0.9}}, 'is of name = "sgd"'),
        ({"optimizer": {"name": "sgd", "betas": [0.9, 0.99]}}, 'are of name = "adam"'),
        ({"text": {"kind": "word", "sampling": 0.1}}, "never does"),
        ({"text": {"joint": False}}, "needs text.joint"),
        ({"model": {"attention": "none", "attention_span": "local-p"}}, "has no span"),
        ({"model": {"attention": "none", "memory_dropout": 0.1}}, "reads nothing"),
        ({"model": {"attention": "none", "bridge": "zero"}}, "nothing of the source"),
        ({"data": {"dev": ["a", "b", "c"]}}, "a pair of files, not 3"),
        ({"optimizer": {"learning_rate": float("nan")}}, "learning_rate"),
        ({"model": {"hidden_size": 64.0}}, "hidden_size"),
        ({"model": {"bidirectional": 1}}, "bidirectional"),
        ({"model": {"nonlinearity": "relu"}}, 'is of cell = "rnn" alone'),
        ({"model": {"direction": "backward"}}, "set bidirectional = false"),
        ({"model": {"reverse_source": True}}, "reads forward alone"),
        ({"model": {"copying": True, "attention_span": "local-p"}}, "sum to one"),
        ({"model": {"copying": True, "tying": "none"}, "text": {"joint": False}}, "text.joint = true"),
        ({"model": {"peepholes": ["f"]}}, 'are of cell = "lstm_peephole" alone'),
        ({"model": {"cell": "lstm_peephole", "peepholes": []}}, 'is cell = "lstm"'),
        ({"model": {"cell": "lstm_peephole", "peepholes": ["f", "f"]}}, "a gate twice"),
        ({"model": {"residual": True, "encoder_layers": 1}}, "connects layers"),
        ({"task": "language-model", "model": {"residual": True}}, "set model.decoder_layers to 2"),
        ({"training": {"bptt": 9}}, 'training.bptt = 9 with task = "translation": only a language model has it'),
        ({"data": {"running_text": True}, "training": {"bptt": 9}}, "data.running_text = true with task"),
        ({"training": {"metric": "accuracy"}}, "use bleu or chrf or perplexity"),
        ({"task": "language-model", "model": {"bidirectional": True}}, "must not see what it is to predict"),
        ({"task": "language-model", "model": {"attention": "dot"}}, "has no source"),
        ({"task": "language-model", "model": {"encoder_layers": 3}}, "its layers are model.decoder_layers"),
        ({"task": "language-model", "model": {"tying": "all"}}, "shares the embedding of the source"),
        ({"task": "language-model", "training": {"metric": "bleu"}}, "use perplexity"),
        ({"task": "language-model", "data": {"running_text": True}}, "set training.bptt"),
        (
            {"task": "language-model", "data": {"running_text": True}, "training": {"bptt": 9, "workers": 2}},
            "learnt by one process",
        ),
        (
            {
                "task": "language-model",
                "data": {"running_text": True},
                "training": {"bptt": 9},
                "text": {"sampling": 0.1},
            },
            "text.sampling must be 0",
        ),
        ({"task": "tagging", "model": {"decoder_layers": 2}}, "its layers are model.encoder_layers"),
        ({"task": "classification", "model": {"tying": "target"}}, "there is no decoder"),
        ({"task": "tagging", "training": {"bptt": 9}}, "only a language model has it"),
        ({"task": ["tagging"]}, "task"),
        ({"training": {"rdrop": 5.0}, "model": {"dropout": 0.0}}, "set model.dropout with it"),
        ({"training": {"rdrop": 5.0}, "model": {"copying": True}}, "model.copying must be false"),
        ({"task": "tagging", "training": {"rdrop": 5.0}}, "only a translator has it"),
        ({"training": {"ema": 1.0}}, "training.ema"),
        ({"training": {"criterion": "mrt"}}, "name its bundle in training.init"),
        ({"training": {"criterion": "mrt", "init": "a", "rdrop": 1.0}}, "goes neither with training.rdrop"),
        ({"task": "tagging", "training": {"criterion": "mrt"}}, "only a translator has it"),
        ({"model": {"attention_wiring": "gnmt", "decoder_layers": 1}}, "decoder_layers = 2 or more"),
        ({"model": {"attention_wiring": "gnmt", "decoder_layers": 2, "attention": "none"}}, "needs a score"),
        ({"optimizer": {"return_to_best": True}}, 'is of schedule = "plateau" alone'),
        ({"training": {"init": "a"}, "text": {"vocabulary": "b"}}, "leave text.vocabulary empty"),
        ({"task": "tagging", "training": {"init": "a"}}, "its labels are the corpus's own"),
        ({"data": {"weights": [1.0]}}, "data.weights has 1 values, data.train 0 corpora"),
        ({"data": {"train": [["a.tsv"]], "tags": ["", "<bt>"]}}, "data.tags has 2 values, data.train 1 corpora"),
        ({"data": {"train": [["a.tsv"]], "tags": ["bt"]}}, "data.tags"),
        ({"data": {"train": [["a.tsv"]], "tags": ["<unk>"]}}, "is in every vocabulary"),
        ({"data": {"train": [["a.tsv"]], "tags": ["<bt>"]}, "text": {"kind": "word"}}, 'text.kind = "word" has not'),
        ({"data": {"train": [["a.tsv"]], "tags": ["<bt>"]}, "model": {"copying": True}}, "shift the places"),
        ({"data": {"noise": {"lower": 0.6, "upper": 0.6}}}, "in one case only"),
        ({"task": "tagging", "data": {"noise": {"typos": 0.1}}}, "data.noise.typos = 0.1"),
    ],
)
def test_values_that_make_no_sense_are_refused(raw: dict[str, Any], reason: str) -> None:
    assert reason in refusal(raw)


recipes = st.fixed_dictionaries(
    {},
    optional={
        "output": st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        "data": st.fixed_dictionaries(
            {"train": st.lists(st.lists(st.text("ab/.\"'\\ ü", min_size=1), min_size=1, max_size=2), max_size=3)}
        ),
        "model": st.fixed_dictionaries(
            {
                "hidden_size": st.integers(1, 500).map(lambda n: 2 * n),
                "attention": st.sampled_from([*registered("attention", "SCORES"), "none"]),
                "attention_span": st.sampled_from(get_args(AttentionSpan)),
                "dropout": st.floats(0, 0.99),
                "input_feeding": st.booleans(),
            }
        ),
        "text": st.one_of(
            st.fixed_dictionaries({"kind": st.sampled_from(get_args(SubwordKind))}),
            st.fixed_dictionaries({"sampling": st.floats(0, 1)}),
        ),
        "optimizer": st.fixed_dictionaries(
            {"learning_rate": st.floats(1e-9, 10), "betas": st.tuples(st.floats(0, 0.9), st.floats(0, 0.9999))}
        ),
        "training": st.fixed_dictionaries({"seed": st.integers(-(2**60), 2**60), "epochs": st.integers(1, 99)}),
    },
)


@given(raw=recipes)
@settings(max_examples=50)
def test_toml_comes_back_equal(raw: dict[str, Any]) -> None:
    assume(raw.get("model", {}).get("attention") != "none" or raw["model"].get("attention_span", "global") == "global")
    recipe = parse_recipe(raw)
    assert parse_recipe(tomllib.loads(dump_recipe(recipe))) == recipe


@pytest.mark.parametrize("task", get_args(TaskName))
def test_a_task_has_its_own_defaults_and_gives_way_to_what_is_written(task: TaskName) -> None:
    recipe = parse_recipe({"task": task})
    assert {key: value_of(recipe, key) for key in TASK_DEFAULTS[task]} == TASK_DEFAULTS[task]
    assert parse_recipe(tomllib.loads(dump_recipe(recipe))) == recipe
    assert parse_recipe({"task": task, "training": {"label_smoothing": 0.25}}).training.label_smoothing == 0.25
    assert Recipe(task=task, model=recipe.model) == recipe


def test_keys_that_mean_something_to_some_tasks_only_exist() -> None:
    assert {key for keys in SENSELESS.values() for key in keys} <= set(config._keys(Recipe))


def test_a_file_with_overrides(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[model]\nhidden_size = 64\n[data]\ntrain = [["a.en", "a.de"], ["b.tsv"]]\n', "utf-8")
    recipe = load_recipe(
        path,
        [
            "model.hidden_size=128",
            "--model.encoder-layers=3",
            "model.attention=dot",
            'model.bridge="copy"',
            "training.label_smoothing=0.0",
            "data.dev=['d.en', 'd.de']",
            "data.cleaning.empty=false",
            "output=runs/a=b",
        ],
    )
    assert recipe.model.hidden_size == 128
    assert recipe.model.encoder_layers == 3
    assert (recipe.model.attention, recipe.model.bridge) == ("dot", "copy")
    assert recipe.training.label_smoothing == 0.0
    assert recipe.data.train == (("a.en", "a.de"), ("b.tsv",))
    assert recipe.data.dev == ("d.en", "d.de")
    assert not recipe.data.cleaning.empty
    assert recipe.output == "runs/a=b"


@pytest.mark.parametrize("override", ["model.hidden_size", "=3", "output.x=3"])
def test_an_override_of_another_form_is_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe(None, ["output=a", override])


def test_every_key_can_be_overridden() -> None:
    for key in config._keys(Recipe):
        value = value_of(Recipe(), key)
        if not isinstance(value, Section):
            text = dump_recipe_value(value)
            assert value_of(load_recipe(None, [f"{key}={text}"]), key) == value


def value_of(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for name in key.split("."):
        value = getattr(value, name)
    return value


def dump_recipe_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else repr(value)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\xff\xfe", "UTF-8"), (b"[model\n", "line 1"), (b"a = 1\na = 2\n", "line 2")]
)
def test_an_unreadable_recipe_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe at .*absent\.toml"):
        load_recipe(tmp_path / "absent.toml")


def test_paths_expand_variables_and_name_those_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_DATA", "/data")
    monkeypatch.delenv("NMT_NOWHERE", raising=False)
    assert expand_path("$NMT_DATA/a.gz") == Path("/data/a.gz")
    assert expand_path("${NMT_DATA}/a.gz") == Path("/data/a.gz")
    with pytest.raises(ConfigError, match="NMT_NOWHERE"):
        expand_path("$NMT_NOWHERE/a.gz")


def test_settings_cannot_be_changed_behind_ones_back() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().model.hidden_size = 3  # type: ignore[misc]


OBVIOUS = """
    task source_lang target_lang cleaning noise data text model optimizer training search
    character_coverage normalization
    cell embedding_size encoder_layers decoder_layers bidirectional attention attention_span input_feeding forget_bias
    name learning_rate momentum betas weight_decay warmup_updates halve_after halve_every factor plateau_patience
    final_factor seed label_smoothing device sample_translations
    beam_size max_length_factor
"""


def test_every_key_whose_name_does_not_say_it_all_is_documented() -> None:
    undocumented: list[str] = []
    for section in ast.parse(inspect.getsource(config)).body:
        if not isinstance(section, ast.ClassDef) or not hasattr(getattr(config, section.name), "model_fields"):
            continue
        for statement, following in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                if not documented and statement.target.id not in OBVIOUS.split():
                    undocumented.append(f"{section.name}.{statement.target.id}")
    assert undocumented == []
