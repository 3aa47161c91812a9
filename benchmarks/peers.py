"""Our translation beside that of OpenNMT-py, Joey NMT and CTranslate2, on one machine in one run.

    python -m benchmarks.peers                      about ten minutes on two cores, after the installation
    python -m benchmarks.peers --training           target tokens a second in training, beside OpenNMT-py
    python -m benchmarks.peers --perplexity         time to equal perplexity on a dev set, beside OpenNMT-py
    python -m benchmarks.peers --quick --allow-load does it run at all?

Every side translates the same sentences in the same pieces with random weights, and every output is held at the same
number of tokens. The sides take turns; what counts is the median of the rounds, each side at the best of its settings
of processes and threads. docs/benchmarks.md says what exactly is timed on each side.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import machine
from benchmarks.peer_drivers.driver import Workload
from benchmarks.peer_envs import ENVIRONMENTS, install
from benchmarks.peer_perplexity import compare_curves, measure_perplexity
from benchmarks.peer_training import Corpus, measure_training
from nmt.bundle import SHORTLIST
from nmt.data.corpus import read_lines
from nmt.hardware import available_cores, pss_bytes
from nmt.text.tokenizer import SPECIAL_IDS, load_tokenizers

ROOT = Path(__file__).parents[1]
DRIVERS = Path(__file__).parent / "peer_drivers"
DATA = Path(__file__).parent / "data"
MODEL = ROOT / "models" / "en-de"
ENVS = Path("~/.cache/selfhost-nmt/peers")

LENGTH = 15
"""Target tokens of every output, the end not counted."""
SENTENCES = 1000
BEAMS = (5, 1)
BATCH = 64
BATCHES = (32, 64, 128, 256)
"""With --thorough."""
OTHERS_LIMIT = 0.3
"""Cores. A run during which others used more is repeated."""
REPEATS = 5
SINGLE_COUNT = 100
WARM_UP = 5


@dataclass(frozen=True)
class Setting:
    """One way to run a side's driver."""

    name: str
    spec: tuple[tuple[str, Any], ...] = ()
    """What the driver's process is started with beside work and model."""
    processes: int = 1
    """Each translates its share of a file."""
    threads: int = 1
    """Asked of the driver with every question."""
    batch: int = BATCH


@dataclass(frozen=True)
class Side:
    """A toolkit with a model."""

    name: str
    python: Path
    driver: str
    model: Path
    weights: int
    offline: tuple[Setting, ...]
    single: tuple[Setting, ...]
    start: tuple[str, ...]
    """A command that translates one sentence and ends."""
    stdin: Path | None = None
    """Its standard input."""
    is_ours: bool = False

    def settings(self, kind: str) -> tuple[Setting, ...]:
        return self.offline if kind == "offline" else self.single


@dataclass(frozen=True, order=True)
class Task:
    """`offline`: a file, as fast as possible. `single`: one sentence after the other."""

    kind: str
    beam: int

    def __str__(self) -> str:
        work = "offline file" if self.kind == "offline" else "one sentence at a time"
        return f"beam {self.beam}, {work}"


@dataclass
class Result:
    """One task on one side with one setting: a figure a round."""

    side: str
    task: Task
    setting: str
    rates: list[float] = field(default_factory=list)
    """Sentences a second, of each round."""
    latencies_s: list[float] = field(default_factory=list)
    """Of all rounds together; empty offline."""
    medians_s: list[float] = field(default_factory=list)
    """The median latency of each round."""
    others: list[float] = field(default_factory=list)
    """Cores that other programs used meanwhile."""

    @property
    def cost_s(self) -> float:
        """Seconds a sentence; one at a time the median latency."""
        return statistics.median(self.medians_s) if self.medians_s else 1 / statistics.median(self.rates)

    def summary(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"side": self.side, **asdict(self.task), "setting": self.setting}
        figures["sentences_per_s"] = statistics.median(self.rates)
        figures["sentences_per_s_by_round"] = self.rates
        if self.latencies_s:
            figures["p50_ms"] = 1e3 * self.cost_s
            figures["p99_ms"] = 1e3 * percentile(self.latencies_s, 99)
        figures["others_cores_by_round"] = self.others
        return figures


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


class DriverProcess:
    """A side's driver, loaded and waiting for questions. Raises RuntimeError where it ends too early."""

    def __init__(self, side: Side, setting: Setting, work: Path, log: Path) -> None:
        spec = {"work": str(work), "model": str(side.model), **dict(setting.spec)}
        self._name = side.name
        self._log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [side.python, DRIVERS / side.driver, json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(setting.threads),
            )
        try:
            self.load_s = float(self.answer()["ready"])
        except RuntimeError:
            self.close(kill=True)
            raise

    def ask(self, question: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            last = self._log.read_text("utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"the driver of {self._name} ended; the last it said ({self._log}):\n{last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self, *, kill: bool = False) -> None:
        """End it: a driver ends by itself when its standard input does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if kill:
            self.process.kill()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


class Drivers:
    """All driver processes of a run; those that two settings have in common are started once."""

    def __init__(self, work: Path, folder: Path, length: int) -> None:
        self._work = work
        self._folder = folder
        self._length = length
        self._running: dict[tuple[str, tuple[tuple[str, Any], ...]], list[DriverProcess]] = {}
        self.peak_bytes: dict[str, dict[str, int]] = {}
        """By side and setting: the largest sum of proportional set sizes seen after a run."""

    def processes(self, side: Side, setting: Setting) -> list[DriverProcess]:
        running = self._running.setdefault((side.name, setting.spec), [])
        while len(running) < setting.processes:
            log = self._folder / f"{side.driver.removesuffix('.py')}.log"
            running.append(DriverProcess(side, setting, self._work, log))
        return running[: setting.processes]

    def run(self, side: Side, setting: Setting, question: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
        """Put one question to all processes of a setting at once; their answers, and the wall time until the last."""
        processes = self.processes(side, setting)
        started = time.perf_counter()
        for index, process in enumerate(processes):
            shares = {"first": index, "step": len(processes)} if question["do"] == "offline" else {}
            process.ask(shares | question | {"threads": setting.threads})
        answers = [process.answer() for process in processes]
        seconds = time.perf_counter() - started
        for answer in answers:
            if set(answer["lengths"]) != {str(self._length)}:
                raise RuntimeError(f"{side.name}: outputs of lengths {answer['lengths']}, all should be {self._length}")
        used = sum(pss_bytes(process.process.pid) for process in processes)
        peaks = self.peak_bytes.setdefault(side.name, {})
        peaks[setting.name] = max(used, peaks.get(setting.name, 0))
        return answers, seconds

    def __enter__(self) -> Drivers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for processes in self._running.values():
            for process in processes:
                process.close(kill=error is not None)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    tasks: tuple[Task, ...]
    sentences: int
    rounds: int
    min_seconds: float
    single_count: int
    others_limit: float


def measure(sides: Sequence[Side], drivers: Drivers, plan: Plan) -> list[Result]:
    """All tasks, the sides taking turns within each round."""
    results: list[Result] = []
    for task in plan.tasks:
        runs = [(side, setting) for side in sides for setting in side.settings(task.kind)]
        questions = [warm_up(side, setting, task, drivers, plan) for side, setting in runs]
        found = [Result(side.name, task, setting.name) for side, setting in runs]
        for number in range(plan.rounds):
            print(f"{task}: round {number + 1}, load average {machine.load_average():.2f}", file=sys.stderr, flush=True)
            for (side, setting), question, result in zip(runs, questions, found, strict=True):
                once(side, setting, question, drivers, plan, result)
        results += found
    return results


def warm_up(side: Side, setting: Setting, task: Task, drivers: Drivers, plan: Plan) -> dict[str, Any]:
    """Run a little; the question that takes about `min_seconds`, or the whole file once where that takes longer."""
    if task.kind == "single":
        question = {"do": "single", "beam": task.beam, "count": min(WARM_UP, plan.sentences)}
        drivers.run(side, setting, question)
        return question | {"count": min(plan.single_count, plan.sentences)}
    share = max(1, plan.sentences // (2 * BATCH))
    question = {"do": "offline", "beam": task.beam, "batch": setting.batch, "passes": 1}
    _, seconds = drivers.run(side, setting, question | {"first": 0, "step": share})
    whole = seconds * share / setting.processes
    return question | {"passes": max(1, round(plan.min_seconds / whole))}


def once(side: Side, setting: Setting, question: dict[str, Any], drivers: Drivers, plan: Plan, result: Result) -> None:
    """One run, repeated while others use the machine."""
    for attempt in range(1 + REPEATS):
        others = machine.watch([os.getpid()])  # every driver descends from this process
        answers, seconds = drivers.run(side, setting, question)
        used = others()
        if used <= plan.others_limit:
            break
        print(f"  {side.name}, {setting.name}: others used {used:.1f} cores", file=sys.stderr, flush=True)
        if attempt < REPEATS:
            time.sleep(5)
    result.others.append(used)
    if question["do"] == "single":
        latencies = answers[0]["latencies"]
        result.latencies_s += latencies
        result.medians_s.append(statistics.median(latencies))
        result.rates.append(len(latencies) / sum(latencies))
    else:
        # one process says itself how long it took; of several the last to end counts
        seconds = answers[0]["seconds"] if len(answers) == 1 else seconds
        result.rates.append(plan.sentences * question["passes"] / seconds)


def measure_start(sides: Sequence[Side], rounds: int) -> dict[str, float]:
    """Median wall time in seconds of a command that translates one sentence, by side."""
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            with ExitStack() as stack:
                stdin = subprocess.DEVNULL if side.stdin is None else stack.enter_context(side.stdin.open("rb"))
                started = time.perf_counter()
                subprocess.run(side.start, check=True, stdin=stdin, capture_output=True, env=environment())
                seconds[side.name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def environment(threads: int = 0) -> dict[str, str]:
    """Of the processes that are measured. 0 threads: whatever the program chooses for itself."""
    inherited = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    if threads:
        inherited["OMP_NUM_THREADS"] = str(threads)
    return inherited | {
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # else neither peer loads a checkpoint of its own under torch 2.6
        "PYTHONDONTWRITEBYTECODE": "1",
    }


# The sides


def our_sides(folder: Path, work: Path, model: Path, cores: int, length: int) -> Iterator[Side]:
    """Without a shortlist, and with one where `model` has one."""
    one = folder / "one.txt"
    one.write_text(Workload.read(work).lines[0] + "\n", "utf-8")
    offline = Setting(f"{cores} worker{'s' * (cores > 1)}", (("workers", cores),))
    single = (Setting("1 worker", (("workers", 1),)), Setting("in the process", (("workers", 0),)))
    for suffix in ("", "-shortlist"):
        if suffix and not (model / SHORTLIST).exists():
            print(f"no shortlist in {model}: measured without only", file=sys.stderr)
            return
        bundle = folder / f"ours{suffix}"
        weights = build("drive_ours.py", Path(sys.executable), str(bundle), length, model, "yes" if suffix else "no")
        yield Side(
            f"ours{suffix.replace('-', ', ')}",
            Path(sys.executable),
            "drive_ours.py",
            bundle,
            weights,
            (offline,),
            single,
            (sys.executable, "-m", "nmt.cli.main", "translate", str(bundle), "-i", str(one), "--beam", "5", "--raw"),
            is_ours=True,
        )


def opennmt(folder: Path, work: Path, python: Path, cores: int, batches: Sequence[int], length: int) -> Side:
    model = folder / "opennmt.pt"
    weights = build("drive_opennmt.py", python, work, model)
    one = folder / "one.pieces"
    one.write_text(" ".join(Workload.read(work).pieces[0]) + "\n", "utf-8")
    files = ("-model", str(model), "-src", str(one), "-output", os.devnull)
    # a ratio would shorten the outputs of short sources
    forced = ("-min_length", str(length), "-max_length", str(length), "-max_length_ratio", "0")
    start = (str(python.parent / "onmt_translate"), *files, "-beam_size", "5", *forced)
    single = torch_settings(cores, (1,), one_process=True)
    return Side("OpenNMT-py", python, "drive_opennmt.py", model, weights, torch_settings(cores, batches), single, start)


def joey(folder: Path, work: Path, python: Path, cores: int, batches: Sequence[int]) -> Side:
    model = folder / "joey"
    weights = build("drive_joey.py", python, work, model)
    one = folder / "one.pieces"
    one.write_text(" ".join(Workload.read(work).pieces[0]) + "\n", "utf-8")
    start = (str(python), "-m", "joeynmt", "translate", str(model / "config.yaml"))
    single = torch_settings(cores, (1,), one_process=True)
    return Side(
        "Joey NMT", python, "drive_joey.py", model, weights, torch_settings(cores, batches), single, start, stdin=one
    )


def ctranslate2(shape: str, folder: Path, work: Path, python: Path, cores: int, batches: Sequence[int]) -> Side:
    model = folder / f"ctranslate2-{shape}"
    weights = build("drive_ctranslate2.py", python, work, shape, model)

    def setting(workers: int, threads: int, batch: int = BATCH) -> Setting:
        name = f"{workers} worker{'s' * (workers > 1)}, {threads} thread{'s' * (threads > 1)}"
        spec = (("workers", workers), ("threads", threads))
        return Setting(name + (f", batch {batch}" if batch != BATCH else ""), spec, batch=batch)

    return Side(
        f"CTranslate2 {shape} int8",
        python,
        "drive_ctranslate2.py",
        model,
        weights,
        tuple(setting(cores, 1, batch) for batch in batches),
        tuple(setting(1, threads) for threads in sorted({1, cores})),
        (str(python), str(DRIVERS / "drive_ctranslate2.py"), "once", str(work), str(model)),
    )


def torch_settings(cores: int, batches: Sequence[int], *, one_process: bool = False) -> tuple[Setting, ...]:
    """One process of as many threads as cores, and as many processes of one thread (or one process alone)."""
    shapes = {(1, cores), (1, 1) if one_process else (cores, 1)}
    return tuple(
        Setting(
            f"{processes} process{'es' * (processes > 1)}, {threads} thread{'s' * (threads > 1)}, batch {batch}",
            processes=processes,
            threads=threads,
            batch=batch,
        )
        for processes, threads in sorted(shapes)
        for batch in batches
    )


def build(driver: str, python: Path, *arguments: object) -> int:
    """Let a driver write its model; the number of its weights."""
    command = [str(python), str(DRIVERS / driver), "build", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(1))
    if done.returncode:
        raise RuntimeError(f"{driver} could not make its model:\n{done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def workload(model: Path, source: Path | None, sentences: int, length: int) -> Workload:
    """The first sentences of a file; without one, of the project's test sets those nearest to `length` pieces."""
    tokenizer = load_tokenizers(model).source
    lines = (
        [line for name in ("test", "dev", "test_long") for line in read_lines(DATA / f"{name}.en.gz")]
        if source is None
        else [line for line in read_lines(source) if line.strip()]
    )
    encoded = tokenizer.encode_batch(lines)
    chosen = list(range(len(lines)))
    if source is None:
        chosen = sorted(sorted(chosen, key=lambda index: abs(len(encoded[index]) - length))[:sentences])
    chosen = [index for index in chosen if encoded[index]][:sentences]
    return Workload(
        lines=[lines[index] for index in chosen],
        pieces=[tokenizer.pieces(encoded[index]) for index in chosen],
        vocabulary=tokenizer.pieces(range(max(SPECIAL_IDS) + 1, tokenizer.size)),
        length=length,
    )


# The report


def best(results: Sequence[Result], side: str, task: Task) -> Result:
    return min((r for r in results if (r.side, r.task) == (side, task)), key=lambda result: result.cost_s)


def ratios(sides: Sequence[Side], results: Sequence[Result], plan: Plan) -> list[dict[str, Any]]:
    """How many times as fast each of ours is as each peer, both at their best setting."""
    return [
        {
            "ours": ours.name,
            "peer": peer.name,
            **asdict(task),
            "ratio": best(results, peer.name, task).cost_s / best(results, ours.name, task).cost_s,
            "peer_setting": best(results, peer.name, task).setting,
        }
        for task in plan.tasks
        for ours in sides
        if ours.is_ours
        for peer in sides
        if not peer.is_ours
    ]


def heading(report: dict[str, Any]) -> list[str]:
    """Where and when."""
    facts = report["machine"]
    return [
        f"{facts['processor']}, {facts['cores']} cores ({', '.join(facts['flags'])}), {facts['memory_gib']} GiB,",
        f"{facts['system']}, Python {facts['python']}, {report['date']}; ",
        f"load average before: {report['load_average_before']:.2f}.",
    ]


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        *heading(report),
        "",
        f"Sentences: {report['sentences']:,} of {report['source_tokens_mean']:.1f} tokens on average.",
        f"Every output is forced to {report['length']} tokens. Random weights. Median of {report['rounds']} rounds.",
        "",
        "| task | side | setting | sentences/s | target tokens/s | p50 ms | p99 ms | others, cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["results"]:
        times = f"{row['p50_ms']:.2f} | {row['p99_ms']:.2f}" if "p50_ms" in row else "– | –"
        lines.append(
            f"| {Task(row['kind'], row['beam'])} | {row['side']} | {row['setting']} | {row['sentences_per_s']:.1f} "
            f"| {row['sentences_per_s'] * report['length']:,.0f} | {times} | {max(row['others_cores_by_round']):.1f} |"
        )
    lines += ["", "Ours at its best setting, times as fast as the peer at its best:", ""]
    peers = list(dict.fromkeys(row["peer"] for row in report["ratios"]))
    lines += [f"| task | | {' | '.join(peers)} |", "|---|---|" + "---|" * len(peers)]
    tasks = dict.fromkeys((row["kind"], row["beam"], row["ours"]) for row in report["ratios"])
    for kind, beam, ours in tasks:
        cells = [
            f"{row['ratio']:.2f}"
            for row in report["ratios"]
            if (row["kind"], row["beam"], row["ours"]) == (kind, beam, ours)
        ]
        lines.append(f"| {Task(kind, beam)} | {ours} | {' | '.join(cells)} |")
    lines += ["", "| side | weights | start to first translation, s | memory, MB |", "|---|---|---|---|"]
    for side in report["sides"]:
        memory = ", ".join(f"{used / 1e6:.0f} ({name})" for name, used in side["pss_bytes"].items())
        lines.append(f"| {side['name']} | {side['weights'] / 1e6:.1f} M | {side['start_s']:.2f} | {memory} |")
    return "\n".join(lines) + "\n"


def versions(pythons: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Of torch and the toolkits, by environment; `ours` is this one."""
    wanted = ("torch", "OpenNMT-py", "joeynmt", "ctranslate2", "selfhost-nmt")
    code = (
        "import importlib.metadata as m, json, sys; "
        "print(json.dumps({d.name: d.version for d in m.distributions() if d.name in sys.argv}))"
    )
    return {
        name: json.loads(subprocess.check_output([python, "-c", code, *wanted], text=True))
        for name, python in {"ours": Path(sys.executable), **pythons}.items()
    }


def compare(chosen: argparse.Namespace, pythons: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Measure translation."""
    cores = chosen.cores or available_cores()
    plan = Plan(
        tasks=tuple(Task(kind, beam) for kind in ("offline", "single") for beam in BEAMS),
        sentences=0,
        rounds=1 if chosen.quick else chosen.rounds,
        min_seconds=0.0 if chosen.quick else 4.0,
        single_count=4 if chosen.quick else SINGLE_COUNT * (3 if chosen.thorough else 1),
        others_limit=math.inf if chosen.allow_load else OTHERS_LIMIT,
    )
    work = workload(chosen.model, chosen.source, 32 if chosen.quick else chosen.sentences, LENGTH)
    plan = Plan(**{**plan.__dict__, "sentences": len(work.lines)})
    work_file = folder / "work.json"
    work.write(work_file)
    batches = BATCHES if chosen.thorough else (BATCH,)
    sides = list(our_sides(folder, work_file, chosen.model, cores, LENGTH))
    if "opennmt" in pythons:
        sides.append(opennmt(folder, work_file, pythons["opennmt"], cores, batches, LENGTH))
    if "joey" in pythons:
        sides.append(joey(folder, work_file, pythons["joey"], cores, batches))
    if "ctranslate2" in pythons:
        for shape in ("d384-3+3", "d256-6+3"):
            sides.append(ctranslate2(shape, folder, work_file, pythons["ctranslate2"], cores, batches))
    load_before = machine.load_average()
    with Drivers(work_file, folder, LENGTH) as drivers:
        results = measure(sides, drivers, plan)
        memory = drivers.peak_bytes
    start = measure_start(sides, plan.rounds)
    return {
        "load_average_before": load_before,
        "sentences": len(work.lines),
        "source_tokens_mean": statistics.mean(map(len, work.pieces)),
        "length": LENGTH,
        "rounds": plan.rounds,
        "sides": [
            {
                "name": side.name,
                "weights": side.weights,
                "start_s": start[side.name],
                "pss_bytes": memory[side.name],
            }
            for side in sides
        ],
        "results": [result.summary() for result in results],
        "ratios": ratios(sides, results, plan),
    }


def compare_training(chosen: argparse.Namespace, pythons: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Measure training."""
    load_before = machine.load_average()
    results = measure_training(
        training_corpus(chosen),
        pythons["opennmt"],
        folder,
        environment(),
        cores=chosen.cores or available_cores(),
        rounds=1 if chosen.quick else chosen.rounds,
        seconds=5.0 if chosen.quick else chosen.train_seconds,
        others_limit=math.inf if chosen.allow_load else OTHERS_LIMIT,
    )
    summaries = [result.summary() for result in results]
    fastest = {
        side: max(row["target_tokens_per_s"] for row in summaries if row["side"] == side)
        for side in ("ours", "OpenNMT-py")
    }
    return {
        "load_average_before": load_before,
        "training": summaries,
        "training_ratio": fastest["ours"] / fastest["OpenNMT-py"],
    }


def training_corpus(chosen: argparse.Namespace) -> Corpus:
    """The text that was named, or else the project's own sets, `dev` being the dev set."""
    if chosen.train_source:
        dev = (chosen.dev_source, chosen.dev_target) if chosen.dev_source else ()
        return Corpus((chosen.train_source,), (chosen.train_target,), dev)
    sources, targets = (tuple(DATA / f"{name}.{side}.gz" for name in ("test", "test_long")) for side in ("en", "de"))
    return Corpus(sources, targets, (DATA / "dev.en.gz", DATA / "dev.de.gz"))


def compare_perplexity(chosen: argparse.Namespace, pythons: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Measure the time to equal perplexity."""
    corpus = training_corpus(chosen)
    load_before = machine.load_average()
    ours, theirs = measure_perplexity(
        corpus,
        pythons["opennmt"],
        folder,
        environment(),
        cores=chosen.cores or available_cores(),
        seconds=20.0 if chosen.quick else 60 * chosen.minutes,
    )
    return {
        "load_average_before": load_before,
        "corpus": [path.name for path in (*corpus.source, *corpus.target, *corpus.dev)],
        "curves": [ours.summary(), theirs.summary()],
        "marks": compare_curves(ours, theirs),
    }


def perplexity_markdown(report: dict[str, Any]) -> str:
    """The report of `--perplexity` for people."""
    lines = [*heading(report), "", f"Text: {', '.join(report['corpus'])}.", ""]
    for curve in report["curves"]:
        last = curve["curve"][-1]
        lines.append(
            f"- {curve['side']} ({curve['setting']}): {last['update']} updates in {last['training_s']:.0f} s "
            f"of training ({last['wall_s']:.0f} s in all), perplexity {last['perplexity']:.2f}; "
            f"others used {curve['others']:.1f} cores."
        )
    lines += [
        "",
        "| dev perplexity | ours, training s | OpenNMT-py | times as fast | ours, all s | OpenNMT-py | times as fast |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row['perplexity']:.2f} | {row['our_training_s']:.0f} | {row['their_training_s']:.0f} "
            f"| {row['training_ratio']:.2f} | {row['our_wall_s']:.0f} | {row['their_wall_s']:.0f} "
            f"| {row['wall_ratio']:.2f} |"
            for row in report["marks"]
        ),
    ]
    if not report["marks"]:
        lines.append("No perplexity was crossed by both: train longer (`--minutes`).")
    return "\n".join(lines) + "\n"


def training_markdown(report: dict[str, Any]) -> str:
    """The report of `--training` for people."""
    lines = [
        *heading(report),
        "",
        "| side | batch | target tokens/s | memory, MB | others, cores |",
        "|---|---|---|---|---|",
        *(
            f"| {row['side']} | {row['batch']} | {row['target_tokens_per_s']:,.0f} | {row['pss_bytes'] / 1e6:.0f} "
            f"| {max(row['others']):.1f} |"
            for row in report["training"]
        ),
        "",
        f"Ours with its best batch, times as fast as OpenNMT-py with its best: {report['training_ratio']:.2f}",
    ]
    return "\n".join(lines) + "\n"


KINDS = {
    "translation": (compare, markdown),
    "training": (compare_training, training_markdown),
    "perplexity": (compare_perplexity, perplexity_markdown),
}
"""By the name of the report: how it is made, and how it is written for people."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, help="bundle whose vocabulary (and shortlist) is used")
    parser.add_argument("--source", type=Path, help="English sentences, one a line, .gz or not")
    parser.add_argument(
        "--sentences", type=int, default=SENTENCES, help="at most so many of them (default %(default)s)"
    )
    parser.add_argument("--peers", nargs="+", choices=list(ENVIRONMENTS), default=list(ENVIRONMENTS))
    parser.add_argument("--envs", type=Path, default=ENVS, help="where the peers are installed (default %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "peers", help="folder of report and logs")
    parser.add_argument("--cores", type=int, default=0, help="processes or threads of a side (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thorough", action="store_true", help=f"batches of {BATCHES}, more single sentences")
    parser.add_argument("--quick", action="store_true", help="a few sentences, one round: does it run?")
    parser.add_argument("--allow-load", action="store_true", help="measure although others use the machine")
    parser.add_argument("--training", action="store_true", help="measure training, beside OpenNMT-py, and nothing else")
    parser.add_argument(
        "--perplexity", action="store_true", help="measure the time to equal dev perplexity, and nothing else"
    )
    parser.add_argument("--train-source", type=Path, help="English text to train on (default: the project's test sets)")
    parser.add_argument("--train-target", type=Path, help="the same in German")
    parser.add_argument("--dev-source", type=Path, help="English dev set (default: some of the training pairs)")
    parser.add_argument("--dev-target", type=Path, help="the same in German")
    parser.add_argument("--train-seconds", type=float, default=45.0, help="of each run (default %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="that each side trains with --perplexity (default %(default)s)"
    )
    chosen = parser.parse_args()
    for name in ("train", "dev"):
        if (getattr(chosen, f"{name}_source") is None) != (getattr(chosen, f"{name}_target") is None):
            parser.error(f"--{name}-source and --{name}-target go together")
    if chosen.dev_source and not chosen.train_source:
        parser.error("--dev-source goes with --train-source")
    if chosen.training and chosen.perplexity:
        parser.error("--training or --perplexity, not both")
    if chosen.training or chosen.perplexity:
        chosen.peers = ["opennmt"]
    kind = "perplexity" if chosen.perplexity else "training" if chosen.training else "translation"
    measure_kind, write_kind = KINDS[kind]

    envs = chosen.envs.expanduser()
    pythons = {name: install(ENVIRONMENTS[name], envs) for name in chosen.peers}
    folder = chosen.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.facts(),
        "versions": versions(pythons),
        **measure_kind(chosen, pythons, folder),
    }
    (folder / f"{kind}.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    text = write_kind(report)
    (folder / f"{kind}.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
