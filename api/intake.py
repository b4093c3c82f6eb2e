"""Intake: what may be under way at once, and how a body is read without ever holding more than is allowed.

Whoever is over a bound is refused as early as it is known: by `HttpProtocol`, as soon as the head is read, which costs
a tenth of an answer; else here, behind Litestar. With three times as many requests as can be answered, refusals here
left no time to answer any.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from litestar import Request
from litestar.types import Message, Scope, Send

from actors.client import BATCHES_MAX
from engine.errors import Overloaded, RequestError
from engine.settings import Limits

__all__ = ["Intake"]

BOUNDED = b"/api/"
"""How the targets begin that `Intake.refuses` looks at."""

BATCHES = b"/api/v1/outreach/send-batch"

PIECE_BYTES = 256 * 1024
"""Of an answer, handed to the connection at once."""

logger = logging.getLogger("madan_sara.api")


class Intake:
    """Counts requests under way and the bytes of their bodies, and refuses what is over a bound.

    Nothing ever waits here.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._coming = 0
        self._requests = 0
        self._batches = 0
        self._bytes = 0

    def refuses(self, target: bytes) -> bool:
        """Whether a request has no place, as far as its target tells."""
        if not target.startswith(BOUNDED):
            return False
        if self._coming + self._requests >= self._limits.requests_in_flight_max:
            return True
        return self._batches >= BATCHES_MAX and target.partition(b"?")[0] == BATCHES

    def announce(self) -> None:
        """A request was let in, and takes its place a little later, when its task begins: `arrive` is called then."""
        self._coming += 1

    def arrive(self) -> None:
        """See `announce`."""
        self._coming -= 1

    @contextmanager
    def place(self, scope: Scope) -> Iterator[None]:
        """A place for a request and its body. Raises `Overloaded` (429) if all are taken."""
        if self._requests >= self._limits.requests_in_flight_max:
            raise Overloaded("Too many requests are under way.")
        self._requests += 1
        scope["state"]["body_bytes"] = 0
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= scope["state"]["body_bytes"]

    @contextmanager
    def batch_place(self) -> Iterator[None]:
        """A place for a batch whose body is there. Raises `Overloaded` (429) if all are taken.

        Who is slow to send a body holds none: a few dozen of them would keep everybody's batches out.
        """
        if self._batches >= BATCHES_MAX:
            raise Overloaded("Too many batches are under way.")
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1

    def in_pieces(self, send: Send) -> Send:
        """Hands an answer on piece by piece: the server takes the next only once the client took most of the last.

        So a place is held until the answer has gone, and a client that does not read loses its connection.
        """

        async def send_pieces(message: Message) -> None:
            body = message["body"] if message["type"] == "http.response.body" else b""
            if len(body) <= PIECE_BYTES:
                return await send(message)
            more = message["more_body"] if message["type"] == "http.response.body" else False
            try:
                async with asyncio.timeout(self._limits.body_timeout_ms / 1000):
                    whole = memoryview(body)  # whose slices are no copies; the connection takes them as they are
                    for start in range(0, len(body), PIECE_BYTES):
                        piece = cast("bytes", whole[start : start + PIECE_BYTES])
                        last = start + PIECE_BYTES >= len(body)
                        await send({"type": "http.response.body", "body": piece, "more_body": more or not last})
            except TimeoutError:
                logger.warning("a client did not take its answer in time")
            return None

        return send_pieces

    async def read_json(self, request: Request[Any, Any, Any]) -> bytes:
        """The raw body of a request that says it is JSON, or says nothing.

        Raises `RequestError`: 400 for a query, 415 where it is no JSON; and as `read`.
        """
        if request.scope["query_string"]:
            raise RequestError(400, "This takes no query: options go into the body.")
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RequestError(415, "This takes application/json.")
        return await self.read(request)

    async def read(self, request: Request[Any, Any, Any]) -> bytes:
        """The raw body of a request, whatever it is.

        Raises `RequestError`: 408 where it comes too slowly, 413 where it is too large; and `Overloaded` (429).
        """
        if request.scope["state"].get("body_is_there"):  # as that of nearly all single sends: nothing to wait for
            return await self._read(request)
        try:
            async with asyncio.timeout(self._limits.body_timeout_ms / 1000):
                return await self._read(request)
        except TimeoutError:
            raise RequestError(408, "The body took too long to arrive.") from None

    async def _read(self, request: Request[Any, Any, Any]) -> bytes:
        announced = request.headers.get("content-length", "0")
        if len(announced) > 18 or int(announced) > self._limits.body_bytes_max:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise RequestError(400, "The client went away before its request was whole.")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limits.body_bytes_max:
                raise self._too_large()
            if self._bytes + len(chunk) > self._limits.bytes_in_flight_max:
                raise Overloaded("Too many bytes are under way.")
            self._bytes += len(chunk)
            request.scope["state"]["body_bytes"] += len(chunk)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> RequestError:
        return RequestError(413, f"A body takes up to {self._limits.body_bytes_max:,} bytes.")
