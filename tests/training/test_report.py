"""History survives kills and resumes; the reporter prints the right figures, seldom, and writes readable events."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from nmt.errors import CheckpointError
from nmt.evaluation.quality import bleu, chrf
from nmt.training.report import HISTORY_FILE, PLAIN_EVERY_S, RECORD_EVERY, History, Record, Reporter, ValidationResult


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A reporter whose output and time the test holds."""

    def __init__(self, folder: Path, *, terminal: bool = False, tensorboard: bool = False):
        self.clock, self.out = Clock(), io.StringIO()
        console = Console(file=self.out, force_terminal=terminal, width=120, _environ={"TERM": "xterm"})
        self.reporter = Reporter(folder, tensorboard, console=console, clock=self.clock)

    def train(self, first: int, last: int, *, seconds: float = 1.0, loss: float = 2.0, tokens: int = 100) -> None:
        for update in range(first, last + 1):
            self.clock.now += seconds
            self.reporter.train(update, 1 + update // 100, loss, tokens, 0.001)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "run" / HISTORY_FILE)


def record(update: int) -> Record:
    return {"kind": "train", "update": update, "loss": 1 / update, "note": "ä\u2028"}


def test_records_come_back_in_order(history: History) -> None:
    assert history.records() == []
    for update in (1, 2, 3):
        history.append(record(update))
    assert history.records() == History(history.path).records() == [record(1), record(2), record(3)]


@pytest.mark.parametrize("cut", range(1, len(json.dumps(dict(record(2)), ensure_ascii=False).encode()) + 1))
def test_a_torn_last_line_is_ignored_and_does_not_spoil_the_next(history: History, cut: int) -> None:
    history.append(record(1))
    whole = history.path.stat().st_size
    history.append(record(2))
    torn = history.path.read_bytes()[: whole + cut]
    assert not torn.endswith(b"\n")
    history.path.write_bytes(torn)
    resumed = History(history.path)
    assert resumed.records() == [record(1)]
    resumed.append(record(3))
    assert resumed.records() == [record(1), record(3)]


def test_truncation_drops_exactly_the_later_records(history: History) -> None:
    for update in range(1, 8):
        history.append(record(update))
    history.truncate(5)
    assert history.records() == [record(update) for update in range(1, 6)]
    history.truncate(5)
    history.append(record(6))
    assert [found["update"] for found in history.records()] == [1, 2, 3, 4, 5, 6]
    history.truncate(0)
    assert history.records() == []
    assert [path.name for path in history.path.parent.iterdir()] == [HISTORY_FILE]


def test_truncation_interrupted_before_the_rename_changes_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    for update in (1, 2, 3):
        history.append(record(update))
    before = history.path.read_bytes()

    def kill(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        history.truncate(1)
    assert history.path.read_bytes() == before


def test_a_history_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"history.jsonl: cannot be written: "):
        History(tmp_path / "file" / HISTORY_FILE).append(record(1))


def test_truncation_without_a_file_is_fine(history: History) -> None:
    history.truncate(3)
    assert history.records() == []


@pytest.mark.parametrize("damage", [b"\x00\x00\x00", b"{", b"[1]", b'{"kind": "train"}', b"\xff", b"3"])
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(history: History, damage: bytes) -> None:
    history.append(record(1))
    with history.path.open("ab") as file:
        file.write(damage + b"\n")
    history.append(record(2))
    with pytest.raises(CheckpointError, match=r"history.jsonl:2: not a record"):
        history.records()


def test_every_line_is_strict_json(history: History) -> None:
    history.append({"kind": "train", "update": 1, "loss": float("nan"), "perplexity": float("inf")})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    parsed = json.loads(history.path.read_text("utf-8"), parse_constant=refuse)
    assert parsed == {"kind": "train", "update": 1, "loss": None, "perplexity": None}


def test_loss_is_the_mean_over_target_tokens_and_speed_leaves_validation_out(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.reporter.start(0, 1, 1000)
    for update, (loss, tokens) in enumerate([(4.0, 100), (1.0, 300)], start=1):
        run.clock.now += 2.0
        run.reporter.train(update, 1, loss, tokens, 0.5)
    run.clock.now += 60.0  # the validation itself
    run.reporter.validation(2, 1, ValidationResult(loss=2.0, perplexity=7.4, seconds=60.0))
    train, validation = run.reporter.history.records()
    assert train == {
        "kind": "train",
        "update": 2,
        "epoch": 1,
        "loss": pytest.approx((4.0 * 100 + 1.0 * 300) / 400),
        "tokens_per_s": pytest.approx(400 / 4.0),
        "learning_rate": 0.5,
        "seconds": pytest.approx(4.0),
    }
    assert validation == {
        "kind": "validation",
        "update": 2,
        "epoch": 1,
        "loss": 2.0,
        "perplexity": 7.4,
        "seconds": 60.0,
    }
    run.clock.now += 5.0
    run.reporter.train(3, 1, 1.0, 100, 0.5)
    run.reporter.close()
    assert run.reporter.history.records()[-1]["tokens_per_s"] == pytest.approx(100 / 5.0)


def test_records_are_counted_in_updates(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.reporter.start(0, 1, 1000)
    run.train(1, 3 * RECORD_EVERY + 7)
    run.reporter.close()
    run.reporter.close()
    updates = [found["update"] for found in run.reporter.history.records()]
    assert updates == [RECORD_EVERY, 2 * RECORD_EVERY, 3 * RECORD_EVERY, 3 * RECORD_EVERY + 7]


def test_resume_goes_on_where_the_checkpoint_was(tmp_path: Path) -> None:
    killed = Run(tmp_path)
    killed.reporter.start(0, 1, 1000)
    killed.train(1, 4 * RECORD_EVERY)
    resumed = Run(tmp_path)
    resumed.reporter.start(2 * RECORD_EVERY, 1, 1000)
    resumed.train(2 * RECORD_EVERY + 1, 3 * RECORD_EVERY, loss=1.0)
    found = [(each["update"], each["loss"]) for each in resumed.reporter.history.records()]
    assert found == [(RECORD_EVERY, 2.0), (2 * RECORD_EVERY, 2.0), (3 * RECORD_EVERY, 1.0)]


def test_plain_lines_come_at_a_bounded_rate_with_the_right_figures(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.reporter.start(0, 1, 1000)
    run.train(1, 200, seconds=0.5, loss=2.5, tokens=100)
    assert len(run.lines) == int(200 * 0.5 / PLAIN_EVERY_S)
    # 60 updates in 30 s: 940 more take 470 s; 100 tokens in half a second are 200 a second.
    assert run.lines[0] == "update 60/1,000  epoch 1  loss 2.500  200 tokens/s  lr 0.001  0:07:50 left"
    assert "\x1b" not in run.out.getvalue()


def test_time_left_counts_from_the_resumed_update(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.reporter.start(900, 9, 1000)
    run.train(901, 930)
    assert run.lines[-1].endswith("0:01:10 left")


def test_validation_shows_scores_samples_and_each_signature_once(tmp_path: Path) -> None:
    hypotheses, references = ["Das ist [bold]gut[/bold]."], [["Das ist gut."]]
    result = ValidationResult(
        loss=1.5,
        perplexity=4.48,
        bleu=bleu(hypotheses, references),
        chrf=chrf(hypotheses, references),
        samples=[("This is good. " * 20, "Das ist gut.", "Das ist [bold]gut[/bold].\x1b[31m")],
        seconds=12.34,
    )
    run = Run(tmp_path)
    run.reporter.start(0, 1, 1000)
    run.reporter.validation(1200, 3, result)
    run.reporter.validation(1300, 3, result)
    assert result.bleu is not None
    assert result.chrf is not None
    expected = f"BLEU {result.bleu.value:.2f}  chrF2 {result.chrf.value:.2f}  12.3 s"
    assert run.lines[0] == f"validation at update 1,200  epoch 3  loss 1.500  perplexity 4.48  {expected}"
    assert f"  source     {'This is good. ' * 20}" in run.lines
    assert "  reference  Das ist gut." in run.lines
    assert "  output     Das ist [bold]gut[/bold].\ufffd[31m" in run.lines
    assert run.out.getvalue().count(result.bleu.signature) == 1
    stored = run.reporter.history.records()[0]
    assert stored["bleu"] == result.bleu.value
    assert stored["bleu_signature"] == result.bleu.signature
    assert stored["chrf_signature"] == result.chrf.signature


def test_a_terminal_gets_a_bar_that_goes_away_and_messages_that_stay(tmp_path: Path) -> None:
    run = Run(tmp_path, terminal=True)
    with run.reporter as reporter:
        reporter.start(0, 1, 100)
        run.train(1, 50)
        reporter.message("checkpoint [written]")
    output = run.out.getvalue()
    assert "━" in output
    assert "update 50/100" in output
    assert "0:00:50 left" in output
    assert "checkpoint [written]\n" in output
    assert output.rfind("\x1b[?25h") > output.rfind("\x1b[?25l"), "the cursor, hidden for the bar, is shown again"


def test_the_bar_is_drawn_seldom(tmp_path: Path) -> None:
    run = Run(tmp_path, terminal=True)
    run.reporter.start(0, 1, 10_000)
    run.train(1, 10_000, seconds=0.001)
    drawn = run.out.getvalue().count("tokens/s")
    run.reporter.close()
    assert 15 <= drawn <= 25, "10 s of training are about 20 pictures of the bar"


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def test_missing_tensorboard_is_one_line_and_training_goes_on(tmp_path: Path, no_tensorboard: None) -> None:
    run = Run(tmp_path, tensorboard=True)
    with run.reporter as reporter:
        reporter.start(0, 1, 1000)
        run.train(1, 3)
        reporter.validation(3, 1, ValidationResult(loss=1.0, perplexity=2.7))
    assert run.lines[0].startswith("no TensorBoard events written: tensorboard is not installed")
    assert len(run.reporter.history.records()) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_events_can_be_read_back_and_a_resume_replaces_later_ones(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def run_updates(start: int, last: int, loss: float) -> None:
        run = Run(tmp_path, tensorboard=True)
        with run.reporter as reporter:
            reporter.start(start, 1, 1000)
            run.train(start + 1, last, loss=loss)
            result = ValidationResult(1.0, 2.7, bleu(["a b c d"], [["a b c d"]]), samples=[("x", "y", "z")])
            reporter.validation(last, 1, result)

    run_updates(0, 3 * RECORD_EVERY, 2.0)
    run_updates(RECORD_EVERY, 2 * RECORD_EVERY, 1.0)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(RECORD_EVERY, 2.0), (2 * RECORD_EVERY, 1.0)]
    assert [event.value for event in events.Scalars("dev/bleu")] == [pytest.approx(100)]
    assert {"train/tokens_per_s", "train/learning_rate", "dev/perplexity"} <= set(events.Tags()["scalars"])
    assert "dev/bleu_signature" not in events.Tags()["scalars"]
    assert "dev/sample 1/text_summary" in events.Tags()["tensors"]


def test_without_tensorboard_torch_is_not_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nmt.training.report import Reporter\n"
        f"reporter = Reporter(Path({str(tmp_path)!r})); reporter.start(0, 1, 1000)\n"
        "reporter.train(1, 1, 2.0, 10, 0.1); reporter.close(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False"]
