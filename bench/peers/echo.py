"""The do-nothing echo: Litestar and msgspec, which read everybody and answer everybody, and decide nothing.

It is what is left of `/send-batch` without a decision: the same body decoded whole into Structs, a decision of
every field encoded for each recipient. It keeps no profile, knows no caps, no gaps, no duplicates, no zones and no
budget, validates no more than types, writes nothing down, and gives everyone the same answer. The server is the
product's own (`api.http_server`), in a process a core, as it has no state to share; each process has a port of its own,
so that the load is even. It is as fast as can be: the handler decodes the bytes itself (declared as `data`, a body
passes through dicts first, which takes half as long again), and garbage is not collected, as nothing it makes holds
itself (collections would take two thirds of its time).
"""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import Any

import msgspec
import uvloop
from litestar import Litestar, Request, Response, post
from msgspec import Struct

from api.http_server import HttpServer, bind
from api.intake import Intake
from bench.connection import PREFIX
from bench.server import Server
from engine.config import default_settings

__all__ = ["EchoServer", "create_echo", "serve"]

HOST = "127.0.0.1"
DRAIN_TIMEOUT_MS = 5_000


class QuietHours(Struct, gc=False):
    """Local times of day."""

    start: str
    end: str


class Preferences(Struct, gc=False):
    """What a recipient set."""

    channels: list[str] = []
    opt_out: list[str] = []
    quiet_hours: QuietHours | None = None


class Recipient(Struct, gc=False):
    """A person, whole (contract, section 2)."""

    id: str
    customer_type: str = "new"
    timezone: str | None = None
    device: str = "unknown"
    contacts: dict[str, str] = {}
    preferences: Preferences | None = None


class Batch(Struct, gc=False):
    """A request."""

    campaign_id: str
    recipients: list[Recipient]
    dedup_key: str | None = None


class Decision(Struct, gc=False):
    """An answer for one person, with every field of the contract (section 5)."""

    message_id: str
    recipient_id: str
    status: str
    reason: str | None
    detail: str | None
    channel: str
    scheduled_at: str
    scheduled_local: str
    fallback_chain: list[str]
    cost: str
    confidence: float
    next_eligible_at: str | None
    warnings: list[str]


class BatchAnswer(Struct, gc=False):
    """An answer."""

    batch_id: str
    counts: dict[str, int]
    reasons: dict[str, int]
    results: list[Decision]


DECODER = msgspec.json.Decoder(Batch)
ENCODER = msgspec.json.Encoder()


@post(f"{PREFIX}/send-batch", status_code=200)
async def send_batch(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Decodes everyone, decides nothing, encodes everyone."""
    batch = DECODER.decode(await request.body())
    results = [
        Decision(
            message_id="m-6280010000000001",
            recipient_id=recipient.id,
            status="scheduled",
            reason=None,
            detail=None,
            channel="email",
            scheduled_at="2026-01-01T14:03:00Z",
            scheduled_local="2026-01-01T09:03:00-05:00",
            fallback_chain=["sms"],
            cost="0.001",
            confidence=0.508,
            next_eligible_at=None,
            warnings=[],
        )
        for recipient in batch.recipients
    ]
    counts = {"scheduled": len(results), "blocked": 0, "invalid": 0}
    answer = BatchAnswer(batch_id="b-6280010000000001", counts=counts, reasons={}, results=results)
    return Response(ENCODER.encode(answer), media_type="application/json")


def create_echo() -> Litestar:
    """The application, as bare as the product's: no schema, no logging, no bound on a body."""
    return Litestar([send_batch], openapi_config=None, logging_config=None, request_max_body_size=None)


class EchoServer(Server):
    """One of its processes. Its command takes no arguments."""

    command = ("-c", f"from {__name__} import serve; serve()")


def serve() -> None:
    """Serves on a free port until SIGTERM, as `api.server` does."""
    with bind(HOST, 0) as listener:
        port = listener.getsockname()[1]

        async def run() -> None:
            gc.disable()
            server = HttpServer(
                create_echo(),
                Intake(default_settings().limits),
                DRAIN_TIMEOUT_MS,
                lambda: print(f"ready http://{HOST}:{port}", flush=True),
            )
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
            await server.serve([listener])

        uvloop.run(run())
