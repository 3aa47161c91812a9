"""Score a shipped model on its test sets and write its card.

    python -m benchmarks.model_card models/en-de --recipe models/recipes/en-de.toml --flores "$NMT_DATA/flores200"

Tatoeba's sets lie in benchmarks/data. FLORES-200 devtest is scored where its folder is given (docs/data.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.bundle import Bundle, load_bundle, rewrite_card
from nmt.data.corpus import read_lines
from nmt.evaluation.quality import QualityRow, evaluate, read_evaluation_set
from nmt.hardware import available_cores
from nmt.inference import TranslateOptions, Translator
from nmt.training.card import describe_model

TATOEBA = Path(__file__).parent / "data"
NAMES = {"en": "English", "de": "German"}


CARD = """\
# {source} to {target}

{model} Weights are stored as {storage}.

## Data and licence

Trained on {pairs:,} pairs of Tatoeba sentences (tatoeba.org), from the English-German file of www.manythings.org/anki,
both under CC BY 2.0 FR: everyday sentences, 8 of 10 of them with 4 to 9 words. The weights are released under the same
licence (models/LICENSE). docs/data.md says where the text is obtained and how it was split.

## How it was made

```
nmt train {recipe} --storage {storage}
```

with `NMT_DATA` set to the folder of corpora. {epochs:g} epochs, {updates:,} updates, {tokens:,} target tokens in
{minutes:.0f} minutes on one core of a machine that was busy with other work ({rate:,.0f} target tokens/s).
Dev set, greedy: perplexity {perplexity}, BLEU {bleu}, chrF2 {chrf}.
{shortlist}
## Scores (beam {beam})

Computed in {precision}{with_shortlist}, as `nmt translate` does on a CPU. `raw` translates each line as one segment
(`--raw`); `default` is what the service does. `unflagged` leaves out the lines whose English side is one token away
from a training sentence. `all` references: every translation that Tatoeba gives.

| set | route | lines | references | sentences | BLEU | chrF2 |
|---|---|---|---|---|---|---|
{table}

Signatures (sacreBLEU):

{signatures}

## Limits

- It has seen next to no sentence of more than 20 words: long ones are translated badly (see FLORES-200).
- It knows everyday language. Names, technical terms and news are spelt out in pieces and often wrong.
- It has no sense of context between sentences: gender and forms of address are guessed.
"""

SHORTLIST = """
The shortlist was learnt from the same text; it leaves a test sentence {words:,.0f} output words on average:

```
nmt shortlist {model} --source "$NMT_DATA/{corpus}/train.{source}.gz" --target "$NMT_DATA/{corpus}/train.{target}.gz"
```
"""
CORPUS = "tatoeba-en-de"


@dataclass(frozen=True)
class TestSet:
    """Files of one set."""

    name: str
    source: Path
    references: tuple[Path, ...]
    flags: Path | None = None


def test_sets(source: str, target: str, flores: Path | None) -> Iterator[TestSet]:
    """The sets of a language pair. Only German has several references a line."""
    for name in ("test", "test_long"):
        plain, several = TATOEBA / f"{name}.{target}.gz", TATOEBA / f"{name}.allrefs.{target}.gz"
        references = (several,) if several.is_file() else (plain,)
        yield TestSet(f"Tatoeba {name}", TATOEBA / f"{name}.{source}.gz", references, TATOEBA / f"{name}.near.gz")
    if flores is not None:
        yield TestSet("FLORES-200 devtest", flores / f"devtest.{source}.gz", (flores / f"devtest.{target}.gz",))


def score(translator: Translator, test: TestSet, beam_size: int) -> Iterator[tuple[str, QualityRow]]:
    """(route, row) for both routes; length buckets are left to `nmt evaluate quality`."""
    sources = list(read_lines(test.source))
    against = read_evaluation_set(test.references, source=test.source, flags=test.flags)
    for route in ("raw", "default"):
        options = TranslateOptions(beam_size=beam_size, raw=route == "raw")
        outputs = [translation.text for translation in translator.translate(sources, options)]
        for row in evaluate(outputs, against).rows:
            if "words" not in row.group:
                yield route, row


def shortlist_section(bundle: Bundle, model: Path) -> str:
    """How the shortlist was made, where there is one."""
    if bundle.shortlist is None:
        return ""
    source, target = bundle.config.source_lang, bundle.config.target_lang
    texts = list(read_lines(TATOEBA / f"test.{source}.gz"))
    sizes = [len(bundle.shortlist.words(ids)) for ids in bundle.tokenizers.source.encode_batch(texts)]
    return SHORTLIST.format(words=sum(sizes) / len(sizes), model=model, corpus=CORPUS, source=source, target=target)


def card(
    bundle: Bundle,
    model: Path,
    recipe: Path,
    precision: str,
    sections: Sequence[tuple[str, list[tuple[str, QualityRow]]]],
) -> str:
    """The card in Markdown. `precision`: what the scores were computed in."""
    config, summary = bundle.config, bundle.config.training
    dev: dict[str, Any] = summary["dev"]
    rows = [(name, route, row) for name, found in sections for route, row in found]
    table = [
        f"| {name} | {route} | {row.group} | {row.references} | {row.sentences:,} "
        f"| {row.bleu.value:.2f} | {row.chrf.value:.2f} |"
        for name, route, row in rows
    ]
    signatures = dict.fromkeys(f"- {s.metric}: `{s.signature}`" for *_, row in rows for s in (row.bleu, row.chrf))
    return CARD.format(
        source=NAMES[config.source_lang],
        target=NAMES[config.target_lang],
        model=describe_model(bundle),
        storage=config.storage,
        recipe=recipe,
        pairs=summary["pairs"],
        epochs=summary["epochs"],
        updates=summary["updates"],
        tokens=summary["target_tokens"],
        minutes=summary["seconds"] / 60,
        rate=summary["target_tokens"] / summary["seconds"],
        perplexity=dev["perplexity"],
        bleu=dev["bleu"],
        chrf=dev["chrf"],
        shortlist=shortlist_section(bundle, model),
        precision=precision,
        with_shortlist=" with the shortlist" if bundle.shortlist else "",
        beam=config.search.beam_size,
        table="\n".join(table),
        signatures="\n".join(signatures),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--recipe", type=Path, required=True, help="the recipe that made it, as the card names it")
    parser.add_argument("--flores", type=Path, help="folder with devtest.en.gz and devtest.de.gz")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--precision", default="auto", help="what to compute in (nmt translate --precision)")
    parser.add_argument("--print", action="store_true", help="print the card and leave the bundle alone")
    chosen = parser.parse_args()
    bundle = load_bundle(chosen.model)
    pair = (bundle.config.source_lang, bundle.config.target_lang)
    with Translator.load(chosen.model, precision=chosen.precision, workers=chosen.workers) as translator:
        precision = translator.info.precision
        sections = [(test.name, list(score(translator, test, chosen.beam))) for test in test_sets(*pair, chosen.flores)]
    text = card(bundle, chosen.model, chosen.recipe, precision, sections)
    print(text)
    if not chosen.print:
        rewrite_card(chosen.model, text)


if __name__ == "__main__":
    main()
