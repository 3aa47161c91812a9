"""What runs of Luong's progression have left behind can be read, and becomes the tables of the manual."""

from __future__ import annotations

from pathlib import Path

from benchmarks.experiments import ALIGNMENT, ROW, ROWS, Alignment, Result, alignments, is_done, models, tables
from benchmarks.table_runs import DONE, RESULT, Run, load

LEFT = """{{
 "row": "{row}",
 "seed": {seed},
 "bleu": {bleu},
 "perplexity": 9.5,
 "buckets": {{
  "1-5": 30.0,
  "6-10": 20.0
 }},
 "seconds": 150,
 "updates": 1600,
 "signature": "nrefs:1|case:mixed"
}}
"""
"""As the files of finished runs have always been."""


def test_old_results_are_read_and_printed(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        for row, value in (("base", 7.0), ("dot", 22.0)):
            place = Run(row, seed).folder(tmp_path)
            place.mkdir(parents=True)
            (place / RESULT).write_text(LEFT.format(row=row, seed=seed, bleu=value + seed))
            (place / ALIGNMENT).write_text(
                f'{{"row": "{row}", "seed": {seed}, "aer": {"NaN" if row == "base" else seed / 100}}}\n'
            )
            assert is_done(ROW[row], seed, tmp_path)
    found, aligned = load(Result, tmp_path), alignments(tmp_path)
    assert aligned == {"dot": [1.0, 2.0, 3.0]}
    assert load(Alignment, tmp_path, ALIGNMENT)["dot"][0] == Alignment("dot", 1, 0.01)
    lines = list(tables(found, aligned))
    assert "| base: no attention | 9.00 ± 1.00 | 9.50 ± 0.00 |  | 3 | 150 |" in lines
    assert "| + global attention, dot | 24.00 ± 1.00 | 9.50 ± 0.00 | 2.00 ± 1.00 | 3 | 150 |" in lines
    assert lines[-1] == "| base: no attention | 30.0 | 20.0 |"


def test_a_model_that_a_row_asks_is_trained_where_it_is_not(tmp_path: Path) -> None:
    asking = next(row for row in ROWS if row.model)
    model = Run(asking.model, 1)
    assert models([Run(asking.name, 1), Run("dot", 2)], tmp_path) == [model, Run("dot", 2)]
    model.folder(tmp_path).mkdir(parents=True)
    (model.folder(tmp_path) / DONE).touch()
    assert models([Run(asking.name, 1)], tmp_path) == []
    assert models([model, Run(asking.name, 1)], tmp_path) == [model]
