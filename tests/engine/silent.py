"""A message that a provider took and of which nothing is heard, which a test then lets go on."""

from __future__ import annotations

from typing import Any

from engine.delivery import Claimed
from tests.engine.sent import NOW, Sent
from tests.reference_rules import HOUR, MINUTE

__all__ = [
    "COSTS",
    "EVENING",
    "ORDER",
    "WITHIN",
    "happen",
    "money_of",
    "sent_at",
    "the_claim",
    "the_same_again",
    "used_today",
]

WITHIN = {"delivery": {"email": {"success_within_hours": 2}}}
COSTS = {"email": "1.00", "sms": "2.00", "whatsapp": "4.00"}
ORDER = {"priority": {"email": 1, "sms": 2, "whatsapp": 3}}
EVENING = NOW + 11 * HOUR + 30 * MINUTE  # 20:30: two hours later no text may go


def sent_at(at: int = NOW, options: dict[str, Any] | None = WITHIN, **campaign: Any) -> Sent:
    """A message that a provider of e-mails took, and that may go by text, too."""
    sent = Sent(channel=None, options=options, costs=COSTS, channels=ORDER, now=at, **campaign)
    claimed = the_claim(sent)
    assert sent.start(claimed)
    assert sent.report(claimed, "accepted", provider_id="p-7")
    return sent


def the_claim(sent: Sent) -> Claimed:
    claims = sent.claim()
    assert len(claims) == 1
    return claims[0]


def happen(sent: Sent, kind: str, channel: str | None = None) -> None:
    event = {"id": f"{kind} {channel}", "type": kind, "message_id": sent.message_id}
    event |= {} if channel is None else {"channel": channel}
    assert sent.engine.events({"events": [event]}, sent.now)["results"][0]["status"] == "applied"


def money_of(sent: Sent) -> tuple[str, str]:
    """Committed and spent."""
    budget = sent.engine.status("c", sent.now)["budget"]
    return budget["committed"], budget["spent"]


def used_today(sent: Sent) -> int:
    shown = sent.engine.recipient("ana", sent.now)
    assert shown is not None
    return int(shown["caps"]["daily"]["used"])


def the_same_again(sent: Sent) -> str | None:
    """Why the same is not sent again."""
    request = {"campaign_id": "c", "recipient": {"id": "ana"}}
    return sent.engine.send(request, sent.now)["reason"]
