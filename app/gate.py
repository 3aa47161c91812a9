"""Who may translate, and how much: keys, rates and quotas. Asked once by every route that translates, before any work.

Without keys and limits everybody is the anonymous caller, and asking costs next to nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import sqlite3
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from app import exchange
from app.errors import InvalidKey, KeyRequired, QuotaExceeded, RateLimited
from app.keys import ANONYMOUS, FILE_NAME, NO_LIMITS, Key, KeyFile, Limits, digest_of
from app.settings import Settings
from app.usage import Ledger
from nmt.errors import ConfigError

logger = logging.getLogger(__name__)

SYNC_S = 0.5
"""Between two looks at the file of keys; what a crash may lose of the usage is what was counted since the last."""
MAX_ADDRESSES = 16_384
"""Client addresses whose rate is remembered: some megabytes. Of more the one unheard of longest is forgotten."""
_INDEX_BYTES = 8


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    """Of the key. Logs, metrics and glossaries know a caller by it."""
    is_admin: bool = False


@dataclass(frozen=True)
class Usage:
    """Characters of this month."""

    character_count: int
    character_limit: int | None
    """None: there is none."""


_ANONYMOUS = Caller(ANONYMOUS)


class Bucket:
    """A token bucket: it holds what may come in a minute, and refills evenly.

    What is more than it ever holds is let through when it is full, and paid for afterwards.
    """

    __slots__ = ("_level", "_per_minute", "_seen")

    def __init__(self, per_minute: int, now: float) -> None:
        """`now`: seconds on a clock that never goes back."""
        self._per_minute = per_minute
        self._level = float(per_minute)
        self._seen = now

    def wait_s(self, cost: int, now: float) -> float:
        """How long to wait before so much may be taken."""
        self._level = min(self._per_minute, self._level + (now - self._seen) * self._per_minute / 60)
        self._seen = now
        return max(0.0, (min(cost, self._per_minute) - self._level) * 60 / self._per_minute)

    def take(self, cost: int) -> None:
        """Take it, at the time last asked about."""
        self._level -= cost


class Meter:
    """The rates of one caller."""

    __slots__ = ("_characters", "_limits", "_texts")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._texts = Bucket(limits.texts_per_minute, now) if limits.texts_per_minute else None
        self._characters = Bucket(limits.characters_per_minute, now) if limits.characters_per_minute else None

    def take(self, texts: int, characters: int, now: float) -> None:
        """Take so much of both rates, or of none. Raises RateLimited."""
        if self._texts and (wait_s := self._texts.wait_s(texts, now)):
            raise _slow_down(self._limits.texts_per_minute, "texts", wait_s)
        if self._characters and (wait_s := self._characters.wait_s(characters, now)):
            raise _slow_down(self._limits.characters_per_minute, "characters", wait_s)
        if self._texts:
            self._texts.take(texts)
        if self._characters:
            self._characters.take(characters)


def _slow_down(limit: int, unit: str, wait_s: float) -> RateLimited:
    return RateLimited(f"Slowdown: {limit} {unit} per 1 minute", retry_after_s=wait_s)


class Gate:
    """Lets requests through, by the key they came with."""

    def __init__(
        self,
        *,
        anonymous: Limits = NO_LIMITS,
        file: KeyFile | None = None,
        require_key: bool = False,
        key_free_origins: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`file`: None where keys mean nothing. `key_free_origins`: in lower case, as the settings have them. `clock`:
        seconds of rates; `now`: seconds since 1970, of quotas.

        Raises sqlite3.Error where the file cannot be read.
        """
        self._file = file
        self._require_key = require_key
        self._key_free = frozenset(key_free_origins)
        self._clock = clock
        self._ledger = Ledger(file, now=now)
        self._keys: dict[bytes, Key] = {}
        self._meters: dict[str, tuple[Limits, Meter]] = {}
        self._version = 0
        if file is not None:
            self._version = file.version()
            self._enter(file.keys())
        self._addresses = Addresses(anonymous, clock) if anonymous != NO_LIMITS else None
        self._is_open = file is None and self._addresses is None
        self._stopping = asyncio.Event()

    def admit(self, key: str | None, *, characters: int, texts: int) -> Caller:
        """Let a request of so many texts with so many characters in all through; who sent it.

        Raises:
            InvalidKey: the key is unknown.
            KeyRequired: there is none, and there must be one.
            RateLimited: the caller's minute is used up.
            QuotaExceeded: its month is.
        """
        here = exchange.current()
        here.texts += texts
        here.characters += characters
        caller = _ANONYMOUS if self._is_open else self._check(key, characters, texts)
        here.caller = caller.name
        here.charged += characters
        self._ledger.add(caller.name, characters)
        return caller

    def give_back(self, done: exchange.Exchange) -> None:
        """A request came to nothing: its characters do not count."""
        if done.charged:
            self._ledger.add(done.caller, -done.charged)
            done.charged = 0

    def identify(self, key: str | None) -> Caller:
        """Who asks for something that costs nothing. Raises InvalidKey and KeyRequired."""
        found = self._find(key)
        return Caller(found.name, found.is_admin) if found else _ANONYMOUS

    def admit_admin(self, key: str | None) -> Caller:
        """Who asks for what only an administrator may. Raises InvalidKey and KeyRequired."""
        if not key:
            raise _key_required()
        found = self._find(key)
        if found is None or not found.is_admin:
            raise InvalidKey("Invalid API key")
        return Caller(found.name, is_admin=True)

    @property
    def has_admin(self) -> bool:
        """Whether there is a key of an administrator."""
        return any(key.is_admin for key in self._keys.values())

    @property
    def knows_keys(self) -> bool:
        """Whether keys mean anything here."""
        return self._file is not None

    @property
    def requires_key(self) -> bool:
        """Whether a caller without one is turned away."""
        return self._require_key

    def usage(self, key: str | None) -> Usage:
        """What the caller has used this month. Raises InvalidKey and KeyRequired."""
        found = self._find(key)
        if found is None:
            return Usage(self._ledger.used(ANONYMOUS), None)
        return Usage(self._ledger.used(found.name), found.limits.characters_per_month or None)

    def usage_by_caller(self) -> dict[str, int]:
        """Characters of this month by name: of the keys that there are, and of callers without one."""
        names = [*(key.name for key in self._keys.values()), ANONYMOUS]
        return {name: self._ledger.used(name) for name in names}

    def _check(self, key: str | None, characters: int, texts: int) -> Caller:
        found = self._find(key)
        if found is None:
            if self._addresses is not None:
                self._addresses.meter(exchange.current().address).take(texts, characters, self._clock())
            return _ANONYMOUS
        exchange.current().caller = found.name
        limit = found.limits.characters_per_month
        if limit and self._ledger.used(found.name) + characters > limit:
            raise QuotaExceeded(
                f"Quota exceeded: {limit} characters per 1 month", retry_after_s=self._ledger.remaining_s
            )
        self._meters[found.name][1].take(texts, characters, self._clock())
        return Caller(found.name, found.is_admin)

    def _find(self, key: str | None) -> Key | None:
        """The entry of a key; None: there is none and need be none. Raises InvalidKey and KeyRequired."""
        if self._file is None:
            return None
        if not key:
            if self._require_key and exchange.current().origin not in self._key_free:
                raise _key_required()
            return None
        digest = digest_of(key)
        found = self._keys.get(digest[:_INDEX_BYTES])
        if found is None or not hmac.compare_digest(found.digest, digest):
            raise InvalidKey("Invalid API key")
        return found

    def _enter(self, keys: Iterable[Key]) -> None:
        """Take over what the file says of keys. A caller whose limits are the same keeps its place in the minute."""
        self._keys = {key.digest[:_INDEX_BYTES]: key for key in keys}
        now = self._clock()
        meters = {}
        for key in self._keys.values():
            known = self._meters.get(key.name)
            meters[key.name] = (
                known if known is not None and known[0] == key.limits else (key.limits, Meter(key.limits, now))
            )
        self._meters = meters

    # The file; every wait for the disk is another thread's

    async def keep(self) -> None:
        """Write what was used, and take over keys that were changed, until `stop`; then write the rest."""
        if self._file is None:
            return
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(SYNC_S):
                    await self._stopping.wait()
            await self.sync()

    def stop(self) -> None:
        """Let `keep` come to its end."""
        self._stopping.set()

    async def sync(self) -> None:
        """Write what was used, and read what another process has changed."""
        taken = self._ledger.take_unwritten()
        is_written, changed = await asyncio.to_thread(self._write_and_read, taken)
        if not is_written:
            self._ledger.put_back(taken)
        if changed is not None:
            keys, month, used = changed
            self._enter(keys)
            self._ledger.refresh(month, used)

    def _write_and_read(self, taken: Counter[tuple[str, str]]) -> tuple[bool, _Changed | None]:
        """Whether it could be written, and what the file says if others have changed it."""
        assert self._file is not None
        if not self._ledger.write(taken):
            return False, None
        try:
            version = self._file.version()
            if version == self._version:
                return True, None
            month = self._ledger.month
            changed = self._file.keys(), month, self._file.used(month)
        except sqlite3.Error as error:  # what is known of the keys goes on counting
            logger.warning("%s cannot be read: %s", self._file.path, error)
            return True, None
        self._version = version
        return True, changed


_Changed = tuple[list[Key], str, dict[str, int]]


def _key_required() -> KeyRequired:
    return KeyRequired("Please contact the server operator to get an API key")


class Addresses:
    """The rates of callers without a key, one for each client address. In memory only, and by a hash."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._meters: OrderedDict[bytes, Meter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._meters)

    def meter(self, address: str) -> Meter:
        """The rates of a client; those of an IPv6 network of 64 bits are one, since a client may have all of it."""
        name = hashlib.blake2b(_network(address), key=self._secret, digest_size=16).digest()
        meter = self._meters.get(name)
        if meter is None:
            if len(self._meters) >= MAX_ADDRESSES:
                self._meters.popitem(last=False)
            meter = self._meters[name] = Meter(self._limits, self._clock())
        else:
            self._meters.move_to_end(name)
        return meter


def _network(address: str) -> bytes:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket, a test client
        return address.encode("utf-8", "replace")
    if isinstance(parsed, IPv6Address):
        return parsed.ipv4_mapped.packed if parsed.ipv4_mapped else parsed.packed[:8]
    return parsed.packed


def given_key(fields: Mapping[str, Any], name: str = "api_key") -> str | None:
    """The key of the request in hand: the field of this name, else that of its Authorization header; None: no key."""
    value = fields.get(name)
    if value is None or value == "":
        return exchange.current().offered_key
    return value if isinstance(value, str) else str(value)


@asynccontextmanager
async def open_gate(settings: Settings) -> AsyncIterator[Gate]:
    """The gate that the settings ask for; leaving the block writes what was used. Raises ConfigError."""
    file = None
    if settings.api_keys:
        assert settings.state is not None
        file = KeyFile(settings.state / FILE_NAME)
    try:
        gate = _make(settings, file)
        keeper = asyncio.create_task(gate.keep())
        try:
            yield gate
        finally:
            gate.stop()
            await keeper
    finally:
        if file is not None:
            file.close()


def _make(settings: Settings, file: KeyFile | None) -> Gate:
    try:
        return Gate(
            anonymous=Limits(settings.anonymous_texts_per_minute, settings.anonymous_characters_per_minute),
            file=file,
            require_key=settings.require_key,
            key_free_origins=settings.key_free_origins,
        )
    except sqlite3.Error as error:
        raise ConfigError(f"the file of keys in {settings.state} cannot be read: {error}") from None
