"""`nmt label`: the labels that a tagger or classifier gives to text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.lines import blocks_of
from nmt.cli.models import DeviceOption, ModelArgument, bundle_folder, one_thread_a_process


def label(
    model: ModelArgument,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Text; default: standard input.")] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column with the probability of each label.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Label text, one output line a line: a label for each word between blanks, or one for the line."""
    folder = bundle_folder(model)
    one_thread_a_process()
    from nmt.inference.labels import TextLabeller

    labeller = TextLabeller.load(folder, device)
    for lines in blocks_of(file):
        for found in labeller.label(lines):
            columns = [" ".join(found.labels)]
            if probabilities:
                columns.append(" ".join(f"{p:.4f}" for p in found.probabilities))
            typer.echo("\t".join(columns))
