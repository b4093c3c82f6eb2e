"""Sending: one recipient or a batch to decide on, what became of a message, and events."""

from __future__ import annotations

from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath

from actors.keyed import KeyedAnswer
from api.context import AnyRequest, answer, intake_of, outreach_of
from api.idempotency import REPLAYED, key_of
from api.media import ARROW, JSON, answers_arrow, brings_arrow
from api.metrics import count_decisions
from api.openapi import describe
from api.options import options_of
from api.shapes import BatchAnswer, BatchBody, Decision, EventsAnswer, EventsBody, Message, SendBody
from engine._core import EVENT_STATUSES
from engine.errors import RequestError
from engine.event import Event, decode_events
from engine.form import Form

__all__ = ["HANDLERS"]


@post("/send", status_code=200, **describe("send", body=SendBody, answer=Decision, problems=(404, 422)))
async def send(request: AnyRequest) -> Response[bytes]:
    """Decides on one recipient.

    A dry run decides everything and changes nothing.
    """
    key = key_of(request)
    body = await intake_of(request).read_json(request)
    if key is not None:
        return _kept(await outreach_of(request).keyed.send_body(key, body))
    decision, tally = await outreach_of(request).send_body(body)
    count_decisions(tally)
    return answer(decision)


@post(
    "/send-batch",
    status_code=200,
    **describe("send_batch", body=BatchBody, answer=BatchAnswer, problems=(404,), arrow=True),
)
async def send_batch(request: AnyRequest) -> Response[bytes]:
    """Decides on up to 100,000 recipients, in order.

    What is wrong with one leaves the others alone: its decision is invalid and names the fault. A dry run decides
    everything and changes nothing. Recipients may come as an Arrow stream, a row each with the fields as columns; the
    other fields are then in the query. Decisions are answered as an Arrow stream, a row each, where Accept prefers it,
    or has no preference and the request was one; batch_id, counts and reasons are in the metadata of its schema.
    """
    key = key_of(request)
    arrow_answer = answers_arrow(request)
    if brings_arrow(request):
        form = Form(options_of(request.scope["query_string"]), arrow_answer)
        body = await intake_of(request).read(request)
    else:
        form = Form(arrow_answer=arrow_answer)
        body = await intake_of(request).read_json(request)
    media_type = ARROW if arrow_answer else JSON
    if key is not None:  # without a place: copies of one key wait for one another, and would take all
        if form != Form():  # what is in JSON only is bound as ever
            key = key._replace(path=f"{key.path}?{request.scope['query_string'].decode('latin-1')} {media_type}")
        return _kept(await outreach_of(request).keyed.send_batch_body(key, body, form), media_type)
    with intake_of(request).batch_place():
        decisions, tally = await outreach_of(request).send_batch_body(body, form)
    count_decisions(tally)
    return answer(decisions, media_type=media_type)


@get("/messages/{message_id:str}", **describe("get_message", answer=Message, problems=(404,)))
async def get_message(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """What became of a message."""
    return _message(await outreach_of(request).message(message_id))


@delete(
    "/messages/{message_id:str}",
    status_code=200,
    **describe("cancel_message", answer=Message, problems=(404, 409)),
)
async def cancel_message(request: AnyRequest, message_id: FromPath[str]) -> Response[bytes]:
    """Cancels a message that still waits.

    Its cost, its place under the caps and its key are free again; one that does not wait any more is a conflict.
    """
    return _message(await outreach_of(request).cancel(message_id))


@post("/events", status_code=200, **describe("post_events", body=EventsBody, answer=EventsAnswer))
async def post_events(request: AnyRequest) -> Response[bytes]:
    """Takes what happened to messages.

    An event whose id came before changes nothing and is `seen`; a wrong one is `invalid` and names the fault.
    A message that failed or bounced gives back its cost and its place; a bounce, a complaint and an unsubscription
    suppress the channel for good, with the type of the event as the reason.
    """
    key = key_of(request)
    body = await intake_of(request).read_json(request)
    decoded = decode_events(body)
    sound = [event for event in decoded if isinstance(event, Event)]
    replayed = False
    if key is None:
        applied = iter(await outreach_of(request).events(sound))
    else:
        # Kept as codes: nothing that a request says is kept, and the same request has the same events.
        async def take() -> bytes:
            results = await outreach_of(request).events(sound)
            return bytes(EVENT_STATUSES.index(result["status"]) for result in results)

        codes, replayed = await outreach_of(request).keyed.once(key, body, len(sound), take)
        statuses = (EVENT_STATUSES[code] for code in codes)
        applied = iter([{"id": event.id, "status": status} for event, status in zip(sound, statuses, strict=True)])
    results = [
        next(applied)
        if isinstance(event, Event)
        else {
            "id": event.id,
            "status": "invalid",
            "errors": [{"path": path, "message": message} for path, message in event.errors],
        }
        for event in decoded
    ]
    return answer({"results": results}, REPLAYED if replayed else None)


def _kept(kept: KeyedAnswer, media_type: str = JSON) -> Response[bytes]:
    count_decisions(kept.decided)
    return answer(kept.body, REPLAYED if kept.replayed else None, media_type)


def _message(message: dict[str, Any] | None) -> Response[bytes]:
    if message is None:
        raise RequestError(404, "There is no such message.")
    return answer(message)


HANDLERS = (send, send_batch, get_message, cancel_message, post_events)
