"""Every limit and choice of the service, from the environment: `NMT_` and the name in capitals.

Units stand in the names: `_s` seconds, `_bytes` bytes, `_chars` characters (Unicode code points). Host and port belong
to the server that runs the app (`nmt serve`, uvicorn), not to the app.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nmt.errors import ConfigError

PREFIX = "NMT_"
FOREIGN = frozenset({"NMT_DATA", "NMT_HOST", "NMT_PORT", "NMT_NO_NATIVE"})
"""Variables with our prefix that others read: corpora of recipes, the address of `nmt serve`, the build of kernels."""
ALIASES = {
    "LT_CHAR_LIMIT": "max_text_chars",
    "LT_BATCH_LIMIT": "max_texts",
    "LT_REQ_LIMIT": "anonymous_texts_per_minute",
    "LT_API_KEYS": "api_keys",
}
"""LibreTranslate's variables that mean the same here. Our own go before them; -1 leaves our own default."""

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The service's settings. Build it with `load_settings`, which reports every mistake in one line."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    models: Path = Path("models")
    """Folder below which every bundle is loaded."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    precision: Annotated[str, Field(pattern=r"^(auto|fp32|bf16|fp16|int8)$")] = "auto"
    """auto (int8 on a CPU), fp32, bf16, fp16 or int8, as far as the machine has it."""
    workers: Positive | None = None
    """Engine workers; unset: one a core on a CPU, one on a GPU."""
    max_text_chars: Positive = 10_000
    """Longest single text."""
    max_texts: Positive = 128
    """Most texts in one request."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 2 * 1024 * 1024
    """Largest request body."""
    max_queue: Positive = 512
    """Texts that may wait; beyond it the answer is 503."""
    max_wait_s: Seconds = 10.0
    """Longest time that a request waits until an engine begins with it; beyond it the answer is 503."""
    hang_s: Seconds = 30.0
    """An engine worker that has work and gives no sign for so long is replaced."""
    pivot: bool = True
    """Whether two models may translate together, through a language in between, where no one model does."""
    deadline_s: Seconds = 30.0
    """Longest time to an answer (504 after it), and to the last byte of a request's body (408 after it)."""
    max_connections: Positive = 1024
    """Connections at once. One more takes the place of the one whose request has been awaited longest."""
    max_head_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    """Longest line and header fields of a request, together (431 beyond)."""
    max_bodies_bytes: Positive = 64 * 1024 * 1024
    """Memory for the bodies over 64 KiB of all requests in hand; beyond it such requests get 503."""
    header_timeout_s: Seconds = 10.0
    """Longest wait for the first request of a connection, and for the rest of a head once it has begun (408)."""
    keep_alive_s: Annotated[int, Field(ge=1, le=86_400)] = 75
    """How long a connection may stay without a request. Above what proxies keep theirs, so that they hang up first."""
    max_beam: Annotated[int, Field(ge=1, le=1000)] = 16
    """Largest `beam_size` a caller may ask for."""
    max_n_best: Positive = 10
    """Largest `n_best` a caller may ask for."""
    max_alternatives: Annotated[int, Field(ge=0)] = 3
    """Largest `alternatives` a caller may ask for."""
    max_terms: Annotated[int, Field(ge=0)] = 1_000
    """Most `terms` in one request."""
    max_file_bytes: NotNegative = 10 * 1024 * 1024
    """Largest file to translate; 0: none are."""
    file_deadline_s: Seconds = 600.0
    """Longest time to receive a file, and then to translate it."""
    max_file_jobs: Positive = 2
    """Files in work at once; one more gets 503."""
    file_life_s: Seconds = 1_800.0
    """How long a translated file can be fetched."""
    max_files_bytes: Positive = 64 * 1024 * 1024
    """Memory for translated files that wait to be fetched; newer ones take the place of the oldest."""
    drain_delay_s: Annotated[float, Field(ge=0.0, le=3_600.0, allow_inf_nan=False)] = 0.0
    """Time after SIGTERM in which the service still answers but calls itself not ready (for load balancers)."""
    drain_s: Annotated[float, Field(ge=0.0, le=3_600.0, allow_inf_nan=False)] = 30.0
    """Longest time that accepted work may take to finish at shutdown."""
    access_log: bool = True
    """A line on standard output for each request: time, method, route, status, milliseconds, request id."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    """Web origins that may call from a browser, separated by commas; `none` for none. Never with credentials."""
    state: Path | None = None
    """Folder of what the service keeps: keys, usage, glossaries. Unset: it writes nothing to disk."""
    glossaries: Path | None = None
    """Folder of terms for every request: `en-de.tsv` has those of English to German."""
    max_glossaries: NotNegative = 1000
    """Most glossaries that one caller may keep here; 0: none."""
    deepl_deadline_s: Seconds = 9.0
    """As `deadline_s`, for DeepL's contract: its clients send a text again after 10 s."""
    api_keys: bool = False
    """Keys are known (`python -m app.keys`); a caller with one has its own limits."""
    require_key: bool = False
    """Nobody translates without a key."""
    key_free_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web origins whose pages need no key where one is required, separated by commas."""
    anonymous_texts_per_minute: NotNegative = 0
    """For each client address, of callers without a key; 0: no limit."""
    anonymous_characters_per_minute: NotNegative = 0
    """For each client address, of callers without a key; 0: no limit."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    metrics: bool = True
    """Figures for Prometheus at /metrics."""
    metrics_token: SecretStr | None = None
    """Who asks for /metrics must send it as its bearer token."""
    log_format: Literal["text", "json"] = "text"
    """Lines of the log: text or json."""
    tracing: bool = False
    """A span for each request to OpenTelemetry, whose own variables (OTEL_...) say where to; needs the extra `otel`."""

    @field_validator("cors_origins", "key_free_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return () if origins == ("none",) else origins

    @field_validator("cors_origins", "key_free_origins")
    @classmethod
    def _as_browsers_write_them(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(origin.lower().rstrip("/") for origin in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)  # its ValueError names what it was given
        return value

    @model_validator(mode="after")
    def _keys_have_a_place(self) -> Settings:
        if self.api_keys and self.state is None:
            raise ValueError("NMT_API_KEYS needs NMT_STATE: a folder to keep the keys in")
        if self.require_key and not self.api_keys:
            raise ValueError("NMT_REQUIRE_KEY needs NMT_API_KEYS=true: without keys nobody could call")
        return self

    @model_validator(mode="after")
    def _limits_agree(self) -> Settings:
        if self.max_texts > self.max_queue:
            raise ValueError(
                f"NMT_MAX_TEXTS ({self.max_texts}) is above NMT_MAX_QUEUE ({self.max_queue}): such a request never fits"
            )
        if max(self.max_body_bytes, self.max_file_bytes) > self.max_bodies_bytes:
            raise ValueError(
                f"NMT_MAX_BODIES_BYTES ({self.max_bodies_bytes}) is below NMT_MAX_BODY_BYTES ({self.max_body_bytes}) "
                f"or NMT_MAX_FILE_BYTES ({self.max_file_bytes}): such a body never fits"
            )
        if self.max_n_best > self.max_beam:
            raise ValueError(
                f"NMT_MAX_N_BEST ({self.max_n_best}) is above NMT_MAX_BEAM ({self.max_beam}): a beam of n yields n"
            )
        if self.max_alternatives >= self.max_beam:
            raise ValueError(
                f"NMT_MAX_ALTERNATIVES ({self.max_alternatives}) must be below NMT_MAX_BEAM ({self.max_beam}): "
                "the translation itself takes one place of the beam"
            )
        return self


def load_settings() -> Settings:
    """The settings that the environment gives.

    Raises:
        ConfigError: a variable with our prefix is unknown or its value is not allowed; every mistake is named.
    """
    mistakes = _unknown_variables()
    aliases = _aliases()
    values: dict[str, Any] = {name: os.environ[alias] for name, alias in aliases.items()}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        mistakes += [_describe(mistake, aliases) for mistake in error.errors()]
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return settings


def _unknown_variables() -> list[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | FOREIGN
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"{name}: unknown setting{_hint(name, known)}" for name in unknown]


def _aliases() -> dict[str, str]:
    """By the name of a setting LibreTranslate's variable for it, where that one is set and ours is not."""
    return {
        name: alias
        for alias, name in ALIASES.items()
        if os.environ.get(alias, "-1") not in ("", "-1") and not os.environ.get(PREFIX + name.upper())
    }


def _hint(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1)
    return f", did you mean {near[0]}?" if near else ""


def _describe(mistake: Any, aliases: Mapping[str, str]) -> str:
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if not mistake["loc"]:
        return message
    name = str(mistake["loc"][0])
    return f"{aliases.get(name, PREFIX + name.upper())}: {message} (got {mistake['input']!r})"
