"""Score a shipped model on its test sets and write its card.

    python -m benchmarks.model_card models/en-de --tatoeba benchmarks/data --recipes models/recipes/en-many.toml \
        models/recipes/en-de.toml --begun-from runs/en-many/bundle \
        --english "$NMT_DATA"/tatoeba-en-{de,fr,es}/train.en.gz \
        --flores "$NMT_DATA/flores200" --news "$NMT_DATA/wmt-en-de"

`--english`: the English side of all text that it has learnt from, other directions' included. Tatoeba's sets of
English and German lie in benchmarks/data; those of other pairs, FLORES-200 devtest and newstest2014 are scored where
their folders are given (docs/data.md).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.near_copies import NearCopies
from nmt.bundle import Bundle, load_bundle, rewrite_card
from nmt.config import load_recipe
from nmt.data.corpus import read_lines
from nmt.evaluation.quality import EvaluationSet, QualityRow, evaluate, read_evaluation_set
from nmt.evaluation.robustness import Cost, costs_of, variants
from nmt.evaluation.significance import SEED
from nmt.hardware import available_cores
from nmt.inference import TranslateOptions, Translator
from nmt.training.card import describe_model

TATOEBA = Path(__file__).parent / "data"
NAMES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish"}
ROUTES = ("raw", "default", "greedy")

CARD = """\
# {source} to {target}

{model} Weights are stored as {storage}.

## Data and licence

Trained on sentence pairs of Tatoeba (tatoeba.org), from the files of www.manythings.org/anki, both under CC BY 2.0 FR:
everyday sentences, 8 of 10 of them with 4 to 9 words. Greetings, everyday phrases, countries, numbers and the labels of
screens, which such sentences lack, come from a phrasebook written for this project (models/recipes/phrasebook.*). The
weights are released under the licence of the sentences (models/LICENSE). docs/data.md says where the text is obtained
and how it was split.

## How it was made

```
{commands}
```

with `NMT_DATA` set to the folder of corpora.{begun}
{own}
Dev set, greedy: perplexity {perplexity:.3f}, BLEU {bleu:.2f}, chrF2 {chrf:.2f}.
{shortlist}
## Scores (beam {beam})

Computed in {precision}{with_shortlist}, as `nmt translate` does on a CPU. `raw` translates each line as one segment
(`--raw`); `default` is what the service does; `greedy` is that with beam 1. `unflagged` leaves out the lines whose
English side is one token away from a sentence that it has seen in training, be it beside another language. `all`
references: every translation that Tatoeba gives.

| set | route | lines | references | sentences | BLEU | chrF2 |
|---|---|---|---|---|---|---|
{table}

What people type, made from Tatoeba test (`nmt evaluate robustness`, seed {seed}; default route, two sentences as one
segment), beside the clean text:

| the source | case | clean BLEU | BLEU | ratio |
|---|---|---|---|---|
{robustness}

Signatures (sacreBLEU):

{signatures}

## Limits

- Next to no sentence that people wrote for its training has more than 20 words: long ones are translated badly (see
  FLORES-200).
- It knows everyday language. Technical terms and news are spelt out in pieces and often wrong;
  some names lose their ending.
- It has no sense of context between sentences: gender and forms of address are guessed.
"""

SHORTLIST = """
The shortlist was learnt from the same pairs; it leaves a test sentence {words:,.0f} output words on
average.
"""


@dataclass(frozen=True)
class TestSet:
    """Files of one set."""

    name: str
    source: Path
    references: tuple[Path, ...]
    english: Path | None = None
    """Its English side, where training text may have near copies of it."""

    def read(self, near: NearCopies) -> EvaluationSet:
        """Sources and references, near copies of training text flagged."""
        found = read_evaluation_set(self.references, source=self.source)
        if self.english is None:
            return found
        return replace(found, flags=[near.has(line) for line in read_lines(self.english)])


def test_sets(source: str, target: str, tatoeba: Path, flores: Path | None, news: Path | None) -> Iterator[TestSet]:
    """The sets of a language pair that are there. Only from English are there several references a line."""
    for name in ("test", "test_long"):
        plain, several = tatoeba / f"{name}.{target}.gz", tatoeba / f"{name}.allrefs.{target}.gz"
        if plain.is_file():
            references = (several,) if several.is_file() else (plain,)
            yield TestSet(f"Tatoeba {name}", tatoeba / f"{name}.{source}.gz", references, tatoeba / f"{name}.en.gz")
    for name, stem in (("FLORES-200 devtest", "devtest"), ("newstest2014", "newstest2014")):
        folder = flores if stem == "devtest" else news
        if folder is not None:
            yield TestSet(name, folder / f"{stem}.{source}.gz", (folder / f"{stem}.{target}.gz",))


def score(translator: Translator, against: EvaluationSet, beam_size: int) -> Iterator[tuple[str, QualityRow]]:
    """(route, row) for every route; length buckets are left to `nmt evaluate quality`."""
    assert against.sources is not None
    for route in ROUTES:
        is_greedy = route == "greedy"
        options = TranslateOptions(beam_size=1 if is_greedy else beam_size, raw=route == "raw")
        outputs = [translation.text for translation in translator.translate(against.sources, options)]
        for row in evaluate(outputs, against).rows[: 1 if is_greedy else None]:
            if "words" not in row.group:
                yield route, row


def robustness(translator: Translator, against: EvaluationSet, beam_size: int) -> list[Cost]:
    """What typing errors and their like cost."""
    assert against.sources is not None
    options = TranslateOptions(beam_size=beam_size)
    clean = [translation.text for translation in translator.translate(against.sources, options)]
    found: list[Cost] = []
    for variant in variants(against):
        chosen = replace(options, splitting="none") if variant.is_one_segment else options
        outputs = [translation.text for translation in translator.translate(variant.sources, chosen)]
        found += (cost for cost in costs_of(variant, clean, outputs) if cost.score.metric == "BLEU")
    return found


def shortlist_section(bundle: Bundle, tatoeba: Path) -> str:
    """What the shortlist leaves, where there is one."""
    if bundle.shortlist is None:
        return ""
    texts = list(read_lines(tatoeba / f"test.{bundle.config.source_lang}.gz"))
    sizes = [len(bundle.shortlist.words(ids)) for ids in bundle.tokenizers.source.encode_batch(texts)]
    return SHORTLIST.format(words=sum(sizes) / len(sizes))


def commands(bundle: Bundle, model: Path, recipes: Sequence[Path]) -> str:
    """What was run, in order."""
    lines = [f"nmt train {recipe}" for recipe in recipes]
    lines[-1] += f" --storage {bundle.config.storage}"
    if bundle.shortlist is not None:
        recipe = load_recipe(recipes[-1])
        corpora = [
            f"--{side} {_quoted(path)}"
            for corpus in recipe.data.train
            for side, path in zip(("source", "target"), corpus, strict=True)
        ]
        lines.append(shlex.join(["nmt", "shortlist", f"{recipe.output}/bundle"]) + f" {' '.join(corpora)} -o {model}")
    return "\n".join(lines)


def _quoted(path: str) -> str:
    return f'"{path}"' if "$" in path else shlex.quote(path)


def effort(bundle: Bundle) -> str:
    """What a training took."""
    summary = bundle.config.training
    return (
        f"{summary['epochs']:g} epochs of {summary['pairs']:,} pairs, {summary['updates']:,} updates, "
        f"{summary['target_tokens']:,} target\ntokens, {summary['seconds'] / 60:.0f} minutes of one busy core."
    )


def card(
    bundle: Bundle,
    begun_from: Bundle | None,
    precision: str,
    sections: Sequence[tuple[str, list[tuple[str, QualityRow]]]],
    costs: Sequence[Cost],
    *,
    made_by: str,
    shortlist: str,
    seed: int,
) -> str:
    """The card in Markdown. `precision`: what the scores were computed in."""
    config = bundle.config
    begun = "" if begun_from is None else f" What it began with:\n{effort(begun_from)} Then:"
    dev: dict[str, Any] = config.training["dev"]
    rows = [(name, route, row) for name, found in sections for route, row in found]
    table = [
        f"| {name} | {route} | {row.group} | {row.references} | {row.sentences:,} "
        f"| {row.bleu.value:.2f} | {row.chrf.value:.2f} |"
        for name, route, row in rows
    ]
    made = [
        f"| {cost.variant} | {'ignored' if cost.is_lowercase else 'counts'} | {cost.clean.value:.2f} "
        f"| {cost.score.value:.2f} | {cost.ratio:.3f} |"
        for cost in costs
    ]
    scores = [score for *_, row in rows for score in (row.bleu, row.chrf)] + [cost.score for cost in costs]
    return CARD.format(
        source=NAMES[config.source_lang],
        target=NAMES[config.target_lang],
        model=describe_model(bundle),
        storage=config.storage,
        commands=made_by,
        begun=begun,
        own=effort(bundle),
        perplexity=dev["perplexity"],
        bleu=dev["bleu"],
        chrf=dev["chrf"],
        shortlist=shortlist,
        precision=precision,
        with_shortlist=" with the shortlist" if bundle.shortlist else "",
        beam=config.search.beam_size,
        table="\n".join(table),
        seed=seed,
        robustness="\n".join(made),
        signatures="\n".join(dict.fromkeys(f"- {one.metric}: `{one.signature}`" for one in scores)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--recipes", type=Path, nargs="+", required=True, help="what made it, in order, as the card names it"
    )
    parser.add_argument("--begun-from", type=Path, metavar="BUNDLE", help="the model that training began with")
    parser.add_argument("--english", type=Path, nargs="+", required=True, help="training text's English sides")
    parser.add_argument("--tatoeba", type=Path, default=TATOEBA, help="folder with test.XX.gz and their like")
    parser.add_argument("--flores", type=Path, help="folder with devtest.XX.gz")
    parser.add_argument("--news", type=Path, help="folder with newstest2014.XX.gz")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--precision", default="auto", help="what to compute in (nmt translate --precision)")
    parser.add_argument("--print", action="store_true", help="print the card and leave the bundle alone")
    chosen = parser.parse_args()
    bundle = load_bundle(chosen.model)
    pair = (bundle.config.source_lang, bundle.config.target_lang)
    near = NearCopies(line for path in chosen.english for line in read_lines(path))
    tests = {one.name: one.read(near) for one in test_sets(*pair, chosen.tatoeba, chosen.flores, chosen.news)}
    with Translator.load(chosen.model, precision=chosen.precision, workers=chosen.workers) as translator:
        precision = translator.info.precision
        sections = [(name, list(score(translator, test, chosen.beam))) for name, test in tests.items()]
        costs = robustness(translator, next(iter(tests.values())), chosen.beam)
    text = card(
        bundle,
        None if chosen.begun_from is None else load_bundle(chosen.begun_from),
        precision,
        sections,
        costs,
        made_by=commands(bundle, chosen.model, chosen.recipes),
        shortlist=shortlist_section(bundle, chosen.tatoeba),
        seed=SEED,
    )
    print(text)
    if not chosen.print:
        rewrite_card(chosen.model, text)


if __name__ == "__main__":
    main()
