"""`nmt serve`: the service under uvicorn. Options become the environment that the service reads its settings from."""

from __future__ import annotations

import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from nmt.cli.models import one_thread_a_process
from nmt.errors import ConfigError

SERVER = "app.server"


def serve(
    host: Annotated[
        str, typer.Option(envvar=["NMT_HOST", "LT_HOST"], help="Address to listen on; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar=["NMT_PORT", "LT_PORT"], min=0, max=65535, help="Port; 0 for a free one.")
    ] = 8000,
    models: Annotated[
        Path | None, typer.Option("--models", help="Folder whose bundles are served. Default: $NMT_MODELS or models.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: $NMT_DEVICE or auto.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32, bf16, fp16 or int8. Default: $NMT_PRECISION or auto.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Engine processes. Default: $NMT_WORKERS, or one a core (a GPU: one).")
    ] = None,
    access_log: Annotated[
        bool | None, typer.Option(help="Log a line for each request. Default: $NMT_ACCESS_LOG or yes.")
    ] = None,
) -> None:
    """Answer translations over HTTP.

    Every limit has a variable of the environment whose name begins with NMT_; docs/service.md lists them. An option
    given here goes before its variable. SIGTERM lets accepted work finish, then ends the server with exit code 0; a
    second one ends it at once.
    """
    chosen = {"MODELS": models, "DEVICE": device, "PRECISION": precision, "WORKERS": workers, "ACCESS_LOG": access_log}
    for name, value in chosen.items():
        if value is not None:
            os.environ[f"NMT_{name}"] = str(value)
    one_thread_a_process()
    check_address(host, port)
    # uvicorn raises the signal again after its own shutdown: this makes it a success
    signal.signal(signal.SIGTERM, _end_well)
    import_module(SERVER).run(host, port)


def check_address(host: str, port: int) -> None:
    """Raise ConfigError where nothing can listen there: before the models are loaded, not after."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None


def _end_well(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
