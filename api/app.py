"""The application: routes, keys, bounds and problems put together."""

from __future__ import annotations

from importlib.metadata import version

from litestar import Litestar, Router

from actors.client import AsyncOutreach
from api import campaigns, operations, recipients, sending
from api.intake import Intake, IntakeMiddleware
from api.keys import KeyMiddleware
from api.metrics import RequestMetrics
from api.openapi import build_document
from api.paths import EncodedPaths
from api.problems import exception_handlers
from engine.settings import Settings

__all__ = ["PREFIX", "create_app"]

PREFIX = "/api/v1/outreach"


def create_app(outreach: AsyncOutreach, settings: Settings) -> Litestar:
    """The ASGI application that answers with `outreach`, within the bounds of `settings`.

    Health and /schema are open; everything else needs a key where any is configured.
    """
    outreach_router = Router(PREFIX, route_handlers=[*campaigns.HANDLERS, *sending.HANDLERS, *recipients.HANDLERS])
    clock = operations.CLOCK_HANDLERS if settings.clock == "manual" else ()
    guarded = Router(
        "/",
        route_handlers=[outreach_router, *clock],
        middleware=[KeyMiddleware(settings.api_keys), IntakeMiddleware()],
    )
    # Its figures are wanted most when no place is left.
    metrics = Router("/", route_handlers=[operations.metrics], middleware=[KeyMiddleware(settings.api_keys)])
    app = Litestar(
        route_handlers=[guarded, metrics, *operations.OPEN_HANDLERS],
        middleware=[RequestMetrics()],
        exception_handlers=exception_handlers(),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    app.state.outreach, app.state.intake, app.state.settings = outreach, Intake(settings.limits), settings
    app.state.document = build_document(app.routes, version("madan-sara"), keyed=bool(settings.api_keys))
    app.asgi_handler = EncodedPaths(app.asgi_handler)
    return app
