"""The replay against a careless product: what it sends, and that its checks catch it."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from bench.answers import dollars, micros
from bench.connection import JSON, Connection
from bench.contacts import household_number
from bench.journey import Journey
from bench.landings import Arrival
from bench.plan import RECEIPTS, campaign_body, campaign_name
from bench.replay import Replay
from bench.report import bar_line, show
from bench.summary import run_checks, summary
from bench.timeline import RECEIPTS_EVERY, busiest_day

NEW_YORK_SUMMER = timedelta(hours=-4)


class CarelessProduct(Connection):
    """Sends every message at once by the recipient's dearest channel, whatever caps and budgets say: some twice, some
    never. What bounces does not interest it."""

    def __init__(self) -> None:
        self.seconds = 0.001
        self.now = datetime(1970, 1, 1, tzinfo=UTC)
        self.campaigns: dict[str, dict[str, Any]] = {}
        self.contacts: dict[str, dict[str, str]] = {}
        self.messages: Counter[tuple[str, str]] = Counter()
        self.committed: Counter[str] = Counter()
        self.values: dict[str, list[int]] = {}
        self.converted: dict[str, set[str]] = {}
        self.campaign_of: dict[str, str] = {}
        self.landed: list[Arrival] = []

    def set_clock(self, now: str) -> None:
        moved = datetime.fromisoformat(now)
        assert moved > self.now
        self.now = moved

    def request(self, method: str, path: str, body: bytes | None = None, media_type: str = JSON) -> bytes:
        assert (method, path) == ("GET", "/metrics")
        return f"madan_sara_settled_until_seconds {self.now.timestamp()}\n".encode()

    def take(self, now: int) -> tuple[list[Arrival], list[int]]:
        landed, self.landed = self.landed, []
        return landed, []

    def put(self, path: str, body: dict[str, Any]) -> None:
        self.campaigns[path.removeprefix("/campaigns/")] = body

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        request = json.loads(body)
        if path == "/events":
            return json.dumps({"results": [self._event(event) for event in request["events"]]}).encode()
        if path == "/send":
            return json.dumps(self._decide(request["campaign_id"], request["recipient"])).encode()
        results = [self._decide(request["campaign_id"], recipient) for recipient in request["recipients"]]
        counts = {"scheduled": len(results), "blocked": 0, "invalid": 0}
        return json.dumps({"batch_id": "b-1", "counts": counts, "reasons": {}, "results": results}).encode()

    def _event(self, event: dict[str, Any]) -> dict[str, str]:
        campaign_id = self.campaign_of[event["message_id"]]
        if event["type"] == "bounced":
            return {"id": event["id"], "status": "applied"}
        self.values.setdefault(campaign_id, []).append(micros(event["value"]))
        self.converted.setdefault(campaign_id, set()).add(event["message_id"])
        return {"id": event["id"], "status": "applied"}

    def _decide(self, campaign_id: str, recipient: dict[str, Any]) -> dict[str, Any]:
        contacts = recipient.get("contacts") or self.contacts[recipient["id"]]
        self.contacts[recipient["id"]] = contacts
        costs = self.campaigns[campaign_id]["costs"]
        channel = max((name for name in costs if name in contacts), key=lambda name: (micros(costs[name]), name))
        message_id = f"m-{self.messages.total()}"
        self.campaign_of[message_id] = campaign_id
        self.messages[campaign_id, channel] += 1
        self.committed[campaign_id] += micros(costs[channel])
        number, at = self.messages.total(), int(self.now.timestamp())
        copies = 2 if number % 100 == 10 else 0 if number % 100 == 20 else 1
        self.landed += [Arrival(message_id, channel, household_number(recipient["id"]), at, at)] * copies
        local = self.now + NEW_YORK_SUMMER
        return {
            "message_id": message_id, "recipient_id": recipient["id"], "status": "scheduled",
            "channel": channel, "cost": costs[channel], "scheduled_at": self.now.isoformat(),
            "scheduled_local": local.replace(tzinfo=None).isoformat() + "-04:00",
        }  # fmt: skip

    def get(self, path: str) -> dict[str, Any]:
        name = path.removeprefix("/campaigns/").removesuffix("/status")
        by_channel = {channel: {"messages": count} for (of, channel), count in self.messages.items() if of == name}
        return {
            "state": "active",
            "messages": {"scheduled": sum(one["messages"] for one in by_channel.values())},
            "blocked": {},
            "by_channel": by_channel,
            "budget": {
                "total": self.campaigns[name]["budget"]["total"],
                "committed": dollars(self.committed[name]),
                "remaining": "0.00",
                "spent": dollars(self.committed[name]),
            },
            "performance": {
                "converted": len(self.converted.get(name, ())),
                "roi": None,
                "revenue": dollars(sum(self.values.get(name, []))),
            },
        }


@pytest.fixture(scope="module")
def replay(some_journey: Journey, played: Callable[[Replay], Replay]) -> Replay:
    product = CarelessProduct()
    return played(Replay(some_journey, product, product.take))


def test_everything_is_asked(replay: Replay, some_journey: Journey) -> None:
    receipts = [outcome for outcome in replay.outcomes if outcome.campaign == RECEIPTS]
    assert len(receipts) == len(some_journey.baskets) > 10_000
    assert len(replay.outcomes) - len(receipts) > 4_000
    assert len(replay.single_seconds) == (some_journey.baskets.day == busiest_day(some_journey)).sum()
    assert len(replay.converted) + replay.unreached == len(some_journey.redemptions) > 100
    assert len(replay.converted) > 0.9 * len(some_journey.redemptions)
    assert replay.faults == []


def test_who_redeemed_is_not_reminded(replay: Replay, some_journey: Journey) -> None:
    first: dict[tuple[str, int], int] = {}
    names = {campaign.number: campaign_name(campaign) for campaign in some_journey.campaigns}
    for redemption in some_journey.redemptions:
        first.setdefault((names[redemption.campaign], redemption.household), redemption.at)
    for outcome in replay.outcomes:
        used = first.get((outcome.campaign, outcome.household))
        assert used is None or outcome.now <= used + RECEIPTS_EVERY


def test_a_careless_product_is_caught(replay: Replay, some_journey: Journey) -> None:
    held = run_checks(replay, some_journey)
    assert {promise: bool(faults) for promise, faults in held.items()} == {
        "every recipient answered once, in order, with right counts": False,
        "caps and channel gaps hold in every span": True,
        "no duplicate within its lookback": True,
        "no budget overspent: total, channel, day": True,
        "send windows and quiet hours kept": True,
        "status of every campaign is the sum of its answers": True,
        "every message landed once, in its hour, and nothing else": True,
        "what came back went on by its fallback chain, or failed": True,
    }


def test_the_page_and_the_figures_are_one(replay: Replay, some_journey: Journey) -> None:
    figures = json.loads(json.dumps(summary(replay, some_journey, run_checks(replay, some_journey))))
    assert figures["decisions"]["receipts"]["scheduled"] == len(some_journey.baskets)
    assert [row["total"] for row in figures["campaigns"]] == [
        campaign_body(campaign)["budget"]["total"] for campaign in some_journey.campaigns
    ]
    for width in (80, 120):
        page = StringIO()
        show(figures, Console(file=page, width=width))
        assert "The Complete Journey" in page.getvalue()
        assert "✗ caps and channel gaps" in page.getvalue()
        assert "the clock stood" in page.getvalue()
        assert "…" not in page.getvalue(), "every figure fits"


def test_bars_show_the_smallest_and_the_largest() -> None:
    assert bar_line([0, 1, 80]) == "  ▁▁██"
    assert bar_line([0, 0]) == "    "
