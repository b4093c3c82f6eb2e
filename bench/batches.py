"""The load of the batch benchmarks: 200,000 people, 10,000 a request if not said, on consecutive days, every answer
checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench import checks
from bench.answers import BatchAnswer, Outcome, check_batch, dollars
from bench.batch_form import JSON, Ask, BatchForm
from bench.journey import DAY, as_utc
from bench.load import Load, Sent
from bench.result import AnswersWrong
from bench.server import Server

BATCH = 10_000
BATCHES = 20
REPEATS = 11
"""One round takes half a second, and is a sixth above or below the next; of five the ratio to the echo had a standard
deviation of 0.06 from one run to the next."""
FIRST_DAY = 1_767_225_600  # 2026-01-01T00:00:00Z
CAMPAIGN = "spring"
CAMPAIGN_BODY: dict[str, Any] = {
    "budget": {"currency": "USD", "total": "50000.00", "daily": "5000.00", "per_channel": {"sms": "20000.00"}},
    "costs": {"email": "0.001", "sms": "0.0075", "whatsapp": "0.02", "instagram": "0.005", "facebook": "0.005"},
    "send_window": {"start": "08:00", "end": "21:00"},
}
SCARCE = "scarce"


class Size(NamedTuple):
    """How much: people a request, requests a round, and rounds a day apart after first contact."""

    batch: int
    batches: int
    repeats: int


class Measured(NamedTuple):
    """One server's run, its answers checked."""

    rates: list[float]
    """Decisions a second: on first contact, and of each repeat."""
    waits: list[float]
    """Seconds that each request of the repeats took, while others were in flight."""
    blocked: dict[str, int]
    scheduled_share: float
    bytes_a_person: int
    bytes_a_request: int
    bytes_an_answer: int


def measure(
    server: Server,
    form: BatchForm = JSON,
    beside: Callable[[Sequence[Ask], Sequence[int], int], None] | None = None,
    size: Size | None = None,
) -> Measured:
    """Sends all of it to a server under the manual clock that knows nobody. Raises `AnswersWrong`.

    `beside` is called after the warm-up and after each round with asks about the same people in JSON, the first person
    of each, and how many each has.
    """
    batch, batches, repeats = size or Size(BATCH, BATCHES, REPEATS)
    strangers = range(batches * batch, (batches + 2) * batch, batch)
    firsts = range(0, batches * batch, batch)
    crowd = [form.people(first, batch) for first in firsts]
    plain = [] if beside is None else [JSON.ask(CAMPAIGN, CAMPAIGN, JSON.people(first, batch)) for first in firsts]
    rounds: list[Sent] = []
    with Load(server) as load:
        load.first.set_clock(as_utc(FIRST_DAY))
        load.first.put(f"/campaigns/{CAMPAIGN}", CAMPAIGN_BODY)
        warmed = load.send([form.ask(CAMPAIGN, dedup_key(0), form.people(first, batch)) for first in strangers])
        if beside is not None:
            beside(plain, firsts, batch)
        for day in range(repeats + 1):
            load.first.set_clock(as_utc(FIRST_DAY + day * DAY))
            rounds.append(load.send([form.ask(CAMPAIGN, dedup_key(day), some) for some in crowd]))
            if beside is not None:
                beside(plain, firsts, batch)
        status = load.first.get(f"/campaigns/{CAMPAIGN}/status")
        load.first.put(f"/campaigns/{SCARCE}", _scarce_body(batch // 2))
        last = form.ask(SCARCE, SCARCE, form.people(2 * strangers.stop, batch))
        (scarce,) = load.send([last]).answers
    answered = [(first, 0, form.read(raw)) for first, raw in zip(strangers, warmed.answers, strict=True)]
    for day, sent in enumerate(rounds):
        answered += [(first, day, form.read(raw)) for first, raw in zip(firsts, sent.answers, strict=True)]
    blocked = _check(answered, batch, status, form.read(scarce))
    return Measured(
        rates=[batches * batch / sent.seconds for sent in rounds],
        waits=[wait for sent in rounds[1:] for wait in sent.waits],
        blocked=blocked,
        scheduled_share=1 - sum(blocked.values()) / (len(answered) * batch),
        bytes_a_person=len(crowd[0]) // batch,
        bytes_a_request=len(last.body),
        bytes_an_answer=len(rounds[0].answers[0]),
    )


def dedup_key(day: int) -> str:
    """Each day has its own message, or most of the next day's would be duplicates and cheap."""
    return f"day-{day}"


def _scarce_body(messages: int) -> dict[str, Any]:
    """Money for exactly so many."""
    return {"channels": {"allowed": ["email"]}, "costs": {"email": "0.001"},
            "budget": {"total": dollars(messages * 1000)}}  # fmt: skip


def _check(
    answered: list[tuple[int, int, BatchAnswer]], batch: int, status: dict[str, Any], scarce: BatchAnswer
) -> dict[str, int]:
    """Checks every answer; (first person, day, answer) each, in the order of the decisions. Blocked by reason.

    Everyone answered once and in order, counts right, caps, gaps, keys and budgets kept, status their sum, and of
    the scarce campaign, which has money for half of one batch, exactly so many messages.
    """
    outcomes: list[Outcome] = []
    for first, day, answer in answered:
        check_batch(answer, first, batch)
        outcomes += outcomes_of(answer, first, day)
    faults = checks.check_campaign(outcomes, CAMPAIGN, CAMPAIGN_BODY, status)
    if scarce.counts["scheduled"] != batch // 2:
        faults.append(f"money for {batch // 2} messages gave {scarce.counts}")
    if faults:
        raise AnswersWrong(f"{len(faults)} faults, the first: {faults[0]}")
    return dict(Counter(outcome.reason for outcome in outcomes if outcome.reason is not None))


def outcomes_of(answer: BatchAnswer, first: int, day: int) -> list[Outcome]:
    """The decisions of a day about the people from `first` on."""
    return [
        Outcome.of(decision, first + position, CAMPAIGN, dedup_key(day), FIRST_DAY + day * DAY)
        for position, decision in enumerate(answer.results)
    ]
