"""Campaigns: put, read, pause, resume, status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar import Response, get, post, put
from litestar.params import FromPath

from api.context import AnyRequest, answer, encoded, intake_of, outreach_of, settings_of
from api.idempotency import REPLAYED, key_of
from api.openapi import describe
from api.paths import identifier_of
from api.shapes import CampaignBody, CampaignList, Status
from engine.model import CampaignAnswer, answer_campaign, decode_campaign

__all__ = ["HANDLERS"]

KEPT_CAMPAIGN_BYTES = 16 * 1024
"""Room for a campaign's answer under an Idempotency-Key: few are longer."""


@get("/campaigns", **describe("list_campaigns", answer=CampaignList))
async def list_campaigns(request: AnyRequest) -> Response[bytes]:
    """All campaigns, by id."""
    outreach = outreach_of(request)
    campaigns, now = await outreach.list_campaigns(), await outreach.now()
    found = sorted(campaigns, key=lambda entry: entry[0].id)
    return answer({"campaigns": [answer_campaign(campaign, campaign.state(now, paused)) for campaign, paused in found]})


@put(
    "/campaigns/{campaign_id:str}",
    **describe("put_campaign", body=CampaignBody, answer=CampaignAnswer, problems=(409,)),
)
async def put_campaign(request: AnyRequest, campaign_id: FromPath[str]) -> Response[bytes]:
    """Creates or replaces a campaign as a whole.

    Once it has messages, changing category, timezone or currency is a conflict.
    """
    body = await intake_of(request).read_json(request)
    campaign = decode_campaign(body, identifier_of(campaign_id), settings_of(request))
    await outreach_of(request).put_campaign(campaign)
    return await _campaign(request, campaign.id)


@get("/campaigns/{campaign_id:str}", **describe("get_campaign", answer=CampaignAnswer, problems=(404,)))
async def get_campaign(request: AnyRequest, campaign_id: FromPath[str]) -> Response[bytes]:
    """A campaign, defaults filled in, with its state."""
    return await _campaign(request, identifier_of(campaign_id))


@post("/campaigns/{campaign_id:str}/pause", **describe("pause_campaign", answer=CampaignAnswer, problems=(404,)))
async def pause_campaign(request: AnyRequest, campaign_id: FromPath[str]) -> Response[bytes]:
    """Stops deciding; what waits is kept."""
    return await _change(request, identifier_of(campaign_id), outreach_of(request).pause)


@post(
    "/campaigns/{campaign_id:str}/resume",
    **describe("resume_campaign", answer=CampaignAnswer, problems=(404,)),
)
async def resume_campaign(request: AnyRequest, campaign_id: FromPath[str]) -> Response[bytes]:
    """Goes on deciding."""
    return await _change(request, identifier_of(campaign_id), outreach_of(request).resume)


@get("/campaigns/{campaign_id:str}/status", **describe("get_status", answer=Status, problems=(404,)))
async def get_status(request: AnyRequest, campaign_id: FromPath[str]) -> Response[bytes]:
    """How a campaign does: messages, money, performance."""
    return answer(await outreach_of(request).status(identifier_of(campaign_id)))


async def _campaign(request: AnyRequest, campaign_id: str) -> Response[bytes]:
    return answer(await _campaign_body(request, campaign_id))


async def _campaign_body(request: AnyRequest, campaign_id: str) -> bytes:
    outreach = outreach_of(request)
    campaign, paused = await outreach.get_campaign(campaign_id)
    return encoded(answer_campaign(campaign, campaign.state(await outreach.now(), paused)))


async def _change(request: AnyRequest, campaign_id: str, change: Callable[[str], Awaitable[None]]) -> Response[bytes]:
    """Changes a campaign and answers it; once for an Idempotency-Key."""

    async def work() -> bytes:
        await change(campaign_id)
        return await _campaign_body(request, campaign_id)

    key = key_of(request)
    if key is None:
        return answer(await work())
    body = await intake_of(request).read(request)
    campaign, replayed = await outreach_of(request).keyed.once(key, body, KEPT_CAMPAIGN_BYTES, work)
    return answer(campaign, REPLAYED if replayed else None)


HANDLERS = (list_campaigns, put_campaign, get_campaign, pause_campaign, resume_campaign, get_status)
