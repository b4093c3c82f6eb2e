"""What clients were told, and whether the system still says so: their own log of acknowledged answers is the truth.

A client repeats a request with its key until every row of it is decided. A row that it was told on the way, in an
answer with `unavailable` ones, must be the same in every later answer that has it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from actors.answers import answer_of
from actors.client import AsyncOutreach
from actors.cluster import Cluster
from actors.keyed import Key
from actors.ledger import LEDGER_NAME
from engine.model import Campaign
from tests.faults.http_outreach import HttpOutreach
from tests.faults.patience import PatientOutreach, until_answered
from tests.reference_rules import instant, micro, money

DAY_S = 86_400
WEEK_S = 7 * DAY_S
GAP_S = 4 * 3600
AUDIT_WITHIN_S = 5.0

Row = dict[str, Any]


@dataclass
class Request:
    """A keyed request of a client, and the last whole answer to it."""

    key: Key
    campaign_id: str
    body: bytes
    is_batch: bool
    answer: bytes = b""

    @property
    def rows(self) -> list[Row]:
        answer = msgspec.json.decode(self.answer)
        return list(answer["results"]) if self.is_batch else [answer]


@dataclass
class Told:
    """The log of all clients of one run."""

    requests: list[Request] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """Messages whose cancelling was acknowledged."""
    delivered: set[str] = field(default_factory=set)
    """Messages whose event was taken."""
    refused: Counter[str] = field(default_factory=Counter)
    """How often something was `unavailable`, by where: rows, or whole requests."""
    why: Counter[str] = field(default_factory=Counter)
    """The same of whole requests, by what was said."""

    def hear(self, request: Request, body: bytes) -> bool:
        """Takes an answer down; whether it is whole. What was decided in an earlier one must be in it unchanged."""
        answer = msgspec.json.decode(body)
        rows = answer["results"] if request.is_batch else [answer]
        known = self._decided_of[request.key]
        decided = {place: row for place, row in enumerate(rows) if row["status"] != "unavailable"}
        for place, row in decided.items():
            assert known.setdefault(place, row) == row, f"{request.key}: told {known[place]}, then {row}"
        self.refused["rows"] += len(rows) - len(decided)
        if len(decided) < len(rows):
            return False
        assert request.answer in (b"", body), f"{request.key}: the same key gives other bytes"
        request.answer = body
        return True

    def __post_init__(self) -> None:
        self._decided_of: dict[Key, dict[int, Row]] = defaultdict(dict)

    def scheduled(self, campaign_id: str | None = None) -> list[Row]:
        """Every message that anybody was told of."""
        return [
            row
            for request in self.requests
            if campaign_id in (None, request.campaign_id)
            for row in request.rows
            if row["status"] == "scheduled"
        ]

    def live(self, campaign_id: str | None = None) -> list[Row]:
        return [row for row in self.scheduled(campaign_id) if row["message_id"] not in self.cancelled]


Client = AsyncOutreach | HttpOutreach | PatientOutreach
"""Whoever is asked: the cluster itself, or its front end."""


async def check_told(told: Told, outreach: Client, cluster: Cluster | None, campaigns: list[Campaign]) -> None:
    """The nine invariants (design, section 8), as far as clients can see them; nobody asks anything meanwhile.

    Without a `cluster` the ledger is left to `state check`, once the server that has it has ended.
    """
    check_people(told, campaigns)
    await check_answers(told, outreach)
    await check_messages(told, outreach)
    for campaign in campaigns:
        check_money(told.live(campaign.id), campaign)
        await check_status(told, outreach, campaign)
    if cluster is not None:
        ledger = cluster.ledger
        faults = await until_answered(lambda: answer_of(ledger.audit.remote(), LEDGER_NAME, AUDIT_WITHIN_S))
        assert faults == [], "the ledger does not balance"


def check_people(told: Told, campaigns: list[Campaign]) -> None:
    """No message twice, nobody decided twice for one campaign, caps and gaps in every span."""
    scheduled = told.scheduled()
    ids = Counter(row["message_id"] for row in scheduled)
    assert all(count == 1 for count in ids.values()), f"twice: {[one for one, count in ids.items() if count > 1]}"
    for campaign in campaigns:
        people = Counter(row["recipient_id"] for row in told.live(campaign.id))
        twice = [person for person, count in people.items() if count > 1]
        assert not twice, f"{campaign.id}: decided twice: {twice}"
    of_person: dict[str, list[Row]] = defaultdict(list)
    for row in told.live():
        of_person[row["recipient_id"]].append(row)
    for person, rows in of_person.items():
        instants = sorted(instant(row["scheduled_at"]) for row in rows)
        for span, cap in ((DAY_S, campaigns[0].limits.daily_cap), (WEEK_S, campaigns[0].limits.weekly_cap)):
            over = zip(instants, instants[cap:], strict=False)
            assert all(later - first >= span for first, later in over), f"{person}: over a cap: {rows}"
        for channel in {row["channel"] for row in rows}:
            there = sorted(instant(row["scheduled_at"]) for row in rows if row["channel"] == channel)
            assert all(b - a >= GAP_S for a, b in pairwise(there)), f"{person}: no gap: {rows}"


async def check_answers(told: Told, outreach: Client) -> None:
    """A repeated key gives the same bytes, and nothing is decided again."""
    for request in told.requests:
        ask = outreach.keyed.send_batch_body if request.is_batch else outreach.keyed.send_body
        again = await ask(request.key, request.body)
        assert again.body == request.answer, f"{request.key}: the same key gives other bytes"
        assert again.replayed, f"{request.key}: decided again"


async def check_messages(told: Told, outreach: Client) -> None:
    """Every acknowledged decision is there unchanged."""
    for row in told.scheduled():
        shown = await outreach.message(row["message_id"])
        assert shown is not None, f"lost: {row}"
        for name in ("recipient_id", "channel", "scheduled_at", "cost"):
            assert shown[name] == row[name], f"{name} changed: told {row}, and now {shown}"
        wanted = "scheduled"
        if row["message_id"] in told.delivered:
            wanted = "delivered"
        elif row["message_id"] in told.cancelled:
            wanted = "cancelled"
        assert shown["state"] == wanted, f"told {wanted}: {shown}"


def check_money(live: list[Row], campaign: Campaign) -> None:
    """What was told costs no more than the budget: in all, by channel, by day; nor is it more messages."""
    budget, limits = campaign.budget, campaign.limits
    by_channel, by_day = Counter[str](), Counter[int]()
    for row in live:
        by_channel[row["channel"]] += micro(row["cost"])
        by_day[instant(row["scheduled_at"]) // DAY_S] += micro(row["cost"])
    if budget is not None:
        assert budget.total is None or by_channel.total() <= budget.total, f"{campaign.id}: over budget"
        for channel, limit in budget.per_channel.items():
            assert by_channel[channel] <= limit, f"{campaign.id}: over the budget of {channel}"
        for day, amount in by_day.items():
            assert budget.daily is None or amount <= budget.daily, f"{campaign.id}: over the budget of day {day}"
    days = Counter(instant(row["scheduled_at"]) // DAY_S for row in live)
    minutes = Counter(instant(row["scheduled_at"]) // 60 for row in live)
    for counts, limit in ((days, limits.daily_messages), (minutes, limits.per_minute)):
        assert limit is None or max(counts.values(), default=0) <= limit, f"{campaign.id}: too many: {counts}"


async def check_status(told: Told, outreach: Client, campaign: Campaign) -> None:
    """Every number equals a recount over what was told."""
    status = await outreach.status(campaign.id)
    live = told.live(campaign.id)
    scheduled = {row["message_id"] for row in told.scheduled(campaign.id)}
    delivered, cancelled = scheduled & told.delivered, scheduled & told.cancelled
    blocked: Counter[str] = Counter(
        row["reason"]
        for request in told.requests
        if request.campaign_id == campaign.id
        for row in request.rows
        if row["status"] == "blocked"
    )
    recount = {
        "committed": money(sum(micro(row["cost"]) for row in live)),
        "scheduled": len(live) - len(delivered),
        "delivered": len(delivered),
        "cancelled": len(cancelled),
        "blocked": dict(blocked),
    }
    given = {
        "committed": status["budget"]["committed"],
        **{state: status["messages"][state] for state in ("scheduled", "delivered", "cancelled")},
        "blocked": {reason: count for reason, count in status["blocked"].items() if count},
    }
    assert given == recount, f"{campaign.id}: the status says {given}, and clients were told {recount}"
