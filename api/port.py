"""What the front end asks of `actors`, and how handlers reach what the application was made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import msgspec
from litestar import Request, Response

from api.intake import Intake
from engine.event import Event
from engine.model import Campaign
from engine.scalars import encode_scalar
from engine.settings import Settings

__all__ = ["AnyRequest", "Port", "answer", "intake_of", "outreach_of", "settings_of"]

AnyRequest = Request[Any, Any, Any]
Tally = Sequence[tuple[str, str, int]]


class Port(Protocol):
    """Instants are whole seconds since the epoch; every call may raise `ShardUnavailable`."""

    async def now(self) -> int: ...

    async def put_campaign(self, campaign: Campaign) -> None: ...

    async def get_campaign(self, campaign_id: str) -> tuple[Campaign, bool]: ...

    async def list_campaigns(self) -> list[tuple[Campaign, bool]]: ...

    async def pause(self, campaign_id: str) -> None: ...

    async def resume(self, campaign_id: str) -> None: ...

    async def status(self, campaign_id: str) -> dict[str, Any]: ...

    async def send_batch_body(self, body: bytes) -> tuple[bytes, Tally]: ...

    async def send_body(self, body: bytes) -> bytes: ...

    async def message(self, message_id: str) -> dict[str, Any] | None: ...

    async def recipient(self, recipient_id: str) -> dict[str, Any] | None: ...

    async def put_recipient(self, recipient_id: str, body: bytes) -> None: ...

    async def suppress(self, recipient_id: str, scope: str, until: int | None, reason: str | None) -> None: ...

    async def lift(self, recipient_id: str, scope: str) -> None: ...

    async def events(self, events: Sequence[Event]) -> list[dict[str, Any]]: ...

    async def ready(self) -> dict[int, bool]: ...

    async def set_clock(self, now: int) -> None: ...


def outreach_of(request: AnyRequest) -> Port:
    """The client that this application was made with."""
    return cast("Port", request.app.state.outreach)


def intake_of(request: AnyRequest) -> Intake:
    """What reads bodies."""
    return cast("Intake", request.app.state.intake)


def settings_of(request: AnyRequest) -> Settings:
    """The configuration that this application was made with."""
    return cast("Settings", request.app.state.settings)


def answer(value: object) -> Response[bytes]:
    """200 with JSON: bytes as they are, anything else encoded."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value, enc_hook=encode_scalar)
    return Response(body, media_type="application/json", status_code=200)
