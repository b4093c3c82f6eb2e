"""The door: what every request passes on its way to its handler and back.

Figures first, then the key, then a place, each in its own module; here they are put in order, in one step for each
request instead of one for each of them. A handler that takes nothing but the request is called at once and its answer
written at once: what Litestar does to resolve arguments and to make a response costs more than to decide.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.keys import Keys
from api.metrics import request_began, request_ended
from engine.errors import MadanSaraError, ShardUnavailable

__all__ = ["Door"]

Handler = Callable[[Any], Awaitable[Response[bytes]]]

UNANSWERED = 500
"""What a request counts as that ends without an answer."""


class Door:
    """A middleware of Litestar's. It copies them, so what counts lives in the application's state."""

    def __init__(self, app: ASGIApp, keys: Keys | None = None, takes_place: bool = False) -> None:
        """`keys` are asked for where there are any, and a place is taken by those that do some work."""
        self._app = app
        self._keys = keys
        self._takes_place = takes_place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request. What is refused here is answered in front of it: its status is that of the error."""
        began = request_began()
        status = UNANSWERED
        try:
            if self._keys is not None:
                self._keys.check(cast("HTTPScope", scope)["headers"])
            status = await self._through(cast("HTTPScope", scope), receive, send)
        except MadanSaraError as error:
            status = error.status
            raise
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            request_ended(cast("HTTPScope", scope)["method"], scope["path_template"], status, began)

    async def _through(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        """Only a server that stops cancels: what has not ended by then may be asked for again, of another (503)."""
        if not self._takes_place:
            return await self._handle(scope, receive, send)
        intake = scope["litestar_app"].state.intake
        with intake.place(scope):
            try:
                return await self._handle(scope, receive, intake.in_pieces(send))
            except asyncio.CancelledError:
                raise ShardUnavailable("The server stops before this request has ended.") from None

    async def _handle(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        """The status of what was answered."""
        route_handler = cast("HTTPRouteHandler", scope["route_handler"])
        if takes_request_alone(route_handler.fn):
            response = await route_handler.fn(Request(scope, receive, send))
            status = response.status_code or route_handler.status_code
            await write(response, status, send)
            return status
        status = UNANSWERED

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, send_noted)
        return status


@functools.cache
def takes_request_alone(handler: Handler) -> bool:
    """There are as many as routes, for good."""
    return list(inspect.signature(handler).parameters) == ["request"]


async def write(response: Response[bytes], status: int, send: Send) -> None:
    """The same that Litestar would send."""
    body = response.content
    headers = [(b"content-type", (response.media_type or "").encode()), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
