"""The application: `uvicorn app.main:create_app --factory`, or `nmt serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import errors, logs
from app.direct import Application
from app.guards import BodyLimit
from app.routes import (
    admin,
    apertium,
    deepl,
    deepl_documents,
    deepl_glossaries,
    detect,
    docs,
    files,
    google,
    health,
    languages,
    metrics,
    opennmt,
    suggest,
    translate,
    web,
)
from app.service import EngineLoader, StartupErrors, running
from app.settings import Settings, load_settings
from nmt import __version__


def create_app(settings: Settings | None = None, *, load_engine: EngineLoader | None = None) -> Application:
    """The service as an ASGI application. Its lifespan loads the models, and drains the engine at the end.

    Without `settings` they come from the environment. Raises ConfigError where these are wrong.
    """
    chosen = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        async with running(chosen, load_engine) as app.state.service:
            yield
        if app.access_log is not None:
            app.access_log.flush()
        if app.tracing is not None:
            await asyncio.to_thread(app.tracing.close)

    logs.keep_texts_out()
    app = Application(
        title="Translation",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    if chosen.access_log:
        app.access_log = logs.AccessLog(is_json=chosen.log_format == "json")
    if chosen.tracing:
        from app.tracing import Tracing  # its libraries are an extra

        app.tracing = Tracing()
    if chosen.trusted_proxies:
        # uvicorn names the messages of ASGI more narrowly than Starlette does
        app.proxies = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app.respond), list(chosen.trusted_proxies)))
    errors.install(app)
    for router in (translate.router, files.router, detect.router, languages.router, health.router, admin.router):
        app.include_router(router)
    for router in (docs.router, web.router):
        app.include_router(router)
    for router in (suggest.router, deepl.router, deepl_documents.router, deepl_glossaries.router):
        app.include_router(router)
    for router in (google.router, apertium.router, opennmt.router):
        app.include_router(router)
    if chosen.metrics:
        app.include_router(metrics.router)
    app.mount(docs.ASSETS_PATH, docs.assets)
    app.mount(web.ASSETS_PATH, web.assets)
    # The last added is the outermost: even a refused or failed request is answered with an id and CORS headers.
    app.add_middleware(
        BodyLimit,
        max_body_bytes=chosen.max_body_bytes,
        timeout_s=chosen.deadline_s,
        others=dict.fromkeys(
            (files.PATH, deepl_documents.PATH), (chosen.max_file_bytes + files.FORM_BYTES, chosen.file_deadline_s)
        ),
    )
    app.add_middleware(errors.Faults, is_stopping=lambda: app.state.service.admission.is_stopping)
    app.add_middleware(logs.RequestId)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=chosen.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", google.KEY_HEADER, logs.REQUEST_ID],
        expose_headers=[logs.REQUEST_ID, translate.MODEL_VERSION, "Retry-After", "Server-Timing"],
        max_age=1_728_000,
    )
    app.add_middleware(StartupErrors)
    return app
