"""Messages between this process and a worker: objects over a stream socket, pickled.

Both ends are this package's own processes, and nothing else can write to the socket: a pickle from elsewhere is never
read. `multiprocessing.Connection` cannot send without waiting, and waiting is what whoever hands work over must not do.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 16


class Channel:
    """One end of a socket. One thread may receive while others send."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = bytearray()
        self._lock = threading.Lock()
        self._unsent = bytearray()
        self._is_flushing = False

    @staticmethod
    def pair() -> tuple[Channel, socket.socket]:
        """A channel, and the socket of its other end for a child process."""
        ours, theirs = socket.socketpair()
        return Channel(ours), theirs

    def offer(self, message: Any) -> None:
        """Send without waiting: what the other end does not take now, a thread sends later, in order.

        Raises OSError if the other end is closed.
        """
        with self._lock:
            self._enqueue(message)
            if not self._is_flushing and not self._send_some():
                self._is_flushing = True
                threading.Thread(target=self._flush, name="nmt-flush", daemon=True).start()

    def send(self, message: Any) -> None:
        """Send, however long it takes; for an end that nobody calls `offer` on. Raises OSError as `offer` does."""
        with self._lock:
            self._enqueue(message)
            while not self._send_some():
                self._wait_writable()

    def receive(self) -> Any:
        """The next message, waiting for it. Raises EOFError when the other end is closed, OSError if this one is."""
        while (message := self._next()) is None:
            self._read(0)
        return pickle.loads(message)

    def poll(self) -> bool:
        """Whether `receive` would return at once. Raises EOFError when the other end is closed."""
        try:
            while not self._is_whole():
                self._read(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Free the socket; the other end meets EOFError."""
        self._socket.close()

    def _enqueue(self, message: Any) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._unsent += _LENGTH.pack(len(data))
        self._unsent += data

    def _send_some(self) -> bool:
        """Send what the socket takes now; whether that was all. The lock is held."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return False
        return True

    def _flush(self) -> None:
        with suppress(OSError):  # whoever receives from here finds out too
            while self._is_flushing:
                self._wait_writable()
                with self._lock:
                    self._is_flushing = not self._send_some()

    def _wait_writable(self) -> None:
        writable = select.poll()  # not select.select: descriptors may be over 1,023
        writable.register(self._socket, select.POLLOUT)
        writable.poll()

    def _is_whole(self) -> bool:
        received = self._received
        return len(received) >= _LENGTH.size and len(received) - _LENGTH.size >= _LENGTH.unpack_from(received)[0]

    def _next(self) -> bytearray | None:
        """Cut the first message off what was received, if all of it is there."""
        if not self._is_whole():
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
        message = self._received[_LENGTH.size : end]
        del self._received[:end]
        return message

    def _read(self, flags: int) -> None:
        data = self._socket.recv(_CHUNK, flags)
        if not data:
            raise EOFError("the other end was closed")
        self._received += data
