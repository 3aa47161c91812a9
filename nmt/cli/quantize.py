"""`nmt quantize`: a bundle with one byte a weight, beside the one it was made from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nmt.cli.models import (
    DeviceOption,
    ModelArgument,
    WorkersOption,
    bundle_folder,
    load_translator,
    one_thread_a_process,
    output_folder,
)
from nmt.cli.options import given
from nmt.cli.translations import translations
from nmt.errors import ConfigError
from nmt.evaluation.quality import EvaluationSet, evaluate, read_evaluation_set
from nmt.inference import TranslateOptions

WARM_UP_TEXTS = 64

Facts = dict[str, str | int | float]


def quantize(
    model: ModelArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the bundle to write.")],
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FILE", help="Text that both translate, to compare them.")
    ] = None,
    references: Annotated[
        list[Path] | None,
        typer.Option("--reference", metavar="FILE", help="Its translation by people; again for further ones."),
    ] = None,
    beam: Annotated[
        int | None, typer.Option("--beam", min=1, max=1000, help="Beam size. Default: the model's own.")
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a bundle whose matrices take one byte a weight, and say what that changes.

    With --source and --reference both translate the text: the old bundle in fp32, the new one in int8.
    """
    folder, into = bundle_folder(model), output_folder(output)
    if into.resolve() == folder.resolve():
        raise ConfigError(f"{output}: is the model itself: write the new one beside it")
    if (source is None) != (not references):
        raise ConfigError("BLEU needs both: --source, the text to translate, and --reference, its translation")
    asked = given(beam=beam, device=device != "auto", workers=workers)
    if asked and source is None:
        raise ConfigError(f"{asked}: for translating --source, and there is none")
    against = read_evaluation_set(references, source=source) if source is not None and references else None
    one_thread_a_process()
    from nmt.bundle import load_bundle, save_bundle

    bundle = load_bundle(folder)
    save_bundle(bundle, into, storage="int8")
    before, after = _sizes(folder, bundle.config.storage), _sizes(into, "int8")
    if against is not None:
        options = TranslateOptions(beam_size=beam, raw=True)
        before |= _translated(folder, "fp32", against, options, device, workers)
        after |= _translated(into, "int8", against, options, device, workers)
    if as_json:
        typer.echo(json.dumps({"before": before, "after": after}, indent=2))
    else:
        _print(before, after)


def _sizes(folder: Path, storage: str) -> Facts:
    return {
        "storage": storage,
        "weights, bytes": (folder / "model.safetensors").stat().st_size,
        "bundle, bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
    }


def _translated(
    folder: Path,
    precision: str,
    against: EvaluationSet,
    options: TranslateOptions,
    device: str,
    workers: int | None,
) -> Facts:
    """Speed and BLEU of a bundle on a text, against all references. What cannot be translated counts as empty."""
    assert against.sources is not None
    with load_translator(folder, device, workers, len(against.sources), precision=precision) as translator:
        for _ in translator.results(against.sources[:WARM_UP_TEXTS], options):
            pass
        started = time.perf_counter()
        texts = translations(translator, against.sources, options)
        seconds = time.perf_counter() - started
    bleu = [row for row in evaluate(texts, against).rows if row.group == "all"][-1].bleu
    return {
        "precision": precision,
        "sentences/s": round(len(texts) / seconds, 1),
        "BLEU": round(bleu.value, 2),
        "signature": bleu.signature,
    }


def _print(before: Mapping[str, str | int | float], after: Mapping[str, str | int | float]) -> None:
    table = Table("", box=None, pad_edge=False)
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    for name in [name for name in before if name != "signature"]:
        table.add_row(name, *_cells(before[name], after[name]))
    console = Console(highlight=False)
    console.print(table)
    if "signature" in before:
        console.print(f"\nBLEU {before['signature']}", markup=False, soft_wrap=True)


def _cells(*values: str | int | float) -> Sequence[str]:
    return [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
