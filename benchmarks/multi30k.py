"""Multi30k beside published figures: one LSTM, ensembles, and what captions in one language add. The table of
docs/quality.md.

    python -m benchmarks.multi30k                    everything that is not there yet, a run a core
    python -m benchmarks.multi30k --rows single      one row, and what it needs
    python -m benchmarks.multi30k --print            the table of what is there

Every row is the recipe benchmarks/multi30k.toml with the changes below, with three seeds. A run that has ended is never
made again, and one that was cut off goes on from its checkpoint: the program may be stopped at any time. `$NMT_DATA` is
the folder of corpora (docs/data.md).

The files are those of the published figures: lower-cased, normalised, tokenised, scored on tokens
(`tokenize="none"`). The row `raw` has the files as people wrote them, with sacreBLEU's own tokens (`13a`). All choices
are made on val; of three seeds the one best on val is the headline.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chains import BEAM, GIVEN, MINIMUM_RISK, WRITTEN, Chain, Row, Text, effort, keep
from benchmarks.multi30k_text import CAPTIONS, SETS, TEST, VAL, Files, captions, corpus, german
from benchmarks.table_runs import SEEDS, Overrides, Places, Run, arguments, load, spread
from nmt.bundle import load_bundle
from nmt.evaluation.scoring import bleu
from nmt.inference import TranslateOptions, Translator

RECIPE = Path(__file__).with_name("multi30k.toml")
HELD_OUT = SETS[1:]
CANDIDATES = 20
"""Hypotheses of which the one with the least Bayes risk is taken."""

EN_DE = Files()
OTHERS = {"reverse": Files("de", "en"), "raw": Files(is_raw=True), "en-fr": Files("en", "fr")}
"""Rows that are not of the record's own files."""

TEXTS = (
    Text("written-en", "reverse", lambda: german(CAPTIONS), SEEDS[:1]),
    Text("taught-train", "back", lambda: corpus("train", "en"), SEEDS),
    Text("taught-captions", "back", lambda: captions("en", CAPTIONS), SEEDS),
)
PAIRS = EN_DE.paths("train")
LARGER: Overrides = {"text.vocab_size": 10_000}
FROM_SINGLE: Overrides = {"training.init": "{single}/bundle", "training.epochs": 0}
"""Of a row that goes on from `single`, and shares its vocabulary, so that all of them can speak as one ensemble."""
MORE_TEXT: Overrides = FROM_SINGLE | {
    "training.updates": 5000,
    "training.validate_every": 250,
    "optimizer.learning_rate": 0.002,
}
RISK: Overrides = FROM_SINGLE | MINIMUM_RISK | {"training.updates": 300, "training.validate_every": 50}

ROWS = (
    Row("single", "one LSTM, the 29,000 pairs alone", {}),
    Row("risk", "the same, then minimum risk on the same pairs", RISK),
    Row("singles", "the three of `single` as one ensemble", {}, members="single"),
    Row(
        "both",
        "both directions of the pairs in one model (BiT; Ding et al., EMNLP 2021)",
        LARGER | {"data.train": [PAIRS, PAIRS[::-1]], "data.tags": ["", "<en>"], "training.epochs": 12},
        is_shown=False,
    ),
    Row("turned", "`single` begun from both directions, 10,000 tokens", LARGER | {"training.init": "{both}/bundle"}),
    Row("turneds", "the three of `turned` as one ensemble", {}, members="turned"),
    Row(
        "back",
        "`single`, then German captions with machine-made English beside the pairs",
        MORE_TEXT
        | {
            "data.train": [PAIRS, [f"{{written-en}}/{WRITTEN}", f"{{written-en}}/{GIVEN}"]],
            "data.weights": [5, 1],
        },
    ),
    Row("backs", "the three of `back` as one ensemble", {}, members="back"),
    Row(
        "student",
        "`single`, then what that ensemble says of English captions beside the pairs",
        MORE_TEXT
        | {
            "data.train": [
                PAIRS,
                *([f"{{{name}}}/{GIVEN}", f"{{{name}}}/{WRITTEN}"] for name in ("taught-train", "taught-captions")),
            ],
        },
    ),
    Row("raw", "`single` on the files as people wrote them", OTHERS["raw"].settings()),
    Row("en-fr", "`single` from English to French", OTHERS["en-fr"].settings()),
    Row(
        "reverse",
        "`single` from German to English, in fewer epochs",
        OTHERS["reverse"].settings() | {"training.epochs": 16},
        is_shown=False,
    ),
)

CHAIN = Chain(RECIPE, {row.name: row for row in ROWS}, {text.name: text for text in TEXTS})


@dataclass(frozen=True)
class Result:
    """One row with one seed. The translations of test_2016_flickr lie beside it."""

    row: str
    seed: int
    weights: int
    """Of one model."""
    beam: Mapping[str, float]
    """BLEU of the held-out sets, with beam 5."""
    greedy: Mapping[str, float]
    """With beam 1."""
    risk: Mapping[str, float]
    """With beam 20 and of its hypotheses the one with the least Bayes risk."""
    seconds: int
    """Of training, without that of the models it needed; 0 of an ensemble."""
    updates: int
    signature: str


def score(models: Sequence[Path], run: Run, results: Path) -> None:
    """Translate the held-out sets, and keep the scores and what was said of test_2016_flickr."""
    files = OTHERS.get(run.row, EN_DE)
    scores: list[dict[str, float]] = []
    said: list[str] = []
    signature = ""
    with Translator.load(models, device="cpu", precision="fp32") as translator:
        for size, candidates in ((1, 0), (CANDIDATES, CANDIDATES), (BEAM, 0)):
            options = TranslateOptions(beam_size=size, mbr=candidates, raw=True)
            found = {}
            for name in HELD_OUT:
                sources, references = files.read(name)
                lines = [translation.text for translation in translator.translate(sources, options)]
                measured = bleu(lines, [references], tokenize=files.tokenize)
                found[name], signature = measured.value, measured.signature
                if name == TEST:  # those of the last search stay
                    said = lines
            scores.append(found)
    greedy, risk, beam = scores
    weights = load_bundle(models[0]).parameters
    result = Result(run.row, run.seed, weights, beam, greedy, risk, *effort(models), signature)
    keep(run.folder(results), said, result)


def table(found: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """Markdown."""
    titles = ["row", "what", "seeds", "weights, million", *HELD_OUT, f"{TEST}, seed best on {VAL}"]
    titles += [f"{TEST}, greedy", *(f"{name}, least risk" for name in (VAL, TEST)), "training, min"]
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"
    for row in ROWS:
        if row.is_shown and (some := found.get(row.name)):
            best = max(some, key=lambda one: one.beam[VAL])
            cells = [row.name, row.title, str(len(some)), f"{best.weights / 1e6:.1f}"]
            cells += [spread([one.beam[name] for one in some]) for name in HELD_OUT]
            cells += [f"{best.beam[TEST]:.2f}", spread([one.greedy[TEST] for one in some])]
            cells += [spread([one.risk[name] for one in some]) for name in (VAL, TEST)]
            yield f"| {' | '.join([*cells, f'{statistics.mean(one.seconds for one in some) / 60:.0f}'])} |"


def main() -> None:
    chosen = arguments(__doc__, "multi30k").parse_args()
    if not chosen.print:
        CHAIN.make("benchmarks.multi30k", chosen)
    found = load(Result, chosen.results)
    print("\n".join(table(found)))
    print("\n".join(dict.fromkeys(f"- `{one.signature}`" for some in found.values() for one in some)))


def main_one(name: str, seed: str, output: str, results: str) -> None:
    """One run, in this process."""
    CHAIN.make_one(Run(name, int(seed)), Places(Path(output), Path(results)), score)


if __name__ == "__main__":
    main()
