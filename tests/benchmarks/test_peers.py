"""The comparison with other toolkits, without them: what it counts, chooses and reads, and our own side of it."""

from __future__ import annotations

import json
import math
import os
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
from benchmarks.peer_perplexity import (
    Curve,
    Point,
    compare_curves,
    follow,
    marks,
    opennmt_points,
    our_points,
    prepare_text,
)
from benchmarks.peer_training import Corpus, opennmt_rates, our_rates, our_run, write_config, write_recipe
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
    perplexity_markdown,
    ratios,
    torch_settings,
    workload,
)
from nmt.bundle import load_config
from nmt.hardware import process_tree, pss_bytes
from nmt.text.tokenizer import SPECIAL_IDS, load_tokenizers
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
    assert len(work.vocabulary) == load_config(MODEL).tgt_vocab - len(SPECIAL_IDS)
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


def curve(side: str, *points: tuple[float, float]) -> Curve:
    """Of (training seconds, perplexity); in all it takes twice as long and ten seconds more."""
    return Curve(side, "", [Point(i, s, math.log(ppl), 2 * s + 10) for i, (s, ppl) in enumerate(points, start=1)])


def test_marks_are_crossed_by_both_and_end_at_the_lowest_that_both_reach() -> None:
    fast, slow = curve("a", (10, 90), (20, 8), (30, 9)), curve("b", (40, 60), (80, 35), (120, 22), (160, 24))
    assert [math.exp(mark) for mark in marks([fast, slow])] == pytest.approx([50, 40, 30, 25, 22])
    assert marks([fast, curve("never", (10, 300), (20, 200))]) == []


def test_time_to_a_perplexity_lies_on_the_line_between_two_validations() -> None:
    falling = curve("a", (10, 100), (20, 25), (30, 26), (40, 4))
    assert falling.time_to(math.log(50)) == pytest.approx((15, 40))  # half way from log 100 to log 25
    assert falling.time_to(math.log(25)) == pytest.approx((20, 50))
    assert falling.time_to(math.log(5.1))[0] == pytest.approx(40, abs=1.5)
    for never in (3, 100):
        with pytest.raises(ValueError, match="did not cross"):
            falling.time_to(math.log(never))
    (*_, row) = compare_curves(curve("a", (5, 100), (15, 25)), curve("b", (10, 100), (70, 25)))
    assert row["perplexity"] == pytest.approx(25)
    assert row["training_ratio"] == pytest.approx(70 / 15)
    assert row["wall_ratio"] == pytest.approx(150 / 40)


def test_report_of_perplexity_says_when_each_side_crossed_a_mark() -> None:
    facts = {"processor": "x", "cores": 2, "flags": [], "memory_gib": 1.0, "system": "y", "python": "3"}
    report = {"machine": facts, "date": "now", "load_average_before": 0.0, "corpus": ["a.en", "a.de"]}
    ours, theirs = curve("ours", (5, 100), (15, 25)), curve("OpenNMT-py", (10, 100), (70, 25))
    curves = {"curves": [ours.summary(), theirs.summary()]}
    text = perplexity_markdown({**report, **curves, "marks": compare_curves(ours, theirs)})
    assert "| 25.00 | 15 | 70 | 4.67 | 40 | 150 | 3.75 |" in text.splitlines()
    assert "train longer" in perplexity_markdown({**report, **curves, "marks": []})
    json.dumps(curves, allow_nan=False)


def test_our_validations_are_timed_without_themselves(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    assert our_points(history) == []
    history.append({"kind": "train", "update": 50, "seconds": 4.0})
    history.append({"kind": "train", "update": 60, "seconds": 1.0})
    history.append({"kind": "validation", "update": 60, "loss": 3.5, "seconds": 9.0})
    history.append({"kind": "train", "update": 120, "seconds": 6.0})
    history.append({"kind": "validation", "update": 120, "loss": 2.5, "seconds": 9.0})
    assert [(p.update, p.training_s, p.loss) for p in our_points(history)] == [(60, 5.0, 3.5), (120, 11.0, 2.5)]


def test_their_validations_must_count_the_same_tokens(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = 'VALIDATION {"update": 50, "training_s": 12.5, "loss": 4.0, "tokens": 99}'
    log.write_text(f"[x INFO] Validation perplexity: 60\n{line}\n{line[:40]}", "utf-8")
    (point,) = opennmt_points(log, 99)
    assert (point.update, point.training_s, point.loss) == (50, 12.5, 4.0)
    with pytest.raises(RuntimeError, match="99 target tokens, not 98"):
        opennmt_points(log, 98)


def test_a_run_is_followed_until_it_has_trained_long_enough_and_then_stopped(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    program = """
import json, sys, time
for update in range(1, 100):
    time.sleep(0.02)
    for record in ({"kind": "train", "seconds": 1.0}, {"kind": "validation", "loss": 9.0 - update}):
        with open(sys.argv[1], "a") as file:
            file.write(json.dumps({"update": update} | record) + "\\n")
time.sleep(100)
"""
    command = [sys.executable, "-c", program, str(history.path)]
    found = Curve("x", "")
    began = time.monotonic()
    follow(found, command, tmp_path / "log", dict(os.environ), lambda: our_points(history), 3.0)
    assert time.monotonic() - began < 20
    assert [(p.update, p.training_s) for p in found.points[:3]] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    walls = [point.wall_s for point in found.points]
    assert 0 < walls[0] <= walls[-1] < 20
    assert walls == sorted(walls)
    ended = [sys.executable, "-c", "print('no such option')"]
    with pytest.raises(RuntimeError, match="told too little"):
        follow(Curve("x", ""), ended, tmp_path / "log", dict(os.environ), list, 3.0)


def test_both_sides_get_the_same_pairs_in_the_same_pieces(tmp_path: Path) -> None:
    lines = toy_sentences(60)
    for side in ("source", "target"):
        (tmp_path / side).write_text("".join(f"{line}\n" for line in [*lines, lines[0]]), "utf-8")
        (tmp_path / f"dev.{side}").write_text(f"{lines[3]}\n", "utf-8")
    paths = (tmp_path / "source",), (tmp_path / "target",)
    corpus = Corpus(*paths, dev=(tmp_path / "dev.source", tmp_path / "dev.target"))
    recipe = write_recipe(corpus, tmp_path, 640, 1, validate_every=7)
    recipe.write_text(recipe.read_text("utf-8").replace("vocab_size = 8000", "vocab_size = 300"), "utf-8")
    dev_tokens = prepare_text(recipe)
    config = json.loads(write_config(tmp_path, "sents", 4, valid_steps=5).read_text("utf-8"))
    assert (config["batch_size"], config["valid_steps"]) == (4, 5)
    trained = Path(config["data"]["corpus"]["path_src"]).read_text("utf-8").splitlines()
    assert len(trained) == len(set(lines)) - 1  # neither what occurs twice nor what is in the dev set
    (held_out,) = Path(config["data"]["valid"]["path_tgt"]).read_text("utf-8").splitlines()
    assert "".join(held_out.split(" ")).replace("▁", " ").strip() == lines[3]
    assert len(held_out.split(" ")) + 1 == dev_tokens
    known = {line.split("\t")[0] for line in Path(config["src_vocab"]).read_text("utf-8").splitlines()}
    assert {piece for line in [*trained, held_out] for piece in line.split(" ")} <= known
    assert len(known) + 4 == load_tokenizers(our_run(tmp_path) / "vocabulary").target.size


def test_every_environment_is_pinned() -> None:
    for name in ENVIRONMENTS:
        lines = (LOCKS / f"{name}.lock").read_text("utf-8").splitlines()
        packages = [line for line in lines if not line.startswith("#")]
        assert packages
        assert all("==" in package for package in packages)
        assert not any(package.startswith("torch==") for package in packages)
