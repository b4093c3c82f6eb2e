"""Recipients: profiles and hard stops."""

from __future__ import annotations

from litestar import Response, delete, get, put
from litestar.params import FromPath

from api.context import AnyRequest, answer, intake_of, outreach_of
from api.openapi import describe
from api.paths import identifier_of
from api.shapes import RecipientBody, RecipientView, SuppressionList
from engine.errors import RequestError
from engine.event import Suppression, decode_scope, decode_suppression

__all__ = ["HANDLERS"]

_UNKNOWN = "There is no such recipient."
_SUPPRESSION = "/recipients/{recipient_id:str}/suppressions/{channel:str}"


@put(
    "/recipients/{recipient_id:str}",
    **describe("put_recipient", body=RecipientBody, answer=RecipientView, problems=(422,)),
)
async def put_recipient(request: AnyRequest, recipient_id: FromPath[str]) -> Response[bytes]:
    """Keeps a profile; each field that is given replaces the kept one whole."""
    recipient_id = identifier_of(recipient_id)
    body = await intake_of(request).read_json(request)
    await outreach_of(request).put_recipient(recipient_id, body)
    return await _recipient(request, recipient_id)


@get("/recipients/{recipient_id:str}", **describe("get_recipient", answer=RecipientView, problems=(404,)))
async def get_recipient(request: AnyRequest, recipient_id: FromPath[str]) -> Response[bytes]:
    """What is known of a recipient: profile, messages, suppressions, use of the default caps."""
    return await _recipient(request, identifier_of(recipient_id))


@delete("/recipients/{recipient_id:str}", status_code=204, **describe("erase_recipient", status=204, problems=(404,)))
async def erase_recipient(request: AnyRequest, recipient_id: FromPath[str]) -> None:
    """Erases what is known of a recipient and cancels what waits for them.

    Only a keyed hash of the id is kept, with the suppressions and opt-outs in force: by the same id they hold again,
    opt-outs as suppressions. The campaigns' counts stay. Answers that are kept for an Idempotency-Key and hold the
    recipient are forgotten.
    """
    if not await outreach_of(request).erase(identifier_of(recipient_id)):
        raise RequestError(404, _UNKNOWN)


@put(
    _SUPPRESSION,
    **describe("suppress", body=Suppression, body_required=False, answer=SuppressionList, problems=(404,)),
)
async def suppress(request: AnyRequest, recipient_id: FromPath[str], channel: FromPath[str]) -> Response[bytes]:
    """Stops everything to a recipient on a channel, or on all, and cancels what waits there.

    It holds until `until`, or for good. Answers every suppression in force.
    """
    recipient_id, channel = identifier_of(recipient_id), decode_scope(channel)
    suppression = decode_suppression(await intake_of(request).read_json(request))
    outreach = outreach_of(request)
    await outreach.suppress(recipient_id, channel, suppression.until, suppression.reason)
    return await _suppressions(request, recipient_id)


@delete(_SUPPRESSION, status_code=200, **describe("lift_suppression", answer=SuppressionList, problems=(404,)))
async def lift_suppression(request: AnyRequest, recipient_id: FromPath[str], channel: FromPath[str]) -> Response[bytes]:
    """Lifts a suppression, if there is one. Answers those still in force."""
    recipient_id, channel = identifier_of(recipient_id), decode_scope(channel)
    await outreach_of(request).lift(recipient_id, channel)
    return await _suppressions(request, recipient_id)


async def _recipient(request: AnyRequest, recipient_id: str) -> Response[bytes]:
    recipient = await outreach_of(request).recipient(recipient_id)
    if recipient is None:
        raise RequestError(404, _UNKNOWN)
    return answer(recipient)


async def _suppressions(request: AnyRequest, recipient_id: str) -> Response[bytes]:
    recipient = await outreach_of(request).recipient(recipient_id)
    return answer({"suppressions": recipient["suppressions"] if recipient else []})


HANDLERS = (put_recipient, get_recipient, erase_recipient, suppress, lift_suppression)
