"""The command line as a whole: quick, and with one line for whatever a user can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nmt import __version__
from nmt.cli import main as command_line
from nmt.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    """Exit code, standard output and standard error of a call in this process."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print({'torch', 'pydantic', 'sacrebleu', 'numpy'} & set(sys.modules)))\n"
        "from nmt.cli.main import main\n"
        "main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "train"], ["--version", "nowhere"]])
def test_version(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(capsys, *arguments) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: nmt {name} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--nowhere"], "No such option: --nowhere"),
        (["--nowhere", "train"], "No such option: --nowhere"),
        (["trian"], "No such command 'trian'"),
        (["translate"], "Missing argument 'MODEL'"),
        (["translate", "m", "--beam", "0"], "Invalid value for '--beam'"),
        (["evaluate", "speed"], "No such command 'speed'"),
        (
            ["translate", "m", "--sample", "--temperature", "inf"],
            "Invalid value for '--temperature': inf is not finite",
        ),
        (["translate", "m", "--diversity", "nan"], "Invalid value for '--diversity'"),
        (["translate", "m", "--lm-weight", "inf"], "Invalid value for '--lm-weight'"),
        (["sample", "m", "--temperature", "inf"], "Invalid value for '--temperature'"),
        (["sample", "m", "--seed", str(2**63)], "Invalid value for '--seed'"),
    ],
)
def test_a_call_that_cannot_be_understood(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "no training text"),
        (["train", "model.hiden_size=3"], "did you mean model.hidden_size?"),
        (["translate", "nowhere"], "nowhere: no such folder"),
        (["translate", __file__], "a file; a model is the whole folder"),
        (["translate", str(Path(__file__).parent)], "not a model bundle"),
        (["inspect", "nowhere"], "nowhere: no such folder"),
        (["evaluate", "quality"], "name either a model"),
        (["evaluate", "quality", "m"], "a model needs --source"),
        (["evaluate", "quality", "--hypothesis", "x"], "at least one file of references"),
        (["serve", "--host", "host.invalid"], "cannot listen on host.invalid:8000"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())  # not for the rest of the tests
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_folder_of_models_is_answered_with_their_names(capsys: pytest.CaptureFixture[str], bundle: Path) -> None:
    _, _, err = run(capsys, "inspect", str(bundle.parent))
    assert err == f"error: {bundle.parent}: not a model bundle; did you mean {bundle}?\n"


def test_training_without_a_corpus_makes_no_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(capsys, "train", "-o", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_every_listed_command_is_there() -> None:
    assert all(command_line.build_app(name) for name in COMMANDS)
