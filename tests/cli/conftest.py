"""One small bundle for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random translator from en to de whose beam is 2 and whose outputs are short."""
    folder = tmp_path_factory.mktemp("models") / "en-de"
    make_bundle(folder, search={"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4})
    return folder


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets the environment of its process, which here is that of the other tests too."""
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())
