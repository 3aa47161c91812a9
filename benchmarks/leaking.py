"""`nmt`, but its service keeps some bytes of each request for ever: the control of the row `leak`. Not for use.

LEAK_BYTES=1000 python -m benchmarks.leaking serve --port 8000
"""

from __future__ import annotations

import os

from starlette.types import Receive, Scope, Send

from app.direct import Application
from nmt.cli.main import main

KEPT: list[bytearray] = []
LEAK_BYTES = int(os.environ.get("LEAK_BYTES", "1000"))
_respond = Application.respond


async def _leak(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    KEPT.append(bytearray(os.urandom(LEAK_BYTES)))  # pages of zeros would be none
    await _respond(self, scope, receive, send)


Application.respond = _leak  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
