"""Training speed beside OpenNMT-py: both as a user runs them, `nmt train` and `onmt_train`, on one corpus.

The same network, the same pairs, the same vocabulary (the one that `nmt train` learns), the same optimiser, dropout and
label smoothing. Each side trains for a fixed time and says itself, in its log, how many target tokens a second it did.
The time to equal perplexity on a development set is measured in peer_perplexity.py, with the commands made here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import tomli_w

from benchmarks import machine
from nmt.data.prepared import PreparedCorpus
from nmt.hardware import pss_bytes
from nmt.text.tokenizer import SPECIAL_IDS, load_tokenizers
from nmt.training.report import HISTORY_FILE

DRIVER = Path(__file__).parent / "peer_drivers" / "drive_opennmt.py"
VOCABULARY = 8000
"""Pieces; a small corpus gives fewer."""
NEVER = 1_000_000
"""Updates."""
PATIENCE_S = 300.0
"""How long a figure may be awaited."""
OUR_BATCHES = (1280, 2560)
"""Tokens of the longer side, padding counted."""
THEIR_BATCHES = (("sents", 64), ("tokens", 4096))
_REPORT = re.compile(r"Step (\d+)/.* [\d.]+/ *([\d.]+) tok/s;")
"""Of `onmt_train`: the second figure counts target tokens."""


@dataclass(frozen=True)
class Corpus:
    """Text files in pairs of equally many lines, each possibly `.gz`."""

    source: tuple[Path, ...]
    target: tuple[Path, ...]
    dev: tuple[Path, ...] = ()
    """Source and target; empty: some of the pairs are held out."""


@dataclass
class TrainingResult:
    """One side with one batch size."""

    side: str
    batch: str
    tokens_per_s: list[float] = field(default_factory=list)
    """Target tokens, EOS counted, of each round."""
    pss_bytes: int = 0
    """The largest sum of proportional set sizes that was seen."""
    others: list[float] = field(default_factory=list)
    """Cores that other programs used meanwhile."""

    def summary(self) -> dict[str, Any]:
        return {**asdict(self), "target_tokens_per_s": statistics.median(self.tokens_per_s)}


class Sample(NamedTuple):
    """What a run of a while has shown."""

    tokens_per_s: float
    """Of the target."""
    pss_bytes: int
    others: float
    """Cores that other programs used."""


def measure_training(
    corpus: Corpus,
    opennmt_python: Path,
    folder: Path,
    environment: dict[str, str],
    *,
    cores: int,
    rounds: int,
    seconds: float,
    others_limit: float,
) -> list[TrainingResult]:
    """All batch sizes of both sides in turn, `rounds` times; a round that others disturb is said, not repeated."""
    runs: list[tuple[TrainingResult, Callable[[], Sample]]] = []
    for size in OUR_BATCHES:
        ours = partial(train_ours, corpus, folder, environment, size, cores, seconds)
        runs.append((TrainingResult("ours", f"{size} tokens"), ours))
    for kind, size in THEIR_BATCHES:
        threads = environment | {"OMP_NUM_THREADS": str(cores)}
        theirs = partial(train_opennmt, opennmt_python, folder, threads, kind, size, seconds)
        runs.append((TrainingResult("OpenNMT-py", f"{size} {kind}"), theirs))
    for number in range(rounds):
        print(f"training: round {number + 1}, load average {machine.load_average():.2f}", file=sys.stderr, flush=True)
        for result, run in runs:
            sampled = run()
            result.tokens_per_s.append(sampled.tokens_per_s)
            result.pss_bytes = max(result.pss_bytes, sampled.pss_bytes)
            result.others.append(sampled.others)
            if result.others[-1] > others_limit:
                print(f"  {result.side}, {result.batch}: others used {result.others[-1]:.1f} cores", file=sys.stderr)
    return [result for result, _ in runs]


def train_ours(
    corpus: Corpus, folder: Path, environment: dict[str, str], batch_tokens: int, cores: int, seconds: float
) -> Sample:
    """`nmt train` for a while."""
    run = our_run(folder)
    shutil.rmtree(run, ignore_errors=True)
    recipe = write_recipe(corpus, folder, batch_tokens, cores, validate_every=NEVER, checkpoint_every_s=0.0)
    history = run / HISTORY_FILE
    return sample(our_command(recipe), run.with_suffix(".log"), environment, lambda: our_rates(history), seconds)


def our_run(folder: Path) -> Path:
    """Where `nmt train` works; `data` and `vocabulary` in it are those of the other side too."""
    return folder / "training-ours"


def our_command(recipe: Path) -> list[str]:
    return [sys.executable, "-m", "nmt.cli.main", "train", str(recipe), "--no-tensorboard"]


def write_recipe(
    corpus: Corpus,
    folder: Path,
    batch_tokens: int,
    cores: int,
    optimizer: Mapping[str, object] = MappingProxyType({}),
    **training: object,
) -> Path:
    """A recipe that never ends by itself; `optimizer` is that section, `training` are further keys of that one."""
    recipe = {
        "output": str(our_run(folder)),
        "data": {
            "source_lang": "en",
            "target_lang": "de",
            "train": [list(map(str, pair)) for pair in zip(corpus.source, corpus.target, strict=True)],
            "dev": list(map(str, corpus.dev)),
        },
        "text": {"vocab_size": VOCABULARY},
        # see drive_ours.py: the network of the other side, weight for weight
        "model": {
            "embedding_size": 512,
            "hidden_size": 512,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "bridge": "copy",
            "tying": "target",
            "dropout": 0.2,
        },
        "optimizer": dict(optimizer),
        "training": {
            "epochs": 0,
            "updates": NEVER,
            "batch_tokens": batch_tokens,
            "label_smoothing": 0.1,
            "workers": cores,
            **training,
        },
    }
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe), "utf-8")
    return path


def our_rates(history: Path) -> list[float]:
    """Target tokens a second of each record of a run so far."""
    if not history.exists():
        return []
    *lines, _torn = history.read_text("utf-8").split("\n")
    records = [json.loads(line) for line in lines]
    return [float(record["tokens_per_s"]) for record in records if record["kind"] == "train"]


def train_opennmt(
    python: Path,
    folder: Path,
    environment: dict[str, str],
    batch_type: str,
    batch_size: int,
    seconds: float,
) -> Sample:
    """`onmt_train` for a while, with pairs and vocabulary of `train_ours`."""
    config = write_config(folder, batch_type, batch_size)
    log = folder / "training-opennmt.log"
    return sample(
        opennmt_command(python, config),
        log,
        environment,
        lambda: opennmt_rates(log.read_text("utf-8", errors="replace")),
        seconds,
    )


def opennmt_command(python: Path, config: Path) -> list[str]:
    return [str(python), str(DRIVER), "train", "-config", str(config)]


def write_config(folder: Path, batch_type: str, batch_size: int, **options: object) -> Path:
    """What `onmt_train` is to do, on the pairs that `nmt train` has left after cleaning, in the same pieces.

    `options` are further ones of its own. Without "valid_steps" it never validates.
    """
    ours = our_run(folder)
    corpus, tokenizers = PreparedCorpus(ours / "data"), load_tokenizers(ours / "vocabulary")
    run = folder / "training-opennmt"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    for name, pairs in (("train", corpus), ("dev", corpus.dev)):
        for side, place, tokenizer in (("src", 0, tokenizers.source), ("tgt", 1, tokenizers.target)):
            encoded = tokenizer.encode_batch([pair[place] for pair in pairs])
            lines = (" ".join(tokenizer.pieces(ids)) for ids in encoded)
            (run / f"{name}.{side}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    vocabulary = tokenizers.source.pieces(range(max(SPECIAL_IDS) + 1, tokenizers.source.size))
    (run / "vocabulary").write_text("".join(f"{piece}\t1\n" for piece in vocabulary), "utf-8")
    sets = {"corpus": "train", "valid": "dev"}
    config = {
        "data": {key: {"path_src": f"{run / name}.src", "path_tgt": f"{run / name}.tgt"} for key, name in sets.items()},
        "src_vocab": str(run / "vocabulary"),
        "save_model": str(run / "model"),
        "batch_type": batch_type,
        "batch_size": batch_size,
        "optim": "adam",
        "learning_rate": 0.001,
        "label_smoothing": 0.1,
        "train_steps": NEVER,
        "save_checkpoint_steps": NEVER,
        "valid_steps": NEVER,
        "report_every": 20,
        "bucket_size": 32768,  # of the pairs that it sorts into batches: filling the default takes long at the start
        **options,
    }
    path = run / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    return path


def opennmt_rates(log: str) -> list[float]:
    """Target tokens a second of each report in what `onmt_train` has printed."""
    return [float(match[2]) for match in _REPORT.finditer(log)]


def sample(
    command: Sequence[str], log: Path, environment: dict[str, str], rates: Callable[[], list[float]], seconds: float
) -> Sample:
    """Run a command until `seconds` after its first figure, then stop it: the median of the later ones.

    The first figure holds the start: caches, allocators, the first batches. Raises RuntimeError where no other comes.
    """
    memory, used, began = 0, 0.0, 0.0
    others = machine.watch([os.getpid()])
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            limit = time.monotonic() + PATIENCE_S
            while process.poll() is None and time.monotonic() < limit:
                time.sleep(2)
                if not began and rates():
                    began = time.monotonic()
                    limit = began + seconds + PATIENCE_S
                if began and time.monotonic() > began + seconds and len(rates()) > 1:
                    break
            memory = pss_bytes(process.pid)
            # before it is stopped: a run that ends reports what it had begun to count, and its processes are then gone
            found, used = rates()[1:], others()
        finally:
            stop(process)
    if not found:
        raise RuntimeError(f"{command[0]} told too little in {seconds:.0f} s: {log}")
    return Sample(statistics.median(found), memory, used)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a command that trains: it may write a checkpoint first."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
