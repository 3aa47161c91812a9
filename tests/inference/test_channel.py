"""Messages over a socket: whole, in order, and never waited for by whoever offers them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from nmt.inference.channel import Channel

LARGE = bytes(8_000_000)
"""More than any socket holds."""


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    near, end = Channel.pair()
    far = Channel(end)
    yield near, far
    near.close()
    far.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    near, far = ends
    messages = [None, "", {"text": "Grüße\n"}, list(range(100_000)), b"x" * 65_536]

    def send() -> None:
        for message in messages:
            near.send(message)

    sender = threading.Thread(target=send)
    sender.start()
    assert [far.receive() for _ in messages] == messages
    sender.join()
    assert not far.poll()


def test_an_offer_returns_although_nobody_reads_and_the_rest_follows_in_order(ends: tuple[Channel, Channel]) -> None:
    near, far = ends
    for number in range(5):  # on one thread: an offer that waited would wait for ever
        near.offer((number, LARGE))
    assert [far.receive()[0] for _ in range(5)] == list(range(5))
    near.offer("then")
    assert far.receive() == "then"


def test_polling_waits_for_nothing_and_counts_only_whole_messages(ends: tuple[Channel, Channel]) -> None:
    near, far = ends
    assert not far.poll()
    near._socket.sendall(b"\0\0\0\0")  # half of a length
    assert not far.poll()
    near._socket.sendall(b"\0\0\0\x04\x80\x05N")  # the rest, and three quarters of the message
    assert not far.poll()
    near._socket.sendall(b".")
    assert far.poll()
    assert far.receive() is None


def test_the_other_ends_closing_is_met_by_readers_and_senders(ends: tuple[Channel, Channel]) -> None:
    near, far = ends
    near.send("last")
    near.close()
    assert far.receive() == "last"
    with pytest.raises(EOFError):
        far.poll()
    with pytest.raises(EOFError):
        far.receive()
    with pytest.raises(BrokenPipeError):
        far.offer("nobody reads this")
