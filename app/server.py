"""The server under the application: uvicorn, with limits on its connections, and an end without lost work.

`nmt serve` starts it. Any other ASGI server can run `app.main:create_app`, and has its own limits then.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import resource
import socket
import time
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from app.connections import Door, connections_of
from app.direct import Application
from app.logs import log_config
from app.main import create_app
from app.service import Service
from app.settings import Settings, load_settings
from nmt.errors import Overloaded

LAST_WORDS_S = 2.0
"""Time for what could not be finished to be told so, after that for the work that was accepted."""
FAREWELL_S = 3
"""Time for connections to end, after both."""
LOOK_S = 0.02
"""Between two looks whether requests are still in hand."""
BACKLOG = 2048
"""Connections that the system holds for us while we are busy."""
OWN_FILES = 256
"""Descriptors that a server needs beside those of its connections."""

SAME_REFUSAL_S = 0.1
"""While the queue stays full, so long a refusal names the same number of texts. It need not be worded anew then."""
AFTER_ARRIVAL_S = 0.02
"""How long an engine does not make the event loop pause once a connection was made. More may wait, and libuv takes one
in each turn of the loop."""
YOUNG_OBJECTS = 20_000
"""New objects between two looks for cycles among them. A request makes hundreds and leaves hardly any; with Python's
own 700 such looks are a seventh of the work."""


def run(host: str, port: int) -> None:
    """Serve until a signal ends it. Raises ConfigError where the settings are wrong."""
    settings = load_settings()
    allow_files(settings.max_connections + OWN_FILES)
    app = create_app(settings)
    server = make_server(app, settings, host=host, port=port, log_config=log_config(settings.log_format))
    server.owns_process = True
    server.run()


def make_server(app: Application, settings: Settings, **options: Any) -> Server:
    """A server of `app`; `options` are uvicorn's."""
    door = Door(settings, _Gauge(app, settings))
    config = uvicorn.Config(
        app,
        http=connections_of(door),
        ws="none",
        lifespan="on",
        access_log=False,  # the service has its own, which names no caller
        server_header=False,
        proxy_headers=False,  # the application knows whom to believe
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=FAREWELL_S,
        **options,
    )
    return Server(config, door, app, settings.drain_s)


class Server(uvicorn.Server):
    """uvicorn's, which at a SIGTERM first does what it has accepted, and at a second one ends."""

    def __init__(self, config: uvicorn.Config, door: Door, app: Application, drain_s: float) -> None:
        super().__init__(config)
        self.door = door
        self._app = app
        self.owns_process = False
        """Nothing else runs in this process, whose garbage collection may be set for it."""
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.owns_process:  # what is there now stays: it need not be looked through again and again
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for the end, a second one is the end: exit code 128 and its number, as shells count.

        Not by the signal itself, to which the first process of a container would be deaf. Engine workers end with us.
        """
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in hand with the ears still open: health is told, everything else refused in words.

        What has no answer when the time for that is over gets one that says so.
        """
        self.door.is_stopping = True
        admission = self._app.state.service.admission
        while self.server_state.tasks and admission.stop(self._drain_s) > 0:
            await asyncio.sleep(LOOK_S)
        if self.server_state.tasks:
            await self._give_up()
        await super().shutdown(sockets)

    async def _give_up(self) -> None:
        """End the requests in hand, and let their callers hear of it, those too that are still sending."""
        for task in self.server_state.tasks:
            task.cancel()
        end = time.monotonic() + LAST_WORDS_S
        while time.monotonic() < end and (
            self.server_state.tasks or any(connection.is_lingering for connection in self.door.inside)
        ):
            await asyncio.sleep(LOOK_S)


class _Gauge:
    """What the door asks of the service."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self._app = app
        self._max_queue = settings.max_queue
        self._refusal: Overloaded | None = None
        self._refusal_ends = 0.0
        self._let_in = 0
        """Requests in this turn of the loop: they are in the queue only when their tasks have begun."""

    @cached_property
    def _service(self) -> Service:
        service: Service = self._app.state.service
        return service

    def refusal(self) -> Overloaded | None:
        engine = self._service.admission.engine
        if engine.queued + self._let_in < self._max_queue:
            if not self._let_in:
                asyncio.get_running_loop().call_soon(self._begin_turn)
            self._let_in += 1
            return None
        if self._refusal is None or time.monotonic() > self._refusal_ends:
            status = engine.status()
            text = f"the queue is full ({status.queued} texts wait)"
            self._refusal = Overloaded(text, retry_after_s=status.retry_after_s)
            self._refusal_ends = time.monotonic() + SAME_REFUSAL_S
        return self._refusal

    def _begin_turn(self) -> None:
        self._let_in = 0

    def note(self, scope: dict[str, Any], status: int) -> None:
        self._app.note(scope, "-", status, 0.0)

    def note_arrival(self) -> None:
        self._service.admission.engine.stay_awake(AFTER_ARRIVAL_S)

    def gather(self) -> None:
        self._service.admission.engine.gather()


def allow_files(number: int) -> None:
    """Let this process open so many files, as far as the system allows it to choose, and have the room for them ready.

    Linux makes its table of them larger at 64, 128, 256, ... open files, and has a process of several threads wait for
    each: many milliseconds on a busy machine, in the middle of its work.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    highest = min(number, soft) if soft != resource.RLIM_INFINITY else number
    with Path(os.devnull).open() as any_file:
        os.close(fcntl.fcntl(any_file, fcntl.F_DUPFD, highest - 1))
