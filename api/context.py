"""What a handler reaches through its request: the client, the bounds and the configuration; and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar import Request, Response

from actors.client import AsyncOutreach
from api.intake import Intake
from engine.scalars import encode_scalar
from engine.settings import Settings

__all__ = ["AnyRequest", "answer", "encoded", "intake_of", "outreach_of", "settings_of"]

AnyRequest = Request[Any, Any, Any]


def outreach_of(request: AnyRequest) -> AsyncOutreach:
    """The client that this application was made with."""
    return cast("AsyncOutreach", request.app.state.outreach)


def intake_of(request: AnyRequest) -> Intake:
    """What reads bodies."""
    return cast("Intake", request.app.state.intake)


def settings_of(request: AnyRequest) -> Settings:
    """The configuration that this application was made with."""
    return cast("Settings", request.app.state.settings)


def encoded(value: object) -> bytes:
    """A value as JSON."""
    return msgspec.json.encode(value, enc_hook=encode_scalar)


def answer(
    value: object, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response[bytes]:
    """200 with JSON: bytes as they are, whatever they are, anything else encoded."""
    body = value if isinstance(value, bytes) else encoded(value)
    return Response(body, media_type=media_type, status_code=200, headers=headers)
