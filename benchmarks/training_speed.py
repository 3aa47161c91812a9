"""How fast training is, and where its time goes: several settings in turn, in one run, with ratios.

    python -m benchmarks.training_speed --vary training.batch_tokens=1280 --vary training.batch_tokens=5120

Every setting makes whole updates with all its processes (loss, gradients, clipping, weights) on the same pairs. Rates
count real target tokens, EOS included, padding not: a second of the clock, and a second of processor time, which other
programs disturb less. Without a recipe the network is that of docs/benchmarks.md, of 17.4 million weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import machine
from nmt.config import Recipe, load_recipe
from nmt.data.batching import padding_ratio
from nmt.data.corpus import read_lines
from nmt.data.epochs import Measured
from nmt.data.prepared import PreparedCorpus, prepare
from nmt.hardware import pick_device, pick_precision, pss_bytes
from nmt.inference.speed import gemm_ceiling
from nmt.text.tokenizer import TokenizerPair, train_tokenizers
from nmt.training.batches import BatchStream, token_lengths
from nmt.training.team import Plan, Team, pick_workers

DATA = Path(__file__).parent / "data"
NETWORK = (
    "model.embedding_size=512",
    "model.hidden_size=512",
    "model.encoder_layers=2",
    "model.decoder_layers=2",
    "model.bridge=copy",
    "model.tying=target",
    "model.dropout=0.2",
)
WARM_UP = 3
"""Updates before the clock runs: caches, allocators, kernels made for a shape."""


@dataclass
class Setting:
    """One variant and what was measured of it."""

    name: str
    recipe: Recipe
    tokens_per_s: list[float] = field(default_factory=list)
    tokens_per_cpu_s: list[float] = field(default_factory=list)
    """The same divided by processor time, times the number of processes."""
    flop_per_token: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


def work_per_token(model: nn.Module, src_tokens: int, tgt_tokens: int) -> float:
    """Operations in products, forward and backward (three products of two operations), a target token.

    Without padding, attention's sums over the source and everything element by element.
    """
    total = 0
    for name, weight in model.named_parameters(remove_duplicate=False):
        if weight.dim() != 2 or "embedding" in name or name.endswith(".v.weight"):
            continue
        reads_source = name.startswith(("encoder.", "decoder.attention."))
        total += 6 * weight.numel() * (src_tokens if reads_source else tgt_tokens)
    return total / tgt_tokens


class Run:
    """One setting's processes, ready to make updates."""

    def __init__(self, setting: Setting, corpus: PreparedCorpus, tokenizers: TokenizerPair, folder: Path) -> None:
        recipe = setting.recipe
        device = pick_device(recipe.training.device)
        torch.set_num_threads(max(1, recipe.training.threads))
        lengths = token_lengths(corpus, tokenizers)
        workers = recipe.training.workers or pick_workers(recipe.training, device, pairs=10**9)
        plan = Plan(recipe, folder / "data", folder / "vocabulary", Measured(lengths), workers)
        self.setting = setting
        self.team = Team(plan, corpus, tokenizers, device)
        self._epoch = 0
        self._groups: Iterator[list[Any]] = iter(())
        self._number = 0
        assert isinstance(self.team.stream, BatchStream)
        cut = self.team.stream.cut(0)
        src, tgt = self.team.stream.lengths(0)
        src = src + 1
        setting.flop_per_token = work_per_token(self.team.learner.model, int(src.sum()), int(tgt.sum()) + len(tgt))
        setting.facts = {
            "processes": workers,
            "precision": str(pick_precision(recipe.training.precision, device)).removeprefix("torch."),
            "padding": round(padding_ratio(cut, src, tgt), 4),
            "rows": round(statistics.mean(map(len, cut))),
        }

    def updates(self, seconds: float) -> tuple[int, float, float]:
        """Whole updates for at least so long: target tokens, seconds, seconds of processor time of all processes."""
        tokens, began, cpu = 0, time.monotonic(), machine.cpu_seconds([os.getpid()])
        while time.monotonic() - began < seconds:
            self._number += 1
            tokens += self.team.update(self._number, 1e-3, self._next()).tokens
        return tokens, time.monotonic() - began, machine.cpu_seconds([os.getpid()]) - cpu

    def warm_up(self) -> None:
        for _ in range(WARM_UP):
            self._number += 1
            self.team.update(self._number, 1e-3, self._next())

    def _next(self) -> list[Any]:
        while True:
            for group in islice(self._groups, 1):
                return list(group)
            self._groups = self.team.epoch(self._epoch, 0, self.setting.recipe.training.accumulation)
            self._epoch += 1


def measure(settings: Sequence[Setting], folder: Path, *, rounds: int, seconds: float, rows: int) -> None:
    """Every setting in turn, `rounds` times, each in processes that are started anew."""
    data = settings[0].recipe.data
    corpus = prepare(data, folder / "data", seed=1)
    tokenizers = train_tokenizers(iter(corpus), settings[0].recipe.text, seed=1)
    (folder / "vocabulary").mkdir(exist_ok=True)
    tokenizers.save(folder / "vocabulary")
    for number in range(rounds):
        for setting in settings:
            run = Run(setting, corpus, tokenizers, folder)
            with run.team:
                run.warm_up()
                waited = run.team.stream.waited_s
                tokens, wall, cpu = run.updates(seconds)
                setting.tokens_per_s.append(tokens / wall)
                setting.tokens_per_cpu_s.append(tokens * run.team.workers / cpu)
                setting.facts["waited for data"] = f"{(run.team.stream.waited_s - waited) / wall:.2%}"
                setting.facts["memory MB"] = round(pss_bytes(os.getpid()) / 1e6)
                if rows and number == rounds - 1:
                    print(f"\n{setting.name}: where one process spends its time\n{profiled(run, seconds, rows)}")
            print(
                f"round {number + 1}, {setting.name}: {setting.tokens_per_s[-1]:,.0f} tokens/s, "
                f"load average {machine.load_average():.1f}",
                file=sys.stderr,
                flush=True,
            )


def profiled(run: Run, seconds: float, rows: int) -> str:
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        run.updates(seconds)
    table: str = seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=rows, max_name_column_width=50)
    return table


def report(settings: Sequence[Setting], ceilings: dict[tuple[str, int], float]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    first = statistics.median(settings[0].tokens_per_s)
    first_cpu = statistics.median(settings[0].tokens_per_cpu_s)
    for setting in settings:
        rate, by_cpu = statistics.median(setting.tokens_per_s), statistics.median(setting.tokens_per_cpu_s)
        ceiling = ceilings[setting.facts["precision"], setting.facts["processes"]]
        rows.append(
            {
                "setting": setting.name,
                "tokens/s": round(rate),
                "ratio": round(rate / first, 2),
                "tokens/cpu s x processes": round(by_cpu),
                "cpu ratio": round(by_cpu / first_cpu, 2),
                "share of products' ceiling": f"{rate * setting.flop_per_token / ceiling:.0%}",
                "MFLOP a token": round(setting.flop_per_token / 1e6, 1),
                **setting.facts,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, help="whose network and training are timed")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="for every setting")
    parser.add_argument(
        "--vary", action="append", default=[], metavar="K=V[;K=V...]", help="one setting; the first is the baseline"
    )
    parser.add_argument("--source", type=Path, help="text, one sentence a line; default: what the project carries")
    parser.add_argument("--target", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each setting in each round")
    parser.add_argument("--profile", type=int, default=0, metavar="ROWS", help="of a table of operations by time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = [chosen.source, chosen.target] if chosen.source else list(own_text(folder))
        common = [
            *(() if chosen.recipe else NETWORK),
            f"data.train=[{json.dumps(list(map(str, pair)))}]",
            "data.dev=[]",
            "data.test=[]",
            *chosen.set,
        ]
        settings = [
            Setting(varied or "as given", load_recipe(chosen.recipe, [*common, *filter(None, varied.split(";"))]))
            for varied in chosen.vary or [""]
        ]
        measure(settings, folder, rounds=chosen.rounds, seconds=chosen.seconds, rows=chosen.profile)
    kinds = {(setting.facts["precision"], setting.facts["processes"]) for setting in settings}
    short = {"float32": "fp32", "bfloat16": "bf16"}
    ceilings = {kind: gemm_ceiling(short[kind[0]], "cpu", kind[1]) for kind in kinds}
    print(json.dumps({"machine": machine.facts(), "settings": report(settings, ceilings)}, indent=1))


def own_text(folder: Path) -> tuple[Path, Path]:
    """The sentences that the project carries, as two files."""
    for language in ("en", "de"):
        lines = [line for name in ("test", "dev", "test_long") for line in read_lines(DATA / f"{name}.{language}.gz")]
        (folder / f"text.{language}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder / "text.en", folder / "text.de"


if __name__ == "__main__":
    main()
