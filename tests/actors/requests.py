"""Requests as the tests of the cluster make them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec

from actors.client import AsyncOutreach
from engine.model import decode_campaign


def make_recipient(recipient_id: str, *channels: str) -> dict[str, Any]:
    contacts = {"email": "ana@example.com", "sms": "+15550100001"}
    return {"id": recipient_id, "contacts": {name: contacts[name] for name in channels or contacts}}


async def put(outreach: AsyncOutreach, campaign_id: str, **fields: Any) -> None:
    await outreach.put_campaign(decode_campaign(msgspec.json.encode(fields), campaign_id))


async def send(outreach: AsyncOutreach, campaign_id: str, recipient: dict[str, Any], **options: Any) -> dict[str, Any]:
    body = msgspec.json.encode({"campaign_id": campaign_id, "recipient": recipient, **options})
    return msgspec.json.decode((await outreach.send_body(body))[0])  # type: ignore[no-any-return]


async def send_batch(
    outreach: AsyncOutreach, campaign_id: str, recipients: list[dict[str, Any]], **options: Any
) -> dict[str, Any]:
    body = msgspec.json.encode({"campaign_id": campaign_id, "recipients": recipients, **options})
    return msgspec.json.decode((await outreach.send_batch_body(body))[0])  # type: ignore[no-any-return]


async def send_from_clients(
    outreach: AsyncOutreach, campaign_id: str, people: list[dict[str, Any]], clients: int
) -> Counter[str]:
    """Each client sends its share at the same time as the others: even ones in batches, odd ones one by one."""
    outcomes: Counter[str] = Counter()

    async def play(client: int) -> None:
        mine = people[client::clients]
        if client % 2:
            answers = await asyncio.gather(*(send(outreach, campaign_id, person) for person in mine))
        else:
            answers = (await send_batch(outreach, campaign_id, mine))["results"]
        outcomes.update(answer["reason"] or answer["status"] for answer in answers)

    await asyncio.gather(*(play(client) for client in range(clients)))
    return outcomes
