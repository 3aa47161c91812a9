"""Settings from the environment: every mistake is named before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import load_settings
from nmt.errors import ConfigError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(("NMT_", "LT_"))]:
        monkeypatch.delenv(name)


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_MODELS", "/bundles")
    monkeypatch.setenv("NMT_DEADLINE_S", "1.5")
    monkeypatch.setenv("NMT_MAX_TEXTS", "7")
    monkeypatch.setenv("NMT_DEVICE", "cuda:1")
    monkeypatch.setenv("NMT_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = load_settings()
    assert (settings.models, settings.deadline_s, settings.max_texts) == (Path("/bundles"), 1.5, 7)
    assert settings.device == "cuda:1"
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_origins_are_read_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NMT_CORS_ORIGINS", "NMT_KEY_FREE_ORIGINS"):
        monkeypatch.setenv(name, "https://a.example/, https://B.example")
    settings = load_settings()
    assert settings.cors_origins == settings.key_free_origins == ("https://a.example", "https://b.example")


def test_an_empty_value_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_WORKERS", "")
    assert load_settings().workers is None


def test_none_closes_the_service_to_web_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_CORS_ORIGINS", "none")
    assert load_settings().cors_origins == ()


def test_libretranslates_variables_are_read_where_ours_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    default = load_settings()
    monkeypatch.setenv("LT_CHAR_LIMIT", "500")
    monkeypatch.setenv("LT_BATCH_LIMIT", "-1")
    monkeypatch.setenv("LT_REQ_LIMIT", "30")
    monkeypatch.setenv("LT_THREADS", "4")
    settings = load_settings()
    assert settings.max_text_chars == 500
    assert settings.max_texts == default.max_texts
    assert settings.anonymous_texts_per_minute == 30
    monkeypatch.setenv("NMT_MAX_TEXT_CHARS", "700")
    assert load_settings().max_text_chars == 700
    monkeypatch.setenv("LT_BATCH_LIMIT", "many")
    with pytest.raises(ConfigError, match=r"^LT_BATCH_LIMIT: .*valid integer.* \(got 'many'\)"):
        load_settings()


def test_keys_need_a_place_and_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NMT_API_KEYS", "true")
    monkeypatch.setenv("NMT_METRICS_TOKEN", "hunter2")
    with pytest.raises(ConfigError, match="NMT_API_KEYS needs NMT_STATE") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("NMT_STATE", str(tmp_path))
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize("name", ["NMT_DATA", "NMT_HOST", "NMT_PORT"])
def test_variables_of_other_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "anything")
    load_settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NMT_MAX_TEXT", "5", "NMT_MAX_TEXT: unknown setting, did you mean NMT_MAX_TEXTS?"),
        ("NMT_QWERTZUIOP", "5", r"NMT_QWERTZUIOP: unknown setting$"),
        ("nmt_model", "x", "nmt_model: unknown setting, did you mean NMT_MODELS?"),
        ("NMT_WORKERS", "two", r"NMT_WORKERS: .*valid integer.* \(got 'two'\)"),
        ("NMT_WORKERS", "0", "NMT_WORKERS: .*greater than or equal to 1"),
        ("NMT_DEADLINE_S", "nan", "NMT_DEADLINE_S: "),
        ("NMT_DEADLINE_S", "0", "NMT_DEADLINE_S: .*greater than 0"),
        ("NMT_DEVICE", "tpu", "NMT_DEVICE: .*pattern"),
        ("NMT_MAX_BODY_BYTES", "2MB", "NMT_MAX_BODY_BYTES: "),
        ("NMT_MAX_QUEUE", "5", r"NMT_MAX_TEXTS \(128\) is above NMT_MAX_QUEUE \(5\): such a request never fits"),
        ("NMT_REQUIRE_KEY", "yes", "NMT_REQUIRE_KEY needs NMT_API_KEYS=true"),
        ("NMT_TRUSTED_PROXIES", "10.0.0.0/8, proxy", "NMT_TRUSTED_PROXIES: .*proxy"),
        ("NMT_LOG_FORMAT", "xml", "NMT_LOG_FORMAT: "),
        ("NMT_ANONYMOUS_TEXTS_PER_MINUTE", "-1", "NMT_ANONYMOUS_TEXTS_PER_MINUTE: .*greater than or equal to 0"),
        ("NMT_MAX_BEAM", "9", r"NMT_MAX_N_BEST \(10\) is above NMT_MAX_BEAM \(9\)"),
        ("NMT_MAX_ALTERNATIVES", "16", r"NMT_MAX_ALTERNATIVES \(16\) must be below NMT_MAX_BEAM \(16\)"),
    ],
)
def test_a_mistake_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        create_app()


def test_all_mistakes_are_reported_together_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_WORKERS", "two")
    monkeypatch.setenv("NMT_NOTHING_LIKE_IT", "1")
    monkeypatch.setenv("NMT_MAX_QUEUE", "-1")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    message = str(caught.value)
    assert all(name in message for name in ("NMT_WORKERS", "NMT_NOTHING_LIKE_IT", "NMT_MAX_QUEUE"))
    assert "\n" not in message
