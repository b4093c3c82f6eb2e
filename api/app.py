"""The application: routes, keys, bounds and problems put together."""

from __future__ import annotations

from importlib.metadata import version

from litestar import Litestar, Router
from litestar.middleware import DefineMiddleware

from actors.client import AsyncOutreach
from api import campaigns, operations, recipients, sending, unsubscribe, webhooks
from api.door import Door
from api.intake import Intake
from api.keys import Keys
from api.openapi import build_document
from api.paths import EncodedPaths
from api.problems import exception_handlers
from engine.settings import Settings

__all__ = ["PREFIX", "create_app"]

PREFIX = "/api/v1/outreach"


def create_app(outreach: AsyncOutreach, settings: Settings) -> Litestar:
    """The ASGI application that answers with `outreach`, within the bounds of `settings`.

    Health and /schema are open; everything else needs a key where any is configured, except what is signed instead.
    """
    keys = Keys(settings.api_keys)
    outreach_router = Router(PREFIX, route_handlers=[*campaigns.HANDLERS, *sending.HANDLERS, *recipients.HANDLERS])
    clock = operations.CLOCK_HANDLERS if settings.clock == "manual" else ()
    guarded = Router(
        "/",
        route_handlers=[outreach_router, *clock],
        middleware=[DefineMiddleware(Door, keys=keys, takes_place=True)],
    )
    signed = Router(
        PREFIX,
        route_handlers=[*webhooks.HANDLERS, *unsubscribe.HANDLERS],
        middleware=[DefineMiddleware(Door, takes_place=True)],
    )
    # Its figures are wanted most when no place is left.
    metrics = Router("/", route_handlers=[operations.metrics], middleware=[DefineMiddleware(Door, keys=keys)])
    opened = Router("/", route_handlers=operations.OPEN_HANDLERS, middleware=[DefineMiddleware(Door)])
    app = Litestar(
        route_handlers=[guarded, signed, metrics, opened],
        exception_handlers=exception_handlers(),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    app.state.outreach, app.state.intake, app.state.settings = outreach, Intake(settings.limits), settings
    app.state.unsubscribes = None  # made by the first who asks for a link
    app.state.document = build_document(app.routes, version("madan-sara"), keyed=bool(settings.api_keys))
    app.asgi_handler = EncodedPaths(app.asgi_handler)
    return app
