"""The model that a command line names, and how it is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nmt.errors import BundleError, ConfigError
from nmt.hardware import available_cores, has_nvidia_driver
from nmt.inference import Ensemble, Fusion, Translator
from nmt.inference.members import checked_weights
from nmt.inference.worker import THREAD_VARIABLES

MARKER = "config.json"
"""A file of every bundle."""
TEXTS_A_WORKER = 64
"""A worker process is not worth its start for fewer."""

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model bundle, e.g. models/en-de.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16, fp16 or int8.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", "--threads", min=1, max=1024, help="Processes of one thread each. Default: one a core."),
]

MbrOption = Annotated[
    int | None,
    typer.Option(
        "--mbr", metavar="N", min=2, max=1000, help="Of N hypotheses the one most like all (least Bayes risk)."
    ),
]
EnsembleOption = Annotated[
    list[Path] | None,
    typer.Option("--ensemble", metavar="BUNDLE", help="A model that translates together with MODEL; again for more."),
]
EnsembleWeightsOption = Annotated[
    str,
    typer.Option(
        "--ensemble-weights", metavar="W,W,...", help="How much each model counts, MODEL's first. Default: all alike."
    ),
]


def chosen_ensemble(others: list[Path] | None, weights: str) -> Ensemble | None:
    """What is asked for beside a model. Raises BundleError and ConfigError."""
    if not others:
        if weights:
            raise ConfigError("--ensemble-weights needs --ensemble")
        return None
    try:
        numbers = tuple(float(weight) for weight in weights.split(",")) if weights else ()
    except ValueError:
        raise ConfigError(f"--ensemble-weights {weights}: numbers with commas between, e.g. 2,1,1") from None
    ensemble = Ensemble(tuple(map(bundle_folder, others)), numbers)
    checked_weights(ensemble)
    return ensemble


def bundle_folder(path: Path) -> Path:
    """The same path, if it looks like a bundle. Raises BundleError that says what it is instead."""
    if (path / MARKER).is_file():
        return path
    if not path.exists():
        raise BundleError(f"{path}: no such folder; a model is a folder that nmt train made")
    if not path.is_dir():
        raise BundleError(f"{path}: a file; a model is the whole folder that nmt train made")
    inside = [str(found.parent) for found in sorted(path.glob(f"*/{MARKER}"))]
    hint = f"; did you mean {' or '.join(inside[:5])}?" if inside else f" (no {MARKER})"
    raise BundleError(f"{path}: not a model bundle{hint}")


def output_folder(path: Path) -> Path:
    """The same path, if a bundle may be written there: nothing is lost but a bundle that it replaces.

    Raises BundleError.
    """
    if path.is_dir() and ((path / MARKER).is_file() or not any(path.iterdir())):
        return path
    if path.exists() or path.is_symlink():
        raise BundleError(f"{path}: is there and is no model bundle: move it away or choose another name")
    return path


def load_translator(
    folder: Path,
    device: str,
    workers: int | None,
    texts: int | None,
    *,
    precision: str = "auto",
    fusion: Fusion | None = None,
    ensemble: Ensemble | None = None,
) -> Translator:
    """Load a bundle, or an ensemble of it and others, for about `texts` texts (None: many).

    Raises BundleError, ConfigError and DeviceError.
    """
    one_thread_a_process()
    count = workers or worker_count(device, texts)
    processes = count if count > 1 else 0
    folders = [folder, *(ensemble.folders if ensemble else ())]
    weights = ensemble.weights if ensemble else ()
    return Translator.load(
        folders, device=device, precision=precision, workers=processes, fusion=fusion, weights=weights
    )


def one_thread_a_process() -> None:
    """Keep the numeric libraries from starting threads. Acts only before torch is imported.

    Two such threads collapse as soon as anything else uses the machine; worker processes share its cores better.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


def worker_count(device: str, texts: int | None = None) -> int:
    """Processes that suit the machine and about `texts` texts (None: many)."""
    if device.startswith("cuda") or (device == "auto" and has_nvidia_driver()):
        return 1
    cores = available_cores()
    return cores if texts is None else max(1, min(cores, texts // TEXTS_A_WORKER))
