"""A study as one HTML page: no scripts, nothing from elsewhere; light and dark, for desks, phones and screen readers.

Every chart stands beside a table of the same figures, and nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from nmt.evaluation.charts import Bar, bars, histogram, scatter
from nmt.evaluation.differences import most_different, runs
from nmt.evaluation.rarity import FINEST_CUT, RAREST_WORD
from nmt.evaluation.scoring import LOWER_IS_BETTER
from nmt.evaluation.significance import LEVEL, Comparison
from nmt.evaluation.study import BY_LENGTH, OF_SENTENCES, Bucket, Measured, Study

SENTENCES_SHOWN = 15
"""Of each direction in which two systems differ, and of each fault."""
BIN = 5
"""Width of a histogram's bars, in points."""
DRAWN = ("BLEU", "chrF2++")
"""Metrics of the charts by bucket; the tables have the others."""

HEADINGS = {
    BY_LENGTH: "By length of the source",
    RAREST_WORD: "By rarity: how often training text has the rarest word",
    FINEST_CUT: "By rarity: pieces of the word that the model cuts finest",
}

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1c1e21; --soft: #595f66; --line: #d8dce0; --card: #f5f6f8;
  --s0: #0072b2; --s1: #c65600; --s2: #007a5a; --s3: #a4508b; --s4: #5f5f5f;
  --right-back: #d9efe3; --right-ink: #0b5233; --wrong-back: #fbe3d3; --wrong-ink: #7d3100 }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --ink: #e8eaed; --soft: #a5acb4; --line: #3a4046;
  --card: #1f2327; --s0: #56b4e9; --s1: #f0a04b; --s2: #3ecf9f; --s3: #e19bcf; --s4: #b5b5b5;
  --right-back: #143d2b; --right-ink: #a9e8c8; --wrong-back: #4a2a14; --wrong-ink: #ffc9a3 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: var(--ink); background: var(--back) }
main { max-width: 70rem; margin: 0 auto; padding: 1rem clamp(.8rem, 3vw, 2rem) 3rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0 .2rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem }
p { margin: .4rem 0; max-width: 46rem }
.soft, figcaption { color: var(--soft) }
.name { overflow-wrap: anywhere }
a { color: var(--s0) }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: .6rem 0; list-style: none }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1rem 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .75rem }
.card .interval { font-size: .85rem; white-space: nowrap }
.card b { font-size: 1.9rem; line-height: 1.2; display: block; font-variant-numeric: tabular-nums }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.2rem }
figure { margin: .4rem 0; max-width: 36rem }
.table { overflow-x: auto; margin: .5rem 0;
  background: linear-gradient(to right, var(--back) 1.5rem, transparent) local,
  linear-gradient(to left, var(--back) 1.5rem, transparent) right local,
  linear-gradient(to right, var(--line), transparent 1rem), linear-gradient(to left, var(--line), transparent 1rem) }
.table:focus-visible { outline: 2px solid var(--s0) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th[scope=row], thead th:first-child, .text { text-align: left }
tr > :first-child { padding-left: 0 }
th { font-weight: 600 } th[scope=row] { font-weight: 400 }
th[scope=row].name { white-space: normal; min-width: 5rem; max-width: 22rem }
.interval { color: var(--soft) }
details { margin: .5rem 0 } summary { cursor: pointer }
.chart { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif }
.chart text { fill: var(--ink) }
.chart .label, .chart .note, .chart .end { text-anchor: end }
.chart .note, .chart .tick { fill: var(--soft); font-size: 10.5px }
.chart .tick, .chart .axis { text-anchor: middle } .chart .tick.end { text-anchor: end }
.chart .value { font-size: 11px }
.chart path { fill: none }
.chart .grid { stroke: var(--line) } .chart .diagonal { stroke: var(--soft); stroke-dasharray: 4 3 }
.chart .whisker { stroke: var(--ink); stroke-width: 1.2 }
.chart .bar { stroke-width: 1.2 } .chart .step { stroke-width: 2 }
.s0 { fill: var(--s0); stroke: var(--s0) } .s1 { fill: var(--s1); stroke: var(--s1) }
.s2 { fill: var(--s2); stroke: var(--s2) } .s3 { fill: var(--s3); stroke: var(--s3) }
.s4 { fill: var(--s4); stroke: var(--s4) }
.chart rect.bar:not(.s0) { fill-opacity: .25 }
.chart path.step.s0 { fill: var(--s0); fill-opacity: .35 } .chart path.step.s1 { stroke-dasharray: 6 3 }
.dots { fill: var(--s0); fill-opacity: .55 } .dots.many { fill-opacity: .25 }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .4rem 0; list-style: none }
.legend svg { width: 1.6rem; height: .8rem; vertical-align: baseline; margin-right: .4rem }
.legend rect { stroke-width: 2 } .legend rect:not(.s0) { fill-opacity: .25 }
ol.sentences { list-style: none; padding: 0 }
ol.sentences > li { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .9rem; margin: .7rem 0 }
dl { display: grid; grid-template-columns: minmax(6rem, 13rem) 1fr; gap: .25rem .9rem; margin: .2rem 0 }
dt { color: var(--soft); overflow-wrap: anywhere; font-size: .92rem } dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 40rem) { th, td { padding: .25rem .45rem }
  dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } }
mark { border-radius: .2rem; padding: 0 .15rem; text-decoration-thickness: 2px; text-underline-offset: 3px }
mark.right { background: var(--right-back); color: var(--right-ink); text-decoration-line: underline }
mark.wrong { background: var(--wrong-back); color: var(--wrong-ink); text-decoration: underline wavy 1px }
code { font-size: .85rem; overflow-wrap: anywhere }
ul.signatures { padding-left: 1.1rem }
@media print { details > * { display: block } }
"""


@dataclass(frozen=True, slots=True)
class Texts:
    """What the test set is called, and the languages of its sides where they are known (as codes)."""

    title: str
    source_lang: str = ""
    target_lang: str = ""


def report(study: Study, texts: Texts) -> str:
    """The page."""
    sections = [
        ("scores", "Scores", _scores(study)),
        *([("significance", "Significance", _significance(study))] if study.others else []),
        *_by_bucket(study),
        *([("words", "Words by frequency", _words(study))] if study.system.words else []),
        ("sentences", "Scores of sentences", _sentences(study)),
        ("faults", "Faults", _faults(study, texts)),
        ("differences", _differences_title(study), _differences(study, texts)),
        ("how", "How this was made", _how(study)),
    ]
    links = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections)
    body = "\n".join(
        f'<section><h2 id="{key}">{escape(title)}</h2>\n{content}</section>' for key, title, content in sections
    )
    title = escape(texts.title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f"<h1>{title}</h1>\n{_summary(study)}\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n{body}\n</main></body></html>\n'
    )


def _summary(study: Study) -> str:
    """What a reader in a hurry takes away."""
    system = study.system
    cards = "".join(
        f'<div class="card"><span class="soft">{metric}{_hint(metric)}</span><b>{score.value:.2f}</b>'
        f'<span class="interval">95 %: {interval.low:.2f} to {interval.high:.2f}</span></div>'
        for metric, (score, interval) in system.scores.items()
    )
    verdicts = "".join(
        f"<p>{_verdict(system.name, other.name, tests[0])}</p>"
        for other, tests in zip(study.others, study.comparisons, strict=True)
    )
    references = len(study.against.references)
    many = f"up to {references} references each" if references > 1 else "one reference"
    return (
        f'<p><strong class="name">{escape(system.name)}</strong>: {len(study.against):,} sentences, {many}.</p>'
        f'<div class="cards">{cards}</div>{verdicts}'
    )


def _hint(metric: str) -> str:
    return ", lower is better" if metric in LOWER_IS_BETTER else ""


def _verdict(name: str, other: str, test: Comparison) -> str:
    ours, theirs = _strong(name), _strong(other)
    difference = abs(test.ours - test.theirs)
    p = _p(test.p_randomisation)
    if difference < 0.005:
        return f"By {test.metric}, {ours} and {theirs} are level."
    where = "ahead of" if test.is_better else "behind"
    said = (
        f"so chance alone hardly explains it (p below {LEVEL:g})."
        if test.is_significant
        else f"so chance may well have made the difference (p not below {LEVEL:g})."
    )
    result = f"By {test.metric}, {ours} is {difference:.2f} {where} {theirs}"
    return f"{result}; approximate randomisation gives p = {p}, {said}"


def _strong(name: str) -> str:
    return f'<strong class="name">{escape(name)}</strong>'


def _p(p: float) -> str:
    return f"{p:.4f}" if p < 0.01 else f"{p:.3f}"


def _scores(study: Study) -> str:
    rows = []
    for system in study.systems:
        _, *body = system.report.table()
        rows += [(system.name, *row) for row in body if row[0] in ("all", "unflagged")]
    header = ("system", *study.system.report.table()[0])
    if len({row[1:3] for row in rows}) == 1:  # nothing to tell apart
        header, rows = (header[0], *header[3:]), [(row[0], *row[3:]) for row in rows]
    note = "Scores go from 0 to 100."
    if "TER" in study.system.scores:
        note = "TER counts edits for 100 words of the reference: lower is better. The other scores go from 0 to 100."
    table = _table("Corpus scores", header, rows, names=True, texts=("lines", "references"))
    return f'{table}<p class="soft">{note}</p>'


def _significance(study: Study) -> str:
    parts = []
    for other, tests in zip(study.others, study.comparisons, strict=True):
        rows = [
            (
                test.metric,
                f"{test.ours:.2f}",
                f"{test.theirs:.2f}",
                f"{test.ours - test.theirs:+.2f}",
                f"{test.difference.low:+.2f} to {test.difference.high:+.2f}",
                f"{100 * test.wins:.1f} %",
                f"{test.p_bootstrap:.4f}",
                f"{test.p_randomisation:.4f}",
            )
            for test in tests
        ]
        header = (
            "metric",
            "score",
            "other",
            "difference",
            "95 % of differences",
            "better in",
            "p, paired bootstrap",
            "p, randomisation",
        )
        parts.append(_table(f"{study.system.name} (score) against {other.name} (other)", header, rows))
    note = (
        f"“Better in”: share of {study.resamples:,} resampled test sets in which the system has the better score. The "
        f"paired bootstrap (Koehn 2004) uses the same resamples; approximate randomisation (Riezler and Maxwell 2005) "
        f"lets the two outputs of sentences change places, {study.trials:,} times. Of the two it assumes less."
    )
    return "".join(parts) + f'<p class="soft">{note}</p>'


def _by_bucket(study: Study) -> Iterable[tuple[str, str, str]]:
    for number, kind in enumerate(dict.fromkeys(bucket.kind for bucket in study.system.buckets)):
        chosen = [[bucket for bucket in system.buckets if bucket.kind == kind] for system in study.systems]
        names = [bucket.name for bucket in chosen[0]]
        labels = [(name, f"n={len(bucket.lines):,}") for name, bucket in zip(names, chosen[0], strict=True)]
        charts = "".join(_bucket_chart(study, kind, metric, labels, chosen) for metric in DRAWN)
        rows = [
            (
                system.name,
                name,
                f"{len(bucket.lines):,}",
                *(
                    f"{score.value:.2f} ({interval.low:.1f} to {interval.high:.1f})"
                    for score, interval in bucket.scores.values()
                ),
            )
            for system, some in zip(study.systems, chosen, strict=True)
            for name, bucket in zip(names, some, strict=True)
        ]
        table = _table(
            f"Scores by {kind}, with 95 % intervals",
            ("system", kind, "sentences", *chosen[0][0].scores),
            rows,
            names=True,
            texts=(kind,),
        )
        content = f'{_legend(study)}<div class="charts">{charts}</div>{_folded("These figures as a table", table)}'
        yield f"by-{number}", HEADINGS.get(kind, f"By {kind}"), content


def _bucket_chart(
    study: Study, kind: str, metric: str, labels: Sequence[tuple[str, str]], chosen: Sequence[Sequence[Bucket]]
) -> str:
    series = [
        [
            Bar(score.value, interval.low, interval.high)
            for score, interval in (bucket.scores[metric] for bucket in some)
        ]
        for some in chosen
    ]
    values = "; ".join(
        f"{label}: " + " and ".join(f"{some[k].value:.1f}" for some in series) for k, (label, _) in enumerate(labels)
    )
    drawn = bars(f"{metric} by {kind}, {_told(study)}. {values}.", labels, series)
    return f"<figure><figcaption>{metric} by {escape(kind)}; lines: 95 % intervals</figcaption>{drawn}</figure>"


def _told(study: Study) -> str:
    """Whose figures stand beside each other, for those who cannot see the colours."""
    return "of " + " and ".join(system.name for system in study.systems)


def _words(study: Study) -> str:
    series = [[Bar(100 * row.f1, 100 * row.f1, 100 * row.f1) for row in system.words] for system in study.systems]
    # every system has the buckets of the reference; a bucket that only some outputs have is left to the table
    common = [row.occurrences for row in study.system.words if row.reference]
    picked = [
        [bar for bar, row in zip(some, system.words, strict=True) if row.occurrences in common]
        for some, system in zip(series, study.systems, strict=True)
    ]
    sizes = {row.occurrences: row.reference for row in study.system.words}
    labels = [(name, f"n={sizes[name]:,}") for name in common]
    rows = [
        (
            system.name,
            row.occurrences,
            f"{row.reference:,}",
            f"{row.output:,}",
            f"{100 * row.precision:.1f}",
            f"{100 * row.recall:.1f}",
            f"{100 * row.f1:.1f}",
        )
        for system in study.systems
        for row in system.words
    ]
    header = ("system", "in training text", "in the reference", "in the output", "precision", "recall", "F1")
    caption = "Words shared with the first reference, in per cent"
    table = _table(caption, header, rows, names=True, texts=("in training text",))
    chart = ""
    if common:
        values = "; ".join(
            f"{name}: " + " and ".join(f"{some[k].value:.1f}" for some in picked) for k, name in enumerate(common)
        )
        caption = "F1 of words, in per cent, by how often the word stands in training text; n: in the reference"
        drawn = bars(f"F1 of words by frequency, {_told(study)}. {values}.", labels, picked)
        chart = f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"
    return f"{_legend(study)}{chart}{_folded('These figures as a table', table)}"


def _sentences(study: Study) -> str:
    edges = list(range(0, 100 + BIN, BIN))
    series = [system.sentences for system in study.systems]
    medians = ", ".join(f"{system.name}: {np.median(system.sentences):.1f}" for system in study.systems)
    summary = f"Histogram of {OF_SENTENCES} of single sentences. Medians: {medians}."
    drawn = histogram(summary, series, edges, f"{OF_SENTENCES} of a sentence")
    caption = f"How many sentences have which {OF_SENTENCES}. Medians: {escape(medians)}"
    charts = [f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"]
    for other in study.others:
        charts.append(_scatter(study.system, other))
    rows = [
        (
            f"{low} to {low + BIN}",
            *(f"{counts[k]:,}" for counts in (np.histogram(some, bins=edges)[0] for some in series)),
        )
        for k, low in enumerate(edges[:-1])
    ]
    table = _table("Sentences by score", (OF_SENTENCES, *(system.name for system in study.systems)), rows)
    folded = _folded("The histogram as a table", table)
    return f'{_legend(study)}<div class="charts">{"".join(charts)}</div>{folded}'


def _scatter(ours: Measured, theirs: Measured) -> str:
    gain = ours.sentences - theirs.sentences
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    level = len(gain) - better - worse
    told = f"{ours.name} is higher in {better:,} sentences, {theirs.name} in {worse:,}; {level:,} level"
    drawn = scatter(f"Scatter of scores. {told}.", theirs.sentences, ours.sentences, (theirs.name, ours.name))
    caption = f"A dot a sentence: {OF_SENTENCES} of both systems. {escape(told)}"
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def _faults(study: Study, texts: Texts) -> str:
    rows = []
    for system in study.systems:
        found = system.faults
        rows.append(
            (
                system.name,
                _rate(found.loops, found.sentences),
                "unknown" if found.copies is None else _rate(found.copies, found.sentences),
                _rate(found.empty, found.sentences),
                f"{100 * found.doubled / max(found.words, 1):.2f} %",
                f"{found.length_ratio:.3f}",
            )
        )
    found = study.system.faults
    doubled = f"{100 * found.reference_doubled / max(found.reference_words, 1):.2f} %"
    rows.append(("reference", "", "", "", doubled, "1.000"))
    header = ("system", "repetitions", "copies", "empty", "doubled words", "length ratio")
    note = (
        "Repetitions: something is said three times in a row, and more often than in the source. Copies: the output is "
        "the source again, and the reference is not. Length ratio: words of the output over words of the first "
        "reference."
    )
    table = _table("Faults that scores hardly show", header, rows, names=True)
    examples = [
        _folded(
            f"{title} of {system.name}: {len(lines):,}{_first(len(lines))}",
            _listed([_one(study, texts, line, [system]) for line in lines[:SENTENCES_SHOWN]]),
        )
        for system in study.systems
        for title, lines in (("Repetitions", system.faults.loops), ("Copies", system.faults.copies or ()))
        if lines
    ]
    return f'{table}<p class="soft">{note}</p>{"".join(examples)}'


def _listed(items: Iterable[str]) -> str:
    return f'<ol class="sentences">{"".join(items)}</ol>'


def _first(number: int) -> str:
    return f", the first {SENTENCES_SHOWN}" if number > SENTENCES_SHOWN else ""


def _rate(lines: Sequence[int], sentences: int) -> str:
    return f"{len(lines):,} ({100 * len(lines) / sentences:.2f} %)"


def _differences_title(study: Study) -> str:
    return "Where the systems differ most" if study.others else "Sentences with the lowest scores"


def _differences(study: Study, texts: Texts) -> str:
    ours = study.system
    legend = (
        '<p class="soft">Marked: words that {other}; <mark class="right">solid line</mark>: they are in '
        'a reference, <mark class="wrong">wavy line</mark>: they are in none. Scores: ' + OF_SENTENCES + ".</p>"
    )
    if not study.others:
        lowest = np.argsort(ours.sentences, kind="stable")[:SENTENCES_SHOWN].tolist()
        return legend.format(other="the first reference has not, or not there") + _listed(
            _one(study, texts, line, [ours]) for line in lowest
        )
    parts = [legend.format(other="the other output has not, or not there")]
    for theirs in study.others:
        better, worse = most_different(ours.sentences, theirs.sentences, SENTENCES_SHOWN)
        for winner, lines in ((ours, better), (theirs, worse)):
            loser = theirs if winner is ours else ours
            items = [_one(study, texts, line, [ours, theirs]) for line in lines]
            title = f"{winner.name} scores higher than {loser.name}"
            parts.append(f'<h3 class="name">{escape(title)}</h3>')
            parts.append(_listed(items) if lines else "<p>Nowhere.</p>")
    return "".join(parts)


def _one(study: Study, texts: Texts, line: int, systems: Sequence[Measured]) -> str:
    """A sentence with its source, its references and what systems made of it."""
    known = [column[line] for column in study.against.references]
    references = [text for text in known if text is not None]
    rows = []
    if study.against.sources is not None:
        rows.append(("source", _text(study.against.sources[line], texts.source_lang)))
    names = ["reference"] if len(references) == 1 else [f"reference {k + 1}" for k in range(len(references))]
    rows += [(name, _text(text, texts.target_lang)) for name, text in zip(names, references, strict=True)]
    outputs = [system.hypotheses[line] for system in systems]
    beside = outputs[::-1] if len(systems) == 2 else references[:1]
    for system, output, other in zip(systems, outputs, beside, strict=True):
        marked = " ".join(
            escape(run.text) if run.kind == "shared" else f'<mark class="{run.kind}">{escape(run.text)}</mark>'
            for run in runs(output, other, references)
        )
        named = f"{escape(system.name)} ({system.sentences[line]:.1f})"
        content = marked or '<em class="soft">nothing</em>'
        rows.append((named, f'<bdi{_lang(texts.target_lang)} dir="auto">{content}</bdi>'))
    items = "".join(f"<dt>{name}</dt><dd>{content}</dd>" for name, content in rows)
    return f'<li><span class="soft">Line {line + 1:,}</span><dl>{items}</dl></li>'


def _text(text: str, lang: str) -> str:
    return f'<bdi{_lang(lang)} dir="auto">{escape(text)}</bdi>'


def _lang(code: str) -> str:
    return f' lang="{escape(code)}"' if code else ""


def _how(study: Study) -> str:
    signatures = "".join(f"<li><code>{escape(one)}</code></li>" for one in study.signatures())
    return (
        f"<p>Scores by sacreBLEU, with these signatures:</p><ul class=signatures>{signatures}</ul>"
        f"<p>Intervals are the middle 95 % of {study.resamples:,} bootstrap resamples of the sentences (seed "
        f"{study.seed}). Rows by length or rarity are scored against the first reference, as are words. They are many: "
        "a gap in one of them alone proves little.</p>"
    )


def _legend(study: Study) -> str:
    if not study.others:
        return ""
    items = "".join(
        f'<li class="name"><svg viewBox="0 0 32 16" aria-hidden="true"><rect class="s{k % 5}" x="1" y="1" width="30" '
        f'height="14"/></svg>{escape(system.name)}</li>'
        for k, system in enumerate(study.systems)
    )
    return f'<ul class="legend" aria-label="Systems">{items}</ul>'


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    names: bool = False,
    texts: Sequence[str] = (),
) -> str:
    """A table that scrolls in its own frame.

    `names`: the first column holds names, which may be long. `texts`: further columns that hold no numbers.
    """
    sides = [' class="text"' if name in texts else "" for name in header]
    head = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(header, sides, strict=True))
    kind = ' class="name"' if names else ""
    body = "".join(
        f'<tr><th scope="row"{kind}>{escape(first)}</th>{_cells(rest, sides[1:])}</tr>' for first, *rest in rows
    )
    return (
        f'<div class="table" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(cells: Sequence[str], sides: Sequence[str]) -> str:
    return "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(cells, sides, strict=True))
