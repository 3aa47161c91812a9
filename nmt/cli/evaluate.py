"""`nmt evaluate`: what a model's translations, or translations from anywhere, are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import (
    DeviceOption,
    EnsembleOption,
    EnsembleWeightsOption,
    MbrOption,
    PrecisionOption,
    WorkersOption,
    bundle_folder,
    chosen_ensemble,
    load_translator,
    one_thread_a_process,
)
from nmt.cli.options import given
from nmt.cli.progress import LineProgress
from nmt.cli.translations import translations
from nmt.data.corpus import read_lines
from nmt.errors import ConfigError, CorpusError
from nmt.evaluation.alignment import (
    Link,
    check_fits,
    evaluate_alignment,
    grow_diag_final_and,
    pharaoh,
    read_gold,
    read_links,
)
from nmt.evaluation.quality import EvaluationSet, read_evaluation_set
from nmt.evaluation.rarity import (
    FINEST_CUT,
    MOST_PIECES,
    RAREST_WORD,
    by_pieces,
    by_rarest_word,
    count_words,
)
from nmt.evaluation.report import Texts, report
from nmt.evaluation.robustness import Cost, RobustnessReport, Variant, costs_of, variants
from nmt.evaluation.scoring import TOKENIZERS, WORDS_FOR_TER, check_tokenizer, longest_line
from nmt.evaluation.significance import RESAMPLES, SEED, TRIALS, Comparison
from nmt.evaluation.study import Study, check_count, study
from nmt.files import check_outputs, unwritten, write_output
from nmt.inference import Ensemble, TranslateOptions

PREDICTING = "predicting"

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Score translations, word alignments, and what noise costs a model."""


SourceOption = Annotated[Path | None, typer.Option("--source", metavar="FILE", help="Text to translate.")]
ReferenceOption = Annotated[
    list[Path] | None,
    typer.Option("--reference", metavar="FILE", help="Its translation by people; again for further ones."),
]
TabsOption = Annotated[
    bool | None,
    typer.Option(
        "--tabs/--no-tabs", help="Several references a line, between tabs. Default: if .allrefs. is in the name."
    ),
]
TokenizeOption = Annotated[str, typer.Option("--tokenize", help=f"BLEU's tokenizer: {', '.join(TOKENIZERS)}.")]
LowercaseOption = Annotated[
    bool, typer.Option("--lowercase", help="Compare without case (BLEU and chrF; TER never minds it).")
]
BeamOption = Annotated[int | None, typer.Option("--beam", min=1, max=1000, help="Beam size. Default: the model's own.")]
RawOption = Annotated[
    bool, typer.Option("--raw", help="A line is one sentence: no splitting, no repair. As benchmarks are run.")
]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=40, max=1_000_000, help="Bootstrap resamples, for intervals and the test.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def quality(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="Folder of the model bundle that translates --source.")
    ] = None,
    source: SourceOption = None,
    references: ReferenceOption = None,
    hypothesis: Annotated[
        Path | None, typer.Option("--hypothesis", metavar="FILE", help="Score this file instead of a model's output.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", metavar="FILE|MODEL", help="Translations by another system, or its bundle; again for more."
        ),
    ] = None,
    flags: Annotated[
        Path | None,
        typer.Option("--flags", metavar="FILE", help="A 0 or 1 a line: the lines with 0 are scored by themselves too."),
    ] = None,
    tabs: TabsOption = None,
    tokenize: TokenizeOption = "13a",
    lowercase: LowercaseOption = False,
    ter: Annotated[
        bool | None,
        typer.Option("--ter/--no-ter", help=f"Compute TER. Default: if no line has more than {WORDS_FOR_TER} words."),
    ] = None,
    train_source: Annotated[
        list[Path] | None,
        typer.Option("--train-source", metavar="FILE", help="Training text: rows by the source's rarest word in it."),
    ] = None,
    train_target: Annotated[
        list[Path] | None,
        typer.Option(
            "--train-target", metavar="FILE", help="Its translation: words that are right, by frequency in it."
        ),
    ] = None,
    resamples: ResamplesOption = RESAMPLES,
    trials: Annotated[
        int, typer.Option("--trials", min=40, max=10_000_000, help="Trials of approximate randomisation.")
    ] = TRIALS,
    seed: SeedOption = SEED,
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with pictures and sentences.")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Of the page. Default: the system and the test set.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the model's translations.")
    ] = None,
    ensemble: EnsembleOption = None,
    ensemble_weights: EnsembleWeightsOption = "",
    beam: BeamOption = None,
    mbr: MbrOption = None,
    raw: RawOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """BLEU, chrF2, chrF2++ and TER, with sacreBLEU's signatures; significance; what goes wrong.

    nmt evaluate quality MODEL --source FILE --reference FILE

    nmt evaluate quality --hypothesis FILE --against FILE --reference FILE --report FILE.html
    """
    if hypothesis is not None and hypothesis.is_dir():
        raise ConfigError(f"{hypothesis}: a folder, where --hypothesis is a file: a model is named without it")
    if (model is None) == (hypothesis is None):
        raise ConfigError("name either a model, with --source, or --hypothesis with a file of translations")
    has_model = model is not None or any(path.is_dir() for path in others or ())
    if source is None and has_model:
        raise ConfigError("a model needs --source: the text that it is to translate")
    asked = given(beam=beam, mbr=mbr, raw=raw, device=device != "auto", precision=precision != "auto", workers=workers)
    if asked and not has_model:
        raise ConfigError(f"{asked}: for a model that translates, and here is none")
    together = chosen_ensemble(ensemble, ensemble_weights)
    if together is not None and model is None:
        raise ConfigError("--ensemble needs a model that the others translate together with")
    folder = None if model is None else bundle_folder(model)
    folders = [bundle_folder(path) for path in (folder, *(others or ())) if path is not None and path.is_dir()]
    if train_source and source is None:
        raise ConfigError("--train-source needs --source: its words are looked up in the training text")
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{page}: the report is a page, so its name ends in .html")
    check_outputs(page, output)
    check_tokenizer(tokenize)
    against = read_evaluation_set(references or [], source=source, flags=flags, tabs=tabs)

    def translated(path: Path, ensemble: Ensemble | None) -> Sequence[str]:
        assert against.sources is not None
        options = TranslateOptions(beam_size=beam, mbr=mbr or 0, raw=raw)
        with load_translator(
            path, device, workers, len(against.sources), precision=precision, ensemble=ensemble
        ) as translator:
            return translations(translator, against.sources, options)

    chosen = hypothesis if folder is None else folder
    assert chosen is not None
    paths = [chosen, *(others or ())]
    names = _names([*paths, *(together.folders if together else ())])
    names[0] = "+".join([names[0], *names[len(paths) :]])
    named = list(zip(names, paths, strict=False))
    # before anything is translated, so that what is wrong with a file is told at once
    files = {path: _read_translations(path, name, against) for name, path in named if not path.is_dir()}
    frequencies = count_words(train_target) if train_target else None
    rarity = _rarity(against, train_source, folders[0] if folders else None)
    systems = [
        (name, files[path] if path in files else translated(path, together if number == 0 else None))
        for number, (name, path) in enumerate(named)
    ]
    if output is not None:
        write_output(output, "".join(f"{line}\n" for line in systems[0][1]))
    found = study(
        systems,
        against,
        tokenize=tokenize,
        lowercase=lowercase,
        ter=_is_quick_by_ter(systems, against) if ter is None else ter,
        rarity=rarity,
        frequencies=frequencies,
        resamples=resamples,
        trials=trials,
        seed=seed,
    )
    if page is not None:
        write_output(page, report(found, _texts(title, found, references or [], folders)))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _print_study(found)


def _read_translations(path: Path, name: str, against: EvaluationSet) -> Sequence[str]:
    lines = list(read_lines(path))
    check_count(name, lines, against)
    return lines


def _is_quick_by_ter(systems: Sequence[tuple[str, Sequence[str]]], against: EvaluationSet) -> bool:
    """Whether no line is so long that its TER takes seconds; says so where one is."""
    for _, hypotheses in systems:
        line, words = longest_line(hypotheses, against.references)
        if words > WORDS_FOR_TER:
            message = f"warning: TER is left out: line {line} has {words} words, and such lines take seconds each"
            typer.echo(f"{message} (--ter computes it all the same)", err=True)
            return False
    return True


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path; of two that end alike as much as tells them apart, or a number behind it."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


def _rarity(
    against: EvaluationSet, train_source: Sequence[Path] | None, folder: Path | None
) -> dict[str, dict[str, list[int]]]:
    """Buckets of lines by how rare their words are: in training text, or else for a bundle's vocabulary."""
    if against.sources is None:
        return {}
    if train_source:
        return {RAREST_WORD: by_rarest_word(against.sources, count_words(train_source))}
    if folder is None:
        return {}
    from nmt.text.tokenizer import UNK_ID, load_tokenizers

    tokenizer = load_tokenizers(folder).source

    @cache
    def pieces(word: str) -> int:
        ids = tokenizer.encode(word)
        return MOST_PIECES if UNK_ID in ids else len(ids)

    return {FINEST_CUT: by_pieces(against.sources, pieces)}


def _texts(title: str, found: Study, references: Sequence[Path], folders: Sequence[Path]) -> Texts:
    """What a report says of its test set."""
    languages = ("", "")
    if folders:
        from nmt.bundle import load_config

        config = load_config(folders[0])
        languages = (config.source_lang, config.target_lang)
    return Texts(title or f"{found.system.name} on {references[0].name.removesuffix('.gz')}", *languages)


def _print_study(found: Study) -> None:
    console = Console(highlight=False)
    _print_table(found.system.report.table(), {"lines", "references"})
    console.print()
    _print_table(_intervals(found), {"system"})
    for other, tests in zip(found.others, found.comparisons, strict=True):
        console.print(f"\n{found.system.name} against {other.name}", markup=False)
        _print_table(_tests(tests), {"metric"})
    if found.system.words:
        console.print()
        _print_table(_words(found), {"system", "in training text"})
    console.print()
    _print_table(_fault_rows(found), {"system"})
    console.print()
    for signature in found.signatures():
        console.print(signature, markup=False, soft_wrap=True)


def _intervals(found: Study) -> list[tuple[str, ...]]:
    """Scores and 95 % intervals of every system."""
    rows = [
        (system.name, *(f"{score.value:.2f} ± {interval.half:.2f}" for score, interval in system.scores.values()))
        for system in found.systems
    ]
    return [("system", *(f"{metric} (95 %)" for metric in found.system.scores)), *rows]


def _tests(tests: Sequence[Comparison]) -> list[tuple[str, ...]]:
    rows = [
        (
            test.metric,
            f"{test.ours - test.theirs:+.2f}",
            f"{test.difference.low:+.2f} to {test.difference.high:+.2f}",
            f"{100 * test.wins:.1f} %",
            f"{test.p_bootstrap:.4f}",
            f"{test.p_randomisation:.4f}",
        )
        for test in tests
    ]
    return [("metric", "difference", "95 %", "better in", "p, bootstrap", "p, randomisation"), *rows]


def _words(found: Study) -> list[tuple[str, ...]]:
    rows = [
        (
            system.name,
            row.occurrences,
            str(row.reference),
            *(f"{100 * share:.1f}" for share in (row.precision, row.recall, row.f1)),
        )
        for system in found.systems
        for row in system.words
    ]
    return [("system", "in training text", "words", "precision", "recall", "F1"), *rows]


def _fault_rows(found: Study) -> list[tuple[str, ...]]:
    rows = []
    for system in found.systems:
        faults = system.faults
        copies = "" if faults.copies is None else f"{len(faults.copies)}"
        rows.append(
            (
                system.name,
                f"{len(faults.loops)}",
                copies,
                f"{len(faults.empty)}",
                f"{100 * faults.doubled / max(faults.words, 1):.2f} %",
                f"{faults.length_ratio:.3f}",
            )
        )
    return [("system", "repetitions", "copies", "empty", "doubled words", "length ratio"), *rows]


@app.command()
def robustness(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="Folder of the model bundle that translates the sets.")
    ] = None,
    source: SourceOption = None,
    references: ReferenceOption = None,
    tabs: TabsOption = None,
    sets: Annotated[
        Path | None,
        typer.Option("--sets", metavar="FOLDER", help="Write the sets there, and what the model makes of them."),
    ] = None,
    tokenize: TokenizeOption = "13a",
    lowercase: LowercaseOption = False,
    resamples: ResamplesOption = RESAMPLES,
    seed: SeedOption = SEED,
    beam: BeamOption = None,
    mbr: MbrOption = None,
    raw: RawOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """What typing errors, no full stop, other case and joined sentences cost a model, beside the clean text.

    nmt evaluate robustness MODEL --source FILE --reference FILE

    nmt evaluate robustness --source FILE --reference FILE --sets FOLDER
    """
    if source is None:
        raise ConfigError("--source is missing: the text of which the sets are made")
    if model is None and sets is None:
        raise ConfigError("name a model that translates the sets, or --sets with a folder to write them to")
    asked = given(beam=beam, mbr=mbr, raw=raw, device=device != "auto", precision=precision != "auto", workers=workers)
    if asked and model is None:
        raise ConfigError(f"{asked}: for a model that translates, and here is none")
    folder = None if model is None else bundle_folder(model)
    check_tokenizer(tokenize)
    against = read_evaluation_set(references or [], source=source, tabs=tabs)
    assert against.sources is not None
    made = variants(against, seed)
    if sets is not None:
        _check_columns(made)
        _write_sets(sets, made)
    if folder is None:
        return
    costs: list[Cost] = []
    options = TranslateOptions(beam_size=beam, mbr=mbr or 0, raw=raw)
    texts = len(against.sources) * (len(made) + 1)
    with load_translator(folder, device, workers, texts, precision=precision) as translator:
        clean = translations(translator, against.sources, options)
        for variant in made:
            chosen = replace(options, splitting="none") if variant.is_one_segment else options
            found = translations(translator, variant.sources, chosen)
            costs += costs_of(
                variant, clean, found, tokenize=tokenize, lowercase=lowercase, resamples=resamples, seed=seed
            )
            if sets is not None:
                _write_lines(sets / f"{_slug(variant)}.output", found)
    if sets is not None:
        _write_lines(sets / "clean.output", clean)
    result = RobustnessReport(seed, costs)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
        return
    _print_table(result.table(), {"set", "metric", "case"})
    console = Console(highlight=False)
    console.print()
    for signature in result.signatures():
        console.print(signature, markup=False, soft_wrap=True)


def _write_sets(folder: Path, made: Sequence[Variant]) -> None:
    """Each set's sources, and its references: between tabs where there are several a line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(unwritten(folder, error)) from None
    for variant in made:
        _write_lines(folder / f"{_slug(variant)}.source", variant.sources)
        columns = zip(*variant.references, strict=True)
        lines = ["\t".join(text for text in line if text is not None) for line in columns]
        kind = "reference" if len(variant.references) == 1 else "allrefs.reference"
        _write_lines(folder / f"{_slug(variant)}.{kind}", lines)


def _check_columns(made: Sequence[Variant]) -> None:
    """Raise ConfigError where several references could not be told apart between tabs."""
    for variant in made:
        if len(variant.references) == 1:
            continue
        for number, texts in enumerate(zip(*variant.references, strict=True), start=1):
            if any(text is not None and ("\t" in text or not text.strip()) for text in texts):
                message = f"--sets: {variant.name}, line {number}: a reference is empty or has a tab in it"
                raise ConfigError(f"{message}, and several are written between tabs")


def _slug(variant: Variant) -> str:
    return variant.name.replace(" ", "_")


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    write_output(path, "".join(f"{line}\n" for line in lines))


@app.command()
def alignment(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="Folder of the model bundle whose attention is the aligner."),
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", metavar="FILE", help="Text, words between blanks.")] = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="FILE", help="Its translation by people, line by line.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", metavar="FILE", help="People's links: i-j (sure), i?j or ipj (possible).")
    ] = None,
    backward: Annotated[
        Path | None,
        typer.Option("--backward", metavar="MODEL", help="A bundle of the other direction: both are joined, too."),
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", metavar="FILE", help="Score these links, i-j, instead of a model's.")
    ] = None,
    first_word: Annotated[
        int, typer.Option("--first-word", min=0, max=1, help="The number of a sentence's first word in --gold.")
    ] = 0,
    target_first: Annotated[
        bool, typer.Option("--target-first", help="In --gold the target word comes first: j-i.")
    ] = False,
    step: Annotated[
        str | None,
        typer.Option(
            metavar="predicting|reading",
            help="Whose weights are a word's: of the step that predicts it (default), or of the one reading it.",
        ),
    ] = None,
    output_path: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write the links; with --backward those of grow-diag-final-and."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Alignment error rate: a model's attention as a word aligner, against links that people made.

    nmt evaluate alignment MODEL --source FILE --target FILE --gold FILE

    nmt evaluate alignment --links FILE --gold FILE

    The model reads each source with its translation (forced decoding), and every target word is linked to the source
    word that its pieces attend to most.
    """
    if gold is None:
        raise ConfigError("--gold is missing: the links that people made")
    if (model is None) == (links is None):
        raise ConfigError("name either a model, with --source and --target, or --links with a file of links")
    if links is not None and backward is not None:
        raise ConfigError("--backward needs a model for the other direction, not --links")
    if links is not None and step is not None:
        raise ConfigError("--step is of a model's attention: not with --links")
    if model is not None and (source is None or target is None):
        raise ConfigError("a model needs --source and --target: the text and its translation by people")
    if (source is None) != (target is None):
        raise ConfigError("--source and --target go together: a text and its translation")
    check_outputs(output_path)
    right = read_gold(gold, first_word=first_word, target_first=target_first)
    pairs = None if source is None or target is None else _read_sides(source, target)
    if pairs is not None:
        check_fits([one.possible for one in right], pairs, gold)
    if links is not None:
        forward, other = read_links(links), None
        if pairs is not None:
            check_fits(forward, pairs, links)
    else:
        assert model is not None
        assert pairs is not None
        forward, other = _linked(bundle_folder(model), backward and bundle_folder(backward), pairs, step or PREDICTING)
    scores = evaluate_alignment(forward, right, other)
    if output_path is not None:
        joined = forward if other is None else list(map(grow_diag_final_and, forward, other))
        write_output(output_path, "".join(f"{pharaoh(some)}\n" for some in joined))
    if as_json:
        typer.echo(json.dumps({"sentences": len(right), "scores": scores.as_dict()}, indent=2))
    else:
        _print_table(scores.table(), {"links"})


def _read_sides(source: Path, target: Path) -> list[tuple[str, str]]:
    sides = list(read_lines(source)), list(read_lines(target))
    if len(sides[0]) != len(sides[1]):
        raise CorpusError(f"{len(sides[1])} lines, but {source} has {len(sides[0])}: they go line by line", path=target)
    return list(zip(*sides, strict=True))


def _linked(
    folder: Path, backward: Path | None, pairs: Sequence[tuple[str, str]], step: str
) -> tuple[list[frozenset[Link]], list[frozenset[Link]] | None]:
    """Links (source, target) by the model, and by the one of the other direction."""
    one_thread_a_process()
    from nmt.bundle import load_bundle
    from nmt.inference.aligner import STEPS, align_pairs

    chosen = next((known for known in STEPS if known == step), None)
    if chosen is None:
        raise ConfigError(f"no --step {step}: {' or '.join(STEPS)}")
    bundle = load_bundle(folder)
    other = None if backward is None else load_bundle(backward)
    languages = bundle.config.source_lang, bundle.config.target_lang
    if other is not None and (other.config.target_lang, other.config.source_lang) != languages:
        raise ConfigError(f"{backward}: --backward must be a model from {languages[1]} to {languages[0]}")
    turned = [(target, source) for source, target in pairs]
    with LineProgress(len(pairs) * (1 if other is None else 2)) as bar:
        found = align_pairs(bundle, pairs, step=chosen, advance=bar.advance)
        back = None if other is None else align_pairs(other, turned, step=chosen, advance=bar.advance)
    forward = [frozenset(one) for one in found]
    return forward, None if back is None else [frozenset((i, j) for j, i in one) for one in back]


def _print_table(rows: Sequence[tuple[str, ...]], text_columns: set[str]) -> None:
    """A header and rows, numbers to the right."""
    header, *rows = rows
    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name, justify="left" if name in text_columns else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:  # 80 columns by guess: names would be cut in files and pipes
        console.width = 1000
    console.print(table)
