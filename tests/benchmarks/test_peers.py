"""The comparison with other toolkits, without them: what it counts, chooses and reads, and our own side of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.peer_drivers.driver import Workload
from benchmarks.peer_envs import ENVIRONMENTS, LOCKS
from benchmarks.peer_training import opennmt_rates, our_rates
from benchmarks.peers import (
    MODEL,
    DriverProcess,
    Drivers,
    Plan,
    Result,
    Setting,
    Side,
    Task,
    build,
    measure,
    percentile,
    ratios,
    torch_settings,
    workload,
)
from nmt.hardware import process_tree, pss_bytes
from nmt.training.report import History
from tests.bundles import make_bundle, toy_sentences

NOISY_DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {drivers!r})
from driver import Workload, serve, timed, timed_each

class Driver:
    def __init__(self, work):
        self.work = work
    def offline(self, *, beam, batch, threads, passes, first, step):
        print("noise")
        return timed(lambda: [len(pieces) for pieces in self.work.pieces[first::step] * passes])
    def single(self, *, beam, threads, count):
        return timed_each([lambda pieces=pieces: len(pieces) for pieces in self.work.pieces[:count]])

serve(lambda spec: Driver(Workload.read(Path(spec["work"]))))
"""


@pytest.fixture
def spinner() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose child keeps a core busy."""
    child = "while True: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    while len(process_tree(process.pid)) < 2:
        time.sleep(0.01)
    yield process
    for pid in reversed(process_tree(process.pid)):
        subprocess.run(["kill", str(pid)], check=True)
    process.wait(10)


def test_cpu_time_and_memory_of_children_count(spinner: subprocess.Popen[bytes]) -> None:
    parent, child = process_tree(spinner.pid)
    before = machine.cpu_seconds([spinner.pid])
    while machine.cpu_seconds([spinner.pid]) < before + 0.2:  # the parent waits: only the child can make it grow
        time.sleep(0.02)
    assert pss_bytes(spinner.pid) > pss_bytes(child) > 1e6
    assert process_tree(parent) == [parent, child]


def test_what_is_watched_does_not_count_as_others(spinner: subprocess.Popen[bytes]) -> None:
    with_it, without_it = machine.watch([spinner.pid]), machine.watch([])
    before = machine.cpu_seconds([spinner.pid])
    while machine.cpu_seconds([spinner.pid]) < before + 0.5:
        time.sleep(0.05)
    used, all_used = with_it(), without_it()
    assert all_used > used


def test_percentiles_are_measured_values() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, percent) for percent in (0, 20, 21, 50, 99, 100)] == [1.0, 1.0, 2.0, 3.0, 5.0, 5.0]


def test_default_sentences_are_in_the_shared_vocabulary_and_of_the_wanted_length() -> None:
    work = workload(MODEL, None, 100, 15)
    assert len(work.lines) == len(work.pieces) == 100
    assert {len(pieces) for pieces in work.pieces} == {15, 14, 16}
    assert {piece for pieces in work.pieces for piece in pieces} <= set(work.vocabulary) | {"<unk>"}
    assert len(work.vocabulary) == 7996
    assert "".join(work.pieces[0]).replace("▁", " ").strip() == work.lines[0]


def test_given_sentences_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_text("One.\n\nA rather longer sentence than that.\nThree.\n", "utf-8")
    assert workload(MODEL, path, 2, 15).lines == ["One.", "A rather longer sentence than that."]


def side(name: str, driver: str, model: Path, settings: tuple[Setting, ...], *, is_ours: bool = False) -> Side:
    return Side(name, Path(sys.executable), driver, model, 0, settings, settings[:1], (), is_ours=is_ours)


def test_sides_share_a_file_among_their_processes_whatever_they_print(tmp_path: Path) -> None:
    drivers = str(Path(machine.__file__).parent / "peer_drivers")
    (tmp_path / "noisy.py").write_text(NOISY_DRIVER.format(drivers=drivers), "utf-8")
    noisy = side("noisy", str(tmp_path / "noisy.py"), tmp_path, (Setting("one"), Setting("three", processes=3)))
    (tmp_path / "work.json").write_text("{}", "utf-8")
    Workload(["a b"] * 10, [["a", "b"]] * 10, ["a", "b"], 2).write(tmp_path / "work.json")
    with Drivers(tmp_path / "work.json", tmp_path, 2) as running:
        answers, _ = running.run(noisy, noisy.offline[1], {"do": "offline", "beam": 1, "batch": 1, "passes": 2})
        assert [answer["lengths"] for answer in answers] == [{"2": 8}, {"2": 6}, {"2": 6}]
        plan = Plan((Task("offline", 1), Task("single", 1)), 10, 2, 0.0, 7, others_limit=1e9)
        offline_one, offline_three, single = measure([noisy], running, plan)
        assert [len(result.rates) for result in (offline_one, offline_three, single)] == [2, 2, 2]
        assert len(single.latencies_s) == 14
        assert running.peak_bytes["noisy"]["three"] > running.peak_bytes["noisy"]["one"] > 0


def test_an_output_of_another_length_is_an_error(tmp_path: Path) -> None:
    drivers = str(Path(machine.__file__).parent / "peer_drivers")
    (tmp_path / "noisy.py").write_text(NOISY_DRIVER.format(drivers=drivers), "utf-8")
    noisy = side("noisy", str(tmp_path / "noisy.py"), tmp_path, (Setting("one"),))
    Workload(["a b"], [["a", "b"]], ["a", "b"], 3).write(tmp_path / "work.json")
    with pytest.raises(RuntimeError, match="lengths"), Drivers(tmp_path / "work.json", tmp_path, 3) as running:
        running.run(noisy, noisy.offline[0], {"do": "single", "beam": 1, "count": 1})


def test_a_driver_that_fails_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('no such model')", "utf-8")
    broken = side("broken", str(tmp_path / "broken.py"), tmp_path, (Setting("one"),))
    with pytest.raises(RuntimeError, match="no such model"):
        DriverProcess(broken, broken.offline[0], tmp_path / "work.json", tmp_path / "log")


def test_our_outputs_have_exactly_the_wanted_length(tmp_path: Path) -> None:
    toy = make_bundle(tmp_path / "toy")
    assert toy.folder is not None
    weights = build("drive_ours.py", Path(sys.executable), tmp_path / "ours", 4, toy.folder, "no")
    # two matrices and a bias grow with the vocabulary; OpenNMT-py counts 17,391,424 weights with one of 8,000
    assert weights + (8000 - toy.config.tgt_vocab) * (2 * 512 + 1) == pytest.approx(17_391_424, rel=1e-3)
    lines = toy_sentences(6)
    Workload(lines, [], [], 4).write(tmp_path / "work.json")
    ours = side("ours", "drive_ours.py", tmp_path / "ours", (Setting("here", (("workers", 0),)),), is_ours=True)
    with Drivers(tmp_path / "work.json", tmp_path, 4) as running:
        for beam in (1, 3):
            answers, _ = running.run(ours, ours.offline[0], {"do": "offline", "beam": beam, "batch": 1, "passes": 1})
            assert answers[0]["lengths"] == {"4": 6}
        answers, _ = running.run(ours, ours.offline[0], {"do": "single", "beam": 2, "count": 3})
        assert len(answers[0]["latencies"]) == 3


def test_ratios_take_each_side_at_its_best_setting(tmp_path: Path) -> None:
    task = Task("offline", 5)
    sides = [side("ours", "", tmp_path, (Setting("x"),), is_ours=True), side("peer", "", tmp_path, (Setting("x"),))]
    results = [
        Result("ours", task, "slow", rates=[10.0, 10.0, 1000.0]),
        Result("ours", task, "fast", rates=[40.0, 60.0, 1.0]),
        Result("peer", task, "slow", rates=[2.0]),
        Result("peer", task, "fast", rates=[5.0, 4.0, 3.0]),
    ]
    (row,) = ratios(sides, results, Plan((task,), 1, 3, 0.0, 1, 0.0))
    assert (row["ours"], row["peer"], row["peer_setting"]) == ("ours", "peer", "fast")
    assert row["ratio"] == pytest.approx(10.0)


def test_one_at_a_time_the_median_counts_not_the_mean(tmp_path: Path) -> None:
    result = Result("x", Task("single", 1), "", rates=[1.0], latencies_s=[0.1, 0.1, 9.0], medians_s=[0.1])
    assert result.cost_s == 0.1
    assert result.summary()["p50_ms"] == pytest.approx(100)
    assert result.summary()["p99_ms"] == pytest.approx(9000)


def test_toolkits_are_tried_with_threads_and_with_processes() -> None:
    assert [(s.processes, s.threads) for s in torch_settings(4, (64,))] == [(1, 4), (4, 1)]
    assert [(s.processes, s.threads) for s in torch_settings(4, (64,), one_process=True)] == [(1, 1), (1, 4)]
    assert len(torch_settings(1, (64, 128))) == 2


def test_reports_of_training_are_read(tmp_path: Path) -> None:
    line = (
        "[2026-11-21 15:00:00,123 INFO] Step 20/1000000; acc: 3.2; ppl: 4521.7; xent: 8.4; lr: 0.00100; "
        "sents:    1280; bsz:  812/ 901/64; 1523/1690 tok/s;     11 sec;"
    )
    assert opennmt_rates(f"noise\n{line}\n[x] Step 40/1000000; nothing\n") == [1690.0]
    history = tmp_path / "history.jsonl"
    assert our_rates(history) == []
    record: dict[str, Any] = {"kind": "train", "update": 50, "tokens_per_s": 2396.1}
    History(history).append(record)
    History(history).append({"kind": "validation", "update": 50, "loss": 1.0})
    with history.open("a") as file:
        file.write(json.dumps(record)[:20])  # torn by a kill
    assert our_rates(history) == [2396.1]


def test_every_environment_is_pinned() -> None:
    for name in ENVIRONMENTS:
        lines = (LOCKS / f"{name}.lock").read_text("utf-8").splitlines()
        packages = [line for line in lines if not line.startswith("#")]
        assert packages
        assert all("==" in package for package in packages)
        assert not any(package.startswith("torch==") for package in packages)
