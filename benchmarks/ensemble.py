"""What an ensemble costs beside its first model: CPU time and BLEU of the same lines, in turns.

    python -m benchmarks.ensemble MODEL OTHER [OTHER ...] [--sentences N] [--turns N] [--beam K]

Each round translates the lines once by each, in this process and on one thread; the least user time of the rounds
counts, which other work on the machine can only add to. Lines: benchmarks/data/test.en.gz. The first row is what
serves a single model by default (the native kernels in int8), the second the same model on torch, as ensembles run.
"""

from __future__ import annotations

import argparse
import os
import resource
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from nmt.bundle import load_bundle
from nmt.data.corpus import read_lines
from nmt.evaluation.quality import bleu
from nmt.hardware import pick_device
from nmt.inference import ModelInfo, TranslateOptions, Translator
from nmt.inference.pipeline import Pipeline
from nmt.inference.torch_runner import TorchRunner

DATA = Path(__file__).parent / "data"


def user_s() -> float:
    """User CPU time of this process, in seconds."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def on_torch(folder: Path) -> Translator:
    """One model on the runner of ensembles."""
    bundle = load_bundle(folder)
    pipeline = Pipeline(bundle, TorchRunner(bundle, pick_device("cpu")))
    info: ModelInfo = pipeline.info
    return Translator(info, pipeline, None)


def main() -> None:
    """Print a row a system."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--beam", type=int, default=5)
    arguments = parser.parse_args()
    models: list[Path] = arguments.models
    sources = list(read_lines(DATA / "test.en.gz"))[: arguments.sentences]
    references = list(read_lines(DATA / "test.de.gz"))[: arguments.sentences]
    options = TranslateOptions(beam_size=arguments.beam, raw=True)
    systems = {
        "alone, native int8": Translator.load(models[0], device="cpu"),
        "alone, torch fp32": on_torch(models[0]),
        "the last one alone, torch fp32": on_torch(models[-1]),
        f"ensemble of {len(models)}, torch fp32": Translator.load(models, device="cpu"),
    }
    best = dict.fromkeys(systems, float("inf"))
    texts: dict[str, list[str]] = {}
    for _ in range(arguments.turns):
        for name, translator in systems.items():
            before = user_s()
            texts[name] = [one.text for one in translator.translate(sources, options)]
            best[name] = min(best[name], user_s() - before)
    for name, seconds in best.items():
        quality = bleu(texts[name], [references]).value
        print(f"{name:32} {seconds:7.2f} s  {len(sources) / seconds:7.1f} lines/s  BLEU {quality:.2f}", flush=True)


if __name__ == "__main__":
    main()
