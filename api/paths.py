"""Ids in paths: any text may be one, a slash and what is not ASCII included, as percent-encoded UTF-8."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from engine.errors import RequestError
from engine.scalars import Identifier

__all__ = ["EncodedPaths", "identifier_of"]


class EncodedPaths:
    """Routes by the path as it was sent, percent-encoded, so that an encoded slash does not end an id.

    Stands before the router; handlers decode their ids with `identifier_of`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and b"%" in scope["raw_path"]:
            sent, _, _ = scope["raw_path"].partition(b"?")
            scope["path"] = "/".join(quote(unquote_to_bytes(step), safe="@:") for step in sent.split(b"/"))
        await self._app(scope, receive, send)


def identifier_of(step: str) -> str:
    """The id that a step of a path stands for. Raises `RequestError` (400) if it cannot be one."""
    try:
        return Identifier.read(unquote_to_bytes(step).decode())
    except UnicodeDecodeError:
        raise RequestError(400, "The id in the path is not percent-encoded UTF-8.") from None
    except ValueError as error:
        raise RequestError(400, f"The id in the path {error}.") from None
