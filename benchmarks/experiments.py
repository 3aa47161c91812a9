"""Luong's progression, the cells and the beams, on one small and fixed budget: the tables of docs/experiments.md.

    python -m benchmarks.experiments                         everything that is not there yet, two runs at a time
    python -m benchmarks.experiments --rows base,reversal    some rows
    python -m benchmarks.experiments --print                 the tables of what is there

Every row trains the same number of updates on the same pairs of Multi30k with three seeds; a run takes at most four
minutes of one core. A run that has ended is never made again, and one that was cut off goes on from its checkpoint: the
program may be stopped at any time. `$NMT_DATA` is the folder of corpora (docs/data.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.synthetic_alignment import synthetic_error
from benchmarks.table_runs import (
    DONE,
    RESULT,
    Overrides,
    Places,
    Run,
    arguments,
    load,
    override,
    run_all,
    save,
    spread,
    train,
)
from nmt.bundle import load_bundle
from nmt.cli.models import one_thread_a_process
from nmt.config import expand_path, load_recipe
from nmt.data.corpus import read_lines
from nmt.evaluation.quality import bleu, by_length
from nmt.inference import TranslateOptions, Translator

RECIPE = Path(__file__).with_name("experiments.toml")
DATA = "$NMT_DATA/multi30k"
TEST = "test_2016_flickr"
BEAM = 5
ALIGNMENT = "alignment.json"


@dataclass(frozen=True)
class Row:
    """A line of a table: what is trained, and how it is asked."""

    name: str
    title: str
    table: str
    train: Overrides
    """Keys of the recipe set anew."""
    beam: int = BEAM
    replace_unknown: bool = False
    model: str = ""
    """The row whose model is used; empty: its own."""


REVERSED: Overrides = {"model.reverse_source": True}
DROPOUT: Overrides = REVERSED | {"model.dropout": 0.2}
GENERAL: Overrides = DROPOUT | {"model.attention": "general"}
FEEDING: Overrides = GENERAL | {"model.input_feeding": True}
DICTIONARY: Overrides = {"search.unknown_words": "replace"}
SUBWORDS: Overrides = FEEDING | {"text.kind": "unigram", "text.joint": True, "text.byte_fallback": True}
STEPS = "progression"
CELLS = "cells"
BEAMS = "beams"

ROWS = (
    Row("base", "base: no attention", STEPS, {}),
    Row("reversal", "+ source reversed", STEPS, REVERSED),
    Row("dropout", "+ dropout 0.2", STEPS, DROPOUT),
    Row("location", "+ global attention, location", STEPS, DROPOUT | {"model.attention": "location"}),
    Row("dot", "+ global attention, dot", STEPS, DROPOUT | {"model.attention": "dot"}),
    Row("general", "+ global attention, general", STEPS, GENERAL),
    Row("concat", "+ global attention, concat", STEPS, DROPOUT | {"model.attention": "concat"}),
    Row("feeding", "general + input feeding", STEPS, FEEDING | DICTIONARY),
    Row("unk", "the same, unknown words replaced", STEPS, {}, replace_unknown=True, model="feeding"),
    Row("local-m", "general + input feeding, local-m", STEPS, FEEDING | {"model.attention_span": "local-m"}),
    Row(
        "local-p",
        "general + input feeding, local-p",
        STEPS,
        FEEDING | DICTIONARY | {"model.attention_span": "local-p"},
    ),
    Row("local-p-unk", "the same, unknown words replaced", STEPS, {}, replace_unknown=True, model="local-p"),
    Row("subwords", "general + input feeding, subwords", STEPS, SUBWORDS),
    Row(
        "bidirectional",
        "the same, encoder in both directions",
        STEPS,
        SUBWORDS | {"model.bidirectional": True, "model.reverse_source": False},
    ),
    Row("cell-rnn", "rnn (tanh)", CELLS, SUBWORDS | {"model.cell": "rnn"}),
    Row("cell-gru", "gru", CELLS, SUBWORDS | {"model.cell": "gru"}),
    Row("cell-peephole", "lstm_peephole", CELLS, SUBWORDS | {"model.cell": "lstm_peephole"}),
    Row("cell-coupled", "lstm_coupled", CELLS, SUBWORDS | {"model.cell": "lstm_coupled"}),
    Row("cell-lstm", "lstm", CELLS, {}, model="subwords"),
    *(Row(f"beam-{beam}", f"beam {beam}", BEAMS, {}, beam=beam, model="subwords") for beam in (1, 2, 5, 10)),
)


@dataclass(frozen=True)
class Result:
    """One row with one seed."""

    row: str
    seed: int
    bleu: float
    perplexity: float
    """Of the dev set, a token; comparable between rows of one vocabulary."""
    buckets: dict[str, float]
    """BLEU by source length in words."""
    seconds: int
    """Of training."""
    updates: int
    signature: str


@dataclass(frozen=True)
class Alignment:
    """How well a small network of a row's kind aligns a made-up language, whose links are known exactly."""

    row: str
    seed: int
    aer: float


def run(row: Row, seed: int, places: Places) -> None:
    """Train, if its model is not there, and score. Raises RuntimeError where training fails."""
    owner = ROW[row.model] if row.model else row
    model = train(RECIPE, owner.train, Run(owner.name, seed), places.output)
    source, target = (expand_path(f"{DATA}/{TEST}.{side}.gz") for side in ("en", "de"))
    sources, references = list(read_lines(source)), list(read_lines(target))
    options = TranslateOptions(beam_size=row.beam, raw=True, replace_unknown=row.replace_unknown)
    with Translator.load(model, device="cpu", precision="fp32") as translator:
        texts = [translation.text for translation in translator.translate(sources, options)]
    score = bleu(texts, [references])
    buckets = {
        words: bleu([texts[i] for i in lines], [[references[i] for i in lines]]).value
        for words, lines in by_length(sources).items()
    }
    summary = load_bundle(model).config.training
    result = Result(
        row.name,
        seed,
        score.value,
        summary["dev"]["perplexity"],
        buckets,
        summary["seconds"],
        summary["updates"],
        score.signature,
    )
    save(Run(row.name, seed).folder(places.results), RESULT, result)


def align(row: Row, seed: int, results: Path) -> None:
    """Train and score the small network, where the row has attention (benchmarks/synthetic_alignment.py)."""
    score = synthetic_error(load_recipe(RECIPE, override(row.train)), seed=seed)
    aer = math.nan if score is None else score.aer
    save(Run(row.name, seed).folder(results), ALIGNMENT, Alignment(row.name, seed, aer))


def alignments(results: Path) -> dict[str, list[float]]:
    """Alignment error rates by row, of the rows with attention."""
    found = {
        row: [100 * one.aer for one in some if not math.isnan(one.aer)]
        for row, some in load(Alignment, results, ALIGNMENT).items()
    }
    return {row: errors for row, errors in found.items() if errors}


def tables(found: dict[str, list[Result]], aligned: dict[str, list[float]]) -> Iterator[str]:
    """Markdown, a table a group of rows, and BLEU by length of the first and the last step."""
    for table in dict.fromkeys(row.table for row in ROWS):
        yield f"| {table} | BLEU | dev perplexity | AER, % | seeds | training, s |"
        yield "|---|---|---|---|---|---|"
        for row in ROWS:
            if row.table == table and (some := found.get(row.name)):
                bleus, perplexities = ([getattr(one, key) for one in some] for key in ("bleu", "perplexity"))
                seconds = statistics.mean(one.seconds for one in some)
                errors = aligned.get(row.name)
                cells = (spread(bleus), spread(perplexities), spread(errors) if errors else "", len(some))
                yield f"| {row.title} | {' | '.join(map(str, cells))} | {seconds:.0f} |"
        yield ""
    shown = [ROW[name] for name in ("base", "dropout", "general", "feeding", "subwords") if name in found]
    if shown:
        words = list(found[shown[0].name][0].buckets)
        yield f"| BLEU by source length in words | {' | '.join(words)} |"
        yield "|---" * (len(words) + 1) + "|"
        for row in shown:
            means = [statistics.mean(one.buckets.get(name, 0.0) for one in found[row.name]) for name in words]
            yield f"| {row.title} | {' | '.join(f'{mean:.1f}' for mean in means)} |"


ROW = {row.name: row for row in ROWS}


def main() -> None:
    chosen = arguments(__doc__, "experiments").parse_args()
    rows = ROWS if chosen.rows is None else [ROW[name] for name in chosen.rows.split(",")]
    if not chosen.print:
        one_thread_a_process()
        places = Places(chosen.output, chosen.results)
        left = [Run(row.name, seed) for seed in chosen.seeds for row in rows if not is_done(row, seed, places.results)]
        # models before the rows that only ask them again
        run_all("benchmarks.experiments", models(left, places.output), places, chosen.parallel)
        run_all("benchmarks.experiments", [one for one in left if ROW[one.row].model], places, chosen.parallel)
    print("\n".join(tables(load(Result, chosen.results), alignments(chosen.results))))


def is_done(row: Row, seed: int, results: Path) -> bool:
    """Whether there is nothing left to do for a row with a seed."""
    needed = (RESULT,) if row.model else (RESULT, ALIGNMENT)
    return all((Run(row.name, seed).folder(results) / name).is_file() for name in needed)


def models(left: Sequence[Run], output: Path) -> list[Run]:
    """Of runs that are left, and of those whose models they ask, the ones that train."""
    asked = dict.fromkeys(Run(ROW[run.row].model or run.row, run.seed) for run in left)
    return [run for run in asked if run in left or not (run.folder(output) / DONE).is_file()]


def main_one(name: str, seed: str, output: str, results: str) -> None:
    """One run, in this process."""
    row, places = ROW[name], Places(Path(output), Path(results))
    place = Run(name, int(seed)).folder(places.results)
    if not (place / RESULT).is_file():
        run(row, int(seed), places)
    elif not row.model:  # scored before, and other rows ask its model
        train(RECIPE, row.train, Run(name, int(seed)), places.output)
    if not row.model and not (place / ALIGNMENT).is_file():
        align(row, int(seed), places.results)


if __name__ == "__main__":
    main()
