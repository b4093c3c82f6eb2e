"""The load of the batch benchmarks: 200,000 people, 10,000 a request, on consecutive days, every answer checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench import checks
from bench.answers import BatchAnswer, Outcome, check_batch, dollars, micros
from bench.batch_form import JSON, Ask, BatchForm
from bench.journey import DAY, as_utc
from bench.load import Load
from bench.result import AnswersWrong
from bench.server import Server

BATCH = 10_000
BATCHES = 20
REPEATS = 5
FIRST_DAY = 1_767_225_600  # 2026-01-01T00:00:00Z
CAMPAIGN = "spring"
CAMPAIGN_BODY: dict[str, Any] = {
    "budget": {"currency": "USD", "total": "50000.00", "daily": "5000.00", "per_channel": {"sms": "20000.00"}},
    "costs": {"email": "0.001", "sms": "0.0075", "whatsapp": "0.02", "instagram": "0.005", "facebook": "0.005"},
    "send_window": {"start": "08:00", "end": "21:00"},
}
SCARCE = "scarce"
SCARCE_MESSAGES = 5_000


class Measured(NamedTuple):
    """One server's run, its answers checked."""

    rates: list[float]
    """Decisions a second: on first contact, and of each repeat."""
    blocked: dict[str, int]
    scheduled_share: float
    bytes_a_person: int
    bytes_a_request: int
    bytes_an_answer: int


def measure(
    server: Server, form: BatchForm = JSON, beside: Callable[[Sequence[Ask], Sequence[int], int], None] | None = None
) -> Measured:
    """Sends all of it to a server under the manual clock that knows nobody. Raises `AnswersWrong`.

    `beside` is called after the warm-up and after each round with asks about the same people in JSON, the first person
    of each, and how many each has.
    """
    strangers = range(BATCHES * BATCH, (BATCHES + 2) * BATCH, BATCH)
    firsts = range(0, BATCHES * BATCH, BATCH)
    crowd = [form.people(first, BATCH) for first in firsts]
    plain = [] if beside is None else [JSON.ask(CAMPAIGN, CAMPAIGN, JSON.people(first, BATCH)) for first in firsts]
    rounds: list[tuple[float, list[bytes]]] = []
    with Load(server) as load:
        load.first.set_clock(as_utc(FIRST_DAY))
        load.first.put(f"/campaigns/{CAMPAIGN}", CAMPAIGN_BODY)
        _, warmed = load.send([form.ask(CAMPAIGN, dedup_key(0), form.people(first, BATCH)) for first in strangers])
        if beside is not None:
            beside(plain, firsts, BATCH)
        for day in range(REPEATS + 1):
            load.first.set_clock(as_utc(FIRST_DAY + day * DAY))
            rounds.append(load.send([form.ask(CAMPAIGN, dedup_key(day), some) for some in crowd]))
            if beside is not None:
                beside(plain, firsts, BATCH)
        status = load.first.get(f"/campaigns/{CAMPAIGN}/status")
        load.first.put(f"/campaigns/{SCARCE}", _scarce_body())
        last = form.ask(SCARCE, SCARCE, form.people(2 * strangers.stop, BATCH))
        _, (scarce,) = load.send([last])
    answered = [(first, 0, form.read(raw)) for first, raw in zip(strangers, warmed, strict=True)]
    for day, (_, answers) in enumerate(rounds):
        answered += [(first, day, form.read(raw)) for first, raw in zip(firsts, answers, strict=True)]
    blocked = _check(answered, status, form.read(scarce))
    return Measured(
        rates=[BATCHES * BATCH / seconds for seconds, _ in rounds],
        blocked=blocked,
        scheduled_share=1 - sum(blocked.values()) / (len(answered) * BATCH),
        bytes_a_person=len(crowd[0]) // BATCH,
        bytes_a_request=len(last.body),
        bytes_an_answer=len(rounds[0][1][0]),
    )


def dedup_key(day: int) -> str:
    """Each day has its own message, or most of the next day's would be duplicates and cheap."""
    return f"day-{day}"


def _scarce_body() -> dict[str, Any]:
    """Money for exactly so many messages."""
    return {"channels": {"allowed": ["email"]}, "costs": {"email": "0.001"},
            "budget": {"total": dollars(SCARCE_MESSAGES * 1000)}}  # fmt: skip


def _check(answered: list[tuple[int, int, BatchAnswer]], status: dict[str, Any], scarce: BatchAnswer) -> dict[str, int]:
    """Checks every answer; (first person, day, answer) each, in the order of the decisions. Blocked by reason.

    Everyone answered once and in order, counts right, caps, gaps, keys and budgets kept, status their sum.
    """
    outcomes: list[Outcome] = []
    for first, day, answer in answered:
        check_batch(answer, first, BATCH)
        outcomes += outcomes_of(answer, first, day)
    campaigns = {CAMPAIGN: CAMPAIGN_BODY}
    faults = [
        *checks.check_caps(outcomes, campaigns),
        *checks.check_duplicates(outcomes, campaigns),
        *checks.check_budgets(outcomes, campaigns, offsets=np.zeros_like),
        *checks.check_statuses(outcomes, [], {CAMPAIGN: status}),
    ]
    if scarce.counts["scheduled"] != SCARCE_MESSAGES:
        faults.append(f"money for {SCARCE_MESSAGES} messages gave {scarce.counts}")
    if faults:
        raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
    return dict(Counter(outcome.reason for outcome in outcomes if outcome.reason is not None))


def outcomes_of(answer: BatchAnswer, first: int, day: int) -> list[Outcome]:
    """The decisions of a day about the people from `first` on."""
    return [
        Outcome(
            household=first + position,
            campaign=CAMPAIGN,
            dedup_key=dedup_key(day),
            now=FIRST_DAY + day * DAY,
            status=decision.status,
            reason=decision.reason,
            channel=decision.channel,
            at=int(decision.scheduled_at.timestamp()) if decision.scheduled_at is not None else None,
            local_minute=None,
            cost=micros(decision.cost) if decision.cost is not None else 0,
            quiet=(0, 0),
        )
        for position, decision in enumerate(answer.results)
    ]
