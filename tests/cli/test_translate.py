"""`nmt translate` for real: files and streams, interruptions, and formats."""

from __future__ import annotations

import gzip
import os
import signal
import time
from pathlib import Path

import pytest

from nmt.inference import Diversity, Sampling, TranslateOptions, Translator
from tests.bundles import make_bundle, toy_sentences
from tests.cli.calls import Answer, call, finish, start
from tests.inference.test_unknown import unknown_bundle

HOSTILE = (
    b"The old dog sees the tree.\n\n  \nThe man\xc2\x85hears\xe2\x80\xa8the dog.\n\x00\nThe\rdog.\n"
    b"The dog.\tThe man.\nwindows\r\n\r\n\xf0\x9f\x98\x80\n" + b"the dog " * 500 + b"\nThe last."
)


def write_toy(folder: Path, lines: int) -> Path:
    path = folder / "in.txt"
    path.write_text("".join(f"{sentence}\n" for sentence in toy_sentences(lines)), "utf-8")
    return path


def lines_of(answer: Answer) -> list[str]:
    assert (answer.code, answer.err) == (0, "")
    return answer.out.decode("utf-8").removesuffix("\n").split("\n")


def test_streams_and_files_plain_and_gzipped_give_the_same_lines(bundle: Path, tmp_path: Path) -> None:
    plain, packed = tmp_path / "in.txt", tmp_path / "in.txt.gz"
    plain.write_bytes(HOSTILE)
    packed.write_bytes(gzip.compress(HOSTILE))
    streamed = call(tmp_path, "translate", bundle, stdin=plain)
    assert (streamed.code, streamed.err) == (0, "")
    assert streamed.out.count(b"\n") == HOSTILE.count(b"\n")
    assert not streamed.out.endswith(b"\n")
    assert streamed.out.split(b"\n")[8] == b"\r"

    to_packed = call(tmp_path, "translate", bundle, "-i", plain, "-o", tmp_path / "o.gz")
    from_packed = call(tmp_path, "translate", bundle, "-i", packed, "-o", tmp_path / "o")
    assert to_packed == from_packed == Answer(0, b"", "")
    assert gzip.decompress((tmp_path / "o.gz").read_bytes()) == streamed.out
    assert (tmp_path / "o").read_bytes() == streamed.out


def test_the_command_says_what_the_library_says(bundle: Path, tmp_path: Path) -> None:
    source = write_toy(tmp_path, 20)
    sentences = source.read_text("utf-8").splitlines()
    options = TranslateOptions(beam_size=3, n_best=3, alignments=True, raw=True)
    with Translator.load(bundle) as translator:
        expected = translator.translate(sentences, options)
    arguments: list[str | Path] = ["translate", bundle, "-i", source, "--beam", "3", "--raw"]
    arguments += ["--scores", "--alignments"]
    columns = [line.split("\t") for line in lines_of(call(tmp_path, *arguments))]
    assert [column[0] for column in columns] == [translation.text for translation in expected]
    assert [float(column[1]) for column in columns] == pytest.approx([t.score for t in expected], abs=1e-4)
    assert [_links(column[2]) for column in columns] == [translation.alignment for translation in expected]

    fields = [line.split(" ||| ") for line in lines_of(call(tmp_path, *arguments, "--n-best", "3"))]
    flat = [(number, h) for number, t in enumerate(expected) for h in t.alternatives]
    assert [(int(number), text) for number, text, *_ in fields] == [(number, h.text) for number, h in flat]
    assert [float(field[2]) for field in fields] == pytest.approx([h.score for _, h in flat], abs=1e-4)
    assert [_links(field[3]) for field in fields] == [h.alignment for _, h in flat]


def _links(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, link.split("-"))) for link in text.split())


def test_unknown_words_are_replaced_unless_told_otherwise(tmp_path: Path) -> None:
    model = tmp_path / "words"
    unknown_bundle(model)
    source = write_toy(tmp_path, 30)
    replaced = lines_of(call(tmp_path, "translate", model, "-i", source, "--raw"))
    kept = lines_of(call(tmp_path, "translate", model, "-i", source, "--raw", "--no-replace-unknown"))
    assert not any("<unk>" in line for line in replaced)
    assert [old != new for old, new in zip(kept, replaced, strict=True)] == ["<unk>" in line for line in kept]
    assert any("<unk>" in line for line in kept)


def test_worker_processes_give_the_same_lines(bundle: Path, tmp_path: Path) -> None:
    source = write_toy(tmp_path, 150)
    one = lines_of(call(tmp_path, "translate", bundle, "-i", source, "--workers", "1"))
    two = lines_of(call(tmp_path, "translate", bundle, "-i", source, "--workers", "2"))
    assert one == two


def test_a_stream_is_answered_while_it_goes_on(bundle: Path, tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked", tmp_path / "answered"
    os.mkfifo(asked)
    os.mkfifo(answered)
    process = start(tmp_path, "translate", bundle, "--workers", "1", stdin=asked, stdout=answered)
    with asked.open("wb", buffering=0) as question, answered.open("rb") as answer:
        question.write(b"The dog sees the man.\n")
        assert answer.readline().endswith(b"\n")
        question.write(b"\n")
        assert answer.readline() == b"\n"
        question.close()
        assert answer.read() == b""
    assert finish(process, tmp_path).code == 0


def test_a_reader_that_leaves_ends_it_quietly(bundle: Path, tmp_path: Path) -> None:
    source, answered = write_toy(tmp_path, 3_000), tmp_path / "answered"
    os.mkfifo(answered)
    process = start(tmp_path, "translate", bundle, "-i", source, "--workers", "1", stdout=answered, block_lines=16)
    with answered.open("rb") as answer:
        assert answer.readline()
    assert finish(process, tmp_path) == Answer(1, b"", "")


def test_a_line_that_is_too_long_to_be_raw_is_empty_and_told(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text(f"The dog.\n{'the dog ' * 500}\nThe man.\n", "utf-8")
    answer = call(tmp_path, "translate", bundle, "-i", source, "--raw")
    lines = answer.out.split(b"\n")
    assert (answer.code, len(lines), lines[1]) == (1, 4, b"")
    assert f"warning: {source}:2: " in answer.err
    assert "1 lines could not be translated" in answer.err


def test_an_input_that_is_no_text_is_refused_before_anything_is_written(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_bytes(b"ok\nb\xe4d\n")
    answer = call(tmp_path, "translate", bundle, "-i", source, "-o", tmp_path / "new")
    expected = f"error: {source}:2: not valid UTF-8 (byte 0xe4); convert the file with iconv\n"
    assert answer == Answer(2, b"", expected)
    assert call(tmp_path, "translate", bundle, stdin=source) == Answer(
        2, b"", expected.replace(str(source), "standard input")
    )
    assert not list(tmp_path.glob("new*"))


def test_a_changed_byte_in_the_bundle_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in bundle.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    answer = call(tmp_path, "translate", broken, "-i", write_toy(tmp_path, 2), "-o", tmp_path / "new")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {broken / 'model.safetensors'}: damaged")
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.glob("new*"))


def test_the_input_is_not_overwritten_by_the_partial_output(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "x.partial"
    source.write_text("precious\n", "utf-8")
    answer = call(tmp_path, "translate", bundle, "-i", source, "-o", tmp_path / "x", "--restart")
    assert answer.code == 2
    assert "would be overwritten" in answer.err
    assert source.read_text("utf-8") == "precious\n"


def test_the_input_is_not_replaced_by_its_translation(bundle: Path, tmp_path: Path) -> None:
    source = write_toy(tmp_path, 2)
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(source)
    for target in (source, tmp_path / "link"):
        answer = call(tmp_path, "translate", bundle, "-i", source, "-o", target)
        assert answer.code == 2
        assert "would be overwritten" in answer.err
    assert source.read_bytes() == before


def test_devices_are_written_not_replaced(bundle: Path, tmp_path: Path) -> None:
    before = Path(os.devnull).stat().st_ino
    assert call(tmp_path, "translate", bundle, "-i", write_toy(tmp_path, 2), "-o", os.devnull).code == 0
    assert Path(os.devnull).stat().st_ino == before


BLOCK = 4
LONG = 3000


def wait_for_lines(journal: Path) -> None:
    """Until a run has journalled some of its work."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if journal.is_file() and '"lines": 0' not in journal.read_text("utf-8"):
            return
        time.sleep(0.002)
    raise AssertionError("nothing was translated in a minute")


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGKILL, -signal.SIGKILL, ""),
        (signal.SIGTERM, 130, "the same command goes on from there"),
        (signal.SIGINT, 130, "the same command goes on from there"),
    ],
)
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(
    bundle: Path, tmp_path: Path, number: signal.Signals, code: int, message: str
) -> None:
    source, whole, target = write_toy(tmp_path, LONG), tmp_path / "whole", tmp_path / "target"
    arguments: list[str | Path] = ["translate", bundle, "-i", source, "--scores", "--workers", "1"]
    assert finish(start(tmp_path, *arguments, "-o", whole, block_lines=BLOCK), tmp_path).code == 0

    process = start(tmp_path, *arguments, "-o", target, block_lines=BLOCK)
    wait_for_lines(tmp_path / "target.journal")
    assert process.pid is not None
    os.kill(process.pid, number)
    answer = finish(process, tmp_path)
    assert answer.code == code
    assert message in answer.err
    assert not target.exists()

    refused = call(tmp_path, *arguments, "--beam", "3", "-o", target)
    assert refused.code == 2
    assert "--beam was None, now 3" in refused.err

    resumed = finish(start(tmp_path, *arguments, "-o", target, block_lines=BLOCK), tmp_path)
    assert resumed.code == 0
    assert "going on after " in resumed.err
    assert target.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("target.*"))


def test_searches_may_be_bound_drawn_and_made_diverse(bundle: Path, tmp_path: Path) -> None:
    """As the library does it with the same options."""
    source, forbidden = write_toy(tmp_path, 6), tmp_path / "forbidden"
    sentences = source.read_text("utf-8").splitlines()
    with Translator.load(bundle) as translator:
        words = [word for t in translator.translate(sentences) for word in t.text.split()][:5]
        forbidden.write_text("\n".join([words[0], "", *words]) + "\n", "utf-8")
        cases: list[tuple[list[str | Path], TranslateOptions]] = [
            (
                ["--no-repeat-ngram", "2", "--forbid", forbidden, "--prefix", "the"],
                TranslateOptions(no_repeat_ngram=2, forbidden=tuple(dict.fromkeys(words)), prefix="the"),
            ),
            (
                ["--sample", "--temperature", "0.7", "--top-k", "9", "--top-p", "0.9", "--seed", "5"],
                TranslateOptions(sampling=Sampling(0.7, 9, 0.9, 5)),
            ),
            (["--sample"], TranslateOptions(sampling=Sampling())),
            (["--diverse", "2", "--diversity", "3"], TranslateOptions(diversity=Diversity(2, 3.0))),
            (["--diverse", "2"], TranslateOptions(diversity=Diversity(2))),
            (["--mbr", "12"], TranslateOptions(mbr=12)),
            (["--mbr", "12", "--sample"], TranslateOptions(mbr=12, sampling=Sampling())),
        ]
        found = [lines_of(call(tmp_path, "translate", bundle, "-i", source, *words)) for words, _ in cases]
        for lines, (_, options) in zip(found, cases, strict=True):
            assert lines == [t.text for t in translator.translate(sentences, options)]
    # the first group's best is the same whatever the penalty
    assert len({tuple(lines) for lines in found}) == len(cases) - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top-k", "3"), "--top-k needs --sample"),
        (("--diversity", "1"), "--diversity needs --diverse"),
        (("--sample", "--beam", "3"), "--sample draws: it has no --beam"),
        (("--sample", "--diverse", "3"), "--sample draws: it has no --diverse"),
        (("--forbid", "nowhere"), "nowhere: no such file"),
        (("--raw", "--terms", os.devnull), "--raw takes a line as it is: not with --terms"),
    ],
)
def test_options_that_need_each_other_say_so(
    bundle: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = call(tmp_path, "translate", bundle, *arguments)
    assert answer == Answer(2, b"", f"error: {message}\n")


def test_a_prefix_that_cannot_be_said_is_told_for_each_line(bundle: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    make_bundle(words, text={"kind": "word", "vocab_size": 60})
    answer = call(tmp_path, "translate", words, "-i", write_toy(tmp_path, 2), "--prefix", "xyzzy")
    assert (answer.code, answer.out) == (1, b"\n\n")
    assert answer.err.count("the prefix holds what this model has no word for") == 2


def test_a_run_goes_on_only_with_the_same_constraints(bundle: Path, tmp_path: Path) -> None:
    source, target = write_toy(tmp_path, LONG), tmp_path / "target"
    arguments: list[str | Path] = ["translate", bundle, "-i", source, "--workers", "1", "-o", target]
    process = start(tmp_path, *arguments, "--prefix", "the", block_lines=BLOCK)
    wait_for_lines(tmp_path / "target.journal")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    finish(process, tmp_path)
    refused = call(tmp_path, *arguments, "--prefix", "a")
    assert refused.code == 2
    assert "--prefix was the, now a" in refused.err
