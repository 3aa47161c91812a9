"""The training craft, an option a row, at a reduced size: the table of docs/quality.md.

    python -m benchmarks.craft                      everything that is not there yet, a run a core
    python -m benchmarks.craft --rows base,rdrop    some rows, and what they need
    python -m benchmarks.craft --print              the table of what is there

Every row is the recipe benchmarks/craft.toml with one thing changed, with three seeds; a run takes at most a quarter of
an hour of one core. A run that has ended is never made again, and one that was cut off goes on from its checkpoint: the
program may be stopped at any time. `$NMT_DATA` is the folder of corpora (docs/data.md).

Scores are BLEU on tokens (`tokenize="none"`), beam 5, of Multi30k in its lower-cased, normalised, tokenised form.
Choices are made on val. The p-value of a row against another is that of the paired bootstrap on test (Koehn 2004),
pooled over the seeds: a sentence is drawn with the translations of all seeds together, and what BLEU counts in them is
added up. So the sample is one of sentences, as many as there are; translations of one sentence by several seeds do not
pass for independent ones, which would make p too small. It says what other test sentences would do to the difference
between these models, not what other seeds would: that is what the standard deviations are for.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.chains import BEAM, GIVEN, MINIMUM_RISK, TRANSLATIONS, WRITTEN, Chain, Row, Text, effort, keep
from benchmarks.multi30k_text import CAPTIONS, TEST, VAL, Files, captions, corpus, german
from benchmarks.table_runs import SEEDS, Overrides, Places, Run, arguments, load, spread
from nmt.data.corpus import read_lines
from nmt.evaluation.scoring import Counts, bleu, count
from nmt.evaluation.significance import resampled, two_sided_bootstrap_p
from nmt.inference import TranslateOptions, Translator

RECIPE = Path(__file__).with_name("craft.toml")
TOKENIZE = "none"
"""sacreBLEU's name for text that is tokenised already."""
UPDATES = 1600
"""Of the base recipe."""


@dataclass(frozen=True)
class Result:
    """One row with one seed. The translations of the test set lie beside it."""

    row: str
    seed: int
    val_bleu: float
    test_bleu: float
    test_greedy: float
    """With beam 1."""
    seconds: int
    """Of training, without that of the models it needed; 0 of an ensemble."""
    updates: int
    signature: str


TEXTS = (
    Text("written-de", "base", lambda: captions("en")),
    Text("written-en", "de-en", german),
    Text("retold", "base", lambda: chain(corpus("train", "en"), captions("en", CAPTIONS))),
    Text("taught", "base", lambda: corpus("train", "en"), SEEDS),
)

PAIRS = Files().paths("train")
TWO_LAYERS: Overrides = {"model.encoder_layers": 2, "model.decoder_layers": 2}
UNIDIRECTIONAL: Overrides = {"model.bidirectional": False}
FROM_BASE: Overrides = {"training.init": "{base}/bundle"}
SWAPPED = Files("de", "en").settings()

ROWS = (
    Row("base", "joint BPE 6k, tied three ways, dropout 0.2, cosine, mean of the 5 best checkpoints", {}),
    Row("joint-2k", "joint BPE 2k", {"text.vocab_size": 2000}),
    Row("joint-10k", "joint BPE 10k", {"text.vocab_size": 10000}),
    Row("sampling", "subword sampling (BPE-dropout) 0.1", {"text.sampling": 0.1}),
    Row("tying-target", "tied two ways: target input and output", {"model.tying": "target"}),
    Row("dropout-0", "no dropout", {"model.dropout": 0.0}),
    Row("variational", "dropout 0.2, variational", {"model.dropout_form": "variational"}),
    Row("word-dropout", "word dropout 0.1", {"model.word_dropout": 0.1}),
    Row("memory-dropout", "dropout 0.2 of the encoder's states too", {"model.memory_dropout": 0.2}),
    Row("joined", "half of the pairs in twos or threes as one (concatenation)", {"data.noise.join": 0.5}),
    Row("layer-norm", "layer normalisation of the gates", {"model.layer_norm": True}),
    Row("layers-2", "two layers each way", TWO_LAYERS),
    Row("residual", "two layers each way, residual", TWO_LAYERS | {"model.residual": True}, against="layers-2"),
    Row("gnmt", "two layers each way, GNMT's wiring", TWO_LAYERS | {"model.attention_wiring": "gnmt"}, "layers-2"),
    Row("unidirectional", "encoder forward only", UNIDIRECTIONAL),
    Row(
        "reversal",
        "encoder forward only, source reversed",
        UNIDIRECTIONAL | {"model.reverse_source": True},
        against="unidirectional",
    ),
    Row("smoothing-0", "no label smoothing", {"training.label_smoothing": 0.0}),
    Row(
        "plateau",
        "annealing at plateaus, back to the best weights",
        {"optimizer.schedule": "plateau", "optimizer.plateau_patience": 0, "optimizer.return_to_best": True},
    ),
    Row(
        "restarts",
        "cosine with restarts",
        # 215, 430 and 860 updates after the 100 of the warm-up: the last period ends with the run
        {"optimizer.schedule": "cosine-restarts", "optimizer.restart_updates": 215, "optimizer.restart_growth": 2.0},
    ),
    Row("ema", "moving average of the weights, 0.999", {"training.ema": 0.999}),
    Row("average-1", "the best checkpoint alone", {"training.average": 1}),
    Row("rdrop", "R-Drop 1, as many updates (twice the work)", {"training.rdrop": 1.0}),
    Row(
        "finetune",
        "base, half the updates more at a tenth of the rate",
        FROM_BASE | {"optimizer.learning_rate": 0.0004, "training.updates": UPDATES // 2},
    ),
    Row(
        "mrt",
        "base, then minimum risk",
        FROM_BASE | MINIMUM_RISK | {"training.updates": 120, "training.validate_every": 40},
    ),
    Row(
        "back",
        "back-translated captions beside the pairs",
        {"data.train": [PAIRS, [f"{{written-en}}/{WRITTEN}", f"{{written-en}}/{GIVEN}"]], "data.tags": ["", "<bt>"]},
    ),
    Row(
        "forward",
        "captions translated by base beside the pairs",
        {"data.train": [PAIRS, [f"{{written-de}}/{GIVEN}", f"{{written-de}}/{WRITTEN}"]]},
    ),
    Row(
        "distilled",
        "what an ensemble of the three bases says of the sources beside the pairs",
        {"data.train": [PAIRS, [f"{{taught}}/{GIVEN}", f"{{taught}}/{WRITTEN}"]]},
    ),
    Row(
        "student",
        "base, then with R-Drop 1 what it says itself, with beam 5, of the sources and of all captions",
        FROM_BASE
        | {
            "data.train": [[f"{{retold}}/{GIVEN}", f"{{retold}}/{WRITTEN}"]],
            "optimizer.learning_rate": 0.002,
            "training.rdrop": 1.0,
            "training.updates": 7 * UPDATES // 2,
            "training.validate_every": UPDATES // 4,
        },
    ),
    Row("bases", "the three bases as one ensemble", {}, members="base"),
    Row("de-en", "the other way, for back-translation", SWAPPED, is_shown=False),
)

CHAIN = Chain(RECIPE, {row.name: row for row in ROWS}, {text.name: text for text in TEXTS})


def score(models: Sequence[Path], run: Run, results: Path) -> None:
    """Translate val and test, and keep the scores and what was said of test."""
    with Translator.load(models, device="cpu", precision="fp32") as translator:
        val, test, greedy = (
            [one.text for one in translator.translate(corpus(name, "en"), TranslateOptions(beam_size=size, raw=True))]
            for name, size in ((VAL, BEAM), (TEST, BEAM), (TEST, 1))
        )
    of_val, of_test, of_greedy = (
        bleu(lines, [corpus(name, "de")], tokenize=TOKENIZE)
        for name, lines in ((VAL, val), (TEST, test), (TEST, greedy))
    )
    scores = (of_val.value, of_test.value, of_greedy.value)
    keep(run.folder(results), test, Result(run.row, run.seed, *scores, *effort(models), of_test.signature))


def pooled(systems: Iterable[Sequence[str]], references: Sequence[str]) -> Counts:
    """What BLEU counts in the translations of each sentence by several systems, added up: [sentences, counts]."""
    counts = [count("BLEU", system, [references], tokenize=TOKENIZE) for system in systems]
    return replace(counts[0], table=np.sum([one.table for one in counts], axis=0))


def p_value(ours: Counts, theirs: Counts) -> float:
    """p of a difference in BLEU by the paired bootstrap over sentences, two-sided."""
    return two_sided_bootstrap_p(resampled(ours), resampled(theirs), ours.score().value - theirs.score().value)


def p_values(found: Mapping[str, Sequence[Result]], results: Path) -> dict[str, float]:
    """By row: p against the row it differs from, over the seeds that both have."""
    references = corpus(TEST, "de")
    ps = {}
    for row in ROWS:
        both = sorted({one.seed for one in found.get(row.name, ())} & {one.seed for one in found.get(row.against, ())})
        if row.against != row.name and both:
            ours, theirs = (
                pooled((list(read_lines(Run(name, seed).folder(results) / TRANSLATIONS)) for seed in both), references)
                for name in (row.name, row.against)
            )
            ps[row.name] = p_value(ours, theirs)
    return ps


def table(found: Mapping[str, Sequence[Result]], ps: Mapping[str, float]) -> Iterator[str]:
    """Markdown."""
    yield "| row | recipe | val BLEU | test BLEU | against | p | test, greedy | seeds | training, s |"
    yield "|---" * 9 + "|"
    for row in ROWS:
        if row.is_shown and (some := found.get(row.name)):
            val, test, greedy = (
                spread([getattr(one, key) for one in some]) for key in ("val_bleu", "test_bleu", "test_greedy")
            )
            compared = (row.against, f"{ps[row.name]:.3f}") if row.name in ps else ("", "")
            seconds = f"{statistics.mean(one.seconds for one in some):.0f}"
            cells = (row.name, row.title, val, test, *compared, greedy, str(len(some)), seconds)
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    chosen = arguments(__doc__, "craft").parse_args()
    if not chosen.print:
        CHAIN.make("benchmarks.craft", chosen)
    found = load(Result, chosen.results)
    print("\n".join(table(found, p_values(found, chosen.results))))


def main_one(name: str, seed: str, output: str, results: str) -> None:
    """One run, in this process."""
    CHAIN.make_one(Run(name, int(seed)), Places(Path(output), Path(results)), score)


if __name__ == "__main__":
    main()
