"""Which runner serves, in which precision: native where it can, torch where it must, and a clear no otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.bundle import Bundle
from nmt.errors import BundleError, DeviceError
from nmt.inference import TranslateOptions, Translation
from nmt.inference.loading import choose_runner, load_pipeline
from nmt.inference.native_runner import why_not
from nmt.model.cells import CELLS
from nmt.native.library import available
from tests.bundles import make_bundle, toy_sentences


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("loading") / "toy")


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.inference.native_runner.available", lambda: False)


def test_native_kernels_serve_on_a_cpu_where_they_can(bundle: Bundle) -> None:
    if reason := why_not(bundle, "int8"):
        pytest.skip(reason)
    for asked, given in (("auto", "int8"), ("int8", "int8"), ("fp32", "fp32")):
        runner = choose_runner(bundle, "cpu", asked)
        assert (runner.name, runner.precision, runner.device) == ("native", given, "cpu")


def test_torch_serves_what_the_kernels_cannot(bundle: Bundle, no_native: None) -> None:
    for asked, given in (("auto", "fp32"), ("fp32", "fp32"), ("bf16", "bf16")):
        runner = choose_runner(bundle, "cpu", asked)
        assert (runner.name, runner.precision, runner.device) == ("torch", given, "cpu")


def test_a_fallback_is_told_of(bundle: Bundle, no_native: None, caplog: pytest.LogCaptureFixture) -> None:
    choose_runner(bundle, "cpu")
    assert "the native library was not built" in caplog.text


def test_a_precision_that_nobody_can_do_names_those_that_can(bundle: Bundle, no_native: None) -> None:
    with pytest.raises(
        DeviceError, match=r"no int8 on cpu for this model \(the native library was not built\): use fp32"
    ):
        choose_runner(bundle, "cpu", "int8")
    with pytest.raises(DeviceError, match="no fp16 on cpu"):
        choose_runner(bundle, "cpu", "fp16")
    with pytest.raises(DeviceError, match="no precision 'fp64': use auto, fp32"):
        choose_runner(bundle, "cpu", "fp64")
    with pytest.raises(DeviceError, match="no device 'abacus'"):
        choose_runner(bundle, "abacus")


@pytest.mark.parametrize("cell", sorted(CELLS.keys() - {"lstm"}))
def test_a_cell_that_the_kernels_do_not_know_is_named_and_runs_on_torch(
    tmp_path: Path, cell: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From disk, where matrices lie in bytes."""
    other = make_bundle(tmp_path / cell, cell=cell, storage="int8", hidden_size=16)
    runner = choose_runner(other, "cpu")
    assert (runner.name, runner.precision) == ("torch", "fp32")
    if available():
        assert f"torch translates with this model: cell {cell!r}" in caplog.text
        with pytest.raises(DeviceError, match=f"no int8 on cpu for this model .cell {cell!r}.: use fp32"):
            choose_runner(other, "cpu", "int8")


def test_a_pipeline_says_what_it_runs_on(bundle: Bundle) -> None:
    assert bundle.folder is not None
    pipeline = load_pipeline(bundle.folder, "cpu", "fp32")
    assert pipeline.info.precision == "fp32"
    assert pipeline.info.runner in ("native", "torch")
    assert pipeline.info.version == bundle.version
    result = pipeline.translate(toy_sentences(1), TranslateOptions())[0]
    assert isinstance(result, Translation)


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        load_pipeline(tmp_path)
