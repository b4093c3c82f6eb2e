"""Webhooks: events that providers and the user's own sender post, signed instead of with a key.

The rule: nothing is read out of a body before its signature holds, and there is nothing at a path whose secret is not
configured. A provider that hears 503 posts again, and what it told before is `seen`.
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from litestar import Response, post

from api.context import AnyRequest, answer, intake_of, outreach_of, settings_of
from api.openapi import describe
from api.shapes import EventsAnswer, EventsBody, SendGridEvent, TakenEvents, TwilioStatus
from engine.errors import RequestError
from engine.event import Event, EventFault, decode_events
from engine.provider_events import ProviderEvents, sendgrid_events, twilio_events
from engine.signature import (
    SENDGRID_SIGNATURE_HEADER,
    SENDGRID_TIMESTAMP_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TWILIO_SETTINGS_HEADER,
    TWILIO_SIGNATURE_HEADER,
    check_own,
    check_sendgrid,
    check_twilio,
    sendgrid_key,
)

__all__ = ["HANDLERS"]

FORM = "application/x-www-form-urlencoded"

FIELDS_MAX = 1_000
"""Of one form; Twilio's have a few dozen."""


@post(
    "/webhooks/sendgrid",
    status_code=200,
    **describe(
        "take_sendgrid_events",
        body=SendGridEvent,
        many=True,
        answer=TakenEvents,
        problems=(404,),
        keyless=True,
        signed_by=(SENDGRID_SIGNATURE_HEADER, SENDGRID_TIMESTAMP_HEADER),
    ),
)
async def take_sendgrid_events(request: AnyRequest) -> Response[bytes]:
    """Takes events of SendGrid's Event Webhook.

    They are signed (sendgrid.webhook_public_key), no more than five minutes ago. Of each message the adapter sends its
    id along as the custom argument message_id; what is not about such a message, or says nothing of what became of it,
    is ignored. A bounce of any type but bounce is a failure.
    """
    public_key = settings_of(request).sendgrid.webhook_public_key
    if not public_key:
        raise _not_configured("sendgrid.webhook_public_key")
    body = await intake_of(request).read_json(request)
    headers = request.headers
    check_sendgrid(
        sendgrid_key(public_key),
        headers.get(SENDGRID_SIGNATURE_HEADER),
        headers.get(SENDGRID_TIMESTAMP_HEADER),
        body,
        await outreach_of(request).now(),
    )
    return await _take(request, sendgrid_events(body))


@post(
    "/webhooks/twilio",
    status_code=200,
    **describe(
        "take_twilio_status",
        body=TwilioStatus,
        body_media_type=FORM,
        answer=TakenEvents,
        problems=(404,),
        keyless=True,
        signed_by=(TWILIO_SIGNATURE_HEADER,),
        query=("message_id",),
    ),
)
async def take_twilio_status(request: AnyRequest) -> Response[bytes]:
    """Takes a status callback of Twilio's.

    It is signed (twilio.auth_token) together with the URL that Twilio was given, which begins with delivery.public_url:
    without either there is nothing here. The query's message_id says which message it is about.
    """
    settings = settings_of(request)
    if not settings.twilio.auth_token:
        raise _not_configured("twilio.auth_token")
    if not settings.delivery.public_url:
        raise _not_configured("delivery.public_url")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestError(415, f"This takes {FORM}.")
    form = _form_of(await intake_of(request).read(request))
    headers = request.headers
    check_twilio(
        settings.twilio.auth_token.encode(),
        headers.get(TWILIO_SIGNATURE_HEADER),
        headers.get(TWILIO_SETTINGS_HEADER),
        _url_of(request, settings.delivery.public_url),
        form,
    )
    return await _take(request, twilio_events(dict(form), request.query_params.get("message_id")))


@post(
    "/webhooks/events",
    status_code=200,
    **describe(
        "take_events",
        body=EventsBody,
        answer=EventsAnswer,
        problems=(404,),
        keyless=True,
        signed_by=(SIGNATURE_HEADER, TIMESTAMP_HEADER),
    ),
)
async def take_events(request: AnyRequest) -> Response[bytes]:
    """Takes events of the user's own sender, as POST /events does.

    They are signed as the webhooks are that go out: the header X-Madan-Sara-Signature is v1= and, in hexadecimal,
    HMAC-SHA256 under webhook.secret of X-Madan-Sara-Timestamp (seconds since 1970, at most five minutes from now), a
    point, and the body.
    """
    secret = settings_of(request).webhook.secret
    if not secret:
        raise _not_configured("webhook.secret")
    body = await intake_of(request).read_json(request)
    headers = request.headers
    check_own(
        secret.encode(),
        headers.get(SIGNATURE_HEADER),
        headers.get(TIMESTAMP_HEADER),
        body,
        await outreach_of(request).now(),
    )
    decoded = decode_events(body)
    sound = [event for event in decoded if isinstance(event, Event)]
    applied = iter(await outreach_of(request).events(sound))
    return answer({"results": [next(applied) if isinstance(one, Event) else _invalid(one) for one in decoded]})


async def _take(request: AnyRequest, taken: ProviderEvents) -> Response[bytes]:
    results = await outreach_of(request).events(taken.events)
    counts = Counter(result["status"] for result in results)
    return answer(TakenEvents(counts["applied"], counts["seen"], counts["unknown"], taken.ignored))


def _invalid(fault: EventFault) -> dict[str, object]:
    errors = [{"path": path, "message": message} for path, message in fault.errors]
    return {"id": fault.id, "status": "invalid", "errors": errors}


def _form_of(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise RequestError(400, f"The body is not a form of up to {FIELDS_MAX:,} fields.") from None


def _url_of(request: AnyRequest, public_url: str) -> str:
    """The URL as whoever posts was given it: proxies may have changed its beginning."""
    path, _, _ = request.scope["raw_path"].partition(b"?")
    query = request.scope["query_string"]
    return public_url.rstrip("/") + (path + (b"?" + query if query else b"")).decode("latin-1")


def _not_configured(key: str) -> RequestError:
    return RequestError(404, f"There is nothing here until {key} is configured.")


HANDLERS = (take_sendgrid_events, take_twilio_status, take_events)
