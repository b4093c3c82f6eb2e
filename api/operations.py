"""What operators ask: is it alive, is it ready, what are the figures, and what the manual clock says."""

from __future__ import annotations

import msgspec
from litestar import Response, get, put
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from api.context import AnyRequest, answer, intake_of, outreach_of
from api.metrics import delivery_text
from api.openapi import describe
from api.problems import problem_response
from api.shapes import Clock, Health
from engine.errors import ShardUnavailable
from engine.reading import convert, not_valid, read_json
from engine.scalars import Instant

CLOCK_END = Instant.read("9000-01-01T00:00:00Z")
"""Where no later time can be written: the year has four digits, and decisions look days ahead."""

__all__ = ["CLOCK_HANDLERS", "OPEN_HANDLERS", "metrics", "schema"]


@get("/health/live", **describe("live", answer=Health, open=True))
async def live(request: AnyRequest) -> Response[bytes]:
    """The process answers."""
    return answer(Health(status="ok"))


@get("/health/ready", **describe("ready", answer=Health, problems=(503,), open=True))
async def ready(request: AnyRequest) -> Response[bytes]:
    """Every shard answers."""
    shards = await outreach_of(request).ready()
    silent = [(f"/shards/{shard}", "does not answer") for shard, answers in sorted(shards.items()) if not answers]
    if silent:
        return problem_response(503, "Some shards do not answer.", silent, {"Retry-After": "1"})
    return answer(Health(status="ok"))


@get("/metrics", **describe("metrics", media_type="text/plain"))
async def metrics(request: AnyRequest) -> Response[bytes]:
    """Figures as Prometheus text; those of delivery are left out while the dispatcher starts again."""
    text = generate_latest(REGISTRY)
    try:
        delivery = await outreach_of(request).delivery()
    except ShardUnavailable:
        delivery = None  # the others are wanted all the same
    return Response(text if delivery is None else text + delivery_text(delivery), media_type=CONTENT_TYPE_LATEST)


@get("/schema/openapi.json", **describe("schema", open=True))
async def schema(request: AnyRequest) -> Response[bytes]:
    """This document."""
    return answer(msgspec.json.encode(request.app.state.document))


@put("/api/v1/clock", **describe("put_clock", body=Clock, answer=Clock, problems=(409,)))
async def put_clock(request: AnyRequest) -> Response[bytes]:
    """Moves the manual clock forward."""
    clock = convert(read_json(await intake_of(request).read_json(request)), Clock)
    if clock.now >= CLOCK_END:
        raise not_valid("/now", "takes an instant before the year 9000")
    await outreach_of(request).set_clock(clock.now)
    return answer(clock)


OPEN_HANDLERS = (live, ready, schema)
CLOCK_HANDLERS = (put_clock,)
