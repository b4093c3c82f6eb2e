"""The original's own shape: SQLAlchemy's asyncio sessions on SQLite, a transaction a message, the ten steps as queries.

It decides one message after the other, as SQLite has one writer, and what it answered is on the disk: a write-ahead log
that is synced at every commit, as in the product. Its rules are those of the contract in short: caps count what lies a
day or a week before and after the message, so they refuse some that the product can place; send times are full hours;
engagement is one rate a channel. It has no HTTP, no invalid recipients, no urgency, no `per_minute`, no deferral, no
explanations, no `next_eligible_at`, no batches and no second process.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bench import checks
from bench.answers import Outcome
from bench.journey import DAY, HOUR
from bench.peers.peer import Peer
from bench.peers.send_hour import send_instant
from bench.peers.sqlalchemy_tables import Base, Campaign, Engagement, Message, Recipient, Suppression
from bench.population import recipient
from bench.result import AnswersWrong

__all__ = ["CAMPAIGN_BODY", "PEER", "check", "database", "decide", "person"]

PEOPLE = 50
REPEATS = 3
CROWDED = 5
FIRST_DAY = 1_767_225_600  # 2026-01-01T00:00:00Z
CAMPAIGN = "spring"
COSTS = {"email": 1_000, "sms": 7_500, "whatsapp": 20_000, "instagram": 5_000, "facebook": 5_000}
CAMPAIGN_BODY: dict[str, Any] = {"budget": {"total": "2.00", "daily": "0.50"}, "limits": {"daily_messages": 1_000}}
RATES = {"email": 0.25, "sms": 0.3, "whatsapp": 0.35, "instagram": 0.15, "facebook": 0.15}
MAX_ATTEMPTS = 3
REFUSALS = ("daily_cap", "weekly_cap", "channel_gap")


@asynccontextmanager
async def database(folder: Path, synchronous: str = "FULL") -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """A new database in the folder, with the campaign in it; `synchronous` is SQLite's."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'outreach.db'}")
    _keep_log(engine, synchronous)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        async with sessions.begin() as session:
            session.add(
                Campaign(id=CAMPAIGN, total=2_000_000, daily=500_000, daily_messages=1_000, costs=COSTS,
                         window_start=8 * 60, window_end=21 * 60)
            )  # fmt: skip
            session.add_all(
                Engagement(channel=channel, delivered=1_000, engaged=round(1_000 * rate))
                for channel, rate in RATES.items()
            )
        yield sessions
    finally:
        await engine.dispose()


def _keep_log(engine: AsyncEngine, synchronous: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()


async def decide(
    sessions: async_sessionmaker[AsyncSession], number: int, who: Recipient, key: str, now: int
) -> Outcome:
    """Decides on person `number` in a transaction of its own."""
    async with sessions.begin() as session:
        who = await session.merge(who)
        found = await _decide(session, who, key, now)
    message, reason = (found, None) if isinstance(found, Message) else (None, found)
    return Outcome(
        household=number,
        campaign=CAMPAIGN,
        dedup_key=key,
        now=now,
        status="scheduled" if message else "blocked",
        reason=reason,
        channel=message.channel if message else None,
        at=message.at if message else None,
        local_minute=None,
        cost=message.cost if message else 0,
        quiet=(0, 0),
    )


async def _decide(session: AsyncSession, who: Recipient, key: str, now: int) -> Message | str:
    """The message, or why there is none: the contract's steps in its order."""
    campaign = await session.get_one(Campaign, CAMPAIGN)
    if not campaign.active:
        return "campaign_inactive"
    again = select(Message.id).where(Message.recipient_id == who.id, Message.dedup_key == key, Message.at > now - DAY)
    if await session.scalar(again.limit(1)) is not None:
        return "duplicate"
    timed = await _timed(session, campaign, who, now)
    if isinstance(timed, str):
        return timed
    return await _placed(session, campaign, who, key, timed)


async def _timed(session: AsyncSession, campaign: Campaign, who: Recipient, now: int) -> dict[str, int] | str:
    """The instant on each channel that is free, or why none is."""
    suppressed = await session.scalars(select(Suppression.channel).where(Suppression.recipient_id == who.id))
    excluded = {*suppressed, *who.preferences.get("opt_out", ())}
    candidates = [channel for channel in who.contacts if channel in COSTS and channel not in excluded]
    if not candidates:
        return "no_viable_channel"
    instants = {channel: send_instant(campaign, who, channel, now) for channel in candidates}
    timed = {channel: at for channel, at in instants.items() if at is not None}
    if not timed:
        return "no_send_window"
    refusals = {channel: await _refusal(session, who.id, channel, at) for channel, at in timed.items()}
    left = {channel: at for channel, at in timed.items() if refusals[channel] is None}
    return left or next(reason for reason in REFUSALS if reason in refusals.values())


async def _placed(
    session: AsyncSession, campaign: Campaign, who: Recipient, key: str, timed: dict[str, int]
) -> Message | str:
    """The message on the first channel that the campaign can pay for, recorded and committed; else why not."""
    order = await _ranked(session, who, list(timed))
    for position, channel in enumerate(order):
        at = timed[channel]
        cost, day = campaign.costs[channel], at // DAY
        on_day = select(func.coalesce(func.sum(Message.cost), 0), func.count()).where(
            Message.campaign_id == CAMPAIGN, Message.day == day
        )
        spent, messages = (await session.execute(on_day)).one()
        if campaign.committed + cost > campaign.total or spent + cost > campaign.daily:
            continue
        if messages >= campaign.daily_messages:
            return "daily_limit"
        message = Message(
            recipient_id=who.id, campaign_id=CAMPAIGN, dedup_key=key, channel=channel, at=at, day=day, cost=cost,
            fallback_chain=order[position + 1 : position + MAX_ATTEMPTS],
        )  # fmt: skip
        session.add(message)
        campaign.committed += cost
        return message
    return "over_budget"


async def _refusal(session: AsyncSession, recipient_id: str, channel: str, at: int) -> str | None:
    """The cap or gap that a message at that instant would break."""
    for span, cap, reason in (
        (DAY, checks.DAILY_CAP, "daily_cap"),
        (7 * DAY, checks.WEEKLY_CAP, "weekly_cap"),
    ):
        near = select(func.count()).where(
            Message.recipient_id == recipient_id, Message.at > at - span, Message.at < at + span
        )
        if (await session.scalar(near) or 0) >= cap:
            return reason
    same = select(Message.id).where(
        Message.recipient_id == recipient_id,
        Message.channel == channel,
        Message.at > at - 4 * HOUR,
        Message.at < at + 4 * HOUR,
    )
    return None if await session.scalar(same.limit(1)) is None else "channel_gap"


async def _ranked(session: AsyncSession, who: Recipient, channels: list[str]) -> list[str]:
    """By engagement, what the recipient prefers, and cost."""
    rows = await session.scalars(select(Engagement).where(Engagement.channel.in_(channels)))
    rates = {row.channel: row.engaged / row.delivered for row in rows}
    preferred = who.preferences.get("channels", [])
    boosts = {channel: 0.1 * (len(preferred) - place) / len(preferred) for place, channel in enumerate(preferred)}
    return sorted(channels, key=lambda channel: (-rates[channel] - boosts.get(channel, 0.0), COSTS[channel]))


def person(number: int) -> Recipient:
    """Person `number` of the bench's population."""
    known = recipient(number)
    fields = {name: known[name] for name in ("id", "customer_type", "timezone", "device", "contacts")}
    return Recipient(**fields, preferences=known.get("preferences", {}))


def check(outcomes: list[Outcome]) -> None:
    """Caps, gaps, keys and budgets, by brute force. Raises `AnswersWrong`."""
    campaigns = {CAMPAIGN: CAMPAIGN_BODY}
    faults = [
        *checks.check_caps(outcomes, campaigns),
        *checks.check_duplicates(outcomes, campaigns),
        *checks.check_budgets(outcomes, campaigns, offsets=np.zeros_like),
    ]
    if faults:
        raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")


async def _rates(folder: Path) -> list[float]:
    """Decisions a second of each day after one that warms up, everyone known and asked once a day."""
    rates, outcomes = [], []
    async with database(folder) as sessions:
        for day in range(REPEATS + 1):
            crowd = [(number, person(number)) for number in range(PEOPLE)]
            began = perf_counter()
            for number, who in crowd:
                outcomes.append(await decide(sessions, number, who, f"day-{day}", FIRST_DAY + day * DAY))
            rates.append(PEOPLE / (perf_counter() - began))
        now = FIRST_DAY + REPEATS * DAY
        for number in range(CROWDED):
            crowded = [await decide(sessions, number, person(number), f"more-{turn}", now) for turn in range(4)]
            outcomes += crowded
            if all(outcome.at is not None for outcome in crowded):
                raise AnswersWrong("someone got five messages in a day")
    check(outcomes)
    if sum(outcome.status == "scheduled" for outcome in outcomes[: len(rates) * PEOPLE]) < PEOPLE:
        raise AnswersWrong("hardly anyone was scheduled")
    return rates[1:]


def _measure() -> list[float]:
    with tempfile.TemporaryDirectory(prefix="madan-sara-bench-") as folder:
        return asyncio.run(_rates(Path(folder)))


PEER = Peer(
    does="decisions",
    lacks="a transaction a message on SQLite, durable: no HTTP, full hours only, no urgency, deferral, explanations or "
    "batches",
    measure=_measure,
)
