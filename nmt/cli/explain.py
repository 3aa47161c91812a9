"""`nmt explain`: what a model looks at while it translates a sentence, on the terminal and as a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.models import ModelArgument, bundle_folder, one_thread_a_process
from nmt.errors import ConfigError
from nmt.files import check_outputs, write_output

if TYPE_CHECKING:
    from nmt.inference.explain import Explanation

PAGES = (".html", ".htm")


def explain(
    model: ModelArgument,
    sentence: Annotated[str, typer.Argument(metavar="SENTENCE", help="The sentence to translate.")],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TEXT", help="Explain this translation instead of the model's own."),
    ] = None,
    beam: Annotated[
        int | None, typer.Option("--beam", min=1, max=1000, help="Beam size. Default: the model's own.")
    ] = None,
    n_best: Annotated[int, typer.Option("--n-best", min=1, max=1000, help="Translations to explain, best first.")] = 1,
    hypothesis: Annotated[
        int, typer.Option("--hypothesis", min=1, max=1000, help="Which of them the pictures show, from 1.")
    ] = 1,
    words: Annotated[bool, typer.Option("--words", help="Merge pieces into words.")] = False,
    output_path: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Draw attention as .png, .svg or .pdf, or write a page, .html."
        ),
    ] = None,
    gates: Annotated[
        Path | None,
        typer.Option("--gates", metavar="FILE", help="Draw the gates of every layer as .png, .svg or .pdf."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a model looks at while it translates a sentence.

    The model's translation, or --target, is read by the network step by step. Printed are the attention of every target
    piece over the source, the piece's probability, and links between words, source-target, from 0. A page shows all
    translations and the gates of all layers.
    """
    folder = bundle_folder(model)
    if target is not None and (n_best > 1 or hypothesis > 1):
        raise ConfigError("--target is one translation: without --n-best and --hypothesis")
    n_best = max(n_best, hypothesis)
    _check_endings(output_path, gates)
    one_thread_a_process()
    from nmt.bundle import load_bundle
    from nmt.inference.explain import explain as explained

    found = explained(load_bundle(folder), sentence, target, beam_size=beam, n_best=n_best)
    if hypothesis > len(found):
        raise ConfigError(
            f"--hypothesis {hypothesis}: there are only {len(found)} translations; a wider --beam finds more"
        )
    chosen = found[hypothesis - 1]
    if output_path is not None:
        _draw(found, chosen, output_path, words=words)
    if gates is not None:
        from nmt.evaluation.pictures import gate_map

        gate_map(_layers(chosen), gates)
    if as_json:
        typer.echo(json.dumps([_as_dict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        _print(found, chosen, words=words)


def _check_endings(output_path: Path | None, gates: Path | None) -> None:
    """Raise ConfigError for a picture that cannot be drawn, before anything is computed."""
    from nmt.evaluation.pictures import FORMATS, require_matplotlib

    for path, known in ((output_path, (*FORMATS, *PAGES)), (gates, FORMATS)):
        if path is None:
            continue
        if path.suffix.lower() not in known:
            raise ConfigError(f"{path}: its name must end in {', '.join(known)}")
        if path.suffix.lower() in FORMATS:
            require_matplotlib(f"{path} cannot be drawn (.html can)")
        check_outputs(path)


def _heat(one: Explanation, *, words: bool) -> tuple[Any, tuple[str, ...], tuple[str, ...], list[float]]:
    """Attention, source and target, by pieces or words, and the probability of each target piece or word."""
    if not words:
        return one.attention, one.source.pieces, one.target.pieces, [math.exp(p) for p in one.log_probs]
    weights, source, target = one.by_words()
    numbers = [*one.target.words, None]
    order = list(dict.fromkeys(numbers))
    sums = [sum(p for p, number in zip(one.log_probs, numbers, strict=True) if number == k) for k in order]
    return weights, source, target, [math.exp(total) for total in sums]


def _layers(one: Explanation) -> list[Any]:
    encoder = [(layer.name, layer.gates, one.source.pieces) for layer in one.encoder]
    return encoder + [(layer.name, layer.gates, one.target.pieces) for layer in one.decoder]


def _draw(found: list[Explanation], chosen: Explanation, path: Path, *, words: bool) -> None:
    if path.suffix.lower() in PAGES:
        write_output(path, _page(found, chosen, words=words))
        return
    if chosen.attention is None:
        raise ConfigError("this model has no attention to draw; --gates draws its layers")
    from nmt.evaluation.pictures import attention_map

    weights, source, target, probabilities = _heat(chosen, words=words)
    attention_map(weights, source, target, path, probabilities)


def _page(found: list[Explanation], chosen: Explanation, *, words: bool) -> str:
    from nmt.evaluation.page import Section, page

    sections = []
    for one in (chosen, *(other for other in found if other is not chosen)):
        weights, source, target, notes = None, one.source.pieces, one.target.pieces, [""] * len(one.log_probs)
        if one.attention is not None:
            weights, source, target, probabilities = _heat(one, words=words)
            notes = [f"{p:.2f}" for p in probabilities]
        sections.append(Section(one.target.text, _facts(one), weights, source, target, notes, _layers(one)))
    return page(chosen.source.text, sections)


def _facts(one: Explanation) -> list[tuple[str, str]]:
    from nmt.evaluation.alignment import pharaoh

    facts = [("score", f"{one.score:.3f}"), ("log p", f"{one.log_prob:.3f}")]
    return [*facts, ("links", pharaoh(one.links))] if one.attention is not None else facts


def _print(found: list[Explanation], chosen: Explanation, *, words: bool) -> None:
    from nmt.evaluation.shades import shaded

    typer.echo(f"source  {chosen.source.text}")
    for number, one in enumerate(found, start=1):
        name = "target" if len(found) == 1 else f"{number}{'>' if one is chosen else ' '}    "
        typer.echo(f"{name}  {one.target.text}   (score {one.score:.3f}, log p {one.log_prob:.3f})")
    if chosen.attention is None:
        typer.echo("\nthis model has no attention")
    else:
        weights, source, target, probabilities = _heat(chosen, words=words)
        typer.echo()
        for line in shaded(weights, source, target, [f"{p:.2f}" for p in probabilities]):
            typer.echo(line)
        typer.echo(f"\nlinks   {dict(_facts(chosen))['links']}")
    typer.echo("\ngates, mean over units and steps")
    for layer in (*chosen.encoder, *chosen.decoder):
        means = "  ".join(f"{gate} {values.mean():+.2f}" for gate, values in layer.gates.items())
        typer.echo(f"  {layer.name:20}{means}")


def _as_dict(one: Explanation) -> dict[str, Any]:
    """As JSON types. Of the gates the mean over units at every step."""
    return {
        "source": one.source.text,
        "target": one.target.text,
        "score": one.score,
        "log_prob": one.log_prob,
        "source_pieces": one.source.pieces,
        "target_pieces": one.target.pieces,
        "source_words": one.source.words,
        "target_words": one.target.words,
        "log_probs": one.log_probs,
        "attention": None if one.attention is None else one.attention.tolist(),
        "links": one.links,
        "gates": {
            layer.name: {gate: values.mean(axis=1).tolist() for gate, values in layer.gates.items()}
            for layer in (*one.encoder, *one.decoder)
        },
    }
