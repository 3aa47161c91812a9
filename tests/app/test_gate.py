"""Keys, rates, quotas and usage, on clocks that the tests turn."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import exchange, gate
from app.errors import InvalidKey, KeyRequired, QuotaExceeded, RateLimited
from app.gate import Addresses, Bucket, Gate, given_key
from app.keys import ANONYMOUS, FILE_NAME, KeyFile, Limits, digest_of
from app.usage import Ledger, month_of
from nmt.errors import ConfigError

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that stands still."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.sqlite")


def request(address: str = "192.0.2.1", **headers: str) -> exchange.Exchange:
    """Make a request the one in hand."""
    scope = {"client": (address, 1234)}
    return exchange.begin(scope, {name.encode(): value.encode() for name, value in headers.items()})


def at(year: int, month: int, day: int = 1) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


# Buckets


def passes(bucket: Bucket, clock: Clock, cost: int = 1) -> bool:
    """Whether so much goes through now, taking it if so."""
    if bucket.wait_s(cost, clock()):
        return False
    bucket.take(cost)
    return True


def test_a_bucket_lets_a_minutes_worth_through_at_once_and_then_refills_evenly() -> None:
    clock = Clock(1e6)
    bucket = Bucket(60, clock())
    assert sum(passes(bucket, clock) for _ in range(100)) == 60
    clock.seconds += 7
    assert sum(passes(bucket, clock) for _ in range(100)) == 7
    clock.seconds += 3600
    assert sum(passes(bucket, clock) for _ in range(100)) == 60


def test_waiting_as_long_as_told_suffices_and_no_shorter_does() -> None:
    clock = Clock()
    bucket = Bucket(90, clock())
    assert passes(bucket, clock, 80)
    wait_s = bucket.wait_s(40, clock())
    assert wait_s == pytest.approx(20)
    clock.seconds += wait_s - 0.01
    assert not passes(bucket, clock, 40)
    clock.seconds += 0.011
    assert passes(bucket, clock, 40)


def test_over_a_long_time_no_pattern_of_requests_gets_more_than_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(100, clock())
    taken = 0
    for turn in range(10_000):
        cost = (turn * 7919) % 250  # some are larger than the bucket
        if passes(bucket, clock, cost):
            taken += cost
        clock.seconds += 0.3
    assert 0.95 < taken / (100 * clock() / 60) < 1.1


def test_a_request_larger_than_a_minute_passes_when_the_bucket_is_full_and_is_paid_for_afterwards() -> None:
    clock = Clock()
    bucket = Bucket(60, clock())
    assert passes(bucket, clock, 180)
    clock.seconds += 120
    assert not passes(bucket, clock)
    clock.seconds += 1.01
    assert passes(bucket, clock)


# Without keys


def test_without_keys_everybody_is_anonymous_and_any_key_will_do() -> None:
    open_gate = Gate()
    for key in (None, "", "whatever"):
        here = request()
        caller = open_gate.admit(key, characters=5, texts=2)
        assert (caller.name, caller.is_admin) == (ANONYMOUS, False)
        assert (here.caller, here.texts, here.characters) == (ANONYMOUS, 2, 5)
    assert open_gate.usage(None) == gate.Usage(15, None)
    assert not open_gate.has_admin


def test_each_address_has_its_own_rate_and_gets_its_time_to_wait() -> None:
    clock = Clock()
    limited = Gate(anonymous=Limits(texts_per_minute=3), clock=clock)
    request("192.0.2.1")
    for _ in range(3):
        limited.admit(None, characters=1, texts=1)
    with pytest.raises(RateLimited, match=r"^Slowdown: 3 texts per 1 minute$") as caught:
        limited.admit(None, characters=1, texts=1)
    assert caught.value.retry_after_s == pytest.approx(20)
    request("192.0.2.2")
    limited.admit(None, characters=1, texts=3)
    request("192.0.2.1")
    clock.seconds += 20
    limited.admit(None, characters=1, texts=1)
    with pytest.raises(RateLimited):
        limited.admit(None, characters=1, texts=1)


def test_of_two_rates_the_one_that_refuses_takes_nothing_from_the_other() -> None:
    limited = Gate(anonymous=Limits(texts_per_minute=2, characters_per_minute=10), clock=Clock())
    request()
    limited.admit(None, characters=8, texts=1)
    with pytest.raises(RateLimited, match="10 characters"):
        limited.admit(None, characters=5, texts=1)
    limited.admit(None, characters=2, texts=1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("/run/a.sock", "/run/b.sock", False),
    ],
)
def test_clients_are_told_apart_by_what_they_cannot_change(one: str, other: str, same: bool) -> None:
    addresses = Addresses(Limits(texts_per_minute=1), Clock())
    assert (addresses.meter(one) is addresses.meter(other)) is same


def test_remembered_addresses_are_bounded_and_none_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_ADDRESSES", 10)
    addresses = Addresses(Limits(texts_per_minute=1), Clock())
    kept = addresses.meter("10.0.0.0")
    for number in range(1, 40):
        addresses.meter(f"10.0.0.{number}")
        assert addresses.meter("10.0.0.0") is kept, "who is heard of stays"
    assert len(addresses) == 10
    assert b"10.0.0" not in b"".join(addresses._meters)
    assert bytes([10, 0, 0, 0]) not in b"".join(addresses._meters)


# With keys


def test_a_key_is_printed_once_and_only_its_hash_is_kept(keys: KeyFile) -> None:
    key = keys.add("alice", Limits(characters_per_month=100))
    assert len(key) >= 4 + 43  # the prefix and 256 bits, six to a letter
    keys.close()
    assert key.encode() not in keys.path.read_bytes()
    assert digest_of(key) in keys.path.read_bytes()
    assert keys.path.stat().st_mode & 0o077 == 0


def test_a_caller_is_who_its_key_says(keys: KeyFile) -> None:
    alice, root = keys.add("alice"), keys.add("root", is_admin=True)
    door = Gate(file=keys)
    here = request()
    assert door.admit(alice, characters=5, texts=1).name == here.caller == "alice"
    assert door.admit(root, characters=0, texts=0).is_admin
    assert door.admit(None, characters=1, texts=1).name == ANONYMOUS
    assert (door.usage(alice).character_count, door.usage(None).character_count) == (5, 1)
    for wrong in (alice[:-1], alice + "x", alice.upper(), "alice", "\ud800", "x" * 100_000):
        for ask in (door.identify, door.admit_admin, door.usage):
            with pytest.raises(InvalidKey, match=r"^Invalid API key$"):
                ask(wrong)


def test_two_keys_whose_hashes_begin_alike_are_two(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.add("alice")
    digest = digest_of(key)
    monkeypatch.setattr(gate, "digest_of", lambda _: digest[: gate._INDEX_BYTES] + bytes(32 - gate._INDEX_BYTES))
    with pytest.raises(InvalidKey):
        Gate(file=keys).identify("another")


def test_only_an_administrator_may_what_only_one_may(keys: KeyFile) -> None:
    alice, root = keys.add("alice"), keys.add("root", is_admin=True)
    door = Gate(file=keys)
    assert door.has_admin
    assert door.admit_admin(root).name == "root"
    with pytest.raises(InvalidKey):
        door.admit_admin(alice)
    with pytest.raises(KeyRequired):
        door.admit_admin(None)


def test_where_a_key_is_required_only_pages_of_the_named_origins_need_none(keys: KeyFile) -> None:
    alice = keys.add("alice")
    door = Gate(file=keys, require_key=True, key_free_origins=["https://own.example"])
    request()
    assert door.admit(alice, characters=1, texts=1).name == "alice"
    for key in (None, ""):
        with pytest.raises(KeyRequired, match=r"^Please contact the server operator to get an API key$"):
            door.admit(key, characters=1, texts=1)
    request(origin="https://own.example.evil.example")
    with pytest.raises(KeyRequired):
        door.admit(None, characters=1, texts=1)
    request(origin="https://own.example")
    assert door.admit(None, characters=1, texts=1).name == ANONYMOUS
    with pytest.raises(InvalidKey):
        door.admit("wrong", characters=1, texts=1)


def test_a_keys_rate_is_its_own_wherever_it_calls_from(keys: KeyFile) -> None:
    key = keys.add("alice", Limits(characters_per_minute=10))
    door = Gate(file=keys, anonymous=Limits(texts_per_minute=1), clock=Clock())
    request("192.0.2.1")
    door.admit(key, characters=10, texts=50)
    request("192.0.2.2")
    with pytest.raises(RateLimited) as caught:
        door.admit(key, characters=5, texts=1)
    assert caught.value.retry_after_s == pytest.approx(30)
    assert exchange.current().caller == "alice"


def test_a_quota_holds_to_the_character_and_begins_again_with_the_month(keys: KeyFile) -> None:
    key = keys.add("alice", Limits(characters_per_month=10))
    now = Clock(at(2026, 1, 30))
    door = Gate(file=keys, now=now)
    here = request()
    door.admit(key, characters=6, texts=1)
    with pytest.raises(QuotaExceeded, match=r"^Quota exceeded: 10 characters per 1 month$") as caught:
        door.admit(key, characters=5, texts=1)
    assert caught.value.retry_after_s == 2 * 86_400
    door.admit(key, characters=4, texts=1)
    assert door.usage(key) == gate.Usage(10, 10)
    with pytest.raises(QuotaExceeded):
        door.admit(key, characters=1, texts=1)
    door.give_back(here)  # nothing came of this request
    assert door.usage(key) == gate.Usage(0, 10)
    door.admit(key, characters=10, texts=1)
    now.seconds = at(2026, 2)
    assert door.usage(key) == gate.Usage(0, 10)
    door.admit(key, characters=10, texts=1)


@pytest.mark.parametrize(
    ("headers", "fields", "key"),
    [
        ({}, {}, None),
        ({}, {"api_key": ""}, None),
        ({}, {"api_key": "k"}, "k"),
        ({}, {"api_key": 5}, "5"),
        ({"authorization": "Bearer k"}, {}, "k"),
        ({"authorization": "bearer  k "}, {"api_key": ""}, "k"),
        ({"authorization": "DeepL-Auth-Key k:fx"}, {}, "k:fx"),
        ({"authorization": "Bearer k"}, {"api_key": "mine"}, "mine"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, {}, None),
        ({"authorization": "Bearer"}, {}, None),
        ({"authorization": "\xff"}, {}, None),
    ],
)
def test_a_key_is_found_wherever_clients_put_it(
    headers: dict[str, str], fields: dict[str, object], key: str | None
) -> None:
    request(**headers)
    assert given_key(fields) == key


# The file


def test_a_month_is_that_of_the_world_clock() -> None:
    assert month_of(at(2026, 1, 31)) == ("2026-01", at(2026, 2))
    assert month_of(at(2026, 12, 31)) == ("2026-12", at(2027, 1))
    assert month_of(at(2027, 1)) == ("2027-01", at(2027, 2))


async def test_usage_is_written_in_batches_and_found_again(keys: KeyFile) -> None:
    key = keys.add("alice")
    now = Clock(at(2026, 1))
    door = Gate(file=keys, now=now)
    for _ in range(1000):
        door.admit(key, characters=3, texts=1)
    assert keys.used("2026-01") == {}
    await door.sync()
    assert keys.used("2026-01") == {"alice": 3000}
    await door.sync()
    assert keys.used("2026-01") == {"alice": 3000}
    assert Gate(file=keys, now=now).usage(key).character_count == 3000


async def test_characters_of_the_last_moment_of_a_month_stay_in_it(keys: KeyFile) -> None:
    key = keys.add("alice")
    now = Clock(at(2026, 2) - 1)
    door = Gate(file=keys, now=now)
    door.admit(key, characters=3, texts=1)
    now.seconds += 2
    door.admit(key, characters=4, texts=1)
    await door.sync()
    assert (keys.used("2026-01"), keys.used("2026-02")) == ({"alice": 3}, {"alice": 4})


async def test_usage_that_cannot_be_written_is_kept_and_written_later(
    keys: KeyFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = keys.add("alice")
    door = Gate(file=keys, now=Clock(at(2026, 1)))
    monkeypatch.setattr(KeyFile, "add_usage", _full_disk)
    for _ in range(3):
        door.admit(key, characters=3, texts=1)
        await door.sync()
    monkeypatch.undo()
    door.admit(key, characters=1, texts=1)
    await door.sync()
    assert keys.used("2026-01") == {"alice": 10}
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def _full_disk(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("change", ["removed", "replaced", "demoted", "limited"])
async def test_what_another_process_changes_holds_at_the_next_look(keys: KeyFile, change: str) -> None:
    key = keys.add("alice", is_admin=True)
    door = Gate(file=keys, now=Clock(at(2026, 1)))
    door.admit(key, characters=5, texts=1)
    with KeyFile(keys.path) as other:
        other.add_usage({("alice", "2026-01"): 1000})
        actions: dict[str, Callable[[], object]] = {
            "removed": lambda: other.remove("alice"),
            "replaced": lambda: other.replace("alice"),
            "demoted": lambda: other.set("alice", Limits(), is_admin=False),
            "limited": lambda: other.set("alice", Limits(characters_per_month=1010), is_admin=True),
        }
        actions[change]()
    assert door.admit(key, characters=1, texts=1).is_admin, "until then nothing has changed"
    await door.sync()
    if change in ("removed", "replaced"):
        with pytest.raises(InvalidKey):
            door.identify(key)
        return
    assert door.identify(key).is_admin is (change == "limited")
    assert door.usage(key).character_count == 1006
    if change == "limited":
        door.admit(key, characters=4, texts=1)
        with pytest.raises(QuotaExceeded):
            door.admit(key, characters=1, texts=1)


async def test_a_look_at_the_file_forgets_nothing_that_came_meanwhile(keys: KeyFile) -> None:
    key = keys.add("alice")
    door = Gate(file=keys, now=Clock(at(2026, 1)))
    with KeyFile(keys.path) as other:
        for turn in range(20):
            door.admit(key, characters=1, texts=1)
            other.add_usage({("alice", "2026-01"): 100})
            await door.sync()
            assert door.usage(key).character_count == 101 * (turn + 1)


async def test_a_caller_does_not_regain_its_minute_when_keys_change(keys: KeyFile) -> None:
    key = keys.add("alice", Limits(texts_per_minute=5))
    door = Gate(file=keys, clock=Clock())
    door.admit(key, characters=1, texts=5)
    with KeyFile(keys.path) as other:
        other.add("bob")
    await door.sync()
    with pytest.raises(RateLimited):
        door.admit(key, characters=1, texts=1)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from app.gate import open_gate
from app.settings import Settings

async def main(state, key):
    async with open_gate(Settings(state=Path(state), api_keys=True)) as gate:
        for number in range(1, 2000):
            gate.admit(key, characters=1, texts=1)
            print(number, flush=True)
            await asyncio.sleep(0.005)
            if number == 300:
                os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_kill_loses_the_usage_of_a_second_at_most(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with KeyFile(path) as file:
        key = file.add("alice")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), key], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    counted = int(done.stdout.split()[-1])
    with KeyFile(path) as file:
        written = Gate(file=file).usage(key).character_count
    assert counted == 300, "a second and a half of work, or more"
    assert counted - 200 <= written <= counted, "200 of 5 ms are a second"


def test_a_ledger_without_a_file_counts_and_has_nothing_to_write() -> None:
    ledger = Ledger(now=Clock(at(2026, 1)))
    ledger.add("alice", 5)
    ledger.add("alice", -50)
    ledger.add("alice", 2)
    assert ledger.used("alice") == 2
    assert not ledger.take_unwritten()


@pytest.mark.parametrize("name", ["", "a b", "-x", "anonymous", "x" * 65, "é", "a/b", "a\nb"])
def test_a_name_that_would_not_do_in_logs_is_refused(keys: KeyFile, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        keys.add(name)


def test_mistakes_with_names_are_told(keys: KeyFile) -> None:
    keys.add("alice")
    with pytest.raises(ConfigError, match="there is a key of the name alice already"):
        keys.add("alice")
    for mistake in (
        lambda: keys.remove("bob"),
        lambda: keys.replace("bob"),
        lambda: keys.set("bob", Limits(), is_admin=False),
        lambda: keys.get("bob"),
    ):
        with pytest.raises(ConfigError, match="there is no key of the name bob"):
            mistake()


def test_a_file_that_is_no_file_of_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(ConfigError, match="cannot be used as the file of keys"):
        KeyFile(path)
    newer = tmp_path / "newer.sqlite"
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="version 99"):
        KeyFile(newer)
